"""Small nets whose counts are kept in counts.json: one kernel or one pattern each, random weights, values kept alive.

Called by `tools/counts --check`. A change here changes the baseline: run --update.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from flatmodel import FlatModel, conv_options

RELU, RELU6 = 1, 3


class Net:
    """Grows a FlatModel; `at` is the running activation. Outputs are scaled to their own spread."""

    def __init__(self, side: int, channels: int) -> None:
        self.rng = np.random.default_rng(5)
        self.model = FlatModel()
        self.at = self.model.act((1, side, side, channels), 0.05, -3)

    def shape(self, t: int | None = None) -> tuple[int, ...]:
        return self.model.tensors[self.at if t is None else t].shape

    def go(
        self, kind: str, inputs: tuple[int, ...], shape: tuple[int, ...], like: int, **options: object
    ) -> int:
        """An operator whose output has the quantisation of tensor `like`, or with like < 0 that of a ReLU."""
        t = self.model.tensors[like]
        quant = (0.04, -128) if like < 0 else (float(t.scale[0]), int(t.zero_point[0]))
        self.at = self.model.act(shape, *quant)
        self.model.op(kind, inputs, (self.at,), **options)
        return self.at

    def filters(self, shape: tuple[int, ...], axis: int, x: int) -> tuple[int, int]:
        """Weights that neither shrink nor blow up what tensor `x` holds, and a bias."""
        n, taps = shape[axis], int(np.prod(shape)) // shape[axis]
        scale = self.rng.uniform(0.7, 1.3, n) / (taps**0.5 * 73)
        weights = self.model.const(
            self.rng.integers(-127, 128, shape).astype(np.int8), scale.tolist(), axis=axis
        )
        scale = (scale.astype(np.float32) * self.model.tensors[x].scale).tolist()
        return weights, self.model.const(self.rng.integers(-900, 900, n).astype(np.int32), scale)

    def conv(
        self, out: int, k: int = 1, stride: int = 1, activation: int = RELU6, padding: str = "SAME"
    ) -> int:
        _, h, w, c = self.shape()
        gone = k - 1 if padding == "VALID" else 0
        shape = (1, -(-(h - gone) // stride), -(-(w - gone) // stride), out)
        inputs = (self.at, *self.filters((out, k, k, c), 0, self.at))
        like = -1 if activation else 0
        return self.go("CONV_2D", inputs, shape, like, **conv_options(stride, padding, activation))

    def depthwise(self, stride: int = 1, activation: int = RELU6, k: int = 3) -> int:
        _, h, w, c = self.shape()
        inputs = (self.at, *self.filters((1, k, k, c), 3, self.at))
        shape = (1, -(-h // stride), -(-w // stride), c)
        options = conv_options(stride, "SAME", activation)
        return self.go(
            "DEPTHWISE_CONV_2D", inputs, shape, -1 if activation else 0, DepthMultiplier=1, **options
        )

    def mean(self) -> int:
        axes = self.model.const(np.array([1, 2], np.int32))
        return self.go("MEAN", (self.at, axes), (1, 1, 1, self.shape()[3]), self.at, KeepDims=True)

    def gate(self, reduced: int) -> int:
        """Squeeze and excitation."""
        x, c = self.at, self.shape()[3]
        self.mean()
        self.conv(reduced, activation=RELU)
        gate = self.conv(c, activation=RELU6)
        return self.go("MUL", (x, gate), self.shape(x), x)

    def add(self, other: int) -> int:
        return self.go("ADD", (self.at, other), self.shape(), other)

    def hard_swish(self) -> int:
        return self.go("HARD_SWISH", (self.at,), self.shape(), 0)

    def pad(self, top: int, bottom: int) -> int:
        _, h, w, c = self.shape()
        amounts = self.model.const(np.array([[0, 0], [top, bottom], [top, bottom], [0, 0]], np.int32))
        return self.go("PAD", (self.at, amounts), (1, h + top + bottom, w + top + bottom, c), self.at)

    def head(self, n: int = 2) -> bytes:
        """Mean, fully connected layer, file."""
        self.mean()
        weights, bias = self.filters((n, self.shape()[3]), 0, self.at)
        self.go("FULLY_CONNECTED", (self.at, weights, bias), (1, n), 0)
        return self.model.bytes()


def pointwise() -> bytes:
    """24 → 112 → 24, with and without ReLU6."""
    net = Net(32, 24)
    net.conv(112)
    net.conv(24, activation=0)
    return net.head()


def odd_pointwise() -> bytes:
    """Channel counts and pixels that no tile divides."""
    net = Net(19, 7)
    net.conv(33)
    net.conv(13, activation=0)
    return net.head()


def depthwise() -> bytes:
    """112 channels, stride 1, 2 and linear."""
    net = Net(32, 112)
    net.depthwise()
    net.depthwise(stride=2)
    net.depthwise(activation=0)
    return net.head()


def stem() -> bytes:
    """First convolution of a picture behind an asymmetric PAD."""
    net = Net(64, 3)
    net.pad(0, 1)
    net.conv(16, k=3, stride=2, padding="VALID")
    return net.head()


def residual_block() -> bytes:
    """PhiNet's block: expand, depthwise, squeeze and excitation, project, add."""
    net = Net(24, 24)
    x = net.conv(24, activation=0)
    net.conv(120)
    net.depthwise()
    net.gate(20)
    net.conv(24, activation=0)
    net.add(x)
    return net.head()


def hard_swish_block() -> bytes:
    """The thesis' PhiNet: hard-swish behind linear convolutions, PAD before a depthwise one."""
    net = Net(24, 16)
    net.conv(64, activation=0)
    net.hard_swish()
    net.depthwise(stride=2, activation=0)
    net.hard_swish()
    net.gate(8)
    net.conv(24, activation=0)
    return net.head()


NETS: dict[str, Callable[[], bytes]] = {
    f.__name__: f for f in (pointwise, odd_pointwise, depthwise, stem, residual_block, hard_swish_block)
}
