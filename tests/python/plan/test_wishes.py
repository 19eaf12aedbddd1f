"""What the planner may be asked for: maps computed twice, input by rows, two regions; always the same bits.

Rewrites left out: tests/python/rewrite/test_switches.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flatmodel import FlatModel
from host_model import HostModel, build_library
from random_graphs import Builder, phinet_like

import dftiny.plan as planner
from dftiny import int8
from dftiny.errors import CheckFailed, DftError
from dftiny.graph import Graph, load
from dftiny.plan import DoesNotFit, Plan, RegionSpec, Wishes, plan
from dftiny.plan.recompute import repeated, repeats

AXI = RegionSpec("axi", 512 << 10, 32)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_library(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def graph() -> Graph:
    return phinet_like(seed=1, tile=64, live=True)


def wide_gate() -> Graph:
    """A block whose expanded map, needed for the mean and again for the product, sets the peak."""
    b = Builder(3, (1, 24, 24, 4))
    b.pick = lambda *v: v[0]  # type: ignore[method-assign]
    b.windowed = lambda _: (1, 1, 1, 1, "SAME", b.shape[1], b.shape[2])  # type: ignore[method-assign]
    b.conv((1, 1), 48)
    b.depthwise((3, 3), 1)
    inner = b.x
    b.mean((1, 2), keep=True)
    b.conv((1, 1), 48)
    gate, b.x = b.x, inner
    b.pair("MUL", gate)
    b.conv((1, 1), 4)
    b.mean((1, 2), keep=False)
    return b.graph()


def assert_same_bits(graph: Graph, layout: Plan, library: Path, folder: Path) -> None:
    x = np.random.default_rng(1).integers(-128, 128, (3, *graph.input.shape[1:])).astype(np.int8)
    expected = int8.run(graph, x)
    assert len(np.unique(expected)) > 1
    assert np.array_equal(HostModel(graph, layout, library, folder).run(x), expected)


def test_maps_computed_twice_are_the_same_maps(graph: Graph) -> None:
    found = repeats(graph)
    assert len(found) == 2 and found[0].nbytes >= found[-1].nbytes
    x = np.random.default_rng(2).integers(-128, 128, (2, *graph.input.shape[1:])).astype(np.int8)
    twice = repeated(graph, found)
    assert len(twice.ops) == len(graph.ops) + sum(len(r.ops) for r in found)
    assert np.array_equal(int8.run(twice, x), int8.run(graph, x))


def test_memory_is_saved_by_computing_twice(library: Path, tmp_path: Path) -> None:
    graph = wide_gate()
    usual = plan(graph, [AXI])
    limit = usual.total_bytes * 3 // 4
    lean = plan(graph, [AXI], Wishes(limit_bytes=limit))
    assert lean.total_bytes <= limit and lean.repeats and not usual.repeats
    assert_same_bits(graph, lean, library, tmp_path)
    with pytest.raises(DoesNotFit, match="the limit is"):
        plan(graph, [AXI], Wishes(limit_bytes=limit, recompute=False))


def test_input_by_rows(graph: Graph, library: Path, tmp_path: Path) -> None:
    usual = plan(graph, [AXI])
    by_rows = plan(graph, [AXI], Wishes(input_by_rows=True))
    assert by_rows.total_bytes < usual.total_bytes
    assert_same_bits(graph, by_rows, library, tmp_path)


def test_an_unknown_rewrite_is_named_before_anything_is_planned() -> None:
    with pytest.raises(DftError, match="no rewrite is called haste"):
        Wishes(without=frozenset({"haste"}))


def test_too_large_names_region_operator_and_bytes(graph: Graph) -> None:
    need = plan(graph, [AXI], Wishes(slack=0.0)).total_bytes
    with pytest.raises(
        DoesNotFit, match=r"operator \d+ \(\w+\).*region axi has 5,000: [\d,]+ bytes over"
    ) as e:
        plan(graph, [RegionSpec("axi", 5000)])
    assert isinstance(e.value, CheckFailed)
    assert (e.value.region, e.value.over_bytes) == ("axi", need - 5000)


def test_what_no_order_of_rows_can_do_is_not_tried(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the bound is above the memory there is, only the plan that the refusal shows is made."""
    asked: list[int] = []
    best = planner._best

    def noted(*given: Any) -> Any:
        asked.append(given[2][0].bytes)
        return best(*given)

    monkeypatch.setattr(planner, "_best", noted)
    bound = plan(graph, [AXI]).lower_bound_bytes
    asked.clear()
    with pytest.raises(DoesNotFit, match=f"no order of rows can do with less than {bound:,}"):
        plan(graph, [RegionSpec("axi", bound - 1)], Wishes(recompute=False))
    assert len(asked) == 1 and asked[0] > bound
    with pytest.raises(DoesNotFit) as e:  # perhaps, for all that is proven: so it is tried
        plan(graph, [RegionSpec("axi", bound)], Wishes(recompute=False))
    assert bound in asked and "no order" not in str(e.value)


def test_plans_are_repeatable(graph: Graph) -> None:
    a, b = plan(graph, [AXI]), plan(graph, [AXI])
    assert a.placements == b.placements
    assert [s.events for s in a.segments] == [s.events for s in b.segments]


def test_a_second_region_takes_what_the_first_cannot(graph: Graph, library: Path, tmp_path: Path) -> None:
    whole = plan(graph, [AXI]).total_bytes
    layout = plan(
        graph, [RegionSpec("axi", whole * 3 // 4), RegionSpec("d2", 288 << 10)], Wishes(recompute=False)
    )
    assert list(layout.region_bytes) == ["axi", "d2"]
    assert_same_bits(graph, layout, library, tmp_path)


def test_a_model_that_computes_nothing_is_one_sentence() -> None:
    m = FlatModel()
    x, y = m.act((1, 4, 4, 2)), m.act((1, 32))
    m.op("RESHAPE", (x, m.const(np.array([1, 32], np.int32))), (y,))
    with pytest.raises(DftError, match="computes nothing"):
        plan(load(m.bytes()), [RegionSpec("axi", 1 << 16)])
