"""Pools by rows: both twins equal the oracle, at every edge."""

from __future__ import annotations

import numpy as np
import pytest
from point_graphs import random_values, tensor, unary
from row_harness import Harness, step_of

from dftiny.graph import Graph, PoolOptions, window_out
from dftiny.kernels.row_makers import row_call
from dftiny.kernels.rows import Choice

# Window (height, width), stride (height, width).
WINDOWS = [
    ((2, 2), (2, 2)),
    ((3, 3), (1, 1)),
    ((3, 2), (2, 3)),
    ((1, 1), (1, 1)),
    ((1, 4), (2, 1)),
    ((4, 1), (3, 2)),
]


def graph_of(kind: str, shape, window, stride, padding: str, activation: str = "NONE") -> Graph:
    h, w = (window_out(shape[1 + i], window[i], stride[i], padding) for i in range(2))
    options = PoolOptions(*window, *stride, padding, activation)
    return unary(kind, tensor(0, shape, 0.05, -20), tensor(1, (1, h, w, shape[3]), 0.05, -20), options)


@pytest.mark.parametrize("kind", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("window", "stride"), WINDOWS)
def test_equals_the_oracle(harness: Harness, kind: str, padding: str, window, stride) -> None:
    graph = graph_of(kind, (1, 7, 6, 9), window, stride, padding)
    harness.check(graph, random_values(np.random.default_rng(1), graph))


@pytest.mark.parametrize("kind", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize("activation", ["RELU", "RELU6"])
def test_activations_and_a_function_behind(harness: Harness, kind: str, activation: str) -> None:
    rng = np.random.default_rng(2)
    graph = graph_of(kind, (1, 4, 5, 3), (2, 3), (1, 2), "SAME", activation)
    harness.check(graph, random_values(rng, graph))
    harness.check(graph, random_values(rng, graph), rng.integers(-128, 128, 256).astype(np.int8))


@pytest.mark.parametrize("kind", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
def test_windows_larger_than_the_map(harness: Harness, kind: str) -> None:
    graph = graph_of(kind, (1, 3, 2, 5), (16, 9), (1, 1), "SAME")
    harness.check(graph, random_values(np.random.default_rng(3), graph))


def test_too_many_rows_are_refused() -> None:
    graph = graph_of("MAX_POOL_2D", (1, 20, 5, 3), (17, 1), (1, 1), "VALID")
    assert row_call(graph, step_of(graph, graph.ops[0]), Choice()) is None


@pytest.mark.parametrize(
    ("kind", "shape", "window", "limit"),
    [
        ("MAX_POOL_2D", (1, 16, 16, 32), (2, 2), 2.6),
        ("AVERAGE_POOL_2D", (1, 16, 16, 64), (2, 2), 8.0),
        ("AVERAGE_POOL_2D", (1, 8, 8, 64), (8, 8), 2.0),
    ],
)
def test_few_instructions(harness: Harness, kind: str, shape, window, limit: float) -> None:
    graph = graph_of(kind, shape, window, window, "VALID")
    assert harness.check(graph, random_values(np.random.default_rng(4), graph)).per_element <= limit
