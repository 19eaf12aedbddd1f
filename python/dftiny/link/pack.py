"""Pieces of a photograph's tile packed without loss: neighbours predict, Rice codes carry what is left. Pure numpy.

The C twin, which unpacks, is firmware/src/unpack.c. A packed piece is u16 row bytes, u8 pixel bytes, then bits, the most
significant of a byte first: for each block of 32 bytes a parameter k (3 bits, 7: eight bits each), then
a residual each: (folded >> k) ones, a zero, the low k bits. The predictor is LOCO-I's median edge detector on the byte
one pixel left, one row above, and their corner; a channel's residual is coded less that of the channel before it.
Called by conveyor.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
PARAMETER_BITS = 3
PARAMETER_RAW = 7
UNPACK_CYCLES = 150  # a byte: 102 instructions on a Cortex-M7, counted in unicorn, and then some


@dataclass(frozen=True)
class Geometry:
    """How neighbours lie: bytes of an image row and of a pixel."""

    row_bytes: int
    pixel_bytes: int


def residuals(tile: bytes, geometry: Geometry) -> NDArray[np.uint8]:
    """Folded residuals uint8 [len(tile)] of a whole tile; independent of how it is cut into pieces."""
    row, pixel = geometry.row_bytes, geometry.pixel_bytes
    x = np.frombuffer(tile, dtype=np.int8).astype(np.int32)
    left, above, corner = (_shifted(x, n) for n in (pixel, row, row + pixel))
    low, high = np.minimum(left, above), np.maximum(left, above)
    edge = np.where(corner >= high, low, np.where(corner <= low, high, left + above - corner))
    predicted = np.where(np.arange(len(x)) < row + pixel, left, edge)
    error = x - predicted
    before = _shifted(error, 1)
    before[::pixel] = 0
    signed = ((error - before) & 255).astype(np.uint8).view(np.int8).astype(np.int32)
    folded: NDArray[np.uint8] = ((signed << 1) ^ (signed >> 31)).astype(np.uint8)
    return folded


def _shifted(x: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """x moved n places to the right, zeros in front."""
    return np.concatenate([np.zeros(min(n, len(x)), np.int32), x[: max(len(x) - n, 0)]])


def pack(folded: NDArray[np.uint8], first_channel: int, geometry: Geometry) -> bytes:
    """A packed piece of `folded`, a range of residuals() whose first byte belongs to channel `first_channel`.

    Only pieces that begin with a pixel (`first_channel` 0) can be packed: the device knows no residual before them.
    """
    if first_channel != 0:
        raise ValueError("a packed piece begins with a pixel")
    header = geometry.row_bytes.to_bytes(2, "little") + bytes([geometry.pixel_bytes])
    n = len(folded)
    parameters = _parameters(folded)
    k = np.repeat(parameters, BLOCK)[:n].astype(np.int64)
    raw = k == PARAMETER_RAW
    value = folded.astype(np.int64)
    ones = np.where(raw, 0, value >> np.minimum(k, 8))
    low_bits = np.where(raw, 8, k)
    low = value & ((1 << low_bits) - 1)
    stop = np.where(raw, 0, 1)
    length = ones + stop + low_bits
    return header + _bits(parameters, length, ones, low, low_bits)


def _parameters(folded: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The cheapest parameter of each block, int64 [blocks]."""
    blocks = -(-len(folded) // BLOCK)
    padded = np.zeros(blocks * BLOCK, np.int64)
    padded[: len(folded)] = folded
    by_block = padded.reshape(blocks, BLOCK)
    costs = [(by_block >> k).sum(axis=1) + BLOCK * (k + 1) for k in range(PARAMETER_RAW)]
    best: NDArray[np.int64] = np.argmin(np.stack([*costs, np.full(blocks, 8 * BLOCK)]), axis=0)
    return best


def _bits(
    parameters: NDArray[np.int64],
    length: NDArray[np.int64],
    ones: NDArray[np.int64],
    low: NDArray[np.int64],
    low_bits: NDArray[np.int64],
) -> bytes:
    """All codes behind one another: everything is zero but the ones and the bits of `low` and of the parameters."""
    n = len(length)
    extra = np.zeros(n, np.int64)
    extra[::BLOCK] = PARAMETER_BITS
    start = np.cumsum(length + extra) - length  # of each code, behind its block's parameter
    out = np.zeros(int(start[-1] + length[-1]) if n else 0, np.uint8)
    run = np.repeat(start - (np.cumsum(ones) - ones), ones) + np.arange(int(ones.sum()))
    out[run] = 1
    end = start + length
    for bit in range(8):
        used = low_bits > bit
        out[(end - 1 - bit)[used]] = (low[used] >> bit) & 1
    for bit in range(PARAMETER_BITS):
        out[start[::BLOCK] - 1 - bit] = (parameters >> bit) & 1
    return np.packbits(out).tobytes()


def pays(raw_bytes: int, packed_bytes: int, bytes_per_s: float, clock_hz: int) -> bool:
    """Whether fewer bytes on the wire save more time than unpacking takes at `clock_hz` (0: unknown, a fast one)."""
    if not bytes_per_s or packed_bytes >= raw_bytes:
        return False
    unpack_s = raw_bytes * UNPACK_CYCLES / (clock_hz or 400_000_000)
    return (raw_bytes - packed_bytes) / bytes_per_s > unpack_s
