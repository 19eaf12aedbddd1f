"""From an image to the tiles a network sees, and from tile logits back to one image logit.

Not a resampler: resizing destroys the traces a detector lives on, so tiles are cut at native resolution.
Called by evaluate, bench, train and the data builder.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dftiny.errors import DftError

# JPEG works in 8x8 blocks: a tile that starts on another phase shows the network another trace.
GRID_PX = 8


def tiles(image: NDArray[np.uint8], tile: int) -> NDArray[np.uint8]:
    """Cut uint8 `image` [H, W, 3] into uint8 [n, tile, tile, 3], row-major, non-overlapping, remainder dropped.

    Every tile starts on the 8-px grid because `tile` must be a multiple of 8. DftError when no tile fits.
    """
    if tile <= 0 or tile % GRID_PX:
        raise DftError(f"tile size {tile} is not a positive multiple of {GRID_PX}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DftError(f"an image must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
    rows, columns = image.shape[0] // tile, image.shape[1] // tile
    if rows == 0 or columns == 0:
        raise DftError(
            f"an image of {image.shape[1]}x{image.shape[0]} pixels is smaller than one tile of {tile}x{tile}",
            "use a larger image; dftiny never resizes, since that destroys the traces it looks for",
        )
    cut = image[: rows * tile, : columns * tile].reshape(rows, tile, columns, tile, 3)
    return np.ascontiguousarray(cut.transpose(0, 2, 1, 3, 4)).reshape(-1, tile, tile, 3)


def tile_grid(height: int, width: int, tile: int) -> tuple[int, int]:
    """Rows and columns of tiles that `tiles` cuts from an image of that size."""
    return height // tile, width // tile


def image_logit(tile_logits: NDArray[np.floating]) -> float:
    """An image's logit: the mean of its tiles' logits [n]."""
    return float(np.mean(tile_logits, dtype=np.float64))
