"""What is compared: single layers with quantisations that keep values alive, and whole nets. Called by tools/versus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from flatmodel import FlatModel, conv_options

from dftiny import graph as graphs
from dftiny import int8
from dftiny.graph import Graph

SIX = 6 / 255  # scale of a ReLU6's output over all of int8
# As TensorFlow 2.19 writes them; foreign importers look at these.
VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4}


@dataclass(frozen=True, eq=False)
class Case:
    """One thing to compare: the .tflite file, what is in it, inputs int8[n, …] and the right outputs."""

    name: str
    kind: str  # layer or net
    model: bytes
    graph: Graph
    x: np.ndarray
    expected: np.ndarray

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return graphs.total_macs(self.graph)


def case(name: str, kind: str, model: bytes, x: np.ndarray) -> Case:
    """A case with the oracle's answers. Raises DftError when dftiny cannot read the model."""
    graph = graphs.load(model, name=name)
    return Case(name, kind, model, graph, x, int8.run(graph, x).reshape(len(x), -1))


@dataclass(frozen=True)
class Layer:
    """A single operator: kind, input [h, w, c], outputs, window, stride, and whether a ReLU6 is fused into it."""

    kind: str
    shape: tuple[int, int, int]
    outputs: int
    kernel: int = 1
    stride: int = 1
    relu6: bool = True

    @property
    def name(self) -> str:
        """As it stands in the table."""
        h, w, c = self.shape
        if self.kind == "FULLY_CONNECTED":
            return f"fully connected {c}->{self.outputs}"
        what = {
            "CONV_2D": f"conv {self.kernel}x{self.kernel}",
            "DEPTHWISE_CONV_2D": f"depthwise {self.kernel}x{self.kernel}",
        }
        label = "pointwise" if self.kind == "CONV_2D" and self.kernel == 1 else what[self.kind]
        channels = f"{c}" if self.kind == "DEPTHWISE_CONV_2D" else f"{c}->{self.outputs}"
        return f"{label} {channels} s{self.stride} {h}x{w}{'' if self.relu6 else ' linear'}"

    def case(self, seed: int = 1) -> Case:
        """Random weights and inputs. Raises ValueError when the outputs are flat: then nothing would be compared."""
        rng = np.random.default_rng(seed)
        model = self._model(rng)
        h, w, c = self.shape
        shape = (2, c) if self.kind == "FULLY_CONNECTED" else (2, h, w, c)
        made = case(self.name, "layer", model, rng.integers(-128, 128, shape).astype(np.int8))
        if len(np.unique(made.expected)) < min(20, made.expected.size // 2):
            raise ValueError(f"{self.name}: outputs are flat")
        return made

    def _model(self, rng: np.random.Generator) -> bytes:
        h, w, c = self.shape
        m = FlatModel(versions=VERSIONS)
        flat = self.kind == "FULLY_CONNECTED"
        x = m.act((1, c) if flat else (1, h, w, c), SIX, -128)
        taps = self.kernel**2 * (1 if self.kind == "DEPTHWISE_CONV_2D" else c)
        shape, axis = self._weights()
        # Inputs are uniform over 0..6: a spread of about 2 behind the sum, a little different a channel.
        scales = (rng.uniform(0.7, 1.3, shape[axis]) / (73.0 * np.sqrt(taps) * 1.73)).astype(np.float32)
        weights = m.const(rng.integers(-127, 128, shape).astype(np.int8), scales.tolist(), axis=axis)
        bias = m.const(
            (rng.uniform(-1, 4, shape[axis]) / (scales * SIX)).astype(np.int32),
            (scales * np.float32(SIX)).tolist(),
        )
        sizes = (-(-h // self.stride), -(-w // self.stride))
        zero, scale = (-128, SIX) if self.relu6 else (-7, 0.06)
        y = m.act((1, self.outputs) if flat else (1, *sizes, self.outputs), scale, zero)
        act = 3 if self.relu6 else 0
        options = {"FusedActivationFunction": act} if flat else conv_options(self.stride, "SAME", act)
        if self.kind == "DEPTHWISE_CONV_2D":
            options["DepthMultiplier"] = 1
        m.op(self.kind, (x, weights, bias), (y,), **options)
        return m.bytes()

    def _weights(self) -> tuple[tuple[int, ...], int]:
        c, k = self.shape[2], self.kernel
        return {
            "CONV_2D": ((self.outputs, k, k, c), 0),
            "DEPTHWISE_CONV_2D": ((1, k, k, c), 3),
            "FULLY_CONNECTED": ((self.outputs, c), 0),
        }[self.kind]


def pointwise() -> list[Layer]:
    """1x1 convolutions over depths and numbers of pixels: expansions (ReLU6) and projections (linear)."""
    pairs = ((8, 16), (16, 96), (24, 112), (32, 64), (64, 64), (128, 128))
    found = [Layer("CONV_2D", (s, s, i), o) for i, o in pairs for s in ((32, 16, 6) if i < 64 else (16, 6))]
    found += [Layer("CONV_2D", (32, 32, 112), 24, relu6=False), Layer("CONV_2D", (6, 6, 256), 256)]
    return [*found, Layer("CONV_2D", (1, 1, 112), 16)]


def windowed() -> list[Layer]:
    """Convolutions and depthwise convolutions with a window, and fully connected layers."""
    return [
        Layer("CONV_2D", (96, 96, 3), 16, 3, 2),
        Layer("CONV_2D", (96, 96, 3), 8, 3, 2),
        Layer("CONV_2D", (32, 32, 16), 16, 3),
        Layer("CONV_2D", (16, 16, 32), 32, 3),
        Layer("CONV_2D", (8, 8, 64), 64, 3),
        Layer("CONV_2D", (16, 16, 32), 64, 3, 2),
        *(
            Layer("DEPTHWISE_CONV_2D", s, s[2], 3, k)
            for s in ((32, 32, 112), (16, 16, 64), (6, 6, 256))
            for k in (1, 2)
        ),
        Layer("DEPTHWISE_CONV_2D", (16, 16, 64), 64, 5),
        Layer("DEPTHWISE_CONV_2D", (16, 16, 64), 64, 7),
        Layer("FULLY_CONNECTED", (1, 1, 208), 512),
        Layer("FULLY_CONNECTED", (1, 1, 64), 12, relu6=False),
    ]


def layers() -> list[Layer]:
    """All single layers."""
    return [*pointwise(), *windowed()]


def net(path: Path, n: int = 2) -> Case:
    """A .tflite file with smooth random pictures as inputs."""
    graph = graphs.load(path)  # says in one sentence what is wrong with the file
    model = path.read_bytes()
    rng = np.random.default_rng(4)
    shape = (n, *graph.input.shape[1:])
    walk = rng.normal(0, 1, shape)
    for axis in range(1, min(3, len(shape))):
        walk = np.cumsum(walk, axis)
    low, high = walk.min(), walk.max()
    x = np.clip(np.round((walk - low) / (high - low) * 255) - 128 + rng.integers(-4, 5, shape), -128, 127)
    return case(path.stem, "net", model, x.astype(np.int8))


def nets(names: Sequence[str], fetch: Callable[[str], bytes], folder: Path) -> list[Case]:
    """Cases of the nets of tests/python/nets_int8.py."""
    found = []
    for name in names:
        path = folder / f"{name}.tflite"
        path.write_bytes(fetch(name))
        found.append(net(path))
    return found
