"""Rounded int8 functions as lines: integers with saturate((slope · x + offset) >> bits) equal, for all 256 x, to what
TFLM's double rounding gives. Found here once, offline, and held to it; where none is found, none is used.
For the row kernel of SHIFT_MAX; twin: firmware/kernels/m7/shift_max_rows.c."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dftiny.int8 import requantize

PRODUCT_BITS = 20  # DFT_SHIFT_PRODUCT
SUM_BITS = 21  # DFT_SHIFT_SUM
FINER = 12  # fraction bits of Products.slope beyond PRODUCT_BITS, 32 − PRODUCT_BITS
RIGHT = range(4, 12)  # right shifts of products for which m7/shift_max_pass.S has code
_ALL = np.arange(-128, 128, dtype=np.int64)
_FAR = 1 << 60
_NO_FIX = 99


@dataclass(frozen=True, eq=False)
class Products:
    """A MUL: with c' and x' the operands without their zero points, the line of coefficient c has the slope
    (c'·`slope` >> FINER, rounded) + fixes[c + 128], and the product is saturate((bent(slope · x') + `start`) >>
    PRODUCT_BITS). `fixes`, nearly all 0, are for coefficients with a product next to a half."""

    slope: int
    start: int
    fixes: np.ndarray


@dataclass(frozen=True, eq=False)
class Sums:
    """ADD or SUB: for second operand b, saturate((`slope` · first + offsets[b + 128]) >> SUM_BITS)."""

    slope: int
    offsets: np.ndarray


def bent(values: np.ndarray, right: int) -> np.ndarray:
    """TFLM takes halves away from zero: a negative product is lower than on a line by one unit before its second
    rounding, 2^−right. A negative number lowered by its own 32 bits, shifted right, is lower by just that; what the
    bits are else, of either sign, only makes the slope a little smaller."""
    lowered: np.ndarray = values - ((values & 0xFFFFFFFF) >> (32 - PRODUCT_BITS + right))
    return lowered


@lru_cache(maxsize=256)
def products(multiplier: int, shift: int, zero_x: int, zero_c: int, zero_out: int) -> Products | None:
    """Lines that give all 256 · 256 products; None if none do, or 32 bits do not hold them."""
    right, real = -shift, multiplier * 2.0 ** (shift - 31)
    if right not in RIGHT:
        return None
    x, c = _ALL - zero_x, _ALL - zero_c
    reach = real * float(np.abs(x).max() * np.abs(c).max()) + abs(zero_out) + 2
    if reach * (1 << PRODUCT_BITS) >= 1 << 31:
        return None
    y = requantize((c[:, None] * x).astype(np.int32), multiplier, shift, zero_out, -128, 127).astype(np.int64)
    # `bent` makes slopes smaller by this much.
    slope = round(real * (1 << PRODUCT_BITS << FINER) * (1 + 2.0 ** (PRODUCT_BITS - 32 - right)))
    nearest = (c * slope + (1 << FINER >> 1)) >> FINER
    # Half, and half of what negative values are lowered by: both signs are then as far from their halves.
    start = (zero_out << PRODUCT_BITS) + (1 << PRODUCT_BITS >> 1) + (1 << PRODUCT_BITS >> right >> 1)
    for later in (0, 1 << 8, -(1 << 8), 1 << 10, -(1 << 10)):
        fixes = _fixes(y, x, nearest, right, start + later)
        if fixes is not None:
            return Products(slope, start + later, fixes)
    return None


def _fixes(y: np.ndarray, x: np.ndarray, slopes: np.ndarray, right: int, start: int) -> np.ndarray | None:
    """For each coefficient the least step from its slope to one whose line gives `y`; None if one has none."""
    found = np.full(len(slopes), _NO_FIX)
    for fix in (0, 1, -1, 2, -2, 3, -3, 5, -5, 8, -8, 12, -12):
        left = np.flatnonzero(found == _NO_FIX)
        values = bent((slopes[left] + fix)[:, None] * x, right) + start
        same = (np.clip(values >> PRODUCT_BITS, -128, 127) == y[left]).all(axis=1)
        found[left[same]] = fix
    return None if (found == _NO_FIX).any() else found


def sums(y: np.ndarray, ratio: float) -> Sums | None:
    """`y` int8[256, 256] by first and second operand, `ratio` = scale of the first / of the output. None if there is
    no such line, or 32 bits do not hold it."""
    by_second = y.astype(np.int64).T
    nearest = round(ratio * (1 << SUM_BITS))
    for slope in (nearest, *(nearest + s * d for d in range(1, 9) for s in (1, -1))):
        rest = (by_second << SUM_BITS) - slope * _ALL
        least = np.where(by_second > -128, rest, -_FAR).max(axis=1)
        largest = np.where(by_second < 127, rest + (1 << SUM_BITS) - 1, _FAR).min(axis=1)
        if (least <= largest).all():
            middle = np.where(
                least == -_FAR, largest, np.where(largest == _FAR, least, (least + largest) >> 1)
            )
            reach = np.abs(middle).max() + 128 * abs(slope)
            return Sums(slope, middle) if reach < 1 << 31 else None
    return None
