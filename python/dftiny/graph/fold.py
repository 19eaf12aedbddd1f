"""What a file computes from shapes and constants alone is computed once, here: Keras writes a Reshape as SHAPE, STRIDED_SLICE,
PACK and RESHAPE, of which only the last has anything to do with pixels.

Called by graph/build.py before anything is checked. An operator is folded when its one result is int32 or int64, all its
inputs are known and the result has the shape that the file says; whatever else there is stays, to be refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dftiny.graph.flat import RawModel, RawOp, RawTensor

MAX_ELEMENTS = 64  # of a shape, or what is made of one
_DTYPES: Mapping[str, np.dtype[Any]] = {"int32": np.dtype("<i4"), "int64": np.dtype("<i8")}

# (operator, its inputs) → its result; raises ValueError or IndexError where they make none.
_Rule = Callable[[RawOp, Sequence[np.ndarray]], np.ndarray]


def folded(raw: RawModel) -> tuple[RawModel, frozenset[int]]:
    """`raw` with the results of all operators that can be folded as constants, and the places of these operators."""
    tensors = list(raw.tensors)
    gone = set()
    written = {*raw.inputs}
    for i, op in enumerate(raw.ops):
        value = None if written.intersection(op.outputs) else _result(op, tensors)
        if value is not None:
            t = op.outputs[0]
            tensors[t] = replace(tensors[t], data=value.reshape(-1).view(np.uint8))
            gone.add(i)
        written.update(op.outputs)
    return (replace(raw, tensors=tuple(tensors)), frozenset(gone)) if gone else (raw, frozenset())


def _result(op: RawOp, tensors: Sequence[RawTensor]) -> np.ndarray | None:
    if len(op.outputs) != 1 or op.outputs[0] < 0 or any(t < 0 for t in op.inputs) or not op.inputs:
        return None
    out = tensors[op.outputs[0]]
    if op.kind not in _RULES or out.type not in _DTYPES or out.data is not None:
        return None
    if op.kind == "SHAPE":
        inputs: list[np.ndarray | None] = [np.array(tensors[op.inputs[0]].shape, np.int64)]
    else:
        inputs = [_value(tensors[t]) for t in op.inputs]
    known = [v for v in inputs if v is not None]
    if len(known) != len(inputs):
        return None
    try:
        value = np.asarray(_RULES[op.kind](op, known)).astype(_DTYPES[out.type])
    except (ValueError, IndexError, OverflowError):
        return None
    good = value.shape == out.shape and 0 < value.size <= MAX_ELEMENTS
    return np.ascontiguousarray(value).reshape(-1) if good else None


def _value(t: RawTensor) -> np.ndarray | None:
    """A small constant of integers."""
    if t.data is None or t.type not in _DTYPES or any(not 0 < d <= MAX_ELEMENTS for d in t.shape):
        return None
    dtype = _DTYPES[t.type]
    if math.prod(t.shape) > MAX_ELEMENTS or len(t.data) != math.prod(t.shape) * dtype.itemsize:
        return None
    return t.data.view(dtype).reshape(t.shape)


def _shape(op: RawOp, inputs: Sequence[np.ndarray]) -> np.ndarray:
    del op
    return inputs[0]


def _strided_slice(op: RawOp, inputs: Sequence[np.ndarray]) -> np.ndarray:
    x, begin, end, strides = inputs
    o = op.options
    if x.ndim != 1 or begin.size != 1 or o["EllipsisMask"] or o["NewAxisMask"]:
        raise ValueError("only vectors are folded")
    if o["ShrinkAxisMask"] & 1:
        return np.asarray(x[int(begin[0])])
    first = None if o["BeginMask"] & 1 else int(begin[0])
    last = None if o["EndMask"] & 1 else int(end[0])
    return x[slice(first, last, int(strides[0]))]


def _pack(op: RawOp, inputs: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack(inputs, axis=op.options["Axis"])


def _concatenation(op: RawOp, inputs: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(inputs, axis=op.options["Axis"])


def _gather(op: RawOp, inputs: Sequence[np.ndarray]) -> np.ndarray:
    if inputs[0].ndim != 1 or op.options["Axis"] != 0 or op.options["BatchDims"] != 0:
        raise ValueError("only vectors are folded")
    return np.asarray(inputs[0][inputs[1]])


def _arithmetic(function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> _Rule:
    def rule(op: RawOp, inputs: Sequence[np.ndarray]) -> np.ndarray:
        if op.options["FusedActivationFunction"] != 0:
            raise ValueError("an activation of a shape")
        a, b = inputs
        return function(a, b)

    return rule


_RULES: Mapping[str, _Rule] = {
    "SHAPE": _shape,
    "STRIDED_SLICE": _strided_slice,
    "PACK": _pack,
    "CONCATENATION": _concatenation,
    "GATHER": _gather,
    "ADD": _arithmetic(np.add),
    "SUB": _arithmetic(np.subtract),
    "MUL": _arithmetic(np.multiply),
}
