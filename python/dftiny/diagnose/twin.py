"""The float model that an int8 model was quantised from: its weights, found operator by operator.

The converter keeps the order of operators and adds only QUANTIZE ones, so both files are walked side by side; and
every weight must be within its rounding of what the int8 model says (a bias may have been corrected). Called by
cure.py and explain.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tflite

from dftiny.diagnose.floats import WEIGHTED, FloatNet, dequantised, real
from dftiny.errors import DftError
from dftiny.graph import Graph, Op, Tensor
from dftiny.graph.flat import RawModel, RawOp, read_raw

_WITH_CONSTANTS = (*WEIGHTED, "ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "PRELU")


def float_twin(graph: Graph, model: bytes, name: str = "the float model") -> FloatNet:
    """`graph` with the weights of the float .tflite `model`.

    DftError when the two are not the same net: another order of operators, other shapes, or other weights.
    """
    raw = read_raw(model, name)
    constants = dict(dequantised(graph).constants)
    for op, other in _pairs(graph, raw, name):
        for t, there in _operands(graph, op, raw, other, name).items():
            constants[t] = _value(raw, there)
            if not np.isfinite(constants[t]).all():
                raise _stranger(
                    graph, name, f"operator {op.index} ({op.kind}) has weights that are not numbers"
                )
            if t != _bias_of(op) and not _rounds_to(graph.tensors[t], constants[t]):
                raise _stranger(graph, name, f"operator {op.index} ({op.kind}) has other weights")
    return FloatNet(graph, constants, exact=True)


def rewritten(model: bytes, net: FloatNet, name: str = "the float model") -> bytes:
    """The float .tflite `model` with the constants of `net`, whose graph is its int8 twin's."""
    raw, data = read_raw(model, name), bytearray(model)
    table: Any = tflite.Model.GetRootAs(data, 0)
    for op, other in _pairs(net.graph, raw, name):
        for t, there in _operands(net.graph, op, raw, other, name).items():
            buffer = table.Buffers(table.Subgraphs(0).Tensors(there).Buffer())
            buffer.DataAsNumpy()[:] = np.frombuffer(net.constants[t].astype("<f4").tobytes(), np.uint8)
    return bytes(data)


def _pairs(graph: Graph, raw: RawModel, name: str) -> Iterator[tuple[Op, RawOp]]:
    """Operators with real-valued constants, side by side. The others may differ: the reader of int8 models folds some
    and makes several of one SPLIT."""
    ours = [op for op in graph.ops if op.kind in _WITH_CONSTANTS and _has_constant(graph, op)]
    theirs = [op for op in raw.ops if op.kind in _WITH_CONSTANTS and _has_float(raw, op)]
    if [o.kind for o in ours] != [o.kind for o in theirs]:
        raise _stranger(graph, name, "their operators differ")
    return zip(ours, theirs, strict=True)


def _has_constant(graph: Graph, op: Op) -> bool:
    some = (graph.tensors[t] for t in op.inputs if t >= 0)
    return any(t.data is not None and t.quant is not None for t in some)


def _has_float(raw: RawModel, op: RawOp) -> bool:
    some = (raw.tensors[t] for t in op.inputs if 0 <= t < len(raw.tensors))
    return any(t.data is not None and t.type == "float32" for t in some)


def _bias_of(op: Op) -> int | None:
    """The tensor of its bias, which bias correction may have moved."""
    return op.inputs[2] if op.kind in WEIGHTED and len(op.inputs) > 2 else None


def _stranger(graph: Graph, name: str, why: str) -> DftError:
    return DftError(
        f"{name} is not the float model of {graph.name}: {why}",
        "give the float .tflite that the int8 model was quantised from",
    )


def _operands(graph: Graph, op: Op, raw: RawModel, other: RawOp, name: str) -> dict[int, int]:
    """Constant operands of `op` that stand for real numbers → the same tensor in the float file."""
    found: dict[int, int] = {}
    for place, t in enumerate(op.inputs):
        if t < 0 or graph.tensors[t].data is None or graph.tensors[t].quant is None:
            continue
        if place >= len(other.inputs) or not 0 <= other.inputs[place] < len(raw.tensors):
            continue  # the quantiser adds a bias of zeros where there was none
        theirs = raw.tensors[other.inputs[place]]
        if theirs.type != "float32" or theirs.data is None or theirs.shape != graph.tensors[t].shape:
            raise _stranger(graph, name, f"operator {op.index} ({op.kind}) has another operand {place}")
        found[t] = other.inputs[place]
    return found


def _value(raw: RawModel, index: int) -> np.ndarray:
    data = raw.tensors[index].data
    assert data is not None
    if data.nbytes != 4 * math.prod(raw.tensors[index].shape):
        raise DftError(
            f"tensor {raw.tensors[index].name} of the float model has {data.nbytes} bytes", "convert it again"
        )
    return data.view("<f4").reshape(raw.tensors[index].shape)


def _rounds_to(t: Tensor, value: np.ndarray) -> bool:
    """Whether integers of `t` are `value`, rounded: within one step of them, wherever they lie."""
    assert t.quant is not None
    assert t.data is not None
    step = real(t, np.ones_like(t.data) + t.quant.zero_point.reshape(-1)[0])
    return bool((np.abs(real(t, t.data) - value) <= np.abs(step) * 1.01 + 1e-6 * np.abs(value)).all())
