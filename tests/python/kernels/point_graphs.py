"""Graphs of one pointwise operator with chosen shapes and quantisations. For tests of row kernels only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dftiny.graph import Graph, Op, Options, Quant, Tensor


def quant(scale: float, zero_point: int) -> Quant:
    return Quant(np.array([scale], np.float32), np.array([zero_point], np.int64), 0)


def tensor(
    index: int, shape: Sequence[int], scale: float, zero_point: int, data: np.ndarray | None = None
) -> Tensor:
    return Tensor(index, f"t{index}", tuple(shape), np.dtype(np.int8), quant(scale, zero_point), data)


def unary(kind: str, x: Tensor, y: Tensor, options: Options | None = None) -> Graph:
    """y = kind(x)."""
    return Graph(kind, (x, y), (Op(0, kind, (0,), (1,), options),), (0,), (1,))


def random_map(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """int8[1, *shape without the batch], all values likely, the extremes more so."""
    x = rng.integers(-128, 128, shape)
    x[rng.random(shape) < 0.1] = -128
    x[rng.random(shape) < 0.1] = 127
    return x.astype(np.int8)


def binary(kind: str, a: Tensor, b: Tensor, y: Tensor, options: Options | None) -> Graph:
    """y = kind(a, b); operands without data are values that a test gives."""
    return Graph(kind, (a, b, y), (Op(0, kind, (0, 1), (2,), options),), (0,), (2,))


def random_values(rng: np.random.Generator, graph: Graph) -> dict[int, np.ndarray]:
    """Values of all tensors that the operator reads and that are no constants."""
    op = graph.ops[0]
    return {t: random_map(rng, graph.tensors[t].shape) for t in op.inputs if graph.tensors[t].data is None}
