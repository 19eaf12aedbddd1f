"""The planner: every plan is valid by the independent check, and the check itself finds broken plans."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import KINDS, Builder, phinet_like, random_graph

from dftiny.errors import CheckFailed
from dftiny.graph import Graph
from dftiny.plan import Buffer, DoesNotFit, Plan, RegionSpec, _best, _region_bytes, plan
from dftiny.plan_check import check
from dftiny.steps import steps

AXI = RegionSpec("axi", 512 << 10, 32)
property_test = settings(max_examples=100, deadline=None, derandomize=True)


@property_test
@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(KINDS), min_size=1, max_size=10))
def test_plans_of_random_graphs_are_valid(seed: int, kinds: list[str]) -> None:
    graph = random_graph(seed, kinds, live=False)
    layout = plan(graph, [AXI])
    assert check(graph, layout) == []
    assert layout.lower_bound_bytes <= layout.total_bytes


lives = st.tuples(st.integers(0, 200), st.integers(0, 6), st.integers(0, 6))


@property_test
@given(
    st.lists(lives, min_size=1, max_size=25),
    st.sampled_from([16, 32, 64]),
    st.lists(st.integers(64, 2000), min_size=1, max_size=3),
)
def test_no_two_living_buffers_share_a_byte(
    given_lives: list[tuple[int, int, int]], align: int, sizes: list[int]
) -> None:
    """Any sizes (zero too) and lives (equal ones too), over several regions."""
    blocks = [Buffer(i, n, min(a, b), max(a, b)) for i, (n, a, b) in enumerate(given_lives)]
    regions = [RegionSpec(f"r{i}", n, align) for i, n in enumerate(sizes)]
    spots = _best(blocks, regions)
    if spots is None:
        roomy = [RegionSpec("big", 1 << 30, align)]
        spots, regions = _best(blocks, roomy), roomy
        assert spots is not None
    room = {r.name: r.bytes for r in regions}
    for a in blocks:
        spot = spots[a.tensor]
        assert spot.offset % align == 0
        assert spot.offset + a.bytes <= room[spot.region]
        for b in blocks[a.tensor + 1 :]:
            other = spots[b.tensor]
            together = a.first <= b.last and b.first <= a.last and spot.region == other.region
            overlap = spot.offset < other.offset + b.bytes and other.offset < spot.offset + a.bytes
            assert not (together and overlap and a.bytes and b.bytes)
    assert all(n % align == 0 for n in _region_bytes(blocks, spots, regions).values())


def test_plan_reaches_its_lower_bound_on_a_phinet_and_is_repeatable() -> None:
    graph = phinet_like()
    layout = plan(graph, [AXI])
    assert check(graph, layout) == []
    assert layout.total_bytes == layout.lower_bound_bytes == 128 * 128 * 9
    assert plan(graph, [AXI]) == layout


def test_one_operator() -> None:
    b = Builder(1, (1, 4, 4, 3))
    b.conv((1, 1), 8)
    layout = plan(b.graph(), [AXI])
    assert check(b.graph(), layout) == []
    assert {p.tensor for p in layout.placements} == {0, b.x}


def test_views_and_elementwise_operators_take_no_memory() -> None:
    b = Builder(1, (1, 8, 8, 16))
    b.table("HARD_SWISH")
    b.reshape((1, 64, 1, 16))
    b.table("RELU")
    graph = b.graph()
    layout = plan(graph, [AXI])
    assert check(graph, layout) == []
    assert layout.region_bytes == {"axi": 8 * 8 * 16}


def test_a_read_later_operand_is_not_overwritten() -> None:
    b = Builder(1, (1, 8, 8, 16))
    first = b.x
    b.table("HARD_SWISH")
    b.pair("ADD", first)
    layout = plan(b.graph(), [AXI])
    assert check(b.graph(), layout) == []
    assert layout.region_bytes == {"axi": 2 * 8 * 8 * 16}


def test_a_pad_goes_into_the_windows_that_read_it() -> None:
    b = _padded()
    graph = b.graph()
    pad = next(op for op in graph.ops if op.kind == "PAD")
    assert [s.op.kind for s in steps(graph).steps] == ["DEPTHWISE_CONV_2D"]
    layout = plan(graph, [AXI])
    assert check(graph, layout) == []
    with pytest.raises(KeyError):
        layout.of(pad.outputs[0])


def test_a_pad_that_the_output_needs_stays() -> None:
    b = Builder(2, (1, 5, 5, 4))
    b.pad()
    assert [s.op.kind for s in steps(b.graph()).steps] == ["PAD"]


def _padded() -> Builder:
    b = Builder(2, (1, 5, 5, 4))
    b.pick = lambda *v: v[-1]  # type: ignore[method-assign]
    b.pad()
    b.windowed = lambda _kernel: (1, 1, 1, 1, "VALID", b.shape[1] - 2, b.shape[2] - 2)  # type: ignore[method-assign]
    b.depthwise((3, 3), 1)
    return b


def test_a_second_region_takes_what_the_first_cannot() -> None:
    graph = phinet_like()
    regions = [RegionSpec("axi", 100 << 10), RegionSpec("d2", 288 << 10)]
    layout = plan(graph, regions)
    assert check(graph, layout) == []
    assert list(layout.region_bytes) == ["axi", "d2"]
    assert layout.region_bytes["axi"] <= 100 << 10


def test_too_large_names_region_operator_and_bytes() -> None:
    graph = phinet_like()
    with pytest.raises(
        DoesNotFit, match=r"operator 0 \(DEPTHWISE_CONV_2D\).*region axi has 100,000: 47,456 bytes"
    ) as e:
        plan(graph, [RegionSpec("axi", 100_000)])
    assert isinstance(e.value, CheckFailed)
    assert (e.value.region, e.value.op, e.value.over_bytes) == ("axi", 0, 147_456 - 100_000)


def _shifted(layout: Plan, tensor: int, offset: int) -> Plan:
    moved = tuple(replace(p, offset=offset) if p.tensor == tensor else p for p in layout.placements)
    return replace(layout, placements=moved, region_bytes={"axi": 1 << 20})


def _broken() -> tuple[Graph, Plan]:
    graph = phinet_like()
    return graph, plan(graph, [AXI])


def test_the_check_finds_an_overwritten_tensor() -> None:
    graph, layout = _broken()
    expand = graph.ops[2]
    onto = layout.of(expand.inputs[0]).offset
    assert any("which it reads" in p for p in check(graph, _shifted(layout, expand.outputs[0], onto)))


def test_the_check_finds_a_residual_that_was_overwritten() -> None:
    graph, layout = _broken()
    add = next(op for op in graph.ops if op.kind == "ADD")
    kept = min(t for t in add.inputs)
    between = graph.ops[3].outputs[0]
    problems = check(graph, _shifted(layout, between, layout.of(kept).offset))
    assert any("overwritten" in p for p in problems)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda g, p: _shifted(p, g.inputs[0], 8), "not aligned"),
        (lambda _g, p: replace(p, region_bytes={"axi": 64}), "outside region"),
        (lambda _g, p: replace(p, placements=p.placements[1:]), "has no place"),
        (lambda _g, p: replace(p, placements=(*p.placements, p.placements[0])), "placed twice"),
        (
            lambda _g, p: replace(p, placements=(replace(p.placements[0], bytes=16), *p.placements[1:])),
            "bytes, not",
        ),
    ],
)
def test_the_check_finds_malformed_plans(change, expected: str) -> None:
    graph, layout = _broken()
    assert any(expected in problem for problem in check(graph, change(graph, layout)))


def test_the_check_finds_a_moved_view() -> None:
    b = Builder(1, (1, 4, 4, 4))
    b.conv((1, 1), 4)
    b.reshape((1, *b.shape[2:0:-1], b.shape[3]))
    graph = b.graph()
    layout = plan(graph, [AXI])
    assert any("view" in p for p in check(graph, _shifted(layout, b.x, 4096)))
