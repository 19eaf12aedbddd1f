"""Memory without wait states: what fits goes there wholly, of what does not the hot blocks, and never a byte more in all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from host_model import HostModel, build_library
from planned import schedule_of
from random_graphs import phinet_like, random_graph

from dftiny import int8, spec
from dftiny.budget import budget, region_specs
from dftiny.cost import estimate
from dftiny.errors import DftError
from dftiny.graph import Graph
from dftiny.plan import Plan, RegionSpec, Wishes, plan
from dftiny.plan.tight import NAME
from dftiny.schedule_check import check
from dftiny.target import load_target

AXI = RegionSpec("axi", 512 << 10)
OFF = Wishes(without=frozenset({NAME}))
H743 = load_target("stm32h743")


def tight(nbytes: int) -> RegionSpec:
    return RegionSpec("dtcm", nbytes, tight=True)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return phinet_like(tile=64, live=True)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_library(tmp_path_factory.mktemp("library"))


def spots(p: Plan) -> list[tuple[int, int]]:
    return [(at.tensor, at.offset) for at in p.placements]


def assert_sound(made: Plan, usual: Plan) -> None:
    """It takes no more memory in all, its schedule is the usual one, and the independent check finds nothing."""
    assert made.total_bytes <= usual.total_bytes
    assert [s.events for s in made.segments] == [s.events for s in usual.segments]
    assert check(schedule_of(made)) == []


def test_what_fits_lies_there_as_it_lay_elsewhere(graph: Graph) -> None:
    usual = plan(graph, [AXI])
    made = plan(graph, [AXI, tight(usual.total_bytes)])
    assert list(made.region_bytes.items()) == [("dtcm", usual.total_bytes)]
    assert spots(made) == spots(usual)
    assert_sound(made, usual)


def test_it_can_be_left_out(graph: Graph) -> None:
    made = plan(graph, [AXI, tight(1 << 20)], OFF)
    assert list(made.region_bytes) == ["axi"] and spots(made) == spots(plan(graph, [AXI]))


@pytest.mark.parametrize("seed", range(2))
def test_a_larger_net_is_split_where_that_takes_no_more(seed: int, library: Path, tmp_path: Path) -> None:
    g = phinet_like(seed=seed, tile=32, live=True)
    usual = plan(g, [AXI])
    room = int(usual.total_bytes * 0.6) // 32 * 32
    made = plan(g, [AXI, tight(room)])
    assert_sound(made, usual)
    assert list(made.region_bytes) == ["dtcm", "axi"] and made.region_bytes["dtcm"] <= room
    x = np.random.default_rng(0).integers(-128, 128, (3, *g.input.shape[1:])).astype(np.int8)
    assert np.array_equal(HostModel(g, made, library, tmp_path).run(x), int8.run(g, x))


@pytest.mark.parametrize("seed", range(4))
def test_random_nets_never_take_more(seed: int) -> None:
    kinds = ["CONV_2D", "DEPTHWISE_CONV_2D", "RESIDUAL", "MAX_POOL_2D", "MEAN", "CONV_2D"]
    g = random_graph(seed, kinds[seed % 3 :] + kinds)
    usual = plan(g, [AXI])
    for share in (0.25, 0.75):
        assert_sound(plan(g, [AXI, tight(int(usual.total_bytes * share) // 32 * 32 + 32)]), usual)


def test_two_regions_are_not_made_three(graph: Graph) -> None:
    """Where one region does not hold the plan every byte counts: nothing is moved."""
    first = RegionSpec("axi", plan(graph, [AXI]).total_bytes * 3 // 4)
    regions = [first, RegionSpec("d2", 288 << 10)]
    usual = plan(graph, regions, Wishes(recompute=False))
    made = plan(graph, [*regions, tight(4096)], Wishes(recompute=False))
    assert made.region_bytes == usual.region_bytes and len(made.region_bytes) == 2


def test_the_model_waits_less_and_computes_the_same(graph: Graph) -> None:
    fast, slow = (
        estimate(graph, plan(graph, region_specs(H743), w), "m7", H743.name) for w in (Wishes(), OFF)
    )
    assert fast.instructions == slow.instructions and fast.ops == slow.ops
    assert sum(fast.op_stalls.values()) < sum(slow.op_stalls.values())


def test_the_budget_and_the_statics_share_the_region(graph: Graph) -> None:
    fast, slow = budget(graph, H743), budget(graph, H743, wishes=OFF)
    assert fast.fits and fast.ram_bytes == slow.ram_bytes and fast.ram_used_bytes == slow.ram_used_bytes
    assert fast.region("dtcm").used == slow.region("dtcm").used + fast.ram_bytes
    assert fast.region("axi").used == 0 and slow.region("axi").used == slow.ram_bytes


def test_an_application_in_it_leaves_less_of_it(graph: Graph) -> None:
    """What the application takes is not lent: with all of it taken the activations lie where they lay before."""
    beside = {"dtcm": 90 * 1024}
    b = budget(graph, H743, application=beside)
    assert b.fits and b.region("axi").used > 0 and b.region("dtcm").free >= 0


def test_there_is_room_for_the_largest_statics() -> None:
    """Beside all that may be activations: the firmware's statics and a tick count for each of 800 operators."""
    from dftiny.code_size import load_code_sizes

    r = H743.tight_region
    assert r is not None and r is H743.statics_region
    left = r.bytes - r.stack_bytes - r.tight_bytes
    assert load_code_sizes().base_of(H743.name).statics_bytes + 4 * 800 <= left


@pytest.mark.parametrize("value", ["-32", "122881", "131072"])
def test_a_target_that_lends_its_stack_is_refused(value: str, tmp_path: Path) -> None:
    text = (spec.SPEC_DIR / "targets" / "stm32h743.toml").read_text(encoding="utf-8")
    assert text.count("tight_bytes = 94080") == 1
    path = tmp_path / "t.toml"
    path.write_text(text.replace("tight_bytes = 94080", f"tight_bytes = {value}"), encoding="utf-8")
    with pytest.raises(DftError, match=r"region dtcm cannot hold .* beside a stack"):
        load_target(str(path))


def test_the_check_sees_a_split_that_is_wrong(graph: Graph) -> None:
    """A plan whose hot region is cut short is found out, so the checks above can fail."""
    made = plan(graph, [AXI, tight(1 << 20)])
    short = replace(made, region_bytes={"dtcm": made.total_bytes - 1024})
    assert any("outside region dtcm" in p for p in check(schedule_of(short)))
