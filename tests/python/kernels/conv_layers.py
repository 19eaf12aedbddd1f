"""Convolutions for tests of row kernels: random ones, and layers of real size. For tests only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from random_graphs import Builder
from row_harness import Case, Harness

from dftiny import int8
from dftiny.graph import ConvOptions, Graph, PadOptions, macs
from dftiny.kernels.rows import Choice
from dftiny.plan.lanes import LaneMaker
from dftiny.steps import Step, steps


@dataclass(frozen=True, eq=False)
class Layer:
    """One step of a graph and how it is to be computed; `x` is an input int8[1, …] for it."""

    graph: Graph
    step: Step
    choice: Choice
    flat: bool
    x: np.ndarray

    def case(self) -> Case:
        """The lane with its operand."""
        only = replace(steps(self.graph), steps=(self.step,))
        lane = LaneMaker(only).lane(0, self.choice, flat=self.flat)
        seen = lane.operands[0].shape
        return Case(lane, (self.x.reshape(seen.rows, seen.row_bytes),))

    def expected(self, case: Case) -> np.ndarray:
        """What the oracle says, then the table: int8[rows, bytes]."""
        y = int8.run_all(self.graph, self.x)[self.step.op.outputs[0]]
        y = y.reshape(case.lane.shape.rows, case.lane.shape.row_bytes)
        return y if self.step.table is None else self.step.table[y.astype(np.int16) + 128]

    def instructions(self, harness: Harness) -> int:
        """Of the Cortex-M7, after both twins were found equal to the oracle."""
        case = self.case()
        want = self.expected(case)
        (host,) = harness.host(case)
        np.testing.assert_array_equal(host, want)
        got, instructions = harness.arm(case)
        np.testing.assert_array_equal(got, want)
        return instructions


def random_layer(seed: int) -> Layer:
    """A convolution or matrix product, everything random; never groups of one channel."""
    rng = np.random.default_rng(seed)
    pick = lambda *v: v[int(rng.integers(len(v)))]  # noqa: E731
    groups = pick(1, 1, 1, 2, 3)
    depth = groups * pick(2, 3, 4, 5, 8) if groups > 1 else pick(1, 3, 4, 8, 6, 16, 19, 40)
    kind = pick("pointwise", "window", "window", "padded", "flat", "product")
    b = Builder(seed, (1, pick(1, 2, 5, 8), pick(1, 2, 3, 4, 7, 9, 13), depth))
    if pick(True, False):  # the most usual: negative outputs are cut off by saturation
        b.zp, b._retune = lambda: -128, lambda _out: False  # type: ignore[method-assign]
    kernel = (1, 1) if kind in ("pointwise", "flat") else (pick(1, 2, 3, 5), pick(1, 3, 4))
    if kind == "product":
        b.reshape((b.shape[1] * b.shape[2], depth))
        b.fully_connected(pick(1, 2, 9, 16))
        b.reshape((1, 1, *b.shape))
    else:
        if kind == "flat":
            b.windowed = lambda _kernel: (1, 1, 1, 1, "SAME", *b.shape[1:3])  # type: ignore[method-assign]
        if kind == "padded":
            _spatial_pad(b)
        b.conv(kernel, groups * pick(1, 2, 3, 7), groups)
    graph = b.graph()
    if len(steps(graph).steps) > 1:  # a PAD that is not folded, because the layer has padding of its own
        return random_layer(seed + 1000)
    step = steps(graph).steps[0]
    if pick(True, False):
        step = replace(step, table=rng.permutation(np.arange(-128, 128)).astype(np.int8))
    choice = Choice(pick(0, 1, 2), pick(0, 4, 8, 9), pick(False, True))
    return Layer(graph, step, choice, kind == "flat", _input(graph, seed))


def _input(graph: Graph, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, graph.input.shape).astype(np.int8)


def _spatial_pad(b: Builder) -> None:
    before, after = ((0, *(int(v) for v in b.rng.integers(0, 3, 2)), 0) for _ in range(2))
    amounts = b.tensor((4, 2), None, 0, np.array([before, after], np.int32).T.copy())
    shape = [p + s + q for p, s, q in zip(before, b.shape, after, strict=True)]
    b.op("PAD", (b.x, amounts), b.like(shape), PadOptions(before, after))


@dataclass(frozen=True)
class RealSize:
    """`height` × `width` × `depth` → `outputs` channels, SAME padding; scales of channels spread as a converter's;
    biases up to `bias`."""

    height: int
    width: int
    depth: int
    outputs: int
    kernel: int = 1
    stride: int = 1
    linear: bool = False
    table: bool = False
    flat: bool = False
    choice: Choice = field(default_factory=Choice)
    bias: int = 3000

    def __str__(self) -> str:
        how = [f"{self.height}x{self.width}", f"{self.depth}->{self.outputs}"]
        how += [f"{self.kernel}x{self.kernel} /{self.stride}"] * (self.kernel > 1)
        how += ["linear" if self.linear else "relu", *["table"] * self.table, *["flat"] * self.flat]
        return " ".join([*how, *["wide"] * self.choice.wide])

    def layer(self) -> Layer:
        """With random weights."""
        rng = np.random.default_rng(1)
        b = Builder(1, (1, self.height, self.width, self.depth), live=False)
        w = rng.normal(0, 40, (self.outputs, self.kernel, self.kernel, self.depth)).round().clip(-127, 127)
        scales = (0.01 * 2 ** rng.normal(0, 0.5, self.outputs)).astype(np.float32)
        bias = rng.integers(-self.bias, self.bias, self.outputs).astype(np.int32)
        inputs = (
            b.x,
            b.tensor(w.shape, scales, 0, w.astype(np.int8), 0),
            b.tensor(bias.shape, None, 0, bias),
        )
        size = (-(-self.height // self.stride), -(-self.width // self.stride))
        sums = 40 * 70 * np.sqrt(self.kernel**2 * self.depth) + self.bias
        spread = sums * 0.01 * b.scale
        out = b.tensor((1, *size, self.outputs), spread / 50, 3 if self.linear else -128)
        activation = "NONE" if self.linear else "RELU"
        b.op("CONV_2D", inputs, out, ConvOptions(self.stride, self.stride, 1, 1, "SAME", activation, 1))
        graph = b.graph()
        step = steps(graph).steps[0]
        if self.table:
            step = replace(step, table=rng.permutation(np.arange(-128, 128)).astype(np.int8))
        return Layer(graph, step, self.choice, self.flat, _input(graph, 2))


def cost(harness: Harness, size: RealSize) -> float:
    """Instructions a product on the Cortex-M7, all events."""
    layer = size.layer()
    return layer.instructions(harness) / macs(layer.graph, layer.step.op)
