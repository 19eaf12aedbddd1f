"""GATHER, CONCATENATION and PAD by rows: both twins equal the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from point_graphs import binary, random_values, tensor, unary
from row_harness import Harness, step_of

from dftiny.graph import ConcatenationOptions, GatherOptions, Graph, Op, PadOptions, Tensor
from dftiny.kernels.row_makers import row_call
from dftiny.kernels.rows import Choice

GATHER_MAX = 4.5


def gather_of(shape, axis: int, indices: np.ndarray) -> Graph:
    out = list(shape)
    out[axis] = len(indices)
    positions = Tensor(1, "indices", indices.shape, np.dtype(np.int32), None, indices.astype(np.int32))
    x, y = tensor(0, shape, 0.1, 3), tensor(2, out, 0.1, 3)
    return Graph(
        "gather", (x, positions, y), (Op(0, "GATHER", (0, 1), (2,), GatherOptions(axis)),), (0,), (2,)
    )


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("count", [1, 5, 8, 19])
def test_gather(harness: Harness, axis: int, count: int) -> None:
    rng = np.random.default_rng(count)
    graph = gather_of((1, 2, 6, 11), axis, rng.integers(0, (6, 11)[axis - 2], count))
    harness.check(graph, random_values(rng, graph))
    harness.check(graph, random_values(rng, graph), rng.integers(-128, 128, 256).astype(np.int8))


def test_gather_in_few_instructions(harness: Harness) -> None:
    rng = np.random.default_rng(1)
    graph = gather_of((1, 4, 24, 24), 3, rng.permutation(24))
    assert harness.check(graph, random_values(rng, graph)).per_element <= GATHER_MAX


@pytest.mark.parametrize("axis", [2, 3])
def test_concatenation(harness: Harness, axis: int) -> None:
    rng = np.random.default_rng(2)
    shapes = [(1, 3, 4, 5), (1, 3, 4, 5)]
    shapes[1] = (1, 3, 4, 7) if axis == 3 else (1, 3, 2, 5)
    out = list(shapes[0])
    out[axis] += shapes[1][axis]
    tensors = (tensor(k, s, 0.1, 3) for k, s in enumerate((*shapes, out)))
    graph = binary("CONCATENATION", *tensors, ConcatenationOptions(axis))
    harness.check(graph, random_values(rng, graph))
    harness.check(graph, random_values(rng, graph), rng.integers(-128, 128, 256).astype(np.int8))


PADS = [
    PadOptions((0, 1, 0, 0), (0, 2, 0, 0)),
    PadOptions((0, 0, 2, 0), (0, 0, 1, 0)),
    PadOptions((0, 2, 1, 3), (0, 1, 0, 2)),
    PadOptions((0, 0, 0, 1), (0, 0, 0, 0)),
    PadOptions((0, 1, 1, 0), (0, 0, 2, 0), values=(5, -128, 127)),
]


@pytest.mark.parametrize("options", PADS)
def test_pad(harness: Harness, options: PadOptions) -> None:
    rng = np.random.default_rng(3)
    shape = (1, 3, 4, 3)
    out = [a + n + b for a, n, b in zip(options.before, shape, options.after, strict=True)]
    graph = unary("PAD", tensor(0, shape, 0.1, -7), tensor(1, out, 0.1, -7), options)
    harness.check(graph, random_values(rng, graph))
    harness.check(graph, random_values(rng, graph), rng.integers(-128, 128, 256).astype(np.int8))


def test_what_crosses_rows_is_refused() -> None:
    gather = gather_of((1, 4, 3, 2), 1, np.array([1, 0]))
    shapes = ((1, 3, 4, 5), (1, 2, 4, 5), (1, 5, 4, 5))
    concat = binary(
        "CONCATENATION", *(tensor(k, s, 0.1, 3) for k, s in enumerate(shapes)), ConcatenationOptions(1)
    )
    for graph in (gather, concat):
        assert row_call(graph, step_of(graph, graph.ops[0]), Choice()) is None
