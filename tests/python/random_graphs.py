"""Random small int8 graphs of every operator, with quantisations that keep values alive. For tests only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import random_moves

from dftiny import int8
from dftiny.graph import (
    AddOptions,
    ConcatenationOptions,
    ConvOptions,
    DepthwiseOptions,
    FullyConnectedOptions,
    GatherOptions,
    Graph,
    LeakyReluOptions,
    MeanOptions,
    MulOptions,
    Op,
    Options,
    PadOptions,
    PoolOptions,
    Quant,
    SoftmaxOptions,
    SubOptions,
    Tensor,
    TransposeOptions,
    window_out,
)

ACTIVATIONS = ("NONE", "RELU", "RELU6")


class Builder:
    """Appends tensors and operators; `x` is the running activation (tensor index)."""

    def __init__(self, seed: int, shape: Sequence[int], *, live: bool = True) -> None:
        self.rng = np.random.default_rng(seed)
        self.live = live  # run everything once, to find quantisations that keep values alive
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.x = self.tensor(shape, 0.05, int(self.rng.integers(-128, 128)))
        self.input = self.x
        self.values = {self.x: self.rng.integers(-128, 128, (2, *shape)).astype(np.int8)}

    def tensor(
        self,
        shape: Sequence[int],
        scale: float | np.ndarray | None,
        zero_point: int = 0,
        data: np.ndarray | None = None,
        axis: int = 0,
    ) -> int:
        index = len(self.tensors)
        quant = None
        if scale is not None:
            s = np.atleast_1d(np.asarray(scale, np.float32))
            quant = Quant(s, np.full(len(s), zero_point, np.int64), axis)
        dtype = np.dtype(np.int8) if data is None else data.dtype
        self.tensors.append(Tensor(index, f"t{index}", tuple(int(d) for d in shape), dtype, quant, data))
        return index

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        out: int,
        options: Options | None = None,
        *,
        tune: bool = False,
    ) -> int:
        """Append an operator; with `tune` its output gets a quantisation that uses the range of int8."""
        op = Op(len(self.ops), kind, tuple(inputs), (out,), options)
        self.ops.append(op)
        for _ in range(8 if self.live else 0):
            self.values[out] = self._calibrated(op)
            if not tune or not self._retune(out):
                break
        self.x = out
        return out

    def _calibrated(self, op: Op) -> np.ndarray:
        return int8._run_op(Graph("", tuple(self.tensors), (op,), (0,), op.outputs), op, self.values)

    def _retune(self, out: int) -> bool:
        """Widen a saturated tensor, narrow a flat one; False when it is good."""
        y, t = self.values[out], self.tensors[out]
        high, low = float((y == 127).mean()), float((y == -128).mean())
        spread = float(np.percentile(y, 95) - np.percentile(y, 5))
        if high + low <= 0.4 and spread >= 40:
            return False
        factor = 1.6 if high + low > 0.4 else 0.6
        shift = -35 * (high > 0.4) + 35 * (low > 0.4)
        zero = int(np.clip(t.zero_point + shift + self.rng.integers(-5, 6), -128, 127))
        quant = Quant(np.array([max(t.scale * factor, 1e-3)], np.float32), np.array([zero], np.int64), 0)
        self.tensors[out] = replace(t, quant=quant)
        return True

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensors[self.x].shape

    @property
    def scale(self) -> float:
        return self.tensors[self.x].scale

    def pick(self, *values):
        return values[int(self.rng.integers(len(values)))]

    def zp(self) -> int:
        return int(self.rng.integers(-128, 128))

    def jitter(self) -> float:
        return float(2.0 ** self.rng.uniform(-2, 2))

    def like(self, shape: Sequence[int]) -> int:
        """An activation with the quantisation of `x`."""
        t = self.tensors[self.x]
        return self.tensor(shape, t.scale, t.zero_point)

    def weights(self, shape: Sequence[int], channels: int, axis: int) -> tuple[int, np.ndarray]:
        w = self.rng.integers(-127, 128, shape).astype(np.int8)
        products = w.size / channels
        near = 40 / (70 * 60 * np.sqrt(products))  # outputs keep about the scale of their inputs
        scales = near * self.rng.uniform(0.2, 2, channels if self.pick(True, False) else 1).astype(np.float32)
        return self.tensor(shape, scales, 0, w, axis), np.broadcast_to(scales, (channels,))

    def bias(self, channels: int, products: int) -> int:
        if self.pick(True, True, True, False):
            reach = int(70 * 60 * np.sqrt(products)) + 1
            return self.tensor(
                (channels,), None, 0, self.rng.integers(-reach, reach, channels).astype(np.int32)
            )
        return -1

    def product_out(self, shape: Sequence[int], scales: np.ndarray, products: int) -> int:
        spread = 70 * 60 * np.sqrt(products) * float(scales.mean()) * self.scale
        return self.tensor(shape, spread / 40 * self.jitter(), self.zp())

    def windowed(self, kernel: tuple[int, int]) -> tuple[int, int, int, int, str, int, int]:
        """Stride, dilation, padding and output size that suit the running activation."""
        _, h, w, _ = self.shape
        sh, sw = self.pick(1, 1, 2, 3), self.pick(1, 1, 2)
        dh, dw = self.pick(1, 1, 1, 2), self.pick(1, 1, 1, 2)
        eh, ew = (kernel[0] - 1) * dh + 1, (kernel[1] - 1) * dw + 1
        padding = self.pick("SAME", "VALID") if eh <= h and ew <= w else "SAME"
        return sh, sw, dh, dw, padding, window_out(h, eh, sh, padding), window_out(w, ew, sw, padding)

    def conv(self, kernel: tuple[int, int], out_c: int, groups: int = 1) -> None:
        c = self.shape[3]
        sh, sw, dh, dw, padding, oh, ow = self.windowed(kernel)
        w, scales = self.weights((out_c, *kernel, c // groups), out_c, 0)
        n = kernel[0] * kernel[1] * c // groups
        inputs = (self.x, w, self.bias(out_c, n))
        out = self.product_out((1, oh, ow, out_c), scales, n)
        self.op(
            "CONV_2D",
            inputs,
            out,
            ConvOptions(sh, sw, dh, dw, padding, self.pick(*ACTIVATIONS), groups),
            tune=True,
        )

    def depthwise(self, kernel: tuple[int, int], multiplier: int) -> None:
        c = self.shape[3] * multiplier
        sh, sw, dh, dw, padding, oh, ow = self.windowed(kernel)
        w, scales = self.weights((1, *kernel, c), c, 3)
        n = kernel[0] * kernel[1]
        inputs = (self.x, w, self.bias(c, n))
        out = self.product_out((1, oh, ow, c), scales, n)
        options = DepthwiseOptions(sh, sw, dh, dw, padding, self.pick(*ACTIVATIONS), multiplier)
        self.op("DEPTHWISE_CONV_2D", inputs, out, options, tune=True)

    def fully_connected(self, units: int) -> None:
        x = self.tensors[self.x]
        depth = x.shape[-1]
        w, scales = self.weights((units, depth), units, 0)
        inputs = (self.x, w, self.bias(units, depth))
        out = self.product_out((x.elements // depth, units), scales, depth)
        self.op(
            "FULLY_CONNECTED", inputs, out, FullyConnectedOptions(self.pick(*ACTIVATIONS), False), tune=True
        )

    def pad(self) -> None:
        before, after = ((0, *(int(v) for v in self.rng.integers(0, 3, 2)), 0) for _ in range(2))
        if self.pick(True, False, False):
            after = (*after[:3], int(self.rng.integers(0, 3)))
        amounts = self.tensor((4, 2), None, 0, np.array([before, after], np.int32).T.copy())
        shape = [a + b + c for a, b, c in zip(before, self.shape, after, strict=True)]
        self.op("PAD", (self.x, amounts), self.like(shape), PadOptions(before, after))

    def pair(self, kind: str, other: int) -> None:
        """An elementwise operator of the running activation and `other`, in either order."""
        a, b = self.tensors[self.x], self.tensors[other]
        shape = np.broadcast_shapes(a.shape, b.shape)
        inputs = (self.x, other) if self.pick(True, False) else (other, self.x)
        if kind in ("MAXIMUM", "MINIMUM"):
            out = self.like(shape)
            options: Options | None = None
        elif kind == "MUL":
            out = self.tensor(shape, 90 * 90 * a.scale * b.scale / 60 * self.jitter(), self.zp())
            options = MulOptions(self.pick(*ACTIVATIONS))
        else:
            out = self.tensor(shape, max(a.scale, b.scale) * self.jitter() * 2, self.zp())
            options = (AddOptions if kind == "ADD" else SubOptions)(self.pick(*ACTIVATIONS))
        self.op(kind, inputs, out, options, tune=kind not in ("MAXIMUM", "MINIMUM"))

    def operand(self, shape: Sequence[int]) -> int:
        """A constant operand with the quantisation of `x`, so that MAXIMUM takes it as well."""
        t = self.tensors[self.x]
        data = self.rng.integers(-128, 128, shape).astype(np.int8)
        return self.tensor(shape, t.scale, t.zero_point, data)

    def pool(self, kind: str) -> None:
        _, h, w, c = self.shape
        fh, fw = min(self.pick(1, 2, 3), h), min(self.pick(1, 2, 4), w)
        sh, sw = self.pick(1, 2), self.pick(1, 2, 3)
        padding = self.pick("SAME", "VALID")
        out = self.like((1, window_out(h, fh, sh, padding), window_out(w, fw, sw, padding), c))
        self.op(kind, (self.x,), out, PoolOptions(fh, fw, sh, sw, padding, self.pick(*ACTIVATIONS)))

    def mean(self, axes: tuple[int, ...], keep: bool) -> None:
        shape = [1 if i in axes else d for i, d in enumerate(self.shape) if keep or i not in axes]
        given = self.tensor((len(axes),), None, 0, np.array(axes, np.int32))
        out = self.tensor(shape, self.scale * self.jitter() / 2, self.zp())
        self.op("MEAN", (self.x, given), out, MeanOptions(axes, keep), tune=True)

    def table(self, kind: str) -> None:
        x = self.tensors[self.x]
        if kind in ("LOGISTIC", "TANH"):
            out = self.tensor(x.shape, *{"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}[kind])
        elif kind == "RELU6":
            out = self.like(x.shape)
        else:
            out = self.tensor(x.shape, x.scale * self.jitter(), self.zp())
        options = LeakyReluOptions(float(np.float32(0.1))) if kind == "LEAKY_RELU" else None
        self.op(kind, (self.x,), out, options, tune=kind not in ("LOGISTIC", "RELU6", "TANH"))

    def softmax(self) -> None:
        self.op("SOFTMAX", (self.x,), self.tensor(self.shape, 1 / 256, -128), SoftmaxOptions(1.0))

    def reshape(self, shape: Sequence[int]) -> None:
        target = self.tensor((len(shape),), None, 0, np.array(shape, np.int32))
        self.op("RESHAPE", (self.x, target), self.like(shape))

    def transpose(self, perm: Sequence[int]) -> None:
        given = self.tensor((len(perm),), None, 0, np.array(perm, np.int32))
        out = self.like([self.shape[p] for p in perm])
        self.op("TRANSPOSE", (self.x, given), out, TransposeOptions(tuple(perm)))

    def gather(self, axis: int, count: int) -> None:
        shape = list(self.shape)
        indices = self.rng.integers(0, shape[axis], count).astype(np.int32)
        shape[axis] = count
        given = self.tensor((count,), None, 0, indices)
        self.op("GATHER", (self.x, given), self.like(shape), GatherOptions(axis))

    def concat(self, axis: int, others: Sequence[int]) -> None:
        parts = [self.x, *others]
        shape = list(self.shape)
        shape[axis] = sum(self.tensors[t].shape[axis] for t in parts)
        self.op("CONCATENATION", parts, self.like(shape), ConcatenationOptions(axis))

    def graph(self) -> Graph:
        return Graph("random", tuple(self.tensors), tuple(self.ops), (self.input,), (self.x,))


def grow(b: Builder, kind: str) -> None:
    """Append one operator (or a few) of `kind` to a four-dimensional running activation."""
    _, h, w, c = b.shape
    if c > 24 or h * w * c > 1500:
        b.conv((1, 1), 5)
        c = 5
    kernel = (b.pick(1, 2, 3, 3, 5), b.pick(1, 3, 3, 4))
    before = b.x
    if kind == "CONV_2D":
        b.conv(b.pick(kernel, (1, 1)), b.pick(1, 3, 4, 8))
    elif kind == "GROUPED":
        b.conv((1, 1), 6)
        b.conv(kernel, b.pick(3, 6, 9), groups=3)
    elif kind == "DEPTHWISE_CONV_2D":
        b.depthwise(b.pick(kernel, (3, 3)), b.pick(1, 1, 2, 3))
    elif kind == "FULLY_CONNECTED":
        b.fully_connected(b.pick(1, 2, 5, 8))
        b.reshape((1, b.shape[0], 1, b.shape[1]))
    elif kind == "PAD":
        b.pad()
    elif kind == "PAD+CONV":
        b.pad()
        b.pick(lambda: b.conv(kernel, 4), lambda: b.depthwise((3, 3), 1))()
    elif kind == "SE":
        b.mean((1, 2), keep=True)
        b.table("LOGISTIC")
        gate, b.x = b.x, before
        b.pair("MUL", gate)
    elif kind in ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"):
        b.pair(kind, b.operand(b.pick(b.shape, (1, 1, 1, c), (c,), (1,), (1, h, 1, 1), (1, 1, w, c))))
    elif kind == "RESIDUAL":
        b.depthwise((1, 1), 1)
        if b.shape == b.tensors[before].shape:
            b.pair(b.pick("ADD", "SUB", "MUL"), before)
    elif kind == "MEAN":
        b.mean(b.pick((1,), (2,), (3,), (1, 2), (2, 3), (1, 2, 3)), keep=True)
    elif kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        b.pool(kind)
    elif kind == "SOFTMAX":
        b.softmax()
    elif kind == "TRANSPOSE":
        b.transpose((0, *(int(p) + 1 for p in b.rng.permutation(3))))
    elif kind == "SHUFFLE" and c % 2 == 0:
        b.reshape((1, h, w, 2, c // 2))
        b.transpose((0, 1, 2, 4, 3))
        b.reshape((1, h, w, c))
    elif kind == "GATHER":
        b.gather(b.pick(1, 2, 3), b.pick(1, 3, 6))
    elif kind == "CONCATENATION":
        b.concat(b.pick(1, 2, 3), [b.x] * b.pick(1, 2))
    elif kind in ("RELU", "RELU6", "HARD_SWISH", "LOGISTIC", "QUANTIZE", "TANH", "LEAKY_RELU"):
        b.table(kind)
    elif kind in random_moves.KINDS:
        random_moves.grow(b, kind)


KINDS = (
    "CONV_2D", "GROUPED", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "PAD", "PAD+CONV", "SE", "ADD", "SUB", "MUL",
    "MAXIMUM", "MINIMUM", "RESIDUAL", "MEAN", "MAX_POOL_2D", "AVERAGE_POOL_2D", "SOFTMAX", "TRANSPOSE", "SHUFFLE",
    "GATHER", "CONCATENATION", "RELU", "RELU6", "HARD_SWISH", "LOGISTIC", "QUANTIZE", "TANH", "LEAKY_RELU",
    *random_moves.KINDS,
)  # fmt: skip


def random_graph(seed: int, kinds: Sequence[str], *, live: bool = True) -> Graph:
    """A chain of `kinds` on a random small input."""
    rng = np.random.default_rng(seed)
    shape = (1, int(rng.integers(1, 12)), int(rng.integers(1, 12)), int(rng.integers(1, 9)))
    b = Builder(seed, shape, live=live)
    for kind in kinds:
        grow(b, kind)
    return b.graph()


def with_large_biases(graph: Graph, rng: np.random.Generator) -> Graph:
    """`graph` with one product like those behind units that never answer: biases up to 2^30 and right shifts of 20 and more,
    so that most of its channels are constant. The graph itself where it has no product with a bias."""
    kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    found = [op for op in graph.ops if op.kind in kinds and len(op.inputs) > 2 and op.inputs[2] >= 0]
    if not found:
        return graph
    op = found[int(rng.integers(len(found)))]
    x, w, b, y = (graph.tensors[t] for t in (*op.inputs, op.outputs[0]))
    assert w.quant is not None
    assert b.data is not None
    n = b.data.size
    sizes = np.where(rng.random(n) < 0.6, 1 << 30, rng.integers(1 << 26, 1 << 29, n))
    biases = sizes * rng.choice([1, 1, 1, -1], n)
    # The largest bias gives about so many steps of the output.
    near = y.scale * rng.uniform(60, 300) / (1 << 30) / x.scale
    scales = np.full(len(w.quant.scale), near) * rng.uniform(0.7, 1.4, len(w.quant.scale))
    tensors = list(graph.tensors)
    tensors[op.inputs[1]] = replace(w, quant=replace(w.quant, scale=scales.astype(np.float32)))
    tensors[op.inputs[2]] = replace(b, quant=None, data=biases.astype(np.int32).reshape(b.data.shape))
    return replace(graph, tensors=tuple(tensors))


def phinet_like(seed: int = 0, tile: int = 128, *, live: bool = False) -> Graph:
    """The operators and sizes of phinet_demo at `tile`, with random weights."""
    b = Builder(seed, (1, tile, tile, 3), live=live)
    fixed = {"pick": lambda *v: v[0]}
    b.pick = fixed["pick"]  # type: ignore[method-assign]

    def window(stride: int, padding: str):
        def windowed(kernel: tuple[int, int]):
            _, h, w, _ = b.shape
            size = (window_out(h, kernel[0], stride, padding), window_out(w, kernel[1], stride, padding))
            return stride, stride, 1, 1, padding, *size

        b.windowed = windowed  # type: ignore[method-assign]

    window(1, "SAME")
    b.depthwise((3, 3), 2)
    window(8, "VALID")
    b.conv((8, 8), 16)
    for stride, expanded, outputs in ((1, 64, 16), (2, 64, 32), (1, 120, 32), (2, 112, 64)):
        before = b.x
        window(1, "SAME")
        b.conv((1, 1), expanded)
        window(stride, "SAME")
        b.depthwise((3, 3), 1)
        inner = b.x
        b.mean((1, 2), keep=True)
        window(1, "SAME")
        b.conv((1, 1), expanded // 6 // 8 * 8)
        b.conv((1, 1), expanded)
        gate, b.x = b.x, inner
        b.pair("MUL", gate)
        b.conv((1, 1), outputs)
        if b.shape == b.tensors[before].shape:
            b.pair("ADD", before)
    b.mean((1, 2), keep=False)
    b.fully_connected(32)
    b.fully_connected(1)
    return b.graph()
