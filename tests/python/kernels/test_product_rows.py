"""MUL by rows, of two maps and of a map and a vector: both twins equal the oracle for every usual shift."""

from __future__ import annotations

import numpy as np
import pytest
from point_graphs import binary, random_map, random_values, tensor
from row_harness import Harness, step_of

from dftiny.graph import Graph, MulOptions
from dftiny.kernels.row_makers import row_call
from dftiny.kernels.rows import Choice

MUL_MAX, GATE_MAX = 8.6, 6.5
SHAPE = (1, 3, 5, 7)


def graph_of(second, right: int, zeros=(-3, 12, -20), first=SHAPE, activation="NONE") -> Graph:
    """A product whose multiplier TFLM shifts right by `right`."""
    a, b = tensor(0, first, 0.0512371, zeros[0]), tensor(1, second, 0.00413317, zeros[1])
    y = tensor(2, first, a.scale * b.scale * 1.37 * 2.0**right, zeros[2])
    return binary("MUL", a, b, y, MulOptions(activation))


@pytest.mark.parametrize("right", [1, 2, 5, 6, 7, 8, 9, 10, 15, 22])
@pytest.mark.parametrize("second", [SHAPE, (1, 1, 1, 7)])
def test_every_shift(harness: Harness, right: int, second) -> None:
    graph = graph_of(second, right)
    checked = harness.check(graph, random_values(np.random.default_rng(right), graph))
    assert checked.function == ("dft_mul_rows" if second == SHAPE else "dft_gate_rows")
    assert right > 10 or len(np.unique(checked.output)) > 2


@pytest.mark.parametrize("zeros", [(-128, -128, -128), (127, 127, 127), (0, 0, 0), (-128, 127, 5)])
@pytest.mark.parametrize("channels", [1, 2, 4, 6, 8, 24, 67])
def test_gates_of_any_width(harness: Harness, channels: int, zeros) -> None:
    rng = np.random.default_rng(channels)
    first = (1, 2, 9, channels)
    graph = graph_of((1, 1, 1, channels), 8, zeros, first)
    harness.check(graph, random_values(rng, graph))


@pytest.mark.parametrize("second", [SHAPE, (1, 1, 1, 7)])
@pytest.mark.parametrize("activation", ["RELU", "RELU6"])
def test_activations_and_a_function_behind(harness: Harness, second, activation: str) -> None:
    rng = np.random.default_rng(3)
    graph = graph_of(second, 7, activation=activation)
    harness.check(graph, random_values(rng, graph))
    harness.check(graph, random_values(rng, graph), rng.integers(-128, 128, 256).astype(np.int8))


@pytest.mark.parametrize("constant", [0, 1])
@pytest.mark.parametrize("shape", [(7,), SHAPE, (1,)])
def test_constants_on_either_side(harness: Harness, constant: int, shape) -> None:
    rng = np.random.default_rng(4)
    pair = [tensor(k, SHAPE, 0.02, 3 + k) for k in range(2)]
    pair[constant] = tensor(constant, shape, 0.013, -5, random_map(rng, shape))
    graph = binary("MUL", *pair, tensor(2, SHAPE, 0.011, -8), MulOptions("NONE"))
    harness.check(graph, random_values(rng, graph))


def test_all_pairs_of_values(harness: Harness) -> None:
    shape = (1, 1, 256, 256)
    graph = graph_of((1, 1, 1, 256), 8, first=shape)
    every = np.arange(-128, 128).astype(np.int8)
    harness.check(graph, {0: np.tile(every[:, None], (1, 1, 1, 256)), 1: every.reshape(1, 1, 1, 256)})
    graph = graph_of(shape, 8, first=shape)
    harness.check(graph, {0: np.tile(every[:, None], (1, 1, 1, 256)), 1: np.tile(every, (1, 1, 256, 1))})


def test_shifts_to_the_left_are_refused() -> None:
    for right in (0, -3, 23):
        graph = graph_of(SHAPE, right)
        assert row_call(graph, step_of(graph, graph.ops[0]), Choice()) is None


def test_few_instructions(harness: Harness) -> None:
    first = (1, 24, 24, 112)
    for second, limit in ((first, MUL_MAX), ((1, 1, 1, 112), GATE_MAX)):
        graph = graph_of(second, 7, first=first)
        checked = harness.check(graph, random_values(np.random.default_rng(6), graph))
        assert checked.per_element <= limit
