"""From errors to causes: which layer, which channel, why, and the option of `dftiny export` that cures it.

The roundings that hurt the answer most come first (measure.Alone); for each, the first rule that fits names the cause.
Thresholds are ratios within one tensor, so they do not depend on the net's scale. Called by explain.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dftiny.diagnose.floats import WEIGHTED, Values, dequantised, real, run_op
from dftiny.diagnose.measure import Alone, Measured, channel_reach, errors_by_tensor, layer_name
from dftiny.graph import ConvOptions, Graph, Op

Kind = Literal[
    "outlier channel",
    "saturating calibration",
    "rare values",
    "range wider than the values",
    "wide range before an activation",
    "one scale for all weights",
    "shifted means",
    "far from zero",
    "few steps",
    "dead channels",
]
OUTLIER = 3.0  # reach of a channel, relative to nine tenths of the others
RARE = 4.0  # largest value, relative to what 99.9 % of the values stay below
WIDER = 1.6  # carried range, relative to the range seen
FAR = 0.25  # spread of values that all lie on one side of zero, relative to the farthest
CUT_OFF = 1e-3  # share of values outside the range
DOMINATES = 0.5  # share of the noise that one reason must have
SOUND_DB = 40.0  # a rounding that leaves the answer this clean is no cause
# Values beyond these do nothing in the function behind: (lowest, highest) of its active part.
_ACTIVE = {"HARD_SWISH": (-3.0, np.inf), "LOGISTIC": (-6.0, 6.0), "TANH": (-4.0, 4.0), "RELU6": (0.0, 6.0)}
_TRY = {
    "outlier channel": "--equalise --correct-bias",
    "saturating calibration": "--calibration with tiles like those to be judged",
    "rare values": "--calibration-method mse",
    "range wider than the values": "--calibration-method minmax",
    "wide range before an activation": "--calibration-method best",
    "one scale for all weights": "export the ONNX model or checkpoint again with dftiny, which scales by channel",
    "shifted means": "--correct-bias",
    "far from zero": "train again with the constant in the next layer's bias (or with rounding: --recipe phinet_demo_qat)",
    "few steps": "--calibration-method best --correct-bias (or train with rounding: --recipe phinet_demo_qat)",
    "dead channels": "nothing to do for accuracy; train again with fewer channels to save time",
}


@dataclass(frozen=True)
class Cause:
    """One reason why int8 and float part. `op` and `layer` are where the values are made, `channel` of them or None;
    `alone_db` the answer's signal to noise if this were all that is rounded (None: not measured); `attempt` what to try."""

    kind: Kind
    op: int
    layer: str
    channel: int | None
    alone_db: float | None
    detail: str
    attempt: str


def causes(graph: Graph, m: Measured) -> tuple[Cause, ...]:
    """The causes, worst first; each layer, channel and kind once. Dead channels stand at the end."""
    found: dict[tuple[Kind, int, int | None], Cause] = {}
    for alone in m.alone:
        if alone.db >= SOUND_DB:
            continue
        cause = _activation(graph, m, alone) if alone.place == "activation" else _weights(graph, m, alone)
        found.setdefault((cause.kind, cause.op, cause.channel), cause)
    return (*found.values(), *_dead(graph, m))


def _cause(
    graph: Graph, kind: Kind, tensor: int, db: float | None, detail: str, channel: int | None = None
) -> Cause:
    maker = next((op for op in graph.ops if tensor in op.outputs), None)
    index, layer = (maker.index, layer_name(graph.tensors[tensor])) if maker else (-1, "the input")
    return Cause(kind, index, layer, channel, None if db is None else round(db, 2), detail, _TRY[kind])


def outlier(reach: np.ndarray) -> tuple[int, float]:
    """(the channel that reaches farthest, how much farther than nine tenths of the others)."""
    c = int(reach.argmax())
    others = np.delete(reach, c)
    others = others[others > 0]
    usual = float(np.quantile(others, 0.9)) if len(others) else 0.0
    return c, float(reach[c]) / usual if usual > 0 else 1.0


