"""Kernel calls of operators that take dimensions of a tensor together: MEAN, SUM, REDUCE_MAX and REDUCE_MIN.

Called by calls.step_calls. C: mean_s8.c for neighbouring dimensions, reduce_s8.c for any others, in firmware/kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import cast

from dftiny import int8
from dftiny.graph import Graph, MeanOptions, ReduceOptions
from dftiny.kernels.calls import Call, Fields, one_call, scaled
from dftiny.steps import Step


def _runs(shape: Sequence[int], axes: Sequence[int]) -> list[tuple[bool, int, int]]:
    """(reduced, size, stride) of runs of neighbouring dimensions that share a fate; those of size 1 have none."""
    kept = [(d in axes, size) for d, size in enumerate(shape) if size > 1]
    runs = [(flag, math.prod(n for _, n in group)) for flag, group in groupby(kept, lambda k: k[0])]
    return [(flag, n, math.prod(m for _, m in runs[i + 1 :])) for i, (flag, n) in enumerate(runs)]


def _mean(graph: Graph, step: Step) -> list[Call]:
    op = step.op
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    runs = _runs(x.shape, cast(MeanOptions, op.options).axes)
    if sum(flag for flag, _, _ in runs) > 1:
        return _sum(graph, step)
    at = next((i for i, (flag, _, _) in enumerate(runs) if flag), len(runs))
    outer, count, inner = (
        math.prod(n for _, n, _ in part) for part in (runs[:at], runs[at : at + 1], runs[at + 1 :])
    )
    mult, left1, right = scaled(op, *int8.mean_params(graph, op), 255 * count, y)
    fields: Fields = (
        ("outer", outer),
        ("reduce", count),
        ("inner", inner),
        ("offset", -x.zero_point * count),
        ("mult", mult),
        ("left1", left1),
        ("right", right),
        ("out_zp", y.zero_point),
    )
    return one_call(graph, step, "dft_mean_s8", "dft_mean", fields)


def _walk(graph: Graph, step: Step) -> tuple[Fields, int]:
    """Sizes and strides of what is kept and of what is taken together, two each, and how many that are."""
    op = step.op
    runs = _runs(graph.tensors[op.inputs[0]].shape, cast("MeanOptions | ReduceOptions", op.options).axes)
    sides = []
    for wanted in (False, True):
        found = [(n, stride) for flag, n, stride in runs if flag == wanted]
        sides.append([(1, 0)] * (2 - len(found)) + found)
    names = (("n", 0, 0), ("stride", 0, 1), ("m", 1, 0), ("m_stride", 1, 1))
    fields: Fields = tuple((name, tuple(pair[k] for pair in sides[side])) for name, side, k in names)
    return fields, math.prod(n for n, _ in sides[1])


def _sum(graph: Graph, step: Step) -> list[Call]:
    """SUM, and a MEAN of dimensions that are not neighbours."""
    op = step.op
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    walk, count = _walk(graph, step)
    params = int8.mean_params(graph, op) if op.kind == "MEAN" else int8.sum_of_params(graph, op)
    mult, left1, right = scaled(op, *params, 255 * count, y)
    fields: Fields = (
        *walk,
        ("offset", -x.zero_point * count),
        ("mult", mult),
        ("left1", left1),
        ("right", right),
        ("out_zp", y.zero_point),
    )
    return one_call(graph, step, "dft_sum_s8", "dft_reduce", fields)


def _extremum(graph: Graph, step: Step) -> list[Call]:
    walk, _ = _walk(graph, step)
    fields: Fields = (*walk, ("offset", 0), ("mult", 0), ("left1", 0), ("right", 0), ("out_zp", 0))
    return one_call(graph, step, f"dft_{step.op.kind.lower()}_s8", "dft_reduce", fields)


MAKERS: Mapping[str, Callable[[Graph, Step], Sequence[Call]]] = {
    "MEAN": _mean,
    "SUM": _sum,
    "REDUCE_MAX": _extremum,
    "REDUCE_MIN": _extremum,
}
