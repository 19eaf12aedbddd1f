"""Operators that only move int8 values, on batches: arrays carry one batch dimension in front of the tensor's own shape.

Called by dftiny.int8 for every operator that has no arithmetic of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dftiny.graph import (
    BlockOptions,
    ConcatenationOptions,
    GatherOptions,
    Graph,
    Op,
    PadOptions,
    RemapOptions,
    SliceOptions,
    TransposeOptions,
)


def move(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """The output int8[n, …] of an operator with one activation; RESHAPE and its like are left to the caller, who gives
    every result the shape of the output tensor."""
    match op.options:
        case PadOptions():
            return _padded(op.options, x, graph.tensors[op.outputs[0]].zero_point)
        case TransposeOptions(perm):
            return x.transpose(0, *(p + 1 for p in perm))
        case GatherOptions(axis):
            indices = graph.tensors[op.inputs[1]].data
            assert indices is not None
            return np.take(x, indices, axis=axis + 1)
        case SliceOptions():
            return _sliced(op.options, x)
        case RemapOptions(rows, columns):
            return x[:, :, list(rows)][:, :, :, list(columns)]
        case BlockOptions(block):
            return _to_depth(x, block) if op.kind == "SPACE_TO_DEPTH" else _to_space(x, block)
        case _:
            return x


def join(op: Op, parts: Sequence[np.ndarray]) -> np.ndarray:
    """CONCATENATION and PACK of operands int8[n or 1, …]."""
    assert isinstance(op.options, ConcatenationOptions)
    axis = op.options.axis + 1
    n = max(len(p) for p in parts)
    wide = [np.broadcast_to(p, (n, *p.shape[1:])) for p in parts]
    return np.stack(wide, axis=axis) if op.kind == "PACK" else np.concatenate(wide, axis=axis)


def _padded(o: PadOptions, x: np.ndarray, zero_point: int) -> np.ndarray:
    sizes = [a + n + b for a, n, b in zip(o.before, x.shape[1:], o.after, strict=True)]
    y = np.empty((len(x), *sizes), np.int8)
    y[...] = zero_point if o.values is None else np.array(o.values, np.int8)
    inside = (slice(a, a + n) for a, n in zip(o.before, x.shape[1:], strict=True))
    where = (slice(None), *inside)
    y[where] = x
    return y


def _sliced(o: SliceOptions, x: np.ndarray) -> np.ndarray:
    for d, (begin, stride, size) in enumerate(zip(o.begin, o.strides, o.sizes, strict=True)):
        x = np.take(x, begin + stride * np.arange(size), axis=d + 1)
    return x


def _to_depth(x: np.ndarray, block: int) -> np.ndarray:
    n, one, h, w, c = x.shape
    cut = x.reshape(n, one, h // block, block, w // block, block, c)
    return cut.transpose(0, 1, 2, 4, 3, 5, 6).reshape(n, one, h // block, w // block, block * block * c)


def _to_space(x: np.ndarray, block: int) -> np.ndarray:
    n, one, h, w, c = x.shape
    cut = x.reshape(n, one, h, w, block, block, c // (block * block))
    return cut.transpose(0, 1, 2, 4, 3, 5, 6).reshape(n, one, h * block, w * block, c // (block * block))
