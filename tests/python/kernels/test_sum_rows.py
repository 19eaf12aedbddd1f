"""ADD and SUB by rows: both twins equal the oracle, whichever form the maker chose."""

from __future__ import annotations

import numpy as np
import pytest
from point_graphs import binary, random_map, random_values, tensor
from row_harness import Harness, step_of

from dftiny.graph import AddOptions, Graph, SubOptions
from dftiny.kernels.row_makers import row_call
from dftiny.kernels.rows import Choice
from dftiny.kernels.sum_rows import Terms, all_sums, plane, plane_values

INSTRUCTIONS_MAX = 6.1
SHAPE = (1, 3, 5, 7)
OPTIONS = {"ADD": AddOptions, "SUB": SubOptions}
# Scales of (a, b, y) and zero points: usual, round ones whose sums are halves, one tiny, cancellation, saturation.
QUANTS = [
    ((0.0512371, 0.0313317, 0.0621113), (-3, 12, -20)),
    ((0.05, 0.031, 0.06), (-3, 12, -20)),
    ((0.05, 0.05, 0.1), (0, 0, 0)),
    ((0.05, 0.05, 0.05), (-128, 5, 127)),
    ((0.0007, 0.03, 0.02), (40, -100, 3)),
    ((0.05, 0.04, 0.02), (127, 127, -128)),
    ((0.02, 0.02, 0.9), (1, -2, 0)),
]


def graph_of(kind: str, scales, zeros, shapes=(SHAPE, SHAPE), activation="NONE") -> Graph:
    a, b = (tensor(k, shapes[k], scales[k], zeros[k]) for k in range(2))
    y = tensor(2, shapes[0], scales[2], zeros[2])
    return binary(kind, a, b, y, OPTIONS[kind](activation))


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
@pytest.mark.parametrize(("scales", "zeros"), QUANTS)
def test_maps_of_one_shape(harness: Harness, kind: str, scales, zeros) -> None:
    graph = graph_of(kind, scales, zeros)
    harness.check(graph, random_values(np.random.default_rng(1), graph))


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
@pytest.mark.parametrize("activation", ["NONE", "RELU", "RELU6"])
def test_vector_over_channels_and_a_function_behind(harness: Harness, kind: str, activation: str) -> None:
    rng = np.random.default_rng(2)
    graph = graph_of(kind, *QUANTS[0], (SHAPE, (1, 1, 1, 7)), activation)
    harness.check(graph, random_values(rng, graph))
    harness.check(graph, random_values(rng, graph), rng.integers(-128, 128, 256).astype(np.int8))


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
@pytest.mark.parametrize("constant", [0, 1])
@pytest.mark.parametrize("shape", [(7,), SHAPE, (1, 1, 1, 1)])
def test_constants_on_either_side(harness: Harness, kind: str, constant: int, shape) -> None:
    rng = np.random.default_rng(3)
    scales, zeros = QUANTS[0]
    pair = [tensor(k, SHAPE, scales[k], zeros[k]) for k in range(2)]
    pair[constant] = tensor(constant, shape, scales[constant], zeros[constant], random_map(rng, shape))
    graph = binary(kind, *pair, tensor(2, SHAPE, scales[2], zeros[2]), OPTIONS[kind]("NONE"))
    checked = harness.check(graph, random_values(rng, graph))
    assert (checked.function == "dft_table_rows") == (shape == (1, 1, 1, 1))


def test_exact_form_where_no_plane_is_found(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dftiny.kernels.sum_rows.plane", lambda _: None)
    for kind in ("ADD", "SUB"):
        for scales, zeros in QUANTS:
            graph = graph_of(kind, scales, zeros)
            checked = harness.check(graph, random_values(np.random.default_rng(4), graph))
            assert checked.function == "dft_exact_sum_rows"


def test_planes_are_found_and_equal_for_all_pairs() -> None:
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(60):
        a, b = (float(2.0 ** rng.uniform(-10, 0)) for _ in range(2))
        y = max(a, b) * float(2.0 ** rng.uniform(-1, 2))
        graph = graph_of("ADD", (a, b, y), tuple(int(z) for z in rng.integers(-128, 128, 3)))
        call = row_call(graph, step_of(graph, graph.ops[0]), Choice())
        assert call is not None
        found += call.function == "dft_sum_rows"
    assert found >= 59


def test_a_plane_is_the_sum() -> None:
    t = Terms((1 << 30, 1300000000), (0, 1), (-3, 40), (1, -1), 1500000000, 18, -7)
    p = plane(t)
    assert p is not None
    np.testing.assert_array_equal(plane_values(p), all_sums(t))


@pytest.mark.parametrize("shapes", [((1, 1, 1, 7), SHAPE), (SHAPE, (1, 3, 1, 7)), (SHAPE, (1, 1, 1, 1))])
def test_other_broadcasts_are_refused(shapes) -> None:
    a, b = (tensor(k, shapes[k], 0.05, 0) for k in range(2))
    graph = binary("ADD", a, b, tensor(2, SHAPE, 0.1, 0), AddOptions("NONE"))
    assert row_call(graph, step_of(graph, graph.ops[0]), Choice()) is None


def test_few_instructions(harness: Harness) -> None:
    shape = (1, 4, 24, 24)
    graph = graph_of("ADD", *QUANTS[0], (shape, shape))
    checked = harness.check(graph, random_values(np.random.default_rng(6), graph))
    assert checked.function == "dft_sum_rows"
    assert checked.per_element <= INSTRUCTIONS_MAX
