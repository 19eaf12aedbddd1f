"""Error of every activation, and what each rounding alone does to the answer.

Three figures a tensor: `sqnr_db`, int8 against float as it comes out of the whole net; `own_db`, what its operator adds
when it is given the int8 net's inputs; `alone_db`, the logits when this activation, or this layer's weights, is the
only thing that is rounded. The last one ranks: it is what the answer feels. Called by causes.py and explain.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dftiny import int8
from dftiny.diagnose.floats import (
    WEIGHTED,
    FloatNet,
    Values,
    dequantised,
    input_values,
    real,
    rounded,
    run,
    run_op,
)
from dftiny.graph import Graph, Op, Tensor

Place = Literal["activation", "weights"]
CANDIDATES = 16  # roundings whose effect on the answer is measured, each by a run of what follows


@dataclass(frozen=True)
class LayerError:
    """One activation in int8. `low` and `high`: float range on the tiles; `carried_low` and `carried_high`: what its
    scale can carry; `saturated`: share of values cut off; `codes_used` of 256."""

    op: int
    kind: str
    tensor: int
    name: str
    channels: int
    sqnr_db: float
    own_db: float
    low: float
    high: float
    carried_low: float
    carried_high: float
    saturated: float
    codes_used: int


@dataclass(frozen=True)
class Alone:
    """The answer's signal to noise in dB when one activation, or the weights of one operator, is all that is rounded."""

    place: Place
    op: int
    tensor: int
    db: float


@dataclass(frozen=True, eq=False)
class Measured:
    """`floats` and `ints`: every activation, float32[n, *shape], of the float net and of the int8 oracle."""

    net: FloatNet
    floats: Values
    ints: Values
    layers: tuple[LayerError, ...]
    alone: tuple[Alone, ...]
    logits_db: float


def decibels(wanted: np.ndarray, got: np.ndarray) -> float:
    """Signal to noise of `got`, −200…200 dB."""
    return _ratio_db(wanted, got.astype(np.float64) - wanted)


def _ratio_db(signal: np.ndarray, error: np.ndarray) -> float:
    noise, power = (
        float((error.astype(np.float64) ** 2).mean()),
        float((signal.astype(np.float64) ** 2).mean()),
    )
    return 200.0 if noise == 0 else -200.0 if power == 0 else float(max(-200, 10 * np.log10(power / noise)))


def answer_db(wanted: np.ndarray, got: np.ndarray) -> float:
    """decibels of the logits [n, …], where only what differs between tiles is signal: a constant tells nothing."""
    mean = wanted.mean(0, keepdims=True, dtype=np.float64) if len(wanted) > 1 else 0.0
    return _ratio_db(wanted - mean, got.astype(np.float64) - wanted)


def measured(graph: Graph, net: FloatNet, tiles: np.ndarray) -> Measured:
    """Compare the int8 `graph` with the float `net` on uint8 tiles [n, H, W, C]."""
    floats = run(net, input_values(graph, tiles))
    q = int8.run_all(graph, int8.from_pixels(tiles))
    ints = {t: real(graph.tensors[t], v.reshape(-1, *graph.tensors[t].shape)) for t, v in q.items()}
    layers = tuple(
        _layer(graph, net, op, t, floats, ints, q[t])
        for op in graph.ops
        for t in op.outputs
        if graph.tensors[t].quant is not None
    )
    out = graph.outputs[0]
    return Measured(net, floats, ints, layers, _alone(graph, net, floats), answer_db(floats[out], ints[out]))


def layer_name(t: Tensor) -> str:
    """The converter joins the names of what it fused with ';': the first tells enough."""
    return t.name.split(";")[0][-60:]


def _layer(
    graph: Graph, net: FloatNet, op: Op, t: int, floats: Values, ints: Values, q: np.ndarray
) -> LayerError:
    tensor, wanted = graph.tensors[t], floats[t]
    low, high = tensor.scale * (-128 - tensor.zero_point), tensor.scale * (127 - tensor.zero_point)
    own = run_op(net, op, ints)[op.outputs.index(t)]
    half = tensor.scale / 2
    return LayerError(
        op=op.index,
        kind=op.kind,
        tensor=t,
        name=layer_name(tensor),
        channels=tensor.shape[-1],
        sqnr_db=decibels(wanted, ints[t]),
        own_db=decibels(own, ints[t]),
        low=float(wanted.min()),
        high=float(wanted.max()),
        carried_low=low,
        carried_high=high,
        saturated=float(((wanted < low - half) | (wanted > high + half)).mean()),
        codes_used=len(np.unique(q)),
    )


def _alone(graph: Graph, net: FloatNet, floats: Values) -> tuple[Alone, ...]:
    """The worst roundings first. Which are worth a run of the net is seen from a cheap estimate of their own noise."""
    rough = dequantised(graph)
    found: list[tuple[float, Place, Op, int]] = []
    for op in graph.ops:
        for t in op.outputs:
            if graph.tensors[t].quant is not None:
                found.append((_felt(graph, net, t, floats), "activation", op, t))
        if op.kind in WEIGHTED and op.inputs[1] in net.constants:
            wanted = floats[op.outputs[0]]
            got = run_op(net.with_constants({op.inputs[1]: rough.constants[op.inputs[1]]}), op, floats)[0]
            found.append((decibels(wanted, got), "weights", op, op.inputs[1]))
    found.sort(key=lambda f: f[0])
    results = [
        Alone(p, op.index, t, _alone_db(graph, net, rough, p, op, t, floats))
        for _, p, op, t in found[:CANDIDATES]
    ]
    return tuple(sorted(results, key=lambda a: a.db))


def _felt(graph: Graph, net: FloatNet, t: int, floats: Values) -> float:
    """dB of what the layers that read `t` make of its rounding: small channels count by their weights."""
    wanted = rounded(graph.tensors[t], floats[t])
    readers = [op for op in graph.ops if t in op.inputs]
    figures = [decibels(floats[op.outputs[0]], run_op(net, op, {**floats, t: wanted})[0]) for op in readers]
    return min(figures, default=decibels(floats[t], wanted))


def _alone_db(
    graph: Graph, net: FloatNet, rough: FloatNet, place: Place, op: Op, t: int, floats: Values
) -> float:
    """One run of the operators that feel it."""
    values = dict(floats)
    if place == "weights":
        changed = net.with_constants({t: rough.constants[t]})
        dirty = set(op.outputs)
        values.update(zip(op.outputs, run_op(changed, op, floats), strict=True))
    else:
        values[t] = rounded(graph.tensors[t], floats[t])
        dirty = {t}
    for later in graph.ops:
        if dirty.intersection(later.inputs) and not dirty.intersection(later.outputs):
            values.update(zip(later.outputs, run_op(net, later, values), strict=True))
            dirty.update(later.outputs)
    return answer_db(floats[graph.outputs[0]], values[graph.outputs[0]])


def channel_reach(values: np.ndarray) -> np.ndarray:
    """The largest absolute value of each entry of the last dimension, float64[C]."""
    reach: np.ndarray = np.abs(values.reshape(-1, values.shape[-1])).max(0).astype(np.float64)
    return reach


def errors_by_tensor(m: Measured) -> dict[int, LayerError]:
    """The layers by tensor index."""
    return {e.tensor: e for e in m.layers}