_Rule = Callable[[Graph, Measured, Alone], "Cause | None"]


def _activation(graph: Graph, m: Measured, a: Alone) -> Cause:
    for rule in (_outlier_rule, _saturated_rule, _wider_rule, _before_rule, _far_rule, _rare_rule):
        cause = rule(graph, m, a)
        if cause is not None:
            return cause
    return _cause(graph, "few steps", a.tensor, a.db, f"256 steps from {_span(m.floats[a.tensor])}")


def _span(v: np.ndarray) -> str:
    return f"{float(v.min()):.3g} to {float(v.max()):.3g}"


def _outlier_rule(graph: Graph, m: Measured, a: Alone) -> Cause | None:
    if graph.tensors[a.tensor].shape[-1] < 2:
        return None
    c, ratio = outlier(channel_reach(m.floats[a.tensor]))
    if ratio < OUTLIER:
        return None
    detail = f"channel {c} reaches {ratio:.3g} times as far as the others, and takes their steps"
    return _cause(graph, "outlier channel", a.tensor, a.db, detail, c)


def _saturated_rule(graph: Graph, m: Measured, a: Alone) -> Cause | None:
    e = errors_by_tensor(m).get(a.tensor)
    if e is None or e.saturated < CUT_OFF:
        return None
    detail = (
        f"{e.saturated:.2%} of the values lie outside {e.carried_low:.3g} to {e.carried_high:.3g}: "
        "calibration saw less"
    )
    return _cause(graph, "saturating calibration", a.tensor, a.db, detail)


def _wider_rule(graph: Graph, m: Measured, a: Alone) -> Cause | None:
    e = errors_by_tensor(m).get(a.tensor)
    if e is None or e.carried_high - e.carried_low < WIDER * (max(e.high, 0) - min(e.low, 0)):
        return None
    detail = f"the scale carries {e.carried_low:.3g} to {e.carried_high:.3g}, the values go from {e.low:.3g} to {e.high:.3g}"
    return _cause(graph, "range wider than the values", a.tensor, a.db, detail)


def _before_rule(graph: Graph, m: Measured, a: Alone) -> Cause | None:
    readers = [op for op in graph.ops if a.tensor in op.inputs]
    limits = [_ACTIVE[op.kind] for op in readers if op.kind in _ACTIVE]
    if not limits or len(limits) < len(readers):
        return None
    v = m.floats[a.tensor]
    low, high = float(v.min()), float(v.max())
    idle = max(0.0, min(b[0] for b in limits) - low) + max(0.0, high - max(b[1] for b in limits))
    if idle < 0.5 * (high - low):
        return None
    detail = f"{idle / (high - low):.0%} of {low:.3g} to {high:.3g} does nothing in the {readers[0].kind} behind it"
    return _cause(graph, "wide range before an activation", a.tensor, a.db, detail)


def _far_rule(graph: Graph, m: Measured, a: Alone) -> Cause | None:
    v = m.floats[a.tensor]
    low, high = float(v.min()), float(v.max())
    reach = max(abs(low), abs(high))
    if low * high <= 0 or high - low >= FAR * reach:
        return None
    detail = f"values from {low:.3g} to {high:.3g} get {255 * (high - low) / reach:.0f} of the 255 steps, which must reach to zero"
    return _cause(graph, "far from zero", a.tensor, a.db, detail)


def _rare_rule(graph: Graph, m: Measured, a: Alone) -> Cause | None:
    size = np.abs(m.floats[a.tensor])
    usual, largest = float(np.quantile(size, 0.999)), float(size.max())
    if usual <= 0 or largest < RARE * usual:
        return None
    return _cause(
        graph,
        "rare values",
        a.tensor,
        a.db,
        f"99.9 % of the values stay within {usual:.3g}, the largest is {largest:.3g}",
    )


