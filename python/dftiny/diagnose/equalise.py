"""Cross-layer equalisation: the same float function with channels of like range, so that int8 serves all of them.

One channel scaled by s and whatever reads it by 1/s compute the same (Nagel et al. 2019, "Data-Free Quantization
Through Weight Equalization and Bias Correction", section 4.1), as long as everything between is linear or a ReLU.
Here channels are followed through sums, means, pools, pads and views as well; ReLU6, swishes and gates end the chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dftiny.diagnose.floats import WEIGHTED, FloatNet
from dftiny.diagnose.ranges import Seen
from dftiny.graph import ConvOptions, Graph, MeanOptions, Op, PadOptions

LIMIT = 2.0**14  # no channel is scaled by more, or by less than 1 / LIMIT
_SAME_CHANNELS = ("MAX_POOL_2D", "AVERAGE_POOL_2D", "RELU", "QUANTIZE")
_VIEWS = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
_SCALABLE = ("NONE", "RELU")  # f(s·x) = s·f(x) for s > 0


@dataclass(frozen=True)
class Chain:
    """Activations whose channels may be scaled together. `channels` of the narrowest; a wider one repeats them."""

    tensors: tuple[int, ...]
    channels: int


class _Ties:
    """Union of tensors, and the roots that must stay as they are."""

    def __init__(self) -> None:
        self.parent: dict[int, int] = {}
        self.fixed: set[int] = set()

    def root(self, t: int) -> int:
        while self.parent.setdefault(t, t) != t:
            t = self.parent[t]
        return t

    def tie(self, a: int, b: int) -> None:
        self.parent[self.root(a)] = self.root(b)

    def fix(self, *tensors: int) -> None:
        for t in tensors:
            self.root(t)
            self.fixed.add(t)


def chains(graph: Graph) -> list[Chain]:
    """All chains whose channels may be scaled without changing what the net computes."""
    ties = _Ties()
    ties.fix(*graph.inputs, *graph.outputs)
    for op in graph.ops:
        _tie(graph, op, ties)
    fixed = {ties.root(t) for t in ties.fixed}
    members: dict[int, list[int]] = {}
    for t in sorted(ties.parent):
        members.setdefault(ties.root(t), []).append(t)
    found = [
        Chain(tuple(tensors), min(graph.tensors[t].shape[-1] for t in tensors))
        for root, tensors in members.items()
        if root not in fixed
    ]
    return [c for c in found if _divides(graph, c)]


def _divides(graph: Graph, chain: Chain) -> bool:
    return all(graph.tensors[t].shape[-1] % chain.channels == 0 for t in chain.tensors)


def _tie(graph: Graph, op: Op, ties: _Ties) -> None:
    live = [t for t in op.inputs if t >= 0 and graph.tensors[t].data is None]
    out = op.outputs[0]
    if getattr(op.options, "activation", "NONE") not in _SCALABLE:
        ties.fix(*op.outputs)
        if op.kind not in WEIGHTED:
            ties.fix(*live)
            return
    if not live:
        ties.fix(*op.outputs)
    elif op.kind in WEIGHTED and _by_channel(graph, op):
        ties.root(live[0])
        ties.root(out)
    elif _keeps_channels(graph, op, live):
        for t in live:
            ties.tie(t, out)
    elif op.kind == "MUL" and len(live) == 2 and _gated(graph, op) is not None:
        scaled, gate = _gated(graph, op) or (out, out)
        ties.fix(gate)
        ties.tie(scaled, out)
    else:
        ties.fix(*live, *op.outputs)


def _by_channel(graph: Graph, op: Op) -> bool:
    """Whether each weight reads one channel of its input: the last dimension, or a flattened map of it."""
    x, w = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]]
    return w.data is not None and (op.kind != "FULLY_CONNECTED" or w.shape[1] == x.shape[-1])


def _keeps_channels(graph: Graph, op: Op, live: list[int]) -> bool:
    """Whether channel c of the output is made of channel c of every input, and scales with them."""
    out, x = graph.tensors[op.outputs[0]], graph.tensors[live[0]]
    if op.kind in ("ADD", "SUB"):
        same = len(live) == 2 and all(graph.tensors[t].shape[-1] == out.shape[-1] for t in live)
        return same and live[0] != live[1]
    if op.kind in _VIEWS:
        return out.shape[-1] % x.shape[-1] == 0 or (x.shape[-1] % out.shape[-1] == 0 and out.shape[-1] > 1)
    if isinstance(op.options, MeanOptions):
        return len(x.shape) - 1 not in op.options.axes and 0 not in op.options.axes
    if isinstance(op.options, PadOptions):
        return op.kind == "PAD" and op.options.before[-1] == op.options.after[-1] == 0
    return op.kind in _SAME_CHANNELS


def _gated(graph: Graph, op: Op) -> tuple[int, int] | None:
    """(map, gate) of a product of a map and a vector with a value a channel; None for other products."""
    a, b = (graph.tensors[t] for t in op.inputs)
    if a.elements == b.elements:
        return None
    large, small = (a, b) if a.elements > b.elements else (b, a)
    return (large.index, small.index) if small.elements == large.shape[-1] == small.shape[-1] else None


def equalised(net: FloatNet, seen: Mapping[int, Seen]) -> tuple[FloatNet, dict[int, np.ndarray]]:
    """(the net with scaled weights, factors float64[C] of every activation whose channels were scaled).

    `seen`: the activations of `net` on calibration tiles.
    """
    graph = net.graph
    factors: dict[int, np.ndarray] = {}
    weights = _weights(net, seen)
    for chain in chains(graph):
        base = _factors(chain, seen, weights)
        for t in chain.tensors:
            factors[t] = np.tile(base, graph.tensors[t].shape[-1] // chain.channels)
    return scaled(net, factors), factors


def _folded(values: np.ndarray, channels: int) -> np.ndarray:
    folded: np.ndarray = values.reshape(-1, channels).max(0)
    return folded


def _factors(chain: Chain, seen: Mapping[int, Seen], weights: Mapping[int, np.ndarray]) -> np.ndarray:
    """√(weight / reach), a channel: range and weights then differ by √(weight · reach) each.

    `weight` is a channel's largest, relative to the largest contribution to the same output; neither their product nor
    the result changes when a channel is scaled and its readers the other way: a net damaged like that comes out as the
    sound one. A channel that was never alive gets weights no larger than the others'.
    """
    n = chain.channels
    reach = np.max([_folded(seen[t].reach, n) for t in chain.tensors], axis=0)
    known = [_folded(weights[t], n) for t in chain.tensors if t in weights]
    weight = np.max(known, axis=0) if known else 1 / np.where(reach > 0, reach, 1)
    alive = (reach > 0) & (weight > 0)
    if not alive.any():
        return np.ones(n)
    wanted = np.sqrt(np.where(alive, weight, 1) / np.where(alive, reach, 1))
    middle = np.exp(np.log(wanted[alive]).mean())
    idle = np.where(weight > 0, weight, middle) if known else np.full(n, middle)
    factors: np.ndarray = np.clip(np.where(alive, wanted, idle) / middle, 1 / LIMIT, LIMIT)
    return factors


def _weights(net: FloatNet, seen: Mapping[int, Seen]) -> dict[int, np.ndarray]:
    """Activation → float64[C], the largest weight of each channel in the layers that read it, in each output relative
    to the largest contribution (weight times reach) to it.

    Depthwise layers do not ask: their weights have a scale for every channel.
    """
    weights: dict[int, np.ndarray] = {}
    for op in net.graph.ops:
        if op.kind not in ("CONV_2D", "FULLY_CONNECTED") or op.inputs[1] not in net.constants:
            continue
        t = op.inputs[0]
        if net.graph.tensors[t].shape[-1] % net.graph.tensors[op.inputs[1]].shape[-1]:
            continue  # a map flattened into rows: the chain ends here
        channels = _read_channels(net.graph, op)
        size = _per_channel(net, op).astype(np.float64)
        largest = (size * seen[t].reach[channels]).max(1, keepdims=True)
        found = np.zeros(net.graph.tensors[t].shape[-1])
        np.maximum.at(found, channels, size / np.where(largest > 0, largest, np.inf))
        weights[t] = np.maximum(weights.get(t, found), found)
    return weights


def _per_channel(net: FloatNet, op: Op) -> np.ndarray:
    """The largest |weight| of each output and channel it reads, [outputs, channels read]."""
    w = net.constants[op.inputs[1]]
    largest: np.ndarray = np.abs(w.reshape(len(w), -1, w.shape[-1])).max(1)
    return largest


def _read_channels(graph: Graph, op: Op) -> np.ndarray:
    """Input channels behind the last dimension of the weights, [outputs, channels read]."""
    w = graph.tensors[op.inputs[1]]
    groups = op.options.groups if isinstance(op.options, ConvOptions) else 1
    first = np.arange(w.shape[0]) // (w.shape[0] // groups) * w.shape[-1]
    return first[:, None] + np.arange(w.shape[-1])


def scaled(net: FloatNet, factors: Mapping[int, np.ndarray]) -> FloatNet:
    """The net in which channel c of activation t is factors[t][c] times as large; the answer stays the same."""
    changed: dict[int, np.ndarray] = {}
    for op in net.graph.ops:
        if op.kind in WEIGHTED and op.inputs[1] in net.constants:
            _scale_layer(net, op, factors, changed)
    return net.with_constants(changed)


def _scale_layer(
    net: FloatNet, op: Op, factors: Mapping[int, np.ndarray], changed: dict[int, np.ndarray]
) -> None:
    graph, w = net.graph, net.constants[op.inputs[1]].astype(np.float64)
    one = np.ones(1)
    made, read = factors.get(op.outputs[0], one), factors.get(op.inputs[0], one)
    if op.kind == "DEPTHWISE_CONV_2D":
        w = w * made / np.repeat(read, w.shape[-1] // len(read) if len(read) > 1 else 1)
    else:
        if len(read) > 1:
            divisor = read[_read_channels(graph, op)]
            w = w / divisor.reshape(len(divisor), *(1,) * (w.ndim - 2), -1)
        w = w * made.reshape(-1, *(1,) * (w.ndim - 1))
    changed[op.inputs[1]] = w.astype(np.float32)
    if len(op.inputs) > 2 and op.inputs[2] in net.constants:
        changed[op.inputs[2]] = (net.constants[op.inputs[2]] * made).astype(np.float32)
