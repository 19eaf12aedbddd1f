"""FlatBuffer → plain values, never trusting a length, an offset or a type of the file.

The `tflite` package's accessors read wherever an offset points; a broken file makes them raise whatever
comes first. `read_raw` is the one place where those become a DftError. Nothing is judged here beyond
"can it be read": graph/build.py decides what a model may say.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tflite
from flatbuffers import number_types

from dftiny.errors import DftError

MAX_TENSORS = 16_384
MAX_OPS = 8_192
MAX_RANK = 6
MAX_CHANNELS = 65_536
MAX_OPERANDS = 64
MAX_NAME = 200

# Vtable slots of tflite's schema.fbs: Tensor.name is field 3, OperatorCode.custom_code field 1 and
# builtin_code field 3 (4 + 2 · field).
_SLOT_TENSOR_NAME = 10
_SLOT_CUSTOM_CODE = 6
_SLOT_BUILTIN_CODE = 10

# What the accessors raise on broken files: short reads, bad offsets, bad text, tables that are not there.
_BROKEN = (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError, KeyError)

_OPTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "CONV_2D": (
        "Conv2DOptions",
        ("StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "Padding", "FusedActivationFunction"),
    ),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        (
            "StrideH",
            "StrideW",
            "DilationHFactor",
            "DilationWFactor",
            "Padding",
            "FusedActivationFunction",
            "DepthMultiplier",
        ),
    ),
    "MAX_POOL_2D": (
        "Pool2DOptions",
        ("FilterHeight", "FilterWidth", "StrideH", "StrideW", "Padding", "FusedActivationFunction"),
    ),
    "AVERAGE_POOL_2D": (
        "Pool2DOptions",
        ("FilterHeight", "FilterWidth", "StrideH", "StrideW", "Padding", "FusedActivationFunction"),
    ),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ("FusedActivationFunction", "WeightsFormat", "KeepNumDims")),
    "ADD": ("AddOptions", ("FusedActivationFunction",)),
    "SUB": ("SubOptions", ("FusedActivationFunction",)),
    "MUL": ("MulOptions", ("FusedActivationFunction",)),
    "MEAN": ("ReducerOptions", ("KeepDims",)),
    "SOFTMAX": ("SoftmaxOptions", ("Beta",)),
    "GATHER": ("GatherOptions", ("Axis", "BatchDims")),
    "CONCATENATION": ("ConcatenationOptions", ("Axis", "FusedActivationFunction")),
    "SUM": ("ReducerOptions", ("KeepDims",)),
    "REDUCE_MAX": ("ReducerOptions", ("KeepDims",)),
    "REDUCE_MIN": ("ReducerOptions", ("KeepDims",)),
    "LEAKY_RELU": ("LeakyReluOptions", ("Alpha",)),
    "MIRROR_PAD": ("MirrorPadOptions", ("Mode",)),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask"),
    ),
    "PACK": ("PackOptions", ("Axis", "ValuesCount")),
    "UNPACK": ("UnpackOptions", ("Axis", "Num")),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", ("BlockSize",)),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", ("BlockSize",)),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", ("AlignCorners", "HalfPixelCenters")),
}


@dataclass(frozen=True)
class RawTensor:
    """A tensor as the file says it. `data` is a view of the file's bytes, or None."""

    name: str
    shape: tuple[int, ...]
    type: str
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int
    sparse: bool
    variable: bool
    data: np.ndarray | None


