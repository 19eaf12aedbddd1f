"""Random int8 nets that mix the everyday operators of randomnets.py with those that cut, mirror, resize and reduce."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from randomnets import MAX_CHANNELS, RandomNet


class WideNet(RandomNet):
    """As RandomNet, with one of the further operators behind every second step. The input is a square map."""

    def __init__(self, seed: int, steps: int = 6, side: int = 8) -> None:
        super().__init__(seed, 0, side)
        self.model.ops = self.model.ops[:1]  # only the first convolution; the head comes at the end
        self.at = self.model.ops[0].outputs[0]
        del self.earlier[2:]
        few: list[Callable[[], None]] = [self.conv, self.depthwise, self.gate, self.residual, self.join]
        further: list[Callable[[], None]] = [
            self.tanh, self.leaky_relu, self.prelu, self.squeeze_sum, self.squeeze_max, self.padv2, self.mirror,
            self.slice, self.strided_slice, self.reverse, self.split, self.split_v, self.unpack_pack,
            self.space_to_depth, self.depth_to_space, self.resize,
        ]  # fmt: skip
        for _ in range(steps):
            few[self.rng.integers(len(few))]()
            further[self.rng.integers(len(further))]()
        self.head()

    def same(self, shape: tuple[int, ...]) -> int:
        """A new tensor with the quantisation of the running one."""
        return self.new(shape, *self.quant())

    def tanh(self) -> None:
        self.go("TANH", (self.at,), self.new(self.shape(), 1 / 128, 0))

    def leaky_relu(self) -> None:
        self.go("LEAKY_RELU", (self.at,), self.new(self.shape()), Alpha=float(self.rng.uniform(0, 1)))

    def prelu(self) -> None:
        slopes = self.rng.integers(-128, 128, (1, 1, self.shape()[3])).astype(np.int8)
        self.go("PRELU", (self.at, self.model.const(slopes, 0.01, 3)), self.new(self.shape()))

    def squeeze_sum(self) -> None:
        _, h, w, c = self.shape()
        whole = self.at
        self.go(
            "SUM",
            (whole, self.axes(1, 2)),
            self.new((1, 1, 1, c), self.quant()[0] * h * w / 3),
            KeepDims=True,
        )
        self.go("ADD", (whole, self.at), self.new((1, h, w, c)))

    def squeeze_max(self) -> None:
        _, h, w, c = self.shape()
        whole, kind = self.at, str(self.rng.choice(["REDUCE_MAX", "REDUCE_MIN"]))
        self.go(kind, (whole, self.axes(1, 2)), self.same((1, 1, 1, c)), KeepDims=True)
        self.go("SUB", (whole, self.at), self.new((1, h, w, c)))

    def padv2(self) -> None:
        _, h, w, c = self.shape()
        pads = self.model.const(np.array([[0, 0], [1, 0], [0, 2], [0, 0]], np.int32))
        value = self.model.const(np.array([int(self.rng.integers(-128, 128))], np.int8), *self.quant())
        self.go("PADV2", (self.at, pads, value), self.same((1, h + 1, w + 2, c)))

    def mirror(self) -> None:
        _, h, w, c = self.shape()
        pads = self.model.const(np.array([[0, 0], [1, 1], [1, 0], [0, 0]], np.int32))
        self.go("MIRROR_PAD", (self.at, pads), self.same((1, h + 2, w + 1, c)), Mode=1)

    def slice(self) -> None:
        _, h, w, c = self.shape()
        sizes = (1, -(-h * 3 // 4), w, c)
        self.go("SLICE", (self.at, self.axes(0, h - sizes[1], 0, 0), self.axes(*sizes)), self.same(sizes))

    def strided_slice(self) -> None:
        _, h, w, c = self.shape()
        numbers = (self.axes(0, 0, 0, 0), self.axes(1, h, w, c), self.axes(1, 1, 2, 1))
        self.go("STRIDED_SLICE", (self.at, *numbers), self.same((1, h, -(-w // 2), c)))

    def reverse(self) -> None:
        axis = int(self.rng.integers(1, 4))
        self.go("REVERSE_V2", (self.at, self.axes(axis)), self.same(self.shape()))

    def split(self) -> None:
        _, h, w, c = self.shape()
        if c % 2 == 0:
            parts = [self.same((1, h, w, c // 2)) for _ in range(2)]
            self.model.op("SPLIT", (self.axes(3), self.at), parts, NumSplits=2)
            self.go("CONCATENATION", (parts[1], parts[0]), self.same((1, h, w, c)), Axis=3)

    def split_v(self) -> None:
        _, h, w, c = self.shape()
        if c > 2:
            sizes = (1, c - 2, 1)
            parts = [self.same((1, h, w, n)) for n in sizes]
            self.model.op("SPLIT_V", (self.at, self.axes(*sizes), self.axes(3)), parts, NumSplits=3)
            self.go("CONCATENATION", (*parts[:0:-1], parts[0]), self.same((1, h, w, c)), Axis=3)

    def unpack_pack(self) -> None:
        _, h, w, c = self.shape()
        if h <= 8:
            rows = [self.same((1, w, c)) for _ in range(h)]
            self.model.op("UNPACK", (self.at,), rows, Num=h, Axis=1)
            self.go("PACK", tuple(rows[::-1]), self.same((1, h, w, c)), Axis=1, ValuesCount=h)

    def space_to_depth(self) -> None:
        _, h, w, c = self.shape()
        if h % 2 == w % 2 == 0 and 4 * c <= 2 * MAX_CHANNELS:
            self.go("SPACE_TO_DEPTH", (self.at,), self.same((1, h // 2, w // 2, 4 * c)), BlockSize=2)

    def depth_to_space(self) -> None:
        _, h, w, c = self.shape()
        if c % 4 == 0:
            self.go("DEPTH_TO_SPACE", (self.at,), self.same((1, 2 * h, 2 * w, c // 4)), BlockSize=2)

    def resize(self) -> None:
        _, h, w, c = self.shape()
        size = (min(h + 3, 20), min(2 * w, 20))
        self.go(
            "RESIZE_NEAREST_NEIGHBOR",
            (self.at, self.axes(*size)),
            self.same((1, *size, c)),
            HalfPixelCenters=True,
        )
