"""Row kernels of ADD and SUB: as a plane where one gives TFLM's bits for all pairs of values, else step by step.

TFLM rounds a sum three times, but the first two roundings are 2^-19 of a step or less: nearly always one linear form
with 20 fraction bits is equal for all 65,536 pairs. That is tried here, exhaustively. C: dft_sum_rows.h,
dft_exact_sum_rows.h.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dftiny import int8
from dftiny.graph import Graph
from dftiny.kernels.calls import Fields
from dftiny.kernels.pair import Pair, pair_of, scalar_rows
from dftiny.kernels.row_shape import fused_table
from dftiny.kernels.rows import Choice, RowCall
from dftiny.steps import Step

PLANE_BITS = 20  # DFT_PLANE_BITS
_ALL = np.arange(-128, 128, dtype=np.int64)
_LIMIT = 1 << 31
# Slopes a little larger send exact halves away from zero, as TFLM does; offsets: each floor takes half a unit away.
_STRETCHES = tuple(s * 2.0**-b for b in (60, 24, 22, 20, 19) for s in (1, -1))
_OFFSETS = (1, 0, 2, -1, 3)


@dataclass(frozen=True)
class Terms:
    """A sum as TFLM computes it, its operands in the kernel's order: (first, second)."""

    multiplier: tuple[int, int]
    right: tuple[int, int]
    zero: tuple[int, int]
    sign: tuple[int, int]
    out_multiplier: int
    out_right: int
    out_zero: int


@dataclass(frozen=True)
class Plane:
    """struct dft_plane."""

    slope_a: int
    slope_b: int
    offset: int


def sum_rows(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    """ADD and SUB of maps of one shape, or of a map and a vector over its channels, or of a map and a number."""
    del choice
    if (call := scalar_rows(graph, step)) is not None:
        return call
    pair = pair_of(graph, step)
    terms = None if pair is None else _terms(graph, step, pair)
    if pair is None or terms is None:
        return None
    pointers = (*pair.pointers, *fused_table(graph, step))
    if (found := plane(terms)) is not None:
        fields: Fields = (("pair", pair.fields), ("plane", tuple(vars(found).items())))
        return RowCall("dft_sum_rows", "dft_sum_rows_params", fields, pointers, in_place=True)
    fields = (("pair", pair.fields), *_exact_fields(terms))
    return RowCall("dft_exact_sum_rows", "dft_exact_sum_rows_params", fields, pointers, in_place=True)


def _terms(graph: Graph, step: Step, pair: Pair) -> Terms | None:
    op = step.op
    p = int8.sum_params(graph, op)
    if p.out_shift > 0:  # TFLite wants a multiplier below one here
        return None
    order = (pair.first, pair.second)
    signs = (1, 1 if op.kind == "ADD" else -1)
    zeros = [graph.tensors[op.inputs[k]].zero_point for k in range(2)]
    return Terms(
        multiplier=_picked(p.multiplier, order),
        right=_picked((-p.shift[0], -p.shift[1]), order),
        zero=_picked((zeros[0], zeros[1]), order),
        sign=_picked(signs, order),
        out_multiplier=p.out_multiplier,
        out_right=-p.out_shift,
        out_zero=graph.tensors[op.outputs[0]].zero_point,
    )


def _picked(values: tuple[int, int], order: tuple[int, int]) -> tuple[int, int]:
    return values[order[0]], values[order[1]]


def _exact_fields(t: Terms) -> Fields:
    return (
        ("mult_a", t.multiplier[0]),
        ("mult_b", t.multiplier[1]),
        ("mult_out", t.out_multiplier),
        ("zp_a", t.zero[0]),
        ("zp_b", t.zero[1]),
        ("zp_out", t.out_zero),
        ("right_a", t.right[0]),
        ("right_b", t.right[1]),
        ("right_out", t.out_right),
        ("sign_a", t.sign[0]),
        ("sign_b", t.sign[1]),
    )


@lru_cache(maxsize=256)
def plane(t: Terms) -> Plane | None:
    """A plane equal to the sum for all pairs of values, if one is found."""
    want = all_sums(t)
    for candidate in _candidates(t):
        if _fits(candidate) and np.array_equal(plane_values(candidate), want):
            return candidate
    return None


def all_sums(t: Terms) -> np.ndarray:
    """int8[256, 256]: TFLM's sums of all values of the first operand (rows) and the second (columns)."""
    a, b = (
        s * int8.multiply((_ALL - z) << 20, m, -r)
        for m, r, z, s in zip(t.multiplier, t.right, t.zero, t.sign, strict=True)
    )
    total = (a[:, None] + b).astype(np.int32)
    return int8.requantize(total, t.out_multiplier, -t.out_right, t.out_zero, -128, 127)


def plane_values(p: Plane) -> np.ndarray:
    """int8[256, 256]: what the kernel computes."""
    a, b = ((s * _ALL) >> 8 for s in (p.slope_a, p.slope_b))
    return np.clip((a[:, None] + b + p.offset) >> PLANE_BITS, -128, 127).astype(np.int8)


def _candidates(t: Terms) -> Iterator[Plane]:
    out = t.out_multiplier * 2.0 ** (-31 - t.out_right + 20)
    for stretch in _STRETCHES:
        real = [
            s * m * 2.0 ** (-31 - r) * out * (1 + stretch)
            for m, r, s in zip(t.multiplier, t.right, t.sign, strict=True)
        ]
        a, b = (round(v * (1 << PLANE_BITS << 8)) for v in real)
        zero = sum(v * z for v, z in zip(real, t.zero, strict=True))
        offset = round((t.out_zero + 0.5 - zero) * (1 << PLANE_BITS))
        yield from (Plane(a, b, offset + d) for d in _OFFSETS)


def _fits(p: Plane) -> bool:
    """No value and no partial sum of the kernel passes 32 bits."""
    reach = abs(p.offset) + (abs(p.slope_a) + abs(p.slope_b) >> 1) + 2
    return max(abs(p.slope_a), abs(p.slope_b), reach) < _LIMIT
