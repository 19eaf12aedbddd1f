"""What each operator must satisfy to be run bit-exactly: operands, shapes, options, quantisation.

The rules are those of TFLM's int8 reference kernels; what they would compute silently wrong
(a standalone RELU6 that rescales) or abort on is refused here, by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tflite

from dftiny.graph.flat import RawOp
from dftiny.graph.types import (
    Activation,
    AddOptions,
    ConcatenationOptions,
    ConvOptions,
    DepthwiseOptions,
    FullyConnectedOptions,
    GatherOptions,
    MeanOptions,
    MulOptions,
    Options,
    Padding,
    PadOptions,
    PoolOptions,
    SoftmaxOptions,
    SubOptions,
    Tensor,
    TransposeOptions,
)

MAX_STRIDE = 4096
MAX_TAPS = 1 << 16  # products per output: |Σ| ≤ 2^16 · 128 · 255 < 2^31, so int32 accumulators never wrap


class Refused(ValueError):
    """Why an operator is not supported, as the end of the sentence "operator 3 (ADD) …"."""


@dataclass(frozen=True)
class _View:
    """An operator with its tensors in hand."""

    raw: RawOp
    tensors: Sequence[Tensor]

    def arity(self, low: int, high: int | None = None) -> None:
        n, high = len(self.raw.inputs), high or low
        if not low <= n <= high or len(self.raw.outputs) != 1:
            raise Refused(f"has {n} inputs and {len(self.raw.outputs)} outputs")

    def input(self, i: int) -> Tensor:
        if self.raw.inputs[i] < 0:
            raise Refused(f"lacks its input {i}")
        return self.tensors[self.raw.inputs[i]]

    def output(self) -> Tensor:
        return self.tensors[self.raw.outputs[0]]

    def activation(self, i: int) -> Tensor:
        """Input i, an int8 tensor with one scale."""
        return _int8(self.input(i))

    def result(self, shape: Sequence[int]) -> Tensor:
        out = _int8(self.output())
        if out.shape != tuple(shape):
            raise Refused(f"writes tensor {out.name} of shape {list(out.shape)}, not {list(shape)}")
        return out

    def constant(self, i: int, types: tuple[str, ...]) -> np.ndarray:
        t = self.input(i)
        if t.data is None or t.dtype.name not in types:
            raise Refused(f"needs a constant {' or '.join(types)} tensor as input {i}, {t.name} is not one")
        return t.data


def _int8(t: Tensor) -> Tensor:
    if t.dtype != np.int8:
        raise Refused(f"works on tensor {t.name} of {t.dtype.name}, not int8")
    if t.quant is None:
        raise Refused(f"works on tensor {t.name}, which has no quantisation")
    if t.quant.per_channel:
        raise Refused(f"works on tensor {t.name}, an activation with several scales")
    return t


def _same_quant(*tensors: Tensor) -> None:
    first = tensors[0]
    for t in tensors[1:]:
        if first.quant is None or not first.quant.same(t.quant):
            raise Refused(
                f"has different quantisation at {first.name} and {t.name}, which TFLM's kernel would ignore"
            )


def _spatial(t: Tensor) -> tuple[int, int, int]:
    if len(t.shape) != 4 or t.shape[0] != 1:
        raise Refused(f"works on tensor {t.name} of shape {list(t.shape)}, not [1, H, W, C]")
    return t.shape[1], t.shape[2], t.shape[3]


def _activation(code: int) -> Activation:
    names: dict[int, Activation] = {0: "NONE", 1: "RELU", 3: "RELU6"}
    if code not in names:
        raise Refused(f"has the fused activation {code}, dftiny knows NONE, RELU and RELU6")
    return names[code]


def _padding(code: int) -> Padding:
    if code not in (tflite.Padding.SAME, tflite.Padding.VALID):
        raise Refused(f"has padding {code}")
    return "SAME" if code == tflite.Padding.SAME else "VALID"


def _within(value: int, what: str, limit: int = MAX_STRIDE) -> int:
    if not 1 <= value <= limit:
        raise Refused(f"has {what} {value}")
    return value


def window_out(size: int, window: int, stride: int, padding: Padding) -> int:
    """Output size along one dimension; `window` is the dilated extent."""
    return -(-size // stride) if padding == "SAME" else -(-(size - window + 1) // stride)


def _geometry(o: Mapping[str, Any]) -> tuple[int, int, int, int, Padding, Activation]:
    return (
        _within(o["StrideH"], "stride"),
        _within(o["StrideW"], "stride"),
        # 0 stands for "no options table"; the schema's default is 1.
        _within(o["DilationHFactor"] or 1, "dilation"),
        _within(o["DilationWFactor"] or 1, "dilation"),
        _padding(o["Padding"]),
        _activation(o["FusedActivationFunction"]),
    )


def _filter(v: _View, axis: int, rank: int) -> Tensor:
    w = v.input(1)
    if w.data is None or w.dtype != np.int8 or len(w.shape) != rank:
        raise Refused(f"has weights {w.name} that are not constant int8 of rank {rank}")
    if w.quant is None:
        raise Refused(f"has weights {w.name} without quantisation")
    if w.quant.zero_point.any():
        raise Refused(f"has weights {w.name} with a zero point other than 0")
    if w.quant.per_channel and w.quant.axis != axis:
        raise Refused(f"has weights {w.name} quantised along dimension {w.quant.axis}, not {axis}")
    return w


def _bias(v: _View, channels: int) -> None:
    if len(v.raw.inputs) < 3 or v.raw.inputs[2] < 0:
        return
    if v.constant(2, ("int32",)).shape != (channels,):
        raise Refused(f"has a bias of shape {list(v.input(2).shape)} for {channels} output channels")
    _bias_scale(v)


def _bias_scale(v: _View) -> None:
    """The bias must be at scale input × weights; TFLM checks it (to 2 % of the output's scale) for some kinds."""
    x, w, b, out = v.input(0), v.input(1), v.input(2), v.output()
    if b.quant is None or w.quant is None or out.quant is None:
        raise Refused(f"has a bias {b.name} without quantisation")
    error = (
        np.abs(x.scale * w.quant.scale.astype(np.float64) - b.quant.scale).max() if _fits(b, w) else np.inf
    )
    if not error <= 0.02 * out.scale:
        raise Refused(f"has a bias {b.name} whose scale is not that of input × weights")


def _fits(b: Tensor, w: Tensor) -> bool:
    assert b.quant is not None
    assert w.quant is not None
    return len(b.quant.scale) in (1, len(w.quant.scale)) or len(w.quant.scale) == 1


def _conv_shape(
    v: _View, w: Tensor, g: tuple[int, int, int, int, Padding, Activation], channels: int
) -> None:
    h, wd, _ = _spatial(v.activation(0))
    sh, sw, dh, dw, padding, _a = g
    kh, kw = (w.shape[1] - 1) * dh + 1, (w.shape[2] - 1) * dw + 1
    if padding == "VALID" and (kh > h or kw > wd):
        raise Refused(f"has a {kh}×{kw} window on a {h}×{wd} input")
    v.result((1, window_out(h, kh, sh, padding), window_out(wd, kw, sw, padding), channels))


def _conv(v: _View) -> ConvOptions:
    v.arity(2, 3)
    c_in = _spatial(v.activation(0))[2]
    w = _filter(v, axis=0, rank=4)
    c_out, kh, kw, per_group = w.shape
    if c_in % per_group or c_out % (c_in // per_group):
        raise Refused(f"has weights of shape {list(w.shape)} for {c_in} input channels")
    if kh * kw * per_group > MAX_TAPS:
        raise Refused(f"sums {kh * kw * per_group} products, more than {MAX_TAPS}")
    g = _geometry(v.raw.options)
    _conv_shape(v, w, g, c_out)
    _bias(v, c_out)
    return ConvOptions(*g, groups=c_in // per_group)


def _depthwise(v: _View) -> DepthwiseOptions:
    v.arity(2, 3)
    c_in = _spatial(v.activation(0))[2]
    w = _filter(v, axis=3, rank=4)
    if w.shape[0] != 1 or w.shape[3] % c_in:
        raise Refused(f"has weights of shape {list(w.shape)} for {c_in} input channels")
    if w.shape[1] * w.shape[2] > MAX_TAPS:
        raise Refused(f"sums {w.shape[1] * w.shape[2]} products, more than {MAX_TAPS}")
    g = _geometry(v.raw.options)
    _conv_shape(v, w, g, w.shape[3])
    _bias(v, w.shape[3])
    return DepthwiseOptions(*g, multiplier=w.shape[3] // c_in)


def _fully_connected(v: _View) -> FullyConnectedOptions:
    v.arity(2, 3)
    x, w, o = v.activation(0), _filter(v, axis=0, rank=2), v.raw.options
    if o["WeightsFormat"] != 0:
        raise Refused("has shuffled weights")
    units, depth = w.shape
    if x.elements % depth or depth > MAX_TAPS:
        raise Refused(f"has weights of shape {list(w.shape)} for an input of {x.elements} elements")
    keep = bool(o["KeepNumDims"])
    if keep and x.shape[-1] != depth:
        raise Refused(f"has weights of shape {list(w.shape)} for an input of shape {list(x.shape)}")
    v.result((*x.shape[:-1], units) if keep else (x.elements // depth, units))
    _bias(v, units)
    return FullyConnectedOptions(_activation(o["FusedActivationFunction"]), keep)


def _pool(v: _View) -> PoolOptions:
    v.arity(1)
    x, o = v.activation(0), v.raw.options
    h, w, c = _spatial(x)
    fh, fw = _within(o["FilterHeight"], "window"), _within(o["FilterWidth"], "window")
    sh, sw = _within(o["StrideH"], "stride"), _within(o["StrideW"], "stride")
    padding = _padding(o["Padding"])
    if fh * fw > MAX_TAPS or (padding == "VALID" and (fh > h or fw > w)):
        raise Refused(f"has a {fh}×{fw} window on a {h}×{w} input")
    out = v.result((1, window_out(h, fh, sh, padding), window_out(w, fw, sw, padding), c))
    _same_quant(x, out)
    return PoolOptions(fh, fw, sh, sw, padding, _activation(o["FusedActivationFunction"]))


def _broadcast(v: _View) -> tuple[Tensor, Tensor, Tensor]:
    v.arity(2)
    a, b = v.activation(0), v.activation(1)
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError as e:
        raise Refused(f"cannot broadcast {list(a.shape)} with {list(b.shape)}") from e
    if max(len(a.shape), len(b.shape)) > 4:
        raise Refused("works on more than four dimensions")
    return a, b, v.result(shape)


def _sum_scales(v: _View) -> None:
    a, b, out = _broadcast(v)
    # TFLM aborts when the output multiplier of ADD and SUB is 1 or more.
    if 2.0 * max(a.scale, b.scale) / ((1 << 20) * out.scale) >= 1.0:
        raise Refused(f"has an output scale {out.scale:g} far too small for its inputs")


def _add(v: _View) -> AddOptions:
    _sum_scales(v)
    return AddOptions(_activation(v.raw.options["FusedActivationFunction"]))


def _sub(v: _View) -> SubOptions:
    _sum_scales(v)
    return SubOptions(_activation(v.raw.options["FusedActivationFunction"]))


def _mul(v: _View) -> MulOptions:
    _broadcast(v)
    return MulOptions(_activation(v.raw.options["FusedActivationFunction"]))


def _extremum(v: _View) -> None:
    _same_quant(*_broadcast(v))


def _pad(v: _View) -> PadOptions:
    v.arity(2)
    x = v.activation(0)
    pads = v.constant(1, ("int32",))  # TFLM reads int64 paddings as int32 pairs
    if pads.shape != (len(x.shape), 2) or not ((pads >= 0) & (pads <= 4096)).all() or len(x.shape) > 4:
        raise Refused(
            f"has paddings {pads.tolist() if pads.size <= 16 else pads.shape} for shape {list(x.shape)}"
        )
    before, after = (tuple(int(p) for p in pads[:, k]) for k in (0, 1))
    out = v.result([a + b + c for a, b, c in zip(before, x.shape, after, strict=True)])
    _same_quant(x, out)
    return PadOptions(before, after)


def _mean(v: _View) -> MeanOptions:
    v.arity(2)
    x = v.activation(0)
    given = v.constant(1, ("int32",)).reshape(-1)
    rank = len(x.shape)
    if given.size > rank or not ((given >= -rank) & (given < rank)).all():
        raise Refused(f"has an axis outside its {rank} dimensions")
    axes = tuple(sorted({int(a) % rank for a in given}))
    if len(axes) != given.size or not axes:
        raise Refused("has an axis twice or none")
    if math.prod(x.shape[a] for a in axes) > 1 << 22:
        raise Refused("averages more than 2^22 elements")
    keep = bool(v.raw.options["KeepDims"])
    v.result([1 if i in axes else d for i, d in enumerate(x.shape) if keep or i not in axes])
    return MeanOptions(axes, keep)


def _softmax(v: _View) -> SoftmaxOptions:
    v.arity(1)
    x = v.activation(0)
    _unit_output(v.result(x.shape))
    beta = float(v.raw.options["Beta"])
    # TFLM aborts when the input's multiplier is 1 or less, and sums exponentials in 12 integer bits.
    if not 0 < beta <= 64 or beta * x.scale * (1 << 26) <= 1 or x.shape[-1] > 4095:
        raise Refused(f"has beta {beta:g} over {x.shape[-1]} values of scale {x.scale:g}")
    return SoftmaxOptions(beta)


def _unit_output(out: Tensor) -> None:
    """LOGISTIC and SOFTMAX write probabilities at scale 1/256, zero point −128, and nothing else."""
    if out.scale != 1.0 / 256 or out.zero_point != -128:
        raise Refused(f"writes {out.name} at scale {out.scale:g}, not 1/256 with zero point −128")


def _logistic(v: _View) -> None:
    v.arity(1)
    _unit_output(v.result(v.activation(0).shape))


def _relu(v: _View) -> None:
    v.arity(1)
    v.result(v.activation(0).shape)


def _relu6(v: _View) -> None:
    v.arity(1)
    x = v.activation(0)
    _same_quant(x, v.result(x.shape))


def _hard_swish(v: _View) -> None:
    v.arity(1)
    x = v.activation(0)
    out = v.result(x.shape)
    # TFLM's kernel shifts right by the exponent of this ratio: it must be a right shift, of 16 bits at most.
    if not 2**-14 < x.scale / 128.0 / out.scale < 1 - 2**-20 or not x.scale < 256:
        raise Refused(f"has scales {x.scale:g} and {out.scale:g}, too far apart")


def _quantize(v: _View) -> None:
    v.arity(1)
    v.result(v.activation(0).shape)


def _same_elements(v: _View) -> None:
    v.arity(1, 2)
    x, out = v.activation(0), _int8(v.output())
    if x.elements != out.elements:
        raise Refused(f"turns shape {list(x.shape)} into {list(out.shape)}")
    _same_quant(x, out)


def _transpose(v: _View) -> TransposeOptions:
    v.arity(2)
    x = v.activation(0)
    perm = tuple(int(p) for p in v.constant(1, ("int32",)).reshape(-1)[:8])
    if sorted(perm) != list(range(len(x.shape))):
        raise Refused(f"has the permutation {list(perm)} for {len(x.shape)} dimensions")
    out = v.result([x.shape[p] for p in perm])
    _same_quant(x, out)
    return TransposeOptions(perm)


def _gather(v: _View) -> GatherOptions:
    v.arity(2)
    x, o = v.activation(0), v.raw.options
    axis = o["Axis"] + len(x.shape) if o["Axis"] < 0 else o["Axis"]
    if not 0 <= axis < len(x.shape) or o["BatchDims"] != 0:
        raise Refused(f"gathers along dimension {o['Axis']} with {o['BatchDims']} batch dimensions")
    if v.input(1).dtype == np.int64:
        raise Refused("has int64 indices, which TFLM refuses: index with int32")
    indices = v.constant(1, ("int32",))
    if indices.ndim != 1 or len(indices) > MAX_TAPS or not ((indices >= 0) & (indices < x.shape[axis])).all():
        raise Refused(f"has an index outside dimension {axis} of shape {list(x.shape)}")
    out = v.result((*x.shape[:axis], len(indices), *x.shape[axis + 1 :]))
    _same_quant(x, out)
    return GatherOptions(axis)


def _concatenation(v: _View) -> ConcatenationOptions:
    v.arity(1, 10)
    parts = [v.activation(i) for i in range(len(v.raw.inputs))]
    rank, o = len(parts[0].shape), v.raw.options
    axis = o["Axis"] + rank if o["Axis"] < 0 else o["Axis"]
    if not 0 <= axis < rank or rank > 4 or o["FusedActivationFunction"] != 0:
        raise Refused(f"joins along dimension {o['Axis']} with activation {o['FusedActivationFunction']}")
    shapes = {(*p.shape[:axis], -1, *p.shape[axis + 1 :]) for p in parts}
    if len(shapes) != 1 or any(len(p.shape) != rank for p in parts):
        raise Refused("joins tensors whose shapes do not agree")
    shape = parts[0].shape
    out = v.result((*shape[:axis], sum(p.shape[axis] for p in parts), *shape[axis + 1 :]))
    _same_quant(out, *parts)
    return ConcatenationOptions(axis)


_CHECKS: Mapping[str, Callable[[_View], Options | None]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "MAX_POOL_2D": _pool,
    "AVERAGE_POOL_2D": _pool,
    "ADD": _add,
    "SUB": _sub,
    "MUL": _mul,
    "MAXIMUM": _extremum,
    "MINIMUM": _extremum,
    "PAD": _pad,
    "MEAN": _mean,
    "SOFTMAX": _softmax,
    "LOGISTIC": _logistic,
    "RELU": _relu,
    "RELU6": _relu6,
    "HARD_SWISH": _hard_swish,
    "QUANTIZE": _quantize,
    "RESHAPE": _same_elements,
    "SQUEEZE": _same_elements,
    "EXPAND_DIMS": _same_elements,
    "TRANSPOSE": _transpose,
    "GATHER": _gather,
    "CONCATENATION": _concatenation,
}


def checked_options(raw: RawOp, tensors: Sequence[Tensor]) -> Options | None:
    """The typed options of one operator. Raises Refused with the reason, without file or operator name."""
    return _CHECKS[raw.kind](_View(raw, tensors))
