"""Random int8 nets over every operator dftiny knows, for tests that compare two engines by ==."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from flatmodel import FlatModel, conv_options

MAX_CHANNELS = 24


class RandomNet:
    """Grows a net step by step: `model` is a FlatModel whose input is int8 pixels [1, side, side, 3]."""

    def __init__(self, seed: int, steps: int = 12, side: int = 12) -> None:
        self.rng = np.random.default_rng(seed)
        self.model = FlatModel()
        self.at = self.model.act((1, side, side, 3), 1.0, -128)
        self.earlier = [self.at]
        choices: list[Callable[[], None]] = [
            self.conv, self.conv, self.depthwise, self.gate, self.residual, self.hard_swish, self.relu, self.pool,
            self.pad, self.shuffle, self.gather, self.join, self.shift_max, self.rescale,
        ]  # fmt: skip
        self.conv()
        for _ in range(steps):
            choices[self.rng.integers(len(choices))]()
        self.head()

    def shape(self, t: int | None = None) -> tuple[int, ...]:
        return self.model.tensors[self.at if t is None else t].shape

    def quant(self) -> tuple[float, int]:
        t = self.model.tensors[self.at]
        return float(t.scale[0]), int(t.zero_point[0])

    def new(self, shape: tuple[int, ...], scale: float | None = None, zero: int | None = None) -> int:
        """A new tensor at a plausible quantisation."""
        scale = float(np.float32(10 ** self.rng.uniform(-2, 0))) if scale is None else scale
        return self.model.act(
            shape, scale, int(self.rng.choice([-128, -128, -7, 20])) if zero is None else zero
        )

    def go(self, kind: str, inputs: tuple[int, ...], out: int, **options: object) -> None:
        self.model.op(kind, inputs, (out,), **options)
        self.at = out
        self.earlier.append(out)

    def weights(self, *shape: int, axis: int = 0) -> int:
        taps = int(np.prod(shape)) // shape[axis]
        scale = (10 ** self.rng.uniform(-0.5, 0.5, shape[axis]) / (taps**0.5 * 128)).tolist()
        return self.model.const(self.rng.integers(-127, 128, shape).astype(np.int8), scale, axis=axis)

    def bias(self, w: int) -> int:
        scale = (self.model.tensors[self.at].scale * self.model.tensors[w].scale).tolist()
        return self.model.const(self.rng.integers(-2000, 2000, len(scale)).astype(np.int32), scale)

    def convolution(self, kernel: int, stride: int, out: int) -> None:
        """One of that size, with padding."""
        _, h, w, c = self.shape()
        filters = self.weights(out, kernel, kernel, c)
        target = self.new((1, -(-h // stride), -(-w // stride), out), 0.05, 3)
        self.go("CONV_2D", (self.at, filters, self.bias(filters)), target, **conv_options(stride, "SAME"))

    def conv(self) -> None:
        _, h, w, c = self.shape()
        k, out = int(self.rng.choice([1, 1, 3])), int(self.rng.integers(1, MAX_CHANNELS))
        stride = int(self.rng.choice([1, 1, 2]))
        filters = self.weights(out, k, k, c)
        shape = (1, -(-h // stride), -(-w // stride), out)
        self.go("CONV_2D", (self.at, filters, self.bias(filters)), self.new(shape), **self.options(stride))

    def depthwise(self) -> None:
        _, h, w, c = self.shape()
        many = 2 if c < 6 and self.rng.integers(2) else 1
        filters = self.weights(1, 3, 3, c * many, axis=3)
        stride = int(self.rng.choice([1, 2]))
        shape = (1, -(-h // stride), -(-w // stride), c * many)
        inputs = (self.at, filters, self.bias(filters))
        self.go("DEPTHWISE_CONV_2D", inputs, self.new(shape), DepthMultiplier=many, **self.options(stride))

    def options(self, stride: int) -> dict[str, int]:
        return conv_options(stride, "SAME", int(self.rng.choice([0, 1, 3])))

    def gate(self) -> None:
        """Squeeze and excitation, with the thesis' LOGISTIC."""
        whole, (_, _, _, c) = self.at, self.shape()
        self.go("MEAN", (whole, self.axes(1, 2)), self.new((1, 1, 1, c)), KeepDims=True)
        self.conv_1x1(c)
        self.go("LOGISTIC", (self.at,), self.new((1, 1, 1, c), 1 / 256, -128))
        self.go("MUL", (whole, self.at), self.new(self.shape(whole)))

    def conv_1x1(self, out: int) -> None:
        filters = self.weights(out, 1, 1, self.shape()[3])
        self.go(
            "CONV_2D",
            (self.at, filters, self.bias(filters)),
            self.new((*self.shape()[:3], out)),
            **self.options(1),
        )

    def axes(self, *axes: int) -> int:
        return self.model.const(np.array(axes, np.int32))

    def residual(self) -> None:
        same = [t for t in self.earlier if self.shape(t) == self.shape() and t != self.at]
        other = same[self.rng.integers(len(same))] if same else self.at
        self.go(str(self.rng.choice(["ADD", "SUB"])), (self.at, other), self.new(self.shape()))

    def hard_swish(self) -> None:
        scale, _ = self.quant()
        self.go("HARD_SWISH", (self.at,), self.new(self.shape(), scale=float(np.float32(scale * 0.8))))

    def relu(self) -> None:
        if self.rng.integers(2):
            self.go("RELU", (self.at,), self.new(self.shape()))
        else:
            self.go("RELU6", (self.at,), self.new(self.shape(), *self.quant()))

    def pool(self) -> None:
        _, h, w, c = self.shape()
        options = conv_options(2, "SAME")
        options = {k: v for k, v in options.items() if not k.startswith("Dilation")}
        kind = str(self.rng.choice(["MAX_POOL_2D", "AVERAGE_POOL_2D"]))
        out = self.new((1, -(-h // 2), -(-w // 2), c), *self.quant())
        self.go(kind, (self.at,), out, FilterHeight=2, FilterWidth=3, **options)

    def pad(self) -> None:
        """A PAD and the convolution without padding behind it, as converters write SAME of odd sizes."""
        _, h, w, c = self.shape()
        pads = self.model.const(np.array([[0, 0], [0, 1], [1, 1], [0, 0]], np.int32))
        self.go("PAD", (self.at, pads), self.new((1, h + 1, w + 2, c), *self.quant()))
        k = 2 if h + 1 >= 2 else 1
        filters = self.weights(1, k, k, c, axis=3)
        out = self.new((1, h + 2 - k, w + 3 - k, c))
        # Two operands: on a bias written as absent (-1) TFLM crashes in this one kernel.
        self.go(
            "DEPTHWISE_CONV_2D", (self.at, filters), out, DepthMultiplier=1, **conv_options(1, "VALID", 1)
        )

    def shuffle(self) -> None:
        """MicroNet's channel shuffle: reshape, transpose, reshape."""
        _, h, w, c = self.shape()
        if c % 2:
            return
        q = self.quant()
        self.go("RESHAPE", (self.at, self.axes(h, w, 2, c // 2)), self.new((h, w, 2, c // 2), *q))
        self.go("TRANSPOSE", (self.at, self.axes(0, 1, 3, 2)), self.new((h, w, c // 2, 2), *q))
        self.go("RESHAPE", (self.at, self.axes(1, h, w, c)), self.new((1, h, w, c), *q))
        del self.earlier[-3:-1]

    def gather(self) -> None:
        _, h, w, c = self.shape()
        order = self.model.const(self.rng.integers(0, c, c).astype(np.int32))
        self.go("GATHER", (self.at, order), self.new((1, h, w, c), *self.quant()), Axis=3)

    def join(self) -> None:
        _, h, w, c = self.shape()
        if 2 * c <= MAX_CHANNELS:
            self.go("CONCATENATION", (self.at, self.at), self.new((1, h, w, 2 * c), *self.quant()), Axis=3)

    def shift_max(self) -> None:
        """MAXIMUM or MINIMUM with a constant a channel."""
        c = self.shape()[3]
        constant = self.model.const(self.rng.integers(-128, 128, (1, 1, 1, c)).astype(np.int8), *self.quant())
        kind = str(self.rng.choice(["MAXIMUM", "MINIMUM"]))
        self.go(kind, (self.at, constant), self.new(self.shape(), *self.quant()))

    def rescale(self) -> None:
        self.go("QUANTIZE", (self.at,), self.new(self.shape()))

    def head(self) -> None:
        _, _, _, c = self.shape()
        self.go("MEAN", (self.at, self.axes(1, 2)), self.new((1, c)), KeepDims=False)
        filters = self.weights(4, c)
        self.go("FULLY_CONNECTED", (self.at, filters, self.bias(filters)), self.new((1, 4), scale=0.05))
        if self.rng.integers(2):
            self.go("SOFTMAX", (self.at,), self.new((1, 4), 1 / 256, -128), Beta=1.0)
