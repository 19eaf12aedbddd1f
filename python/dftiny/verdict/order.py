"""In which order a photograph's tiles are shown, and which are left out: spread over the picture, flat ones never.

Neighbouring tiles say much the same, so far-apart ones come first. Decided on the host; the device takes what comes.
Called by detect and verdict/validation.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
FLAT_TEXTURE = 1.0  # grey levels: below it a tile is sky or paper, and the net has nothing to look at
# Of the four quarters of a square, diagonal ones one after the other.
_QUARTERS = np.array([[0, 2], [3, 1]])


def spread(rows: int, columns: int) -> NDArray[np.intp]:
    """Row-major numbers [rows * columns] of a grid's tiles, each next one far from those before."""
    bits = max(rows, columns, 1).bit_length()
    y, x = np.divmod(np.arange(rows * columns), max(columns, 1))
    rank = np.zeros(rows * columns, np.int64)
    for b in range(bits):  # the finest pattern decides first: a Z order with its bits reversed
        rank = rank * 4 + _QUARTERS[(y >> b) & 1, (x >> b) & 1]
    return np.argsort(rank, kind="stable")


def texture(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean absolute 4-neighbour Laplacian of the luminance of uint8 tiles [n, H, W, 3], in grey levels [n]."""
    out = np.empty(len(tiles), np.float32)
    for i, tile in enumerate(tiles):
        g = tile.astype(np.float32) @ LUMA
        inner = 4 * g[1:-1, 1:-1] - g[:-2, 1:-1] - g[2:, 1:-1] - g[1:-1, :-2] - g[1:-1, 2:]
        out[i] = np.abs(inner).mean()
    return out


def offered(rows: int, columns: int, textures: NDArray[np.float32], tiles_max: int) -> NDArray[np.intp]:
    """Row-major numbers of the tiles to show, in order: those with texture, at most `tiles_max`. `textures` [rows * columns]."""
    order = spread(rows, columns)
    return order[textures[order] >= FLAT_TEXTURE][:tiles_max]
