"""Row kernels of MUL: of two maps, and of a map and a vector over its channels, whose factors are made first.

C: firmware/kernels/dft_mul_rows.h, dft_gate_rows.h.
"""

from __future__ import annotations

import math

from dftiny import int8
from dftiny.graph import Graph
from dftiny.kernels.calls import RIGHT_MAX, Fields
from dftiny.kernels.pair import Pair, pair_of, scalar_rows
from dftiny.kernels.row_shape import fused_table, row_shape
from dftiny.kernels.rows import Choice, RowCall
from dftiny.steps import Step

_EIGHT = 8  # the kernel takes as many channels at once


def product_rows(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    """MUL of maps of one shape, or of a map and a vector over its channels, or of a map and a number."""
    del choice
    if (call := scalar_rows(graph, step)) is not None:
        return call
    pair = pair_of(graph, step)
    product = None if pair is None else _product(graph, step, pair)
    if pair is None or product is None:
        return None
    fields: Fields = (("pair", pair.fields), ("product", product))
    pointers = (*pair.pointers, *fused_table(graph, step))
    if not pair.vector:
        return RowCall("dft_mul_rows", "dft_mul_rows_params", fields, pointers, in_place=True)
    shape = row_shape(graph.tensors[step.op.outputs[0]])
    period = math.lcm(shape.channels, _EIGHT)
    fields = (*fields, ("period", period))
    return RowCall(
        "dft_gate_rows", "dft_gate_rows_params", fields, pointers, scratch_bytes=2 * period, in_place=True
    )


def _product(graph: Graph, step: Step, pair: Pair) -> Fields | None:
    """struct dft_product, or None where the multiplier needs a left shift, or none at all."""
    op = step.op
    mult, shift = int8.mul_params(graph, op)
    if not -RIGHT_MAX <= shift <= -1:
        return None
    zeros = [graph.tensors[op.inputs[k]].zero_point for k in (pair.first, pair.second)]
    out_zero = graph.tensors[op.outputs[0]].zero_point
    return (
        ("mult", mult),
        ("round", (1 << -shift >> 1) + out_zero * (1 << -shift)),
        ("zp_a", zeros[0]),
        ("zp_b", zeros[1]),
        ("right", -shift),
    )
