"""Kernel calls of operators that only move bytes: padding, joining, cutting, transposing, nearest neighbours.

Called by calls.step_calls. C: pad_s8.c, concat_s8.c, transpose_s8.c, gather_s8.c and remap_s8.c in firmware/kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np

from dftiny.graph import (
    BlockOptions,
    ConcatenationOptions,
    GatherOptions,
    Graph,
    PadOptions,
    RemapOptions,
    SliceOptions,
    TransposeOptions,
)
from dftiny.kernels.calls import LIMIT_16, Call, Const, Fields, four, one_call, operands, refuse
from dftiny.steps import Step


def _pad(graph: Graph, step: Step) -> list[Call]:
    op, o = step.op, cast(PadOptions, step.op.options)
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    fields: Fields = (
        ("in", four(x.shape, 1)),
        ("before", four(o.before, 0)),
        ("after", four(o.after, 0)),
        ("value", y.zero_point),
    )
    pointers = () if o.values is None else (("values", Const("int8_t", "tables", np.array(o.values))),)
    return one_call(graph, step, "dft_pad_s8", "dft_pad", fields, pointers)


def _concatenation(graph: Graph, step: Step) -> list[Call]:
    axis = cast(ConcatenationOptions, step.op.options).axis
    shape = graph.tensors[step.op.outputs[0]].shape
    runs = [math.prod(graph.tensors[t].shape[axis:]) for t in step.op.inputs]
    return _joined(graph, step, math.prod(shape[:axis]), runs)


def _joined(graph: Graph, step: Step, rows: int, runs: Sequence[int]) -> list[Call]:
    """One copy an operand: `runs` bytes of each, `rows` times."""
    offset = 0
    out = []
    for run, source in zip(runs, operands(graph, step, len(runs)), strict=True):
        fields: Fields = (("rows", rows), ("run", run), ("out_stride", sum(runs)), ("out_offset", offset))
        out.append(Call(step.op, "dft_concat_s8", "dft_concat", fields, (), (source,), step.writes))
        offset += run
    return out


def _strided(
    graph: Graph, step: Step, sizes: Sequence[int], strides: Sequence[int], first: int = 0
) -> list[Call]:
    """A copy that writes in order and reads with strides, neighbouring dimensions merged where they can be."""
    sizes, strides = merged(sizes, strides)
    if len(sizes) > 4:
        raise refuse(step.op, "it moves more than four dimensions")
    fields: Fields = (("n", four(sizes, 1)), ("stride", four(strides, 0)), ("first", first))
    return one_call(graph, step, "dft_transpose_s8", "dft_transpose", fields)


def _dense(shape: Sequence[int]) -> list[int]:
    return [math.prod(shape[d + 1 :]) for d in range(len(shape))]


def merged(sizes: Sequence[int], strides: Sequence[int]) -> tuple[list[int], list[int]]:
    """(output sizes, input strides) with neighbouring dimensions that lie like one merged."""
    out: list[int] = []
    steps: list[int] = []
    for n, stride in zip(sizes, strides, strict=True):
        if n == 1:
            continue
        if out and steps[-1] == stride * n:
            out[-1] *= n
            steps[-1] = stride
        else:
            out.append(n)
            steps.append(stride)
    return out or [1], steps or [1]


def _transpose(graph: Graph, step: Step) -> list[Call]:
    shape = graph.tensors[step.op.inputs[0]].shape
    perm, dense = cast(TransposeOptions, step.op.options).perm, _dense(shape)
    return _strided(graph, step, [shape[p] for p in perm], [dense[p] for p in perm])


def _slice(graph: Graph, step: Step) -> list[Call]:
    o = cast(SliceOptions, step.op.options)
    dense = _dense(graph.tensors[step.op.inputs[0]].shape)
    first = sum(b * d for b, d in zip(o.begin, dense, strict=True))
    return _strided(graph, step, o.sizes, [s * d for s, d in zip(o.strides, dense, strict=True)], first)


def _blocks(graph: Graph, step: Step) -> list[Call]:
    """SPACE_TO_DEPTH and DEPTH_TO_SPACE: the map cut in blocks, two of the dimensions changed over."""
    block = cast(BlockOptions, step.op.options).block
    _, h, w, c = graph.tensors[step.op.inputs[0]].shape
    if step.op.kind == "SPACE_TO_DEPTH":
        cut = (h // block, block, w // block, block * c)
    else:
        cut = (h, w, block, c // block)
    dense = _dense(cut)
    order = (0, 2, 1, 3)
    return _strided(graph, step, [cut[p] for p in order], [dense[p] for p in order])


def _remap(graph: Graph, step: Step) -> list[Call]:
    op, o = step.op, cast(RemapOptions, step.op.options)
    _, h, w, c = graph.tensors[op.inputs[0]].shape
    if max(h, w) > LIMIT_16 + 1:
        raise refuse(op, f"its map of {h}×{w} is too large")
    fields: Fields = (("out_h", len(o.rows)), ("out_w", len(o.columns)), ("row", w * c), ("pixel", c))
    pointers = (
        ("rows", Const("uint16_t", "tables", np.array(o.rows, np.int64))),
        ("columns", Const("uint16_t", "tables", np.array(o.columns, np.int64))),
    )
    return one_call(graph, step, "dft_remap_s8", "dft_remap", fields, pointers)


def _pack(graph: Graph, step: Step) -> list[Call]:
    axis = cast(ConcatenationOptions, step.op.options).axis
    shape = graph.tensors[step.op.outputs[0]].shape
    runs = [math.prod(shape[axis + 1 :])] * len(step.op.inputs)
    return _joined(graph, step, math.prod(shape[:axis]), runs)


def _gather(graph: Graph, step: Step) -> list[Call]:
    op = step.op
    shape = graph.tensors[op.inputs[0]].shape
    indices = graph.tensors[op.inputs[1]].data
    assert indices is not None
    axis = cast(GatherOptions, op.options).axis
    if shape[axis] > LIMIT_16 + 1:
        raise refuse(op, f"dimension {axis} has {shape[axis]} entries")
    fields: Fields = (
        ("outer", math.prod(shape[:axis])),
        ("axis_n", shape[axis]),
        ("inner", math.prod(shape[axis + 1 :])),
        ("count", len(indices)),
    )
    table = Const("uint16_t", "tables", indices.astype(np.int64))
    return one_call(graph, step, "dft_gather_s8", "dft_gather", fields, (("indices", table),))


MAKERS: Mapping[str, Callable[[Graph, Step], Sequence[Call]]] = {
    "PAD": _pad,
    "PADV2": _pad,
    "CONCATENATION": _concatenation,
    "PACK": _pack,
    "TRANSPOSE": _transpose,
    "GATHER": _gather,
    "SPACE_TO_DEPTH": _blocks,
    "DEPTH_TO_SPACE": _blocks,
    "RESIZE_NEAREST_NEIGHBOR": _remap,
    "MIRROR_PAD": _remap,
    **dict.fromkeys(("SLICE", "STRIDED_SLICE", "REVERSE_V2", "SPLIT", "SPLIT_V", "UNPACK"), _slice),
}
