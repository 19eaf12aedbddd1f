"""Plans with rings that share their places (plan/phases) and rows that grow where they lie: valid, and the bits stay. Three
dense units of DenseNet (Huang et al. 2016, arXiv 1608.06993) in small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from host_model import HostModel, build_library
from planned import schedule_of
from randomnets import RandomNet

from dftiny import graph as graphs
from dftiny import int8
from dftiny.graph import Graph
from dftiny.kernels.rows import Choice
from dftiny.plan import Plan, RegionSpec, plan
from dftiny.plan.lanes import LaneMaker
from dftiny.plan.parts import Cut, Segment
from dftiny.plan.segments import ALONE, Cutter, Variant
from dftiny.rewrite import rewrite
from dftiny.schedule_check import check
from dftiny.steps import steps

SIDE, UNITS, FIRST, WIDE, GROWTH = 24, 3, 24, 16, 8
JOINED = 1 + 3 * UNITS + 1


class Dense(RandomNet):
    """A convolution, then units that join eight channels each to what was there, and a convolution with stride 2."""

    def __init__(self) -> None:
        super().__init__(5, 0, SIDE)
        self.model.ops = []
        self.at = 0
        self.convolution(3, 1, FIRST)
        for _ in range(UNITS):
            before = self.at
            _, h, w, c = self.shape()
            self.convolution(1, 1, WIDE)
            self.convolution(3, 1, GROWTH)
            joined = self.new((1, h, w, c + GROWTH), 0.05, 3)
            self.go("CONCATENATION", (before, self.at), joined, Axis=3)
        self.convolution(3, 2, GROWTH)
        self.head()


@pytest.fixture(scope="module")
def dense() -> Graph:
    return graphs.load(Dense().model.bytes(), name="dense")


def phased_plan(graph: Graph, monkeypatch: pytest.MonkeyPatch, *, reverse: bool) -> Plan:
    """All units as one segment, whose rings share their places."""
    maker = LaneMaker(steps(rewrite(graph)))
    cutter = Cutter(maker).with_pressure(2)
    variant = Variant(Choice(rows=1, block=8))
    found = cutter.within(Cut(0), Cut(JOINED), variant, 1 << 40)
    assert found is not None
    chosen = replace(found.turned() if reverse else found, rings="phased")
    monkeypatch.setattr(Cutter, "cut", lambda *_: [chosen, *rest(maker, cutter)])
    return plan(graph, [RegionSpec("axi", 512 << 10)])


def rest(maker: LaneMaker, cutter: Cutter) -> Iterator[Segment]:
    """Every lane behind the units by itself."""
    for i in range(JOINED, len(maker)):
        found = cutter.within(Cut(i), Cut(i + 1), ALONE, 1 << 40)
        assert found is not None
        yield found


@pytest.mark.parametrize("reverse", [False, True], ids=["downwards", "upwards"])
def test_rings_share_places_rows_grow_and_the_bits_stay(
    dense: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reverse: bool
) -> None:
    made = phased_plan(dense, monkeypatch, reverse=reverse)
    assert any(p.phase for p in made.placements)
    assert grown(made) >= 1
    assert check(schedule_of(made)) == []
    x = np.random.default_rng(4).integers(-128, 128, (4, *dense.input.shape[1:])).astype(np.int8)
    expected = int8.run(dense, x)
    assert len({y.tobytes() for y in expected}) == 4
    assert np.array_equal(HostModel(dense, made, build_library(tmp_path), tmp_path).run(x), expected)


def grown(made: Plan) -> int:
    """Concatenations whose rows begin before their first operand's and end with them."""
    found = 0
    for lane in made.lanes:
        if lane.step.op.kind == "CONCATENATION":
            a, out = made.of(lane.operands[0].tensor), made.of(lane.writes)
            same = a.phase == out.phase and a.slots == out.slots and a.pitch == out.pitch
            found += same and a.offset + a.row_bytes == out.offset + out.row_bytes
    return found


def test_a_phase_that_is_wrong_is_found(dense: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check executes the phases: with another one rows are lost."""
    made = schedule_of(phased_plan(dense, monkeypatch, reverse=False))
    several = [b for b in made.buffers if b.phase]
    wrong = replace(several[0], phase=several[0].phase + 1)
    buffers = tuple(wrong if b is several[0] else b for b in made.buffers)
    assert check(replace(made, buffers=buffers)) != []
