"""Writes small .tflite files for tests: tensors and operators in, bytes out. No TensorFlow.

Used by the tests of graph, int8 and the C kernels. Nothing is checked, so broken models can be written too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

OPTION_TABLES = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "MEAN": "ReducerOptions",
    "SOFTMAX": "SoftmaxOptions",
    "GATHER": "GatherOptions",
    "CONCATENATION": "ConcatenationOptions",
    "PAD": "PadOptions",
    "TRANSPOSE": "TransposeOptions",
    "RESHAPE": "ReshapeOptions",
    "SQUEEZE": "SqueezeOptions",
    "EXPAND_DIMS": "ExpandDimsOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "HARD_SWISH": "HardSwishOptions",
    "QUANTIZE": "QuantizeOptions",
    "SUM": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "PADV2": "PadV2Options",
    "MIRROR_PAD": "MirrorPadOptions",
    "PACK": "PackOptions",
    "UNPACK": "UnpackOptions",
    "SPLIT": "SplitOptions",
    "SPLIT_V": "SplitVOptions",
    "SLICE": "SliceOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SHAPE": "ShapeOptions",
    "REVERSE_V2": "ReverseV2Options",
}


@dataclass
class _TensorSpec:
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int
    data: bytes | None


@dataclass
class _OpSpec:
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


@dataclass
class FlatModel:
    """A model being written. `act` and `const` return tensor indices; `op` appends an operator."""

    tensors: list[_TensorSpec] = field(default_factory=list)
    ops: list[_OpSpec] = field(default_factory=list)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    subgraphs: int = 1
    versions: dict[str, int] = field(default_factory=dict)  # of operators, by kind; 1 where not given

    def act(
        self, shape: Sequence[int], scale: float | None = 1.0, zero_point: int = 0, dtype: str = "int8"
    ) -> int:
        """An activation tensor; scale None leaves the quantisation away."""
        scales = np.array([] if scale is None else [scale], np.float32)
        zero = np.array([] if scale is None else [zero_point], np.int64)
        return self._add(tuple(shape), dtype, scales, zero, 0, None)

    def const(
        self,
        data: np.ndarray,
        scale: Sequence[float] | float | None = None,
        zero_point: int = 0,
        axis: int = 0,
    ) -> int:
        """A constant tensor; several scales are per channel along `axis`."""
        scales = np.atleast_1d(np.array([] if scale is None else scale, np.float32))
        zero = np.full(len(scales), zero_point, np.int64)
        return self._add(
            data.shape, data.dtype.name, scales, zero, axis, np.ascontiguousarray(data).tobytes()
        )

    def _add(
        self,
        shape: tuple[int, ...],
        dtype: str,
        scale: np.ndarray,
        zero: np.ndarray,
        axis: int,
        data: bytes | None,
    ) -> int:
        self.tensors.append(_TensorSpec(f"t{len(self.tensors)}", shape, dtype, scale, zero, axis, data))
        return len(self.tensors) - 1

    def op(self, kind: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> None:
        """An operator; `options` are named as in the schema's accessors (StrideH=1)."""
        self.ops.append(_OpSpec(kind, tuple(inputs), tuple(outputs), options))

    def bytes(self) -> bytes:
        """The .tflite file. Without explicit inputs and outputs: first tensor and the last operator's output."""
        b = flatbuffers.Builder(4096)
        codes = sorted({o.kind for o in self.ops})
        buffers = [self._buffer(b, None)] + [
            self._buffer(b, t.data) for t in self.tensors if t.data is not None
        ]
        graphs = [self._subgraph(b, codes) for _ in range(self.subgraphs)]
        code_offsets = [self._code(b, c) for c in codes]
        vectors = {
            "OperatorCodes": _vector(b, code_offsets),
            "Subgraphs": _vector(b, graphs),
            "Buffers": _vector(b, buffers),
        }
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        for name, v in vectors.items():
            getattr(tflite, f"ModelAdd{name}")(b, v)
        b.Finish(tflite.ModelEnd(b), b"TFL3")
        return bytes(b.Output())

    def _code(self, b: flatbuffers.Builder, kind: str) -> int:
        number = getattr(tflite.BuiltinOperator, kind)
        tflite.OperatorCodeStart(b)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(number, 127))
        tflite.OperatorCodeAddBuiltinCode(b, number)
        tflite.OperatorCodeAddVersion(b, self.versions.get(kind, 1))
        return int(tflite.OperatorCodeEnd(b))

    def _buffer(self, b: flatbuffers.Builder, data: bytes | None) -> int:
        vector = None
        if data is not None:
            b.StartVector(1, len(data), 16)
            b.head -= len(data)
            b.Bytes[b.head : b.head + len(data)] = data
            vector = b.EndVector()
        tflite.BufferStart(b)
        if vector is not None:
            tflite.BufferAddData(b, vector)
        return int(tflite.BufferEnd(b))

    def _subgraph(self, b: flatbuffers.Builder, codes: list[str]) -> int:
        constants = [i for i, t in enumerate(self.tensors) if t.data is not None]
        tensors = [
            self._tensor(b, t, 1 + constants.index(i) if t.data is not None else 0)
            for i, t in enumerate(self.tensors)
        ]
        ops = [self._op(b, o, codes) for o in self.ops]
        vectors = {
            "Tensors": _vector(b, tensors),
            "Inputs": _ints(b, self.inputs or (0,)),
            "Outputs": _ints(b, self.outputs or self.ops[-1].outputs),
            "Operators": _vector(b, ops),
        }
        tflite.SubGraphStart(b)
        for name, v in vectors.items():
            getattr(tflite, f"SubGraphAdd{name}")(b, v)
        return int(tflite.SubGraphEnd(b))

    def _tensor(self, b: flatbuffers.Builder, t: _TensorSpec, buffer: int) -> int:
        name, shape = b.CreateString(t.name), _ints(b, t.shape)
        quant = None
        if len(t.scale):
            scale, zero = b.CreateNumpyVector(t.scale), b.CreateNumpyVector(t.zero_point)
            tflite.QuantizationParametersStart(b)
            tflite.QuantizationParametersAddScale(b, scale)
            tflite.QuantizationParametersAddZeroPoint(b, zero)
            tflite.QuantizationParametersAddQuantizedDimension(b, t.axis)
            quant = tflite.QuantizationParametersEnd(b)
        tflite.TensorStart(b)
        tflite.TensorAddName(b, name)
        tflite.TensorAddShape(b, shape)
        tflite.TensorAddType(b, getattr(tflite.TensorType, t.dtype.upper()))
        tflite.TensorAddBuffer(b, buffer)
        if quant is not None:
            tflite.TensorAddQuantization(b, quant)
        return int(tflite.TensorEnd(b))

    def _op(self, b: flatbuffers.Builder, o: _OpSpec, codes: list[str]) -> int:
        table, options = OPTION_TABLES.get(o.kind), None
        if table is not None:
            values = {k: _ints(b, v) if isinstance(v, tuple) else v for k, v in o.options.items()}
            getattr(tflite, f"{table}Start")(b)
            for key, value in values.items():
                getattr(tflite, f"{table}Add{key}")(b, value)
            options = getattr(tflite, f"{table}End")(b)
        inputs, outputs = _ints(b, o.inputs), _ints(b, o.outputs)
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, codes.index(o.kind))
        tflite.OperatorAddInputs(b, inputs)
        tflite.OperatorAddOutputs(b, outputs)
        if options is not None:
            tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, str(table)))
            tflite.OperatorAddBuiltinOptions(b, options)
        return int(tflite.OperatorEnd(b))


def _vector(b: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for o in reversed(offsets):
        b.PrependUOffsetTRelative(o)
    return int(b.EndVector())


def _ints(b: flatbuffers.Builder, values: Sequence[int]) -> int:
    return int(b.CreateNumpyVector(np.asarray(values, np.int32)))


def conv_options(
    stride: int = 1, padding: str = "SAME", activation: int = 0, dilation: int = 1
) -> dict[str, int]:
    """Options of CONV_2D and DEPTHWISE_CONV_2D. Activations: 0 none, 1 ReLU, 3 ReLU6."""
    return {
        "StrideH": stride,
        "StrideW": stride,
        "DilationHFactor": dilation,
        "DilationWFactor": dilation,
        "Padding": getattr(tflite.Padding, padding),
        "FusedActivationFunction": activation,
    }
