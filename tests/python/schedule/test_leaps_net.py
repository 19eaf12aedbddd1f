"""Plans with rows that are computed far apart (plan/leaps): valid, smaller, and the bits stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graph_file import tflite_bytes
from host_model import HostModel, build_library
from planned import schedule_of
from random_blocks import lively
from random_chains import ChainNet

from dftiny import graph as graphs
from dftiny import int8
from dftiny.graph import Graph
from dftiny.plan import Plan, RegionSpec, plan
from dftiny.plan import segments as cuts
from dftiny.schedule_check import check

AXI = [RegionSpec("axi", 512 << 10)]
NETS = Path(__file__).resolve().parents[2] / "vectors/further_nets.npz"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_library(tmp_path_factory.mktemp("library"))


def temporal(rows: int, dilation: int, taps: int = 3) -> Graph:
    """Two causal windows and the sum with what came before them, all that a net's memory is needed for."""
    net = ChainNet(rows, rows, 1, 4)
    net.conv(16)
    before = net.b.x
    for _ in range(2):
        net.causal((taps - 1) * dilation)
        net.conv(16, taps, dilation)
    net.b.pair("ADD", before)
    return graphs.load(tflite_bytes(net.b.graph()), name="temporal")


def leaping(made: Plan) -> list[int]:
    return [s.lanes[0].leap for s in made.segments if s.lanes[0].leap > 1]


# 43 rows: remainders of eight have five and six.
@pytest.mark.parametrize("rows", [40, 43])
def test_rows_leap_where_memory_is_short(rows: int, library: Path, tmp_path: Path) -> None:
    graph = temporal(rows, 8)
    made = plan(graph, AXI)
    assert leaping(made) == [8], "nothing leaps: this test says nothing any more"
    assert made.of(made.segments[-1].lanes[0].writes).slots == 3  # 17 in the usual order
    assert check(schedule_of(made)) == []
    x = lively(graph.input.shape[1:], 3)
    expected = int8.run(graph, x)
    assert len({y.tobytes() for y in expected}) == len(x)
    assert np.array_equal(HostModel(graph, made, library, tmp_path).run(x), expected)


def test_without_leaps_it_takes_more(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = temporal(40, 8)
    leapt = plan(graph, AXI).total_bytes
    monkeypatch.setattr(cuts, "_LEAPS", ())
    assert plan(graph, AXI).total_bytes > leapt


def test_a_temporal_net_stays_near_its_bound() -> None:
    """Windows dilated by 1, 2, 4 and 8: only the last need it. That its bits are TFLM's is tested beside the other nets."""
    with np.load(NETS) as nets:
        made = plan(graphs.load(nets["model_tcn_like"].tobytes(), name="tcn_like"), AXI)
    assert leaping(made) == [8]
    assert check(schedule_of(made)) == []
    assert made.total_bytes <= 1.10 * made.lower_bound_bytes
    assert (made.total_bytes, made.lower_bound_bytes) == (1280, 1184)
