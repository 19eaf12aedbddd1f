"""Plans with rings whose places keep their roles (plan/steady) and halves of a SPLIT that are taken by rows: valid, and the
bits stay. ShuffleNet V2's first unit in small (Ma et al. 2018, arXiv 1807.11164)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flatmodel import conv_options
from host_model import HostModel, build_library
from planned import schedule_of
from randomnets import RandomNet

from dftiny import graph as graphs
from dftiny import int8
from dftiny.graph import Graph
from dftiny.kernels.rows import Choice
from dftiny.plan import RegionSpec, plan
from dftiny.plan.lanes import LaneMaker
from dftiny.plan.parts import Cut, Segment
from dftiny.plan.segments import ALONE, Cutter, Variant
from dftiny.rewrite import rewrite
from dftiny.schedule_check import check
from dftiny.steps import steps

SIDE, CHANNELS, JOINED = 64, 24, 7


class Unit(RandomNet):
    """A convolution with stride 2, then two ways to half of its rows, joined, shuffled and cut in two halves."""

    def __init__(self) -> None:
        super().__init__(3, 0, SIDE)
        self.model.ops = []
        self.at = 0
        self.convolution(3, 2, CHANNELS)
        whole = self.at
        self.every_second()
        self.convolution(1, 1, CHANNELS)
        past, self.at = self.at, whole
        self.convolution(1, 1, CHANNELS)
        self.every_second()
        self.convolution(1, 1, CHANNELS)
        _, h, w, c = self.shape()
        quant = self.quant()
        self.go("CONCATENATION", (past, self.at), self.new((1, h, w, 2 * c), *quant), Axis=3)
        order = self.model.const(np.arange(2 * c).reshape(2, c).T.reshape(-1).astype(np.int32))
        self.go("GATHER", (self.at, order), self.new((1, h, w, 2 * c), *quant), Axis=3)
        halves = self.new((1, h, w, c), *quant), self.new((1, h, w, c), *quant)
        self.model.op("SPLIT", (self.axes(3), self.at), halves, NumSplits=2)
        self.at = halves[1]
        self.convolution(1, 1, CHANNELS)
        self.go("ADD", (halves[0], self.at), self.new((1, h, w, c)))
        self.head()

    def every_second(self) -> None:
        _, h, w, c = self.shape()
        filters = self.weights(1, 3, 3, c, axis=3)
        target = self.new((1, h // 2, w // 2, c), 0.05, -5)
        options = conv_options(2, "SAME", 1)
        self.go(
            "DEPTHWISE_CONV_2D", (self.at, filters, self.bias(filters)), target, DepthMultiplier=1, **options
        )


@pytest.fixture(scope="module")
def unit() -> Graph:
    return graphs.load(Unit().model.bytes(), name="unit")


@pytest.fixture(scope="module")
def stream(unit: Graph) -> tuple[LaneMaker, Cutter]:
    maker = LaneMaker(steps(rewrite(unit)))
    return maker, Cutter(maker).with_pressure(1)


def test_halves_of_a_split_are_taken_by_rows(stream: tuple[LaneMaker, Cutter]) -> None:
    """The shuffled map exists nowhere, and the whole unit may be one stream."""
    maker, _ = stream
    assert [lane.step.op.kind for lane in maker.lanes[7:9]] == ["GATHER", "GATHER"]
    assert all(lane.call is not None for lane in maker.lanes)


def test_steady_rings_take_fewer_bytes_and_keep_the_bits(
    unit: Graph, stream: tuple[LaneMaker, Cutter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unit up to where its ways are joined, as one segment: rings of three places are packed into more."""
    maker, cutter = stream
    variant = Variant(Choice(rows=1, block=8))
    found = cutter.within(Cut(0), Cut(JOINED), variant, 1 << 40)
    assert found is not None and found.rings == "plain"
    best = cutter.within(Cut(0), Cut(JOINED), variant, found.peak - 1)
    assert best is not None and best.rings == "steady"
    monkeypatch.setattr(Cutter, "cut", lambda *_: [best, *rest(maker, cutter)])
    made = plan(unit, [RegionSpec("axi", 512 << 10)])
    assert [made.of(made.lanes[i].writes).slots for i in (0, 3)] == [4, 4]  # the maps of full height
    assert check(schedule_of(made)) == []
    x = np.random.default_rng(4).integers(-128, 128, (4, *unit.input.shape[1:])).astype(np.int8)
    expected = int8.run(unit, x)
    assert len({y.tobytes() for y in expected}) == 4
    assert np.array_equal(HostModel(unit, made, build_library(tmp_path), tmp_path).run(x), expected)


def rest(maker: LaneMaker, cutter: Cutter) -> Iterator[Segment]:
    """Every lane behind the joined map by itself."""
    for i in range(JOINED, len(maker)):
        found = cutter.within(Cut(i), Cut(i + 1), ALONE, 1 << 40)
        assert found is not None
        yield found
