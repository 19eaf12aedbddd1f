"""Random int8 nets of the blocks that the row engine streams: expand, table, depthwise, table, gate, project, add.

Maps of up to 30 px, explicit PADs of every kind, windows of 1 to 7, strides, groups, pools, shuffles and concats
between the blocks. Called by the engine campaign. For tests only.
"""

from __future__ import annotations

import numpy as np
from random_graphs import ACTIVATIONS, Builder

from dftiny.graph import ConvOptions, DepthwiseOptions, Graph, PadOptions, window_out

TABLES = ("HARD_SWISH", "LOGISTIC", "RELU", "QUANTIZE", "RELU6")
MAX_ELEMENTS = 14_000  # of a map; keeps a graph under a second


class BlockNet:
    """Grows a net from blocks; `b` holds tensors, operators and dice."""

    def __init__(self, seed: int, blocks: int) -> None:
        dice = np.random.default_rng(seed)
        side = [int(dice.choice([1, 2, 3, 5, 8, 9, 13, 16, 21, 30])) for _ in range(2)]
        self.b = Builder(seed, (1, *side, int(dice.choice([1, 2, 3, 3, 4, 8]))))
        self.tensor_of_block: list[int] = []
        self.stem()
        for _ in range(blocks):
            self.b.pick(self.block, self.block, self.block, self.pool, self.shuffle, self.join, self.small)()
            self.tensor_of_block.append(self.b.x)
        self.head()

    @property
    def map_size(self) -> tuple[int, int]:
        return self.b.shape[1], self.b.shape[2]

    @property
    def channels(self) -> int:
        return self.b.shape[3]

    def width(self, *values: int) -> int:
        """One of `values`, less where the map would grow too large."""
        h, w = self.map_size
        return max(1, min(self.b.pick(*values), MAX_ELEMENTS // max(1, h * w)))

    def window(self, kernel: int) -> tuple[int, str]:
        """Stride and padding; a VALID window may get a PAD of its own in front, on any of the four sides."""
        stride = self.b.pick(1, 1, 1, 2)
        if self.b.pick(True, False):
            return stride, "SAME"
        if self.b.pick(True, True, False) or min(self.map_size) < kernel:
            self.pad(kernel)
        return stride, "VALID"

    def pad(self, kernel: int) -> None:
        """Up to kernel // 2 on each side, and at least what the window needs."""
        b, sizes = self.b, self.map_size
        before = [int(v) for v in b.rng.integers(0, kernel // 2 + 1, 2)]
        after = [
            max(int(b.rng.integers(0, kernel // 2 + 1)), kernel - s - n)
            for s, n in zip(sizes, before, strict=True)
        ]
        amounts = b.tensor((4, 2), None, 0, np.array([[0, *before, 0], [0, *after, 0]], np.int32).T.copy())
        shape = [x + y + z for x, y, z in zip((0, *before, 0), b.shape, (0, *after, 0), strict=True)]
        b.op("PAD", (b.x, amounts), b.like(shape), PadOptions((0, *before, 0), (0, *after, 0)))

    def sizes(self, kernel: int, stride: int, padding: str) -> list[int]:
        return [window_out(s, kernel, stride, padding) for s in self.map_size]  # type: ignore[arg-type]

    def conv(self, outputs: int, kernel: int = 1, groups: int = 1, act: str | None = None) -> None:
        b = self.b
        stride, padding = self.window(kernel) if kernel > 1 else (1, "SAME")
        each = self.channels // groups
        w, scales = b.weights((outputs, kernel, kernel, each), outputs, 0)
        products = kernel * kernel * each
        inputs = (b.x, w, b.bias(outputs, products))
        out = b.product_out((1, *self.sizes(kernel, stride, padding), outputs), scales, products)
        options = ConvOptions(stride, stride, 1, 1, padding, act or b.pick(*ACTIVATIONS), groups)  # type: ignore[arg-type]
        b.op("CONV_2D", inputs, out, options, tune=True)

    def depthwise(self, kernel: int) -> None:
        b, c = self.b, self.channels
        stride, padding = self.window(kernel)
        w, scales = b.weights((1, kernel, kernel, c), c, 3)
        inputs = (b.x, w, b.bias(c, kernel * kernel))
        out = b.product_out((1, *self.sizes(kernel, stride, padding), c), scales, kernel * kernel)
        options = DepthwiseOptions(stride, stride, 1, 1, padding, b.pick(*ACTIVATIONS), 1)  # type: ignore[arg-type]
        b.op("DEPTHWISE_CONV_2D", inputs, out, options, tune=True)

    def table(self) -> None:
        """Often a pointwise function, which the engine fuses into the operator before it."""
        if self.b.pick(True, True, False):
            self.b.table(self.b.pick(*TABLES))

    def stem(self) -> None:
        self.b.pick(
            lambda: self.conv(self.width(8, 11, 16), 3),
            lambda: self.depthwise(3),
            lambda: self.conv(self.width(4, 6), self.b.pick(1, 2, 4)),
        )()
        self.table()

    def gate(self) -> None:
        """Squeeze and excitation, with a sigmoid or a clamp."""
        b, whole, c = self.b, self.b.x, self.channels
        b.mean((1, 2), keep=True)
        self.conv(b.pick(1, 2, 4, 8))
        self.table()
        self.conv(c)
        if b.pick(True, False):
            b.table("LOGISTIC")
        excited, b.x = b.x, whole
        b.pair("MUL", excited)

    def block(self) -> None:
        """PhiNet's block with every part but the projection left to chance."""
        b, before = self.b, self.b.x
        if b.pick(True, True, False):
            self.conv(self.width(8, 12, 24, 33, 40))
            self.table()
        self.depthwise(b.pick(1, 3, 3, 3, 5, 7))
        self.table()
        if b.pick(True, False):
            self.gate()
        same = b.tensors[before].shape
        self.conv(same[3] if b.pick(True, False) else self.width(5, 8, 16, 19), act="NONE")
        if b.shape == same:
            b.pair(b.pick("ADD", "ADD", "SUB"), before)
        if b.pick(True, False, False):
            self.table()

    def pool(self) -> None:
        self.b.pool(self.b.pick("MAX_POOL_2D", "AVERAGE_POOL_2D"))

    def shuffle(self) -> None:
        """A grouped convolution and ShuffleNet's shuffle."""
        groups = next((g for g in (4, 3, 2) if self.channels % g == 0), 1)
        self.conv(groups * self.b.pick(1, 2, 5), self.b.pick(1, 1, 3), groups)
        h, w = self.map_size
        c = self.channels
        self.b.reshape((1, h, w, groups, c // groups))
        self.b.transpose((0, 1, 2, 4, 3))
        self.b.reshape((1, h, w, c))

    def join(self) -> None:
        """Concatenation with itself or a gather of channels."""
        if 2 * self.channels <= 40 and self.b.pick(True, False):
            self.b.concat(3, [self.b.x])
        else:
            self.b.gather(3, self.b.pick(1, 4, 9))

    def small(self) -> None:
        """An extremum or a sum with a constant a channel."""
        kind = self.b.pick("MAXIMUM", "MINIMUM", "ADD", "MUL")
        self.b.pair(kind, self.b.operand((1, 1, 1, self.channels)))

    def head(self) -> None:
        b = self.b
        if b.pick(True, False):
            b.mean((1, 2), keep=False)
            b.fully_connected(b.pick(3, 10))
            if b.pick(True, False, False):
                b.softmax()


def lively(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """int8[5, …] inputs that a net can tell apart: noise, two ramps with less noise, both ends of the range."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(-128, 128, (5, *shape)).astype(float)
    ramp = np.linspace(-120, 110, int(np.prod(shape))).reshape(shape)
    noise[1] = noise[1] / 8 + ramp
    noise[2] = noise[2] / 3 - ramp / 2
    noise[3], noise[4] = -128, 127
    return np.clip(np.round(noise), -128, 127).astype(np.int8)


def block_graph(seed: int, blocks: int = 3) -> Graph:
    """A random net of `blocks` blocks."""
    return BlockNet(seed, blocks).b.graph()