def _weights(graph: Graph, m: Measured, a: Alone) -> Cause:
    op = next(op for op in graph.ops if op.index == a.op and a.tensor in op.inputs)
    rules = (_by_input_channel, _one_scale, _shifted)
    cause = next((c for c in (rule(graph, m, a, op) for rule in rules) if c is not None), None)
    if cause is not None:
        return cause
    return _cause(graph, "few steps", op.outputs[0], a.db, "its weights take more than 8 bits")


def _one_scale(graph: Graph, m: Measured, a: Alone, op: Op) -> Cause | None:
    w = graph.tensors[a.tensor]
    assert w.quant is not None
    axis = 3 if op.kind == "DEPTHWISE_CONV_2D" else 0
    if w.quant.per_channel or w.shape[axis] < 2:
        return None
    reach = channel_reach(np.moveaxis(m.net.constants[a.tensor], axis, -1))
    ratio = float(reach.max() / max(np.median(reach), 1e-30))
    if ratio < OUTLIER:
        return None
    detail = f"the weights of channel {int(reach.argmax())} are {ratio:.3g} times those of the middle channel, with one scale"
    return _cause(graph, "one scale for all weights", op.outputs[0], a.db, detail)


def _by_input_channel(graph: Graph, m: Measured, a: Alone, op: Op) -> Cause | None:
    """One input channel is far larger than the others: its weights are small, and rounded away."""
    if op.kind == "DEPTHWISE_CONV_2D" or (isinstance(op.options, ConvOptions) and op.options.groups > 1):
        return None
    x, w = m.floats[op.inputs[0]], m.net.constants[a.tensor]
    if w.shape[-1] != x.shape[-1] or x.shape[-1] < 2:
        return None
    off = w - real(graph.tensors[a.tensor], graph.tensors[a.tensor].data)  # type: ignore[arg-type]
    power = (x.reshape(-1, x.shape[-1]).astype(np.float64) ** 2).mean(0)
    noise = (off.reshape(-1, off.shape[-1]).astype(np.float64) ** 2).sum(0) * power
    c, ratio = outlier(channel_reach(x))
    if noise.sum() <= 0 or noise[c] < DOMINATES * noise.sum() or ratio < OUTLIER:
        return None
    detail = f"channel {c} is {ratio:.3g} times as large as the others, so operator {op.index} rounds its small weights away"
    return _cause(graph, "outlier channel", op.inputs[0], a.db, detail, c)


def _shifted(graph: Graph, m: Measured, a: Alone, op: Op) -> Cause | None:
    rough = m.net.with_constants({a.tensor: dequantised(graph).constants[a.tensor]})
    off = _linear(m, op, rough) - _linear(m, op, m.net)
    by_channel = off.reshape(-1, off.shape[-1]).astype(np.float64)
    total = float((by_channel**2).mean())
    if total <= 0 or float((by_channel.mean(0) ** 2).mean()) < DOMINATES * total:
        return None
    detail = f"rounded weights move the mean of its channels, by up to {float(np.abs(by_channel.mean(0)).max()):.3g}"
    return _cause(graph, "shifted means", op.outputs[0], a.db, detail)


def _linear(m: Measured, op: Op, net: object) -> np.ndarray:
    floats: Values = m.floats
    return run_op(net, op, floats, linear=True)[0]  # type: ignore[arg-type]


def _dead(graph: Graph, m: Measured) -> Iterator[Cause]:
    """Layers of which at least a quarter of the channels never leave zero."""
    for op in graph.ops:
        t = op.outputs[0]
        if op.kind not in WEIGHTED or t not in m.floats:
            continue
        dead = np.flatnonzero(channel_reach(m.floats[t]) == 0)
        if len(dead) * 4 >= graph.tensors[t].shape[-1] > 1:
            some = ", ".join(str(c) for c in dead[:4]) + (" …" if len(dead) > 4 else "")
            detail = f"{len(dead)} of {graph.tensors[t].shape[-1]} channels are 0 on all tiles ({some})"
            yield replace(_cause(graph, "dead channels", t, None, detail), channel=None)
