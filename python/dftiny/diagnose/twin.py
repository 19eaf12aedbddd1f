"""The float model that an int8 model was quantised from: its weights, found operator by operator.

The converter keeps the order of operators and adds only QUANTIZE ones, so both files are walked side by side; and
every weight must be within its rounding of what the int8 model says. Called by diagnose's users to make a FloatNet.
"""

from __future__ import annotations

import numpy as np

from dftiny.diagnose.floats import FloatNet, dequantised, real
from dftiny.errors import DftError
from dftiny.graph import Graph, Op, Tensor
from dftiny.graph.flat import RawModel, RawOp, read_raw

# Operators that exist on one side only: they change how numbers are written, not which numbers.
_ONE_SIDED = ("QUANTIZE", "DEQUANTIZE")


def float_twin(graph: Graph, model: bytes, name: str = "the float model") -> FloatNet:
    """`graph` with the weights of the float .tflite `model`.

    DftError when the two are not the same net: another order of operators, other shapes, or other weights.
    """
    raw = read_raw(model, name)
    ours = [op for op in graph.ops if op.kind not in _ONE_SIDED]
    theirs = [op for op in raw.ops if op.kind not in _ONE_SIDED]
    if [o.kind for o in ours] != [o.kind for o in theirs]:
        raise _stranger(graph, name, "their operators differ")
    constants = dict(dequantised(graph).constants)
    for a, b in zip(ours, theirs, strict=True):
        for t, value in _operands(graph, a, raw, b, name).items():
            constants[t] = value
    return FloatNet(graph, constants, exact=True)


def _stranger(graph: Graph, name: str, why: str) -> DftError:
    return DftError(
        f"{name} is not the float model of {graph.name}: {why}",
        "give the float .tflite that the int8 model was quantised from",
    )


def _operands(graph: Graph, op: Op, raw: RawModel, other: RawOp, name: str) -> dict[int, np.ndarray]:
    """Float values of the constant operands of `op`, by tensor index."""
    found: dict[int, np.ndarray] = {}
    for place, t in enumerate(op.inputs):
        if t < 0 or graph.tensors[t].data is None or graph.tensors[t].quant is None:
            continue
        if place >= len(other.inputs) or other.inputs[place] < 0:
            continue  # the quantiser adds a bias of zeros where there was none
        theirs = raw.tensors[other.inputs[place]]
        ours = graph.tensors[t]
        if theirs.type != "float32" or theirs.data is None or theirs.shape != ours.shape:
            raise _stranger(graph, name, f"operator {op.index} ({op.kind}) has another operand {place}")
        value = theirs.data.view("<f4").reshape(ours.shape)
        if not _rounds_to(ours, value):
            raise _stranger(graph, name, f"operator {op.index} ({op.kind}) has other weights")
        found[t] = value
    return found


def _rounds_to(t: Tensor, value: np.ndarray) -> bool:
    """Whether integers of `t` are `value`, rounded: within one step of them, wherever they lie."""
    assert t.quant is not None
    assert t.data is not None
    if not np.isfinite(value).all():
        return False
    step = real(t, np.ones_like(t.data) + t.quant.zero_point.reshape(-1)[0])
    return bool((np.abs(real(t, t.data) - value) <= np.abs(step) * 1.01 + 1e-6 * np.abs(value)).all())
