"""Small nets of random layers to which the cost model is fitted: realistic sizes, every kernel, every branch of them.

None of them is a net of tools/nets. Called by tools/cost fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import random_graphs
import random_moves
from random_graphs import Builder

from dftiny.graph import (
    AddOptions,
    ConvOptions,
    DepthwiseOptions,
    FullyConnectedOptions,
    Graph,
    MulOptions,
    Padding,
    PoolOptions,
    ShiftBranch,
    ShiftMaxOptions,
    ShiftTerm,
    window_out,
)
from dftiny.plan import Wishes


class Layers(Builder):
    """A chain of layers that never grows out of hand."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng([7, seed])
        side = (int(self.any(4, 7, 9, 12, 16, 21, 24)), int(self.any(1, 2, 3, 5, 6, 10, 14, 17, 20, 28)))
        super().__init__(seed, (1, *side, int(self.any(2, 3, 4, 7, 8, 12, 16, 24, 30))), live=False)

    def any(self, *values: object) -> object:
        """One of them."""
        return values[int(self.random.integers(len(values)))]

    def number(self, low: int, high: int) -> int:
        """low … high."""
        return int(self.random.integers(low, high + 1))

    def filters(self, shape: tuple[int, ...], axis: int) -> tuple[int, int]:
        """Weights and bias of a product; scales of channels spread as a converter's, so that shifts differ."""
        n, taps = shape[axis], int(np.prod(shape)) // shape[axis]
        spread = self.any(0.0, 0.3, 0.5)
        scales = (0.01 * 2 ** self.random.normal(0, spread, n)).astype(np.float32)
        w = self.random.normal(0, 40, shape).round().clip(-127, 127).astype(np.int8)
        reach = int(40 * 70 * taps**0.5)
        bias = self.random.integers(-reach, reach + 1, n).astype(np.int32)
        return self.tensor(shape, scales, 0, w, axis), self.tensor((n,), None, 0, bias)

    def output(self, shape: tuple[int, ...], taps: int) -> tuple[int, str]:
        """The output of a product and its activation: what a ReLU leaves, ReLU6 with its table, or anything."""
        scale = 0.01 * self.scale * 60 * 70 * taps**0.5 / 50
        kind = self.any("RELU", "RELU6", "NONE")
        zero = -128 if kind != "NONE" else self.number(-20, 20)
        return self.tensor(shape, scale, zero), str(kind)

    def layer(
        self, kernel: tuple[int, int], out: int, stride: int = 1, groups: int = 1, dilation: int = 1
    ) -> None:
        """A convolution."""
        _, h, w, c = self.shape
        padding: Padding = "SAME" if self.number(0, 2) or kernel[0] > h or kernel[1] > w else "VALID"
        extent = [(k - 1) * dilation + 1 for k in kernel]
        if extent[0] > h or extent[1] > w:
            padding = "SAME"
        taps = kernel[0] * kernel[1] * c // groups
        filters = self.filters((out, *kernel, c // groups), 0)
        size = (1, window_out(h, extent[0], stride, padding), window_out(w, extent[1], stride, padding), out)
        y, activation = self.output(size, taps)
        options = ConvOptions(stride, stride, dilation, dilation, padding, activation, groups)  # type: ignore[arg-type]
        self.op("CONV_2D", (self.x, *filters), y, options)

    def channelwise(
        self, kernel: tuple[int, int], stride: int = 1, multiplier: int = 1, dilation: int = 1
    ) -> None:
        """A depthwise convolution."""
        _, h, w, c = self.shape
        extent = [(k - 1) * dilation + 1 for k in kernel]
        padding: Padding = "SAME" if self.number(0, 2) or extent[0] > h or extent[1] > w else "VALID"
        filters = self.filters((1, *kernel, c * multiplier), 3)
        size = (window_out(h, extent[0], stride, padding), window_out(w, extent[1], stride, padding))
        y, activation = self.output((1, *size, c * multiplier), kernel[0] * kernel[1])
        options = DepthwiseOptions(stride, stride, dilation, dilation, padding, activation, multiplier)  # type: ignore[arg-type]
        self.op("DEPTHWISE_CONV_2D", (self.x, *filters), y, options)

    def dense(self, units: int) -> None:
        """A fully connected layer on the last dimension."""
        depth = self.shape[-1]
        n = self.tensors[self.x].elements // depth
        filters = self.filters((units, depth), 0)
        y, activation = self.output((n, units), depth)
        self.op("FULLY_CONNECTED", (self.x, *filters), y, FullyConnectedOptions(activation, False))  # type: ignore[arg-type]

    def two(self, kind: str, other: int) -> None:
        """An elementwise operator of the running map and `other`."""
        a, b = self.tensors[self.x], self.tensors[other]
        shape = tuple(np.broadcast_shapes(a.shape, b.shape))
        zero, activation = (-128, "RELU") if self.number(0, 3) == 0 else (self.number(-20, 20), "NONE")
        if kind in ("MAXIMUM", "MINIMUM"):
            self.op(kind, (self.x, other), self.like(shape))
        elif kind == "MUL":
            y = self.tensor(
                shape, 90 * 90 * a.scale * b.scale / 60 * 2 ** float(self.random.uniform(-1, 3)), zero
            )
            self.op(kind, (self.x, other), y, MulOptions(activation))  # type: ignore[arg-type]
        else:
            y = self.tensor(shape, max(a.scale, b.scale) * 2 * float(self.random.uniform(0.8, 1.2)), zero)
            self.op(kind, (self.x, other), y, AddOptions(activation))  # type: ignore[arg-type]

    def pooled(self, kind: str) -> None:
        """A pool; every fourth takes the whole map."""
        _, h, w, c = self.shape
        size = (min(self.number(1, 5), h), min(self.number(1, 4), w)) if self.number(0, 3) else (h, w)
        stride, padding = self.number(1, 3), str(self.any("SAME", "VALID"))
        y = self.like(
            (1, window_out(h, size[0], stride, padding), window_out(w, size[1], stride, padding), c)
        )  # type: ignore[arg-type]
        self.op(kind, (self.x,), y, PoolOptions(*size, stride, stride, padding, "NONE"))  # type: ignore[arg-type]


def _pointwise(b: Layers) -> None:
    b.layer((1, 1), b.number(1, 14) * int(b.any(1, 4, 8)), int(b.any(1, 1, 1, 1, 2)))


def _window(b: Layers) -> None:
    kernel = b.any((3, 3), (3, 3), (5, 5), (3, 1), (1, 3), (2, 2), (1, 5), (4, 4))
    b.layer(kernel, b.number(1, 4) * int(b.any(1, 4, 8)), int(b.any(1, 1, 2)), 1, int(b.any(1, 1, 1, 2)))  # type: ignore[arg-type]


def _column(b: Layers) -> None:
    """A window of some rows over a map of one column."""
    _, h, w, c = b.shape
    if w > 1:
        b.op("MAX_POOL_2D", (b.x,), b.like((1, h, 1, c)), PoolOptions(1, w, 1, 1, "VALID", "NONE"))
    dilation, taps = int(b.any(1, 2, 4)), int(b.any(2, 3, 3, 5))
    b.layer((taps, 1), b.number(1, 8) * int(b.any(1, 4)), 1, 1, dilation)


def _grouped(b: Layers) -> None:
    groups = b.number(2, 3)
    b.layer((1, 1), groups * b.number(2, 8))
    b.layer(b.any((1, 1), (1, 1), (3, 3)), groups * b.number(1, 8), 1, groups)  # type: ignore[arg-type]


def _depthwise(b: Layers) -> None:
    b.channelwise((3, 3), int(b.any(1, 1, 2)), int(b.any(1, 1, 1, 1, 2, 3)))


def _inverted(b: Layers) -> None:
    """As MobileNets and PhiNets have them; where memory is short the plan has planes between the first two."""
    b.layer((1, 1), b.shape[3] * b.number(4, 7) if b.shape[3] < 16 else b.number(30, 60))
    if b.number(0, 1):
        b.table("HARD_SWISH")
    b.channelwise((3, 3), int(b.any(1, 1, 2)) if b.shape[2] > 6 else 1)
    b.layer((1, 1), b.number(4, 12))


def _tall_pool(b: Layers) -> None:
    """A window too tall for the row kernel."""
    _, h, w, c = b.shape
    if h > 16:
        y = b.like((1, 1, w, c))
        kind = str(b.any("MAX_POOL_2D", "AVERAGE_POOL_2D"))
        b.op(kind, (b.x,), y, PoolOptions(h, 1, 1, 1, "VALID", "NONE"))
    else:
        b.layer((1, 1), b.number(2, 20))


def _taps(b: Layers) -> None:
    kernel = b.any((5, 5), (3, 1), (1, 3), (5, 1), (1, 5), (7, 7), (2, 2), (1, 1), (4, 4))
    b.channelwise(kernel, int(b.any(1, 1, 2)), int(b.any(1, 1, 2, 4)), 1)  # type: ignore[arg-type]


def _wide(b: Layers) -> None:
    b.channelwise(b.any((5, 5), (7, 7), (3, 5), (2, 7)), int(b.any(1, 1, 2)))  # type: ignore[arg-type]
    b.layer((1, 1), b.number(1, 6) * int(b.any(1, 4)))


def _dilated(b: Layers) -> None:
    b.channelwise(b.any((3, 3), (2, 2), (5, 3)), 1, int(b.any(1, 2, 3)), 2)  # type: ignore[arg-type]


def _gate(b: Layers) -> None:
    before, channels = b.x, b.shape[3]
    b.mean((1, 2), keep=True)
    b.layer((1, 1), b.number(1, 20))
    b.layer((1, 1), channels)
    gate, b.x = b.x, before
    b.two("MUL", gate)


def _residual(b: Layers) -> None:
    before = b.x
    b.layer((1, 1), b.shape[3])
    if b.shape == b.tensors[before].shape:
        b.two(str(b.any("ADD", "ADD", "SUB", "MUL", "MAXIMUM")), before)


def _constant(b: Layers) -> None:
    h, w, c = b.shape[1:]
    shape = b.any(b.shape, (1, 1, 1, c), (c,), (1, h, 1, 1), (1, 1, w, c))
    b.two(str(b.any("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM")), b.operand(shape))  # type: ignore[arg-type]


def _function(b: Layers) -> None:
    b.table(str(b.any("LOGISTIC", "HARD_SWISH", "RELU", "QUANTIZE")))


def _pool(b: Layers) -> None:
    b.pooled(str(b.any("MAX_POOL_2D", "AVERAGE_POOL_2D")))


def _means(b: Layers) -> None:
    b.mean(b.any((1,), (2,), (3,), (2, 3)), keep=True)  # type: ignore[arg-type]


def _dense(b: Layers) -> None:
    b.dense(b.number(1, 40))
    b.reshape((1, 1, *b.shape))


def _pad(b: Layers) -> None:
    b.pad()


def _gather(b: Layers) -> None:
    axis = b.number(1, 3)
    b.gather(axis, b.number(1, 2 * b.shape[axis]))


def _concat(b: Layers) -> None:
    before = b.x
    b.layer((1, 1), b.number(1, 30))
    if b.shape[1:3] == b.tensors[before].shape[1:3]:
        b.concat(3, [before])
    else:
        b.concat(int(b.any(1, 2)), [b.x])


def _shuffle(b: Layers) -> None:
    h, w, c = b.shape[1:]
    if c % 2:
        b.transpose((0, 2, 1, 3))
        return
    b.reshape((1, h, w, 2, c // 2))
    b.transpose((0, 1, 2, 4, 3))
    b.reshape((1, h, w, c))


def _softmax(b: Layers) -> None:
    b.softmax()


def _lines(b: Layers) -> None:
    kernel = b.any((3, 1), (1, 3), (5, 1), (1, 5))
    b.channelwise(kernel, int(b.any(1, 1, 2)), int(b.any(1, 1, 2, 4)))  # type: ignore[arg-type]


def _moved(b: Layers) -> None:
    kind = random_moves.KINDS[b.number(0, len(random_moves.KINDS) - 1)]
    random_moves.grow(b, kind)
    if b.shape[3] < 4:
        b.layer((1, 1), b.number(4, 24))


def _shift_max(b: Layers) -> None:
    """One or two branches with the scales of a converted MicroNet, mostly: others have no lines."""
    h, w, c = b.shape[1:]
    count, out = b.number(1, 2), c if b.number(0, 5) else b.number(1, 40)
    b.op("QUANTIZE", (b.x,), b.tensor(b.shape, 0.0007134, -9))
    x = b.x
    b.mean((1, 2), keep=True)
    mean, vectors, branches = b.x, [], []
    for kind in ("SUB", "ADD")[:count]:
        terms = []
        for scale, zero, product in ((0.004097, -128, 0.0007372), (0.0003091, -18, 1.387e-05)):
            b.x = mean
            b.layer((1, 1), out)
            b.op("QUANTIZE", (b.x,), b.tensor(b.shape, scale, zero))
            vectors.append(b.x)
            indices = tuple(int(i) for i in b.random.integers(0, c, out))
            terms.append(ShiftTerm(indices, float(np.float32(product)), b.number(-20, 20), "NONE"))
        branches.append(ShiftBranch(kind, (terms[0], terms[1]), float(np.float32(0.0007193)), -10, "NONE"))  # type: ignore[arg-type]
    y = b.tensor((1, h, w, out), branches[0].scale, -10)
    b.op("SHIFT_MAX", (x, *vectors), y, ShiftMaxOptions(tuple(branches)))


Kind = Callable[[Layers], None]
EVERYTHING: tuple[Kind, ...] = (
    *(_pointwise,) * 6, *(_window,) * 4, _grouped, _grouped, *(_depthwise,) * 5, *(_taps,) * 3, _dilated, *(_gate,) * 3,
    *(_residual,) * 3, *(_constant,) * 2, _function, *(_pool,) * 2, _means, _dense, _dense, _pad, _gather, _concat, _shuffle, _softmax,
)  # fmt: skip
FAMILIES: tuple[tuple[Kind, ...], ...] = (
    EVERYTHING,
    (_depthwise, _depthwise, _pointwise),
    (_inverted,),
    EVERYTHING,
    (_lines, _taps, _wide, _wide, _pointwise),
    EVERYTHING,
    (_pool, _tall_pool, _gather, _concat, _pad, _pointwise),
    EVERYTHING,
    (_shift_max, _pointwise),
    (_window, _window, _grouped, _dilated, _column),
    (_residual, _constant, _function, _gate, _dense),
    (_moved, _moved, _moved, _shuffle, _means, _pointwise),
)
MOST_ELEMENTS, MOST_CHANNELS = 12_000, 120


PLANES = FAMILIES.index((_inverted,))  # planned as if planes cost nothing


def family(number: int, count: int, layers: int) -> Iterator[tuple[Graph, Wishes]]:
    """`count` nets of about `layers` layers of one family, and how to plan each."""
    wishes = (Wishes(), Wishes(slack=0.0), Wishes(slack=0.0, recompute=False), Wishes(slack=0.4))
    kinds = FAMILIES[number]
    for turn in range(count):
        b = Layers(turn * len(FAMILIES) + number)
        while len(b.ops) < layers:
            _, h, w, c = b.shape
            if h * w * c > MOST_ELEMENTS or c > MOST_CHANNELS:
                b.layer((1, 1), b.number(3, 24))
            if h * w <= 2 or len(b.shape) != 4 or b.shape[0] != 1:
                break
            kinds[b.number(0, len(kinds) - 1)](b)
        yield b.graph(), Wishes(slack=4.0) if number == PLANES else wishes[(turn + number) % len(wishes)]


def strays(count: int) -> Iterator[tuple[Graph, Wishes]]:
    """Whatever else there is, on tiny maps."""
    for seed in range(count):
        kinds = [random_graphs.KINDS[(8 * seed + i) % len(random_graphs.KINDS)] for i in range(8)]
        yield random_graphs.random_graph(10_000 + seed, kinds, live=False), Wishes()
