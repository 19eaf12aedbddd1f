"""Row kernels of operators that only move bytes: GATHER, CONCATENATION and PAD.

C: firmware/kernels/dft_gather_rows.h, dft_concat_rows.h, dft_pad_rows.h.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from dftiny.graph import ConcatenationOptions, GatherOptions, Graph, PadOptions, Tensor
from dftiny.kernels.calls import Const, Fields
from dftiny.kernels.row_shape import fused_table
from dftiny.kernels.rows import Choice, RowCall
from dftiny.steps import Step

_LIMIT_16 = 0xFFFF


def _inside_rows(t: Tensor, axis: int) -> bool:
    """The axis lies inside rows: width or channels of a map."""
    return len(t.shape) == 4 and t.shape[0] == 1 and axis >= 2


def gather_rows(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    """GATHER along the channels or the width of a map."""
    del choice
    op, axis = step.op, cast(GatherOptions, step.op.options).axis
    x, indices = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]].data
    if indices is None or not _inside_rows(x, axis) or x.shape[axis] > _LIMIT_16 + 1:
        return None
    piece = math.prod(x.shape[axis + 1 :])
    fields: Fields = (
        ("runs", math.prod(x.shape[2:axis])),
        ("run", x.shape[axis] * piece),
        ("count", indices.size),
        ("piece", piece),
    )
    pointers = (("indices", Const("uint16_t", "tables", indices.reshape(-1).astype(np.int64))),)
    return RowCall(
        "dft_gather_rows", "dft_gather_rows_params", fields, (*pointers, *fused_table(graph, step))
    )


def concat_rows(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    """CONCATENATION of two maps along the channels or the width."""
    del choice
    op, axis = step.op, cast(ConcatenationOptions, step.op.options).axis
    parts = [graph.tensors[t] for t in op.inputs]
    shape = graph.tensors[op.outputs[0]].shape
    activations = len(parts) == 2 and all(t.data is None for t in parts)
    if not activations or not all(_inside_rows(t, axis) for t in parts):
        return None
    inner = math.prod(shape[axis + 1 :])
    fields: Fields = (
        ("runs", math.prod(shape[2:axis])),
        ("run_a", parts[0].shape[axis] * inner),
        ("run_b", parts[1].shape[axis] * inner),
    )
    pointers = fused_table(graph, step)
    return RowCall("dft_concat_rows", "dft_concat_rows_params", fields, pointers, grows=axis == 3)


def pad_rows(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    """PAD of a map in height, width and channels."""
    del choice
    op, o = step.op, cast(PadOptions, step.op.options)
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if len(x.shape) != 4 or x.shape[0] != 1 or y.shape[0] != 1 or max(y.shape) > _LIMIT_16:
        return None
    fields: Fields = (
        ("width", x.shape[2]),
        ("left", o.before[2]),
        ("right", o.after[2]),
        ("channels", x.shape[3]),
        ("below", o.before[3]),
        ("above", o.after[3]),
    )
    pixel = np.full(y.shape[3], y.zero_point) if o.values is None else np.array(o.values)
    pointers = (("pixel", Const("int8_t", "tables", pixel)),)
    return RowCall("dft_pad_rows", "dft_pad_rows_params", fields, (*pointers, *fused_table(graph, step)))