@dataclass(frozen=True)
class RawOp:
    """An operator as the file says it; absent options read as 0."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class RawModel:
    """The one subgraph of a model."""

    tensors: tuple[RawTensor, ...]
    ops: tuple[RawOp, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class _Malformed(ValueError):
    """A limit of this reader was passed, or a field makes no sense."""


def read_raw(data: bytes, name: str) -> RawModel:
    """Read the bytes of a .tflite file. Raises DftError, naming `name`, on anything that is not one."""
    if data[4:8] != b"TFL3":
        what = "a text file" if _looks_like_text(data) else "not a TensorFlow Lite model"
        raise DftError(
            f"{name} is {what} (no TFL3 mark)", "give a .tflite file, as `dftiny export` writes it"
        )
    try:
        return _model(data)
    except _Malformed as e:
        raise DftError(f"{name} cannot be used: {e}") from e
    except _BROKEN as e:
        raise DftError(
            f"{name} is truncated or damaged: its tables point outside the file",
            "make or copy the file again",
        ) from e


def _looks_like_text(data: bytes) -> bool:
    head = data[:512]
    return bool(head) and all(b in b"\t\r\n\f" or (b >= 32 and b != 127) for b in head)


def _code_names(enum: type) -> dict[int, str]:
    return {v: k for k, v in vars(enum).items() if isinstance(v, int)}


def _count(n: int, limit: int, what: str) -> int:
    if not 0 <= n <= limit:
        raise _Malformed(f"it claims {n} {what}, more than {limit}")
    return n


def _ints(as_numpy: Callable[[], Any], length: int, limit: int, what: str) -> tuple[int, ...]:
    """A vector of integers, its length checked before it is read."""
    if _count(length, limit, what) == 0:
        return ()
    values = np.asarray(as_numpy())
    if values.shape != (length,):
        raise _Malformed(f"its list of {what} is damaged")
    return tuple(int(v) for v in values)


def _model(data: bytes) -> RawModel:
    model = tflite.Model.GetRootAs(data, 0)
    if model.Version() != 3:
        raise _Malformed(f"it has schema version {model.Version()}, not 3")
    if model.SubgraphsLength() != 1:
        raise _Malformed(f"it has {model.SubgraphsLength()} subgraphs, dftiny reads models with one")
    graph = model.Subgraphs(0)
    codes = _operator_codes(model)
    tensors = tuple(
        _tensor(model, graph.Tensors(i), len(data))
        for i in range(_count(graph.TensorsLength(), MAX_TENSORS, "tensors"))
    )
    ops = tuple(
        _op(graph.Operators(i), codes, i)
        for i in range(_count(graph.OperatorsLength(), MAX_OPS, "operators"))
    )
    return RawModel(
        tensors,
        ops,
        _ints(graph.InputsAsNumpy, graph.InputsLength(), MAX_OPERANDS, "inputs"),
        _ints(graph.OutputsAsNumpy, graph.OutputsLength(), MAX_OPERANDS, "outputs"),
    )


def _operator_codes(model: Any) -> list[str]:
    known = _code_names(tflite.BuiltinOperator)
    names = []
    for i in range(_count(model.OperatorCodesLength(), MAX_OPS, "operator codes")):
        code = model.OperatorCodes(i)
        # Codes below 127 stand in the deprecated byte as well; newer ones only in the wide field. TFLM takes the larger,
        # the package's accessor the deprecated one where there is one.
        number = max(_int32(code, _SLOT_BUILTIN_CODE), code.DeprecatedBuiltinCode())
        name = known.get(number, f"number {number}")
        if name == "CUSTOM":
            name = f"CUSTOM:{_text(code, _SLOT_CUSTOM_CODE)}"
        names.append(name)
    return names


def _int32(table: Any, slot: int) -> int:
    """A field of 32 bits; 0 where it is absent."""
    tab = table._tab
    offset = tab.Offset(slot)
    return int(tab.Get(number_types.Int32Flags, tab.Pos + offset)) if offset else 0


def _text(table: Any, slot: int) -> str:
    """A string field, at most MAX_NAME bytes of it: thousands of tensors may share one huge name."""
    tab = table._tab
    offset = tab.Offset(slot)
    if offset == 0:
        return ""
    start, length = tab.Vector(offset), min(tab.VectorLen(offset), MAX_NAME)
    text = bytes(tab.Bytes[start : start + length]).decode("utf-8", errors="replace")
    return "".join(c if c.isprintable() else "?" for c in text)


def _tensor(model: Any, t: Any, file_bytes: int) -> RawTensor:
    name = _text(t, _SLOT_TENSOR_NAME)
    shape = _ints(t.ShapeAsNumpy, t.ShapeLength(), MAX_RANK, f"dimensions in tensor {name}")
    scale, zero_point, axis = _quantisation(t.Quantization(), name)
    return RawTensor(
        name=name,
        shape=shape,
        type=_code_names(tflite.TensorType).get(t.Type(), f"type {t.Type()}").lower(),
        scale=scale,
        zero_point=zero_point,
        axis=axis,
        sparse=t.Sparsity() is not None,
        variable=bool(t.IsVariable()),
        data=_constant(model, t.Buffer(), name, file_bytes),
    )


def _quantisation(q: Any, name: str) -> tuple[np.ndarray, np.ndarray, int]:
    none = np.zeros(0, np.float32), np.zeros(0, np.int64)
    if q is None:
        return (*none, 0)
    n_scale = _count(q.ScaleLength(), MAX_CHANNELS, f"scales in tensor {name}")
    n_zero = _count(q.ZeroPointLength(), MAX_CHANNELS, f"zero points in tensor {name}")
    scale = np.asarray(q.ScaleAsNumpy(), dtype=np.float32) if n_scale else none[0]
    zero = np.asarray(q.ZeroPointAsNumpy(), dtype=np.int64) if n_zero else none[1]
    if len(scale) != n_scale or len(zero) != n_zero:
        raise _Malformed(f"the quantisation of tensor {name} is damaged")
    return scale, zero, int(q.QuantizedDimension())


def _constant(model: Any, index: int, name: str, file_bytes: int) -> np.ndarray | None:
    """Bytes of buffer `index` as a view of the file; None for the empty buffers of activations."""
    if not 0 <= index < model.BuffersLength():
        raise _Malformed(f"tensor {name} names buffer {index} of {model.BuffersLength()}")
    buffer = model.Buffers(index)
    if buffer.Offset() > 1 or buffer.Size() > 1:
        raise _Malformed(f"tensor {name} keeps its data behind the tables (a model above 2 GB)")
    length = _count(buffer.DataLength(), file_bytes, f"bytes in the buffer of tensor {name}")
    if length == 0:
        return None
    data = np.asarray(buffer.DataAsNumpy())
    if data.shape != (length,) or data.dtype != np.uint8:
        raise _Malformed(f"the buffer of tensor {name} is damaged")
    return data


def _op(op: Any, codes: list[str], index: int) -> RawOp:
    code = op.OpcodeIndex()
    if not 0 <= code < len(codes):
        raise _Malformed(f"operator {index} names operator code {code} of {len(codes)}")
    kind = codes[code]
    return RawOp(
        kind,
        _ints(op.InputsAsNumpy, op.InputsLength(), MAX_OPERANDS, f"inputs of operator {index}"),
        _ints(op.OutputsAsNumpy, op.OutputsLength(), MAX_OPERANDS, f"outputs of operator {index}"),
        _options(op, kind, index),
    )


def _options(op: Any, kind: str, index: int) -> dict[str, Any]:
    if kind not in _OPTIONS:
        return {}
    table_name, fields = _OPTIONS[kind]
    table = op.BuiltinOptions()
    if table is None:
        return dict.fromkeys(fields, 0)
    if op.BuiltinOptionsType() != getattr(tflite.BuiltinOptions, table_name):
        raise _Malformed(f"operator {index} ({kind}) carries the options of another operator")
    options = getattr(tflite, table_name)()
    options.Init(table.Bytes, table.Pos)
    values = {f: getattr(options, f)() for f in fields}
    if any(isinstance(v, float) and not math.isfinite(v) for v in values.values()):
        raise _Malformed(f"operator {index} ({kind}) has an option that is not a number")
    return values
