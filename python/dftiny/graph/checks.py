"""What each operator must satisfy to be run bit-exactly: operands, shapes, options, quantisation.

The rules are those of TFLM's int8 reference kernels; what they would compute silently wrong
(a standalone RELU6 that rescales) or abort on is refused here, by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tflite

from dftiny.graph import checks_layout
from dftiny.graph.flat import RawOp
from dftiny.graph.types import (
    Activation,
    AddOptions,
    ConvOptions,
    DepthwiseOptions,
    FullyConnectedOptions,
    LeakyReluOptions,
    MeanOptions,
    MulOptions,
    Options,
    Padding,
    PoolOptions,
    ReduceOptions,
    SoftmaxOptions,
    SubOptions,
    Tensor,
)
from dftiny.graph.view import MAX_RANK, MAX_TAPS, Refused, View, int8_activation, same_quant, spatial

__all__ = ["KINDS", "Refused", "checked", "window_out"]

MAX_STRIDE = 4096
MAX_MEAN = 1 << 22  # elements whose sum, of 8 bits each, stays in 31 bits


def _activation(code: int) -> Activation:
    names: dict[int, Activation] = {0: "NONE", 1: "RELU", 3: "RELU6"}
    if code not in names:
        raise Refused(
            f"has the fused activation {code}, dftiny knows NONE, RELU and RELU6",
            "make the activation a layer of its own, or a ReLU",
        )
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


def _filter(v: View, axis: int, rank: int) -> Tensor:
    w = v.input(1)
    if w.data is None or w.dtype != np.int8 or len(w.shape) != rank:
        raise Refused(
            f"has weights {w.name} that are not constant int8 of rank {rank}",
            "make them constants; a product of two activations is MUL",
        )
    if w.quant is None:
        raise Refused(f"has weights {w.name} without quantisation")
    if w.quant.zero_point.any():
        raise Refused(f"has weights {w.name} with a zero point other than 0")
    if w.quant.per_channel and w.quant.axis != axis:
        raise Refused(f"has weights {w.name} quantised along dimension {w.quant.axis}, not {axis}")
    return w


def _bias(v: View, channels: int) -> None:
    if len(v.raw.inputs) < 3 or v.raw.inputs[2] < 0:
        return
    if v.constant(2, ("int32",)).shape != (channels,):
        raise Refused(f"has a bias of shape {list(v.input(2).shape)} for {channels} output channels")
    _bias_scale(v)


def _bias_scale(v: View) -> None:
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


def _conv_shape(v: View, w: Tensor, g: tuple[int, int, int, int, Padding, Activation], channels: int) -> None:
    h, wd, _ = spatial(v.activation(0))
    sh, sw, dh, dw, padding, _a = g
    kh, kw = (w.shape[1] - 1) * dh + 1, (w.shape[2] - 1) * dw + 1
    if padding == "VALID" and (kh > h or kw > wd):
        raise Refused(f"has a {kh}×{kw} window on a {h}×{wd} input")
    v.result((1, window_out(h, kh, sh, padding), window_out(wd, kw, sw, padding), channels))


def _conv(v: View) -> ConvOptions:
    v.arity(2, 3)
    c_in = spatial(v.activation(0))[2]
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


def _depthwise(v: View) -> DepthwiseOptions:
    v.arity(2, 3)
    c_in = spatial(v.activation(0))[2]
    w = _filter(v, axis=3, rank=4)
    if w.shape[0] != 1 or w.shape[3] % c_in:
        raise Refused(f"has weights of shape {list(w.shape)} for {c_in} input channels")
    if w.shape[1] * w.shape[2] > MAX_TAPS:
        raise Refused(f"sums {w.shape[1] * w.shape[2]} products, more than {MAX_TAPS}")
    g, multiplier = _geometry(v.raw.options), w.shape[3] // c_in
    if v.raw.options["DepthMultiplier"] != multiplier:  # TFLM believes the option, whatever the shapes say
        raise Refused(f"has depth multiplier {v.raw.options['DepthMultiplier']}, its weights {multiplier}")
    _conv_shape(v, w, g, w.shape[3])
    _bias(v, w.shape[3])
    return DepthwiseOptions(*g, multiplier=multiplier)


def _fully_connected(v: View) -> FullyConnectedOptions:
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


def _pool(v: View) -> PoolOptions:
    v.arity(1)
    x, o = v.activation(0), v.raw.options
    h, w, c = spatial(x)
    fh, fw = _within(o["FilterHeight"], "window"), _within(o["FilterWidth"], "window")
    sh, sw = _within(o["StrideH"], "stride"), _within(o["StrideW"], "stride")
    padding = _padding(o["Padding"])
    if fh * fw > MAX_TAPS or (padding == "VALID" and (fh > h or fw > w)):
        raise Refused(f"has a {fh}×{fw} window on a {h}×{w} input")
    out = v.result((1, window_out(h, fh, sh, padding), window_out(w, fw, sw, padding), c))
    same_quant(x, out)
    return PoolOptions(fh, fw, sh, sw, padding, _activation(o["FusedActivationFunction"]))


def _broadcast(v: View) -> tuple[Tensor, Tensor, Tensor]:
    v.arity(2)
    a, b = v.activation(0), v.activation(1)
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError as e:
        raise Refused(f"cannot broadcast {list(a.shape)} with {list(b.shape)}") from e
    if max(len(a.shape), len(b.shape)) > MAX_RANK:
        raise Refused("works on more than four dimensions", "reshape to four dimensions around it")
    return a, b, v.result(shape)


def _sum_scales(v: View) -> None:
    a, b, out = _broadcast(v)
    # TFLM aborts when the output multiplier of ADD and SUB is 1 or more.
    if 2.0 * max(a.scale, b.scale) / ((1 << 20) * out.scale) >= 1.0:
        raise Refused(f"has an output scale {out.scale:g} far too small for its inputs")


def _add(v: View) -> AddOptions:
    _sum_scales(v)
    return AddOptions(_activation(v.raw.options["FusedActivationFunction"]))


def _sub(v: View) -> SubOptions:
    _sum_scales(v)
    return SubOptions(_activation(v.raw.options["FusedActivationFunction"]))


def _mul(v: View) -> MulOptions:
    _broadcast(v)
    return MulOptions(_activation(v.raw.options["FusedActivationFunction"]))


def _extremum(v: View) -> None:
    same_quant(*_broadcast(v))


def _axes(v: View) -> tuple[tuple[int, ...], bool]:
    """(axes, sorted and not negative; keep_dims) of an operator that reduces, its result checked."""
    v.arity(2)
    x = v.activation(0)
    given = v.constant(1, ("int32",)).reshape(-1)
    rank = len(x.shape)
    if given.size > rank or not ((given >= -rank) & (given < rank)).all():
        raise Refused(f"has an axis outside its {rank} dimensions")
    axes = tuple(sorted({int(a) % rank for a in given}))
    if len(axes) != given.size or not axes or rank > MAX_RANK:
        raise Refused("has an axis twice or none, or more than four dimensions")
    if math.prod(x.shape[a] for a in axes) > MAX_MEAN:
        raise Refused(f"takes more than {MAX_MEAN} elements together")
    keep = bool(v.raw.options["KeepDims"])
    v.result([1 if i in axes else d for i, d in enumerate(x.shape) if keep or i not in axes])
    return axes, keep


def _mean(v: View) -> MeanOptions:
    return MeanOptions(*_axes(v))


def _sum(v: View) -> ReduceOptions:
    return ReduceOptions(*_axes(v))


def _reduce_extremum(v: View) -> ReduceOptions:
    options = ReduceOptions(*_axes(v))
    same_quant(v.activation(0), int8_activation(v.output()))
    return options


def _softmax(v: View) -> SoftmaxOptions:
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


def _logistic(v: View) -> None:
    v.arity(1)
    _unit_output(v.result(v.activation(0).shape))
    _wide_scale(v.activation(0))


def _wide_scale(x: Tensor) -> None:
    """LOGISTIC and TANH shift their input to Q4.27, to the left and by at most 31 bits."""
    if not 2**-28 <= x.scale <= 8:
        raise Refused(f"has an input of scale {x.scale:g}, beyond what TFLM's fixed point holds")


def _relu(v: View) -> None:
    v.arity(1)
    v.result(v.activation(0).shape)


def _relu6(v: View) -> None:
    v.arity(1)
    x, out = v.activation(0), int8_activation(v.output())
    v.result(x.shape)
    if x.quant is None or not x.quant.same(out.quant):
        raise Refused(
            f"has different quantisation at {x.name} and {out.name}, which TFLM's kernel would ignore",
            "put the ReLU6 right behind a convolution or an addition, so that it fuses",
        )


def _tanh(v: View) -> None:
    v.arity(1)
    out = v.result(v.activation(0).shape)
    if out.scale != 1.0 / 128 or out.zero_point != 0:
        raise Refused(f"writes {out.name} at scale {out.scale:g}, not 1/128 with zero point 0")
    _wide_scale(v.activation(0))


def _leaky_relu(v: View) -> LeakyReluOptions:
    v.arity(1)
    v.result(v.activation(0).shape)
    alpha = float(np.float32(v.raw.options["Alpha"]))
    if not 0 <= alpha <= 1:
        raise Refused(f"has alpha {alpha:g}, not 0 to 1")
    return LeakyReluOptions(alpha)


def _prelu(v: View) -> None:
    v.arity(2)
    x, alpha = v.activation(0), v.activation(1)
    v.result(x.shape)
    try:
        wide = np.broadcast_shapes(x.shape, alpha.shape) != x.shape
    except ValueError:
        wide = True
    if wide or len(x.shape) > MAX_RANK:
        raise Refused(f"has slopes of shape {list(alpha.shape)} for shape {list(x.shape)}")


def _hard_swish(v: View) -> None:
    v.arity(1)
    x = v.activation(0)
    out = v.result(x.shape)
    # TFLM's kernel shifts right by the exponent of this ratio: it must be a right shift, of 16 bits at most.
    if not 2**-14 < x.scale / 128.0 / out.scale < 1 - 2**-20 or not x.scale < 256:
        raise Refused(f"has scales {x.scale:g} and {out.scale:g}, too far apart")


def _quantize(v: View) -> None:
    v.arity(1)
    v.result(v.activation(0).shape)


_CHECKS: Mapping[str, Callable[[View], Options | None]] = {
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
    "MEAN": _mean,
    "SUM": _sum,
    "REDUCE_MAX": _reduce_extremum,
    "REDUCE_MIN": _reduce_extremum,
    "SOFTMAX": _softmax,
    "LOGISTIC": _logistic,
    "TANH": _tanh,
    "RELU": _relu,
    "RELU6": _relu6,
    "LEAKY_RELU": _leaky_relu,
    "PRELU": _prelu,
    "HARD_SWISH": _hard_swish,
    "QUANTIZE": _quantize,
    **checks_layout.CHECKS,
}
KINDS = frozenset({*_CHECKS, *checks_layout.CUTS})


def checked(raw: RawOp, tensors: Sequence[Tensor]) -> tuple[Options | None, ...]:
    """The typed options of one operator, for each of its outputs. Raises Refused with the reason, without file or
    operator name."""
    view = View(raw, tensors)
    if raw.kind in checks_layout.CUTS:
        return checks_layout.CUTS[raw.kind](view)
    return (_CHECKS[raw.kind](view),)
