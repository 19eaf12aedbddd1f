"""Small .tflite graphs for the tests of the rewrites: an image, a few operators, an answer. For tests only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from flatmodel import FlatModel, conv_options

ZERO = -7


class SmallNet:
    """Grows a FlatModel; `at` is the running activation. Scales are chosen so that values stay alive."""

    def __init__(self, shape: Sequence[int] = (1, 6, 5, 4), zero_point: int = ZERO) -> None:
        self.rng = np.random.default_rng(11)
        self.model = FlatModel()
        self.at = self.model.act(shape, 0.05, zero_point)

    def shape(self, t: int | None = None) -> tuple[int, ...]:
        return self.model.tensors[self.at if t is None else t].shape

    def quant(self, t: int | None = None) -> tuple[float, int]:
        spec = self.model.tensors[self.at if t is None else t]
        return float(spec.scale[0]), int(spec.zero_point[0])

    def go(
        self,
        kind: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        quant: tuple[float, int],
        **options: object,
    ) -> int:
        out = self.model.act(shape, *quant)
        self.model.op(kind, inputs, (out,), **options)
        self.at = out
        return out

    def ints(self, values: Sequence[int] | np.ndarray) -> int:
        return self.model.const(np.array(values, np.int32))

    def constant(self, data: np.ndarray, quant: tuple[float, int] | None = None) -> int:
        return self.model.const(data.astype(np.int8), *(self.quant() if quant is None else quant))

    def transpose(self, perm: Sequence[int]) -> int:
        shape = [self.shape()[p] for p in perm]
        return self.go("TRANSPOSE", (self.at, self.ints(perm)), shape, self.quant())

    def reshape(self, shape: Sequence[int]) -> int:
        return self.go("RESHAPE", (self.at, self.ints(shape)), shape, self.quant())

    def pad(self, before: Sequence[int], after: Sequence[int]) -> int:
        shape = [a + n + b for a, n, b in zip(before, self.shape(), after, strict=True)]
        amounts = self.ints(np.array([before, after]).T)
        return self.go("PAD", (self.at, amounts), shape, self.quant())

    def join(self, parts: Sequence[int], axis: int) -> int:
        shape = list(self.shape(parts[0]))
        shape[axis] = sum(self.shape(p)[axis] for p in parts)
        return self.go("CONCATENATION", parts, shape, self.quant(), Axis=axis)

    def gather(self, indices: Sequence[int] | np.ndarray, axis: int = 3, source: int | None = None) -> int:
        source = self.at if source is None else source
        shape = list(self.shape(source))
        shape[axis] = len(indices)
        return self.go("GATHER", (source, self.ints(indices)), shape, self.quant(source), Axis=axis)

    def halves(self) -> tuple[int, int]:
        """SPLIT along the channels."""
        shape = (*self.shape()[:3], self.shape()[3] // 2)
        parts = self.model.act(shape, *self.quant()), self.model.act(shape, *self.quant())
        self.model.op("SPLIT", (self.ints([3]), self.at), parts, NumSplits=2)
        return parts

    def cut(self, begin: Sequence[int], size: Sequence[int]) -> int:
        """SLICE."""
        return self.go("SLICE", (self.at, self.ints(begin), self.ints(size)), size, self.quant())

    def shuffled(self, n: int) -> np.ndarray:
        """A permutation of n that is not the identity."""
        return (
            np.roll(self.rng.permutation(n), 1) if n < 3 else (np.arange(n) * (2 if n % 2 else n - 1) + 1) % n
        )

    def conv(
        self,
        out: int,
        kernel: int | tuple[int, int] = 1,
        groups: int = 1,
        padding: str = "VALID",
        single: bool = False,
    ) -> int:
        """`single`: one scale for all channels."""
        _, h, w, c = self.shape()
        kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
        filters = self._weights((out, kh, kw, c // groups), 0, single)
        size = (h, w) if padding == "SAME" else (h - kh + 1, w - kw + 1)
        inputs = (self.at, filters, self._bias(filters, out))
        return self.go("CONV_2D", inputs, (1, *size, out), (0.05, 4), **conv_options(1, padding))

    def depthwise(self, multiplier: int = 1, kernel: int = 3) -> int:
        _, h, w, c = self.shape()
        filters = self._weights((1, kernel, kernel, c * multiplier), 3, False)
        shape = (1, h - kernel + 1, w - kernel + 1, c * multiplier)
        inputs = (self.at, filters, self._bias(filters, c * multiplier))
        options = conv_options(1, "VALID", 1)
        return self.go(
            "DEPTHWISE_CONV_2D", inputs, shape, (0.04, -100), DepthMultiplier=multiplier, **options
        )

    def fully_connected(self, units: int) -> int:
        depth = self.shape()[-1]
        filters = self._weights((units, depth), 0, False)
        inputs = (self.at, filters, self._bias(filters, units))
        return self.go("FULLY_CONNECTED", inputs, (1, units), (0.05, 3))

    def _weights(self, shape: Sequence[int], axis: int, single: bool) -> int:
        taps = int(np.prod(shape)) // shape[axis]
        n = 1 if single else shape[axis]
        scales = (self.rng.uniform(0.5, 2, n) / (taps**0.5 * 100)).tolist()
        return self.model.const(self.rng.integers(-127, 128, tuple(shape)).astype(np.int8), scales, axis=axis)

    def _bias(self, filters: int, out: int) -> int:
        scale = (self.model.tensors[self.at].scale * self.model.tensors[filters].scale).tolist()
        return self.model.const(self.rng.integers(-900, 900, out).astype(np.int32), scale)

    def mean(self, axes: Sequence[int], keep: bool) -> int:
        shape = [1 if d in axes else n for d, n in enumerate(self.shape()) if keep or d not in axes]
        return self.go("MEAN", (self.at, self.ints(axes)), shape, (0.02, 5), KeepDims=keep)

    def scaled(self, x: int, by: int, quant: tuple[float, int] = (0.04, 3)) -> int:
        shape = np.broadcast_shapes(self.shape(x), self.shape(by))
        return self.go("MUL", (x, by), shape, quant)

    def pair(self, kind: str, a: int, b: int, quant: tuple[float, int] = (0.06, -9)) -> int:
        shape = np.broadcast_shapes(self.shape(a), self.shape(b))
        return self.go(kind, (a, b), shape, quant)
