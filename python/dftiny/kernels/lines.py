"""Rounded int8 functions as lines: integers (slope, offset) with saturate((slope · x + offset) >> bits) equal, for
all 256 x, to what TFLM's double rounding gives. Searched here once, offline; where none is found, none is used.
For the row kernel of SHIFT_MAX; twin: firmware/kernels/m7/shift_max_rows.c."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dftiny.int8 import requantize

SLOPE_BITS = 20  # DFT_SHIFT_SLOPE
SUM_BITS = 21  # DFT_SHIFT_SUM
FIX_BITS = 8  # DFT_SHIFT_STEP
NONE = -128  # DFT_SHIFT_NONE
_FINER = 6  # DFT_SHIFT_FINER: fraction bits of `slope` beyond SLOPE_BITS
_ALL = np.arange(-128, 128, dtype=np.int64)
_REACH = 96  # how far from the obvious slope to search
_FAR = 1 << 60


@dataclass(frozen=True, eq=False)
class Products:
    """The line of coefficient c: slope ((c − zero) · `slope` >> 6) + fixes[c + 128, 0]; at x = zero point its value is
    `start` + (fixes[c + 128, 1] << 8). fixes[…, 0] is NONE where there is no line."""

    slope: int
    start: int
    fixes: np.ndarray


@dataclass(frozen=True, eq=False)
class Sums:
    """The line of second operand b: slope `slope`, offset offsets[b + 128]."""

    slope: int
    offsets: np.ndarray


def _bounds(y: np.ndarray, slope: np.ndarray, x: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest offset of lines with these slopes: `y` int64[n, 256] over `x`, slope int64[n]."""
    rest = (y << bits) - slope[:, None] * x
    least = np.where(y > -128, rest, -_FAR).max(axis=1)
    largest = np.where(y < 127, rest + (1 << bits) - 1, _FAR).min(axis=1)
    return least, largest


@lru_cache(maxsize=256)
def products(multiplier: int, shift: int, zero_x: int, zero_c: int, zero_out: int) -> Products | None:
    """Lines of a MUL for each coefficient; None if 32 bits do not hold them."""
    real = multiplier * 2.0 ** (shift - 31)
    # Products reach 255 · 255, offsets beside them 2^28 at most; slopes are found from (c − zero) · slope.
    if (
        real * (255 * 255 << SLOPE_BITS) + (1 << 28) >= 1 << 31
        or real * (255 << SLOPE_BITS << _FINER) >= 1 << 31
    ):
        return None
    x, c = _ALL - zero_x, _ALL - zero_c
    y = requantize((c[:, None] * x).astype(np.int32), multiplier, shift, zero_out, -128, 127).astype(np.int64)
    slope = round(real * (1 << SLOPE_BITS << _FINER))
    start = (zero_out << SLOPE_BITS) + (1 << SLOPE_BITS >> 1)
    fixes = np.full((256, 2), NONE, np.int64)
    for distance in range(_REACH):
        for fix in {distance, -distance}:
            left = np.flatnonzero(fixes[:, 0] == NONE)
            least, largest = _bounds(y[left], (c[left] * slope >> _FINER) + fix, x, SLOPE_BITS)
            low = np.maximum(-(-(least - start) >> FIX_BITS), -127)
            high = np.minimum((largest - start) >> FIX_BITS, 127)
            found = low <= high
            fixes[left[found]] = np.stack([np.full(found.sum(), fix), ((low + high) >> 1)[found]], axis=1)
    return Products(slope, start, fixes)


def sums(y: np.ndarray, ratio: float) -> Sums | None:
    """Lines of ADD or SUB: `y` int8[256, 256] by first and second operand, `ratio` = scale of the first / of the
    output. None if there is no such line, or 32 bits do not hold it."""
    by_second = y.astype(np.int64).T
    nearest = round(ratio * (1 << SUM_BITS))
    for slope in (nearest, *(nearest + s * d for d in range(1, 9) for s in (1, -1))):
        least, largest = _bounds(by_second, np.full(256, slope), _ALL, SUM_BITS)
        if (least <= largest).all():
            middle = np.where(
                least == -_FAR, largest, np.where(largest == _FAR, least, (least + largest) >> 1)
            )
            reach = np.abs(middle).max() + 128 * abs(slope)
            return Sums(slope, middle) if reach < 1 << 31 else None
    return None
