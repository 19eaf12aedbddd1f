"""MEAN over height and width by rows: both twins equal the oracle; other axes are left to the whole operator."""

from __future__ import annotations

import numpy as np
import pytest
from point_graphs import random_values, tensor, unary
from row_harness import Harness, step_of

from dftiny.graph import Graph, MeanOptions
from dftiny.kernels.row_makers import row_call
from dftiny.kernels.rows import Choice


def graph_of(shape, zero: int = -20, out_scale: float = 0.013, *, keep: bool = True, axes=(1, 2)) -> Graph:
    y = tensor(1, (1, 1, 1, shape[3]) if keep else (1, shape[3]), out_scale, 7)
    return unary("MEAN", tensor(0, shape, 0.05, zero), y, MeanOptions(axes, keep))


@pytest.mark.parametrize("shape", [(1, 3, 5, 8), (1, 1, 1, 4), (1, 4, 2, 7), (1, 2, 3, 3), (1, 2, 6, 1)])
@pytest.mark.parametrize("zero", [-128, 0, 127])
def test_equals_the_oracle(harness: Harness, shape, zero: int) -> None:
    rng = np.random.default_rng(1)
    graph = graph_of(shape, zero, 0.12 if shape[1] * shape[2] < 8 else 0.013)
    harness.check(graph, random_values(rng, graph))
    harness.check(graph, random_values(rng, graph), rng.integers(-128, 128, 256).astype(np.int8))


@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("width", [256, 257, 515])
def test_lanes_do_not_overflow(harness: Harness, width: int, value: int) -> None:
    graph = graph_of((1, 2, width, 5), out_scale=0.06)
    checked = harness.check(graph, {0: np.full((1, 2, width, 5), value, np.int8)})
    assert len(np.unique(checked.output)) == 1 and abs(int(checked.output[0, 0])) not in (0, 7)


def test_without_kept_dimensions(harness: Harness) -> None:
    graph = graph_of((1, 3, 5, 8), keep=False)
    harness.check(graph, random_values(np.random.default_rng(2), graph))


@pytest.mark.parametrize("axes", [(1,), (2,), (3,), (1, 2, 3)])
def test_other_axes_are_refused(axes) -> None:
    graph = graph_of((1, 3, 5, 8), axes=axes)
    assert row_call(graph, step_of(graph, graph.ops[0]), Choice()) is None


def test_means_finer_than_their_map_are_refused() -> None:
    graph = graph_of((1, 1, 1, 4))
    assert row_call(graph, step_of(graph, graph.ops[0]), Choice()) is None


@pytest.mark.parametrize(("width", "limit"), [(48, 1.1), (24, 1.2), (12, 1.45), (6, 2.1)])
def test_few_instructions(harness: Harness, width: int, limit: float) -> None:
    graph = graph_of((1, width, width, 56))
    checked = harness.check(graph, random_values(np.random.default_rng(3), graph))
    assert checked.per_element <= limit
