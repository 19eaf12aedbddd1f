"""A small float net and its int8 twin, written without any converter: convolution, depthwise, pointwise, sum, mean,
two fully connected layers. `damage` scales one channel and its readers the other way, which float does not notice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from flatmodel import FlatModel, conv_options

from dftiny import graph
from dftiny.diagnose.floats import FloatNet
from dftiny.diagnose.ranges import observe
from dftiny.diagnose.requantise import requantised
from dftiny.diagnose.twin import float_twin
from dftiny.graph import Graph

RELU = 1
WIDE = 12  # channels of the pointwise layer and of what follows
POINTWISE = 2  # its operator


@dataclass(frozen=True, eq=False)
class Twins:
    """`model` int8 with min-max scales of `tiles` (uint8 [n, 12, 12, 3]), `floats` the float file of the same net."""

    model: bytes
    floats: bytes
    graph: Graph
    net: FloatNet
    tiles: np.ndarray


def weights(seed: int) -> dict[str, np.ndarray]:
    """Float weights and biases by layer."""
    rng = np.random.default_rng(seed)

    def made(*shape: int) -> np.ndarray:
        return rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)

    w = {"a": made(8, 3, 3, 3) / 128, "c": made(WIDE, 1, 1, 8), "d": made(WIDE, 1, 1, WIDE)}
    w |= {"b": rng.normal(0, 0.5, (1, 3, 3, 8)).astype(np.float32), "e": made(6, WIDE), "f": made(1, 6)}
    sizes = {"a": 8, "b": 8, "c": WIDE, "d": WIDE, "e": 6, "f": 1}
    return w | {f"{k}_bias": rng.normal(0, 0.2, n).astype(np.float32) for k, n in sizes.items()}


def damaged(w: dict[str, np.ndarray], channel: int, factor: float) -> dict[str, np.ndarray]:
    """Channel `channel` of the pointwise layer `factor` times as large, its one reader a factor-th."""
    w = {k: v.copy() for k, v in w.items()}
    w["c"][channel] *= factor
    w["c_bias"][channel] *= factor
    w["d"][..., channel] /= factor
    return w


def _file(w: dict[str, np.ndarray], quantised: bool) -> bytes:
    m = FlatModel()

    def act(*shape: int) -> int:
        if quantised:
            first = not m.tensors
            return m.act(shape, 1.0 if first else 0.1, -128 if first else 0)
        return m.act(shape, None, dtype="float32")

    def layer(name: str, axis: int) -> tuple[int, int]:
        v, b = w[name], w[f"{name}_bias"]
        if not quantised:
            return m.const(v), m.const(b)
        x = 1.0 if name == "a" else 0.1
        scale = np.abs(np.moveaxis(v, axis, 0).reshape(v.shape[axis], -1)).max(1) / 127
        scale = np.maximum(scale, np.abs(b) / (x * (1 << 30))) + 1e-12
        wide = [1] * v.ndim
        wide[axis] = -1
        q = np.rint(v / scale.reshape(wide)).astype(np.int8)
        # The bias's scale is that of the placeholder input; requantise writes all of them anew.
        return m.const(q, scale, axis=axis), m.const(np.rint(b / (x * scale)).astype(np.int32), x * scale)

    x, a, b, c = act(1, 12, 12, 3), act(1, 6, 6, 8), act(1, 6, 6, 8), act(1, 6, 6, WIDE)
    m.op("CONV_2D", (x, *layer("a", 0)), (a,), **conv_options(2, "SAME", RELU))
    m.op("DEPTHWISE_CONV_2D", (a, *layer("b", 3)), (b,), DepthMultiplier=1, **conv_options(1, "SAME", RELU))
    m.op("CONV_2D", (b, *layer("c", 0)), (c,), **conv_options(1, "SAME", RELU))
    d, s = act(1, 6, 6, WIDE), act(1, 6, 6, WIDE)
    m.op("CONV_2D", (c, *layer("d", 0)), (d,), **conv_options(1, "SAME", 0))
    m.op("ADD", (d, d), (s,), FusedActivationFunction=0)
    p, e, f = act(1, WIDE), act(1, 6), act(1, 1)
    m.op("MEAN", (s, m.const(np.array([1, 2], np.int32))), (p,), KeepDims=False)
    m.op("FULLY_CONNECTED", (p, *layer("e", 0)), (e,), FusedActivationFunction=RELU)
    m.op("FULLY_CONNECTED", (e, *layer("f", 0)), (f,), FusedActivationFunction=0)
    return m.bytes()


def pictures(n: int = 24, seed: int = 3) -> np.ndarray:
    """Smooth random tiles, uint8 [n, 12, 12, 3]."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 256, (n, 4, 4, 3)).astype(np.float64)
    return np.clip(np.repeat(np.repeat(low, 3, 1), 3, 2) + rng.normal(0, 9, (n, 12, 12, 3)), 0, 255).astype(
        np.uint8
    )


def twins(w: dict[str, np.ndarray]) -> Twins:
    """Both files of the net with weights `w`."""
    draft, floats, tiles = _file(w, True), _file(w, False), pictures()
    net = float_twin(graph.load(draft), floats)
    model = requantised(draft, net, observe(net, tiles), "minmax")
    g = graph.load(model, name="the twin")
    return Twins(model, floats, g, float_twin(g, floats), tiles)
