"""Plain values → checked graph: constants, quantisation, order of operators.

Each operator's own rules (shapes, options, quantisation of its operands) are in graph/checks.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dftiny import spec
from dftiny.errors import DftError
from dftiny.graph.checks import Refused, checked
from dftiny.graph.checks_layout import CUTS
from dftiny.graph.flat import RawModel, RawOp, RawTensor
from dftiny.graph.fold import folded
from dftiny.graph.types import Graph, Op, Quant, Tensor

MAX_TENSOR_BYTES = 1 << 30
MAX_DIM = 1 << 24

_DTYPES: Mapping[str, np.dtype] = {
    "int8": np.dtype(np.int8),
    "int32": np.dtype("<i4"),
    "int64": np.dtype("<i8"),
}
_FLOATS = ("float32", "float16", "float64", "bfloat16")


@dataclass
class _Where:
    """Names the file and the place in every refusal."""

    name: str

    def refuse(self, cause: str, hint: str = "export int8 with `dftiny export`") -> DftError:
        return DftError(f"{self.name} cannot be used: {cause}", hint)


def build(raw: RawModel, name: str) -> Graph:
    """Check a raw model and give it types. Raises DftError that names file, operator and tensor."""
    where = _Where(name)
    used = _used(raw, where)
    _refuse_float(raw, [*raw.inputs, *raw.outputs], where)
    raw, gone = folded(raw)
    _refuse_unknown(raw, gone, where)
    _refuse_float(raw, used, where)
    tensors = tuple(_tensor(i, t, where) for i, t in enumerate(raw.tensors))
    _check_edges(raw, tensors, where)
    left = [(i, op) for i, op in enumerate(raw.ops) if i not in gone]
    _check_order(raw, left, tensors, where)
    ops = [made for i, op in left for made in _ops(i, op, tensors, where)]
    unrun = tuple(Op(i, raw.ops[i].kind, raw.ops[i].inputs, raw.ops[i].outputs, None) for i in sorted(gone))
    return Graph(name, tensors, tuple(ops), raw.inputs, raw.outputs, unrun)


def _ops(index: int, raw: RawOp, tensors: tuple[Tensor, ...], where: _Where) -> list[Op]:
    """One operator of the file, once for each of its outputs; the activation is the first input of those that cut."""
    try:
        options = checked(raw, tensors)
    except Refused as e:
        cause = f"operator {index} ({raw.kind}) {e}"
        raise (where.refuse(cause, e.rewrite) if e.rewrite else where.refuse(cause)) from e
    inputs = raw.inputs
    if raw.kind in CUTS:
        inputs = (
            *(t for t in inputs if tensors[t].data is None),
            *(t for t in inputs if tensors[t].data is not None),
        )
    return [Op(index, raw.kind, inputs, (t,), o) for t, o in zip(raw.outputs, options, strict=True)]


def _used(raw: RawModel, where: _Where) -> list[int]:
    """Indices of all tensors that edges and operators name; those must exist."""
    used = sorted({i for op in raw.ops for i in (*op.inputs, *op.outputs)} | {*raw.inputs, *raw.outputs})
    if any(not -1 <= i < len(raw.tensors) for i in used):
        raise where.refuse(
            f"an operator names a tensor that is not among its {len(raw.tensors)}", "copy it again"
        )
    return used


def _refuse_float(raw: RawModel, indices: list[int], where: _Where) -> None:
    for i in indices:
        if i >= 0 and raw.tensors[i].type in _FLOATS:
            t = raw.tensors[i]
            # The converter's default: int8 inside, float at the edges.
            edges = any(op.kind == "QUANTIZE" and op.inputs == raw.inputs for op in raw.ops)
            raise DftError(
                f"{where.name} is a float model: tensor {t.name} is {t.type}",
                "convert with inference_input_type = inference_output_type = int8"
                if edges
                else "export int8 with `dftiny export`",
            )


def _refuse_unknown(raw: RawModel, gone: frozenset[int], where: _Where) -> None:
    table = spec.ops()
    unknown = [i for i, op in enumerate(raw.ops) if op.kind not in table["op"] and i not in gone]
    if unknown:
        # A converter wraps what it cannot quantise in DEQUANTIZE: the operator behind it is the culprit.
        i = next((i for i in unknown if raw.ops[i].kind != "DEQUANTIZE"), unknown[0])
        rewrite = table["instead"].get(
            raw.ops[i].kind, "reformulate that layer; spec/ops.toml lists what is known"
        )
        raise where.refuse(f"operator {i} is {raw.ops[i].kind}, which dftiny does not know", rewrite)


def _tensor(index: int, raw: RawTensor, where: _Where) -> Tensor:
    label = f"tensor {index} ({raw.name})"
    if raw.type not in _DTYPES:
        # A tensor nobody names would do no harm, but no converter writes one.
        raise where.refuse(f"{label} is {raw.type}, dftiny knows int8, int32 and int64")
    if raw.sparse or raw.variable:
        raise where.refuse(f"{label} is {'sparse' if raw.sparse else 'a variable'}")
    if any(not 1 <= d <= MAX_DIM for d in raw.shape):
        raise where.refuse(f"{label} has the shape {list(raw.shape)}")
    dtype = _DTYPES[raw.type]
    nbytes = math.prod(raw.shape) * dtype.itemsize
    if nbytes > MAX_TENSOR_BYTES:
        raise where.refuse(f"{label} of shape {list(raw.shape)} takes {nbytes} bytes")
    data = None
    if raw.data is not None:
        if len(raw.data) != nbytes:
            raise where.refuse(
                f"{label} of shape {list(raw.shape)} has {len(raw.data)} bytes of data, not {nbytes}"
            )
        data = raw.data.view(dtype).reshape(raw.shape)  # no copy: many tensors may share one buffer
    return Tensor(index, raw.name, raw.shape, dtype, _quant(raw, label, where), data)


def _quant(raw: RawTensor, label: str, where: _Where) -> Quant | None:
    n = len(raw.scale)
    if n == 0:
        return None
    zero_point = raw.zero_point
    if len(zero_point) != n:  # without zero points TFLM takes a tensor for one without quantisation
        raise where.refuse(f"{label} has {n} scales and {len(zero_point)} zero points")
    if n > 1 and not (0 <= raw.axis < len(raw.shape) and raw.shape[raw.axis] == n):
        raise where.refuse(f"{label} of shape {list(raw.shape)} has {n} scales along dimension {raw.axis}")
    if not (np.isfinite(raw.scale).all() and (raw.scale > 0).all()):
        raise where.refuse(f"{label} has a scale that is not a positive number")
    if raw.type == "int8" and not ((zero_point >= -128) & (zero_point <= 127)).all():
        raise where.refuse(f"{label} has a zero point outside −128…127")
    return Quant(raw.scale, zero_point, raw.axis if n > 1 else 0)


def _check_edges(raw: RawModel, tensors: tuple[Tensor, ...], where: _Where) -> None:
    if len(raw.inputs) != 1 or len(raw.outputs) != 1:
        raise where.refuse(
            f"it has {len(raw.inputs)} inputs and {len(raw.outputs)} outputs, dftiny wants one image and one answer",
            "cut the other ones off before you export",
        )
    if not raw.ops:
        raise where.refuse("it has no operators")
    for what, i in (("input", raw.inputs[0]), ("output", raw.outputs[0])):
        if i < 0:
            raise where.refuse(f"its {what} is absent")
        t = tensors[i]
        if t.dtype != np.int8 or t.data is not None or t.quant is None or t.quant.per_channel:
            raise where.refuse(
                f"its {what} tensor {t.name} is not an int8 activation with one scale",
                f"convert with inference_{what}_type = int8",
            )
        if not t.shape or t.shape[0] != 1:
            raise where.refuse(f"its {what} tensor {t.name} has the shape {list(t.shape)}, not batch 1")


def _check_order(
    raw: RawModel, left: list[tuple[int, RawOp]], tensors: tuple[Tensor, ...], where: _Where
) -> None:
    """Every operand is the input, a constant or already computed; every tensor is computed once, and from the input."""
    constants = {t.index for t in tensors if t.data is not None}
    ready = {raw.inputs[0]} | constants
    for i, op in left:
        for t in op.inputs:
            if t >= 0 and t not in ready:
                raise where.refuse(
                    f"operator {i} ({op.kind}) reads tensor {tensors[t].name} before anything has written it"
                )
        if constants.issuperset(t for t in op.inputs if t >= 0):
            raise where.refuse(
                f"operator {i} ({op.kind}) reads constants only", "let the converter fold constants"
            )
        for t in op.outputs:
            if t < 0 or t in ready:
                raise where.refuse(f"operator {i} ({op.kind}) writes a tensor that already has a value")
            ready.add(t)
    if raw.outputs[0] not in ready:
        raise where.refuse(f"nothing computes its output tensor {tensors[raw.outputs[0]].name}")
