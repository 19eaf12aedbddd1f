"""Plans in which convolutions lay out their rows for the depthwise ones behind them: memory, bits, and when not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import arm_model
import numpy as np
import pytest
from host_model import HostModel, build_library
from planned import schedule_of, writes_planes
from random_blocks import lively
from random_graphs import phinet_like

from dftiny import int8
from dftiny.codegen.proofs_c import row_bytes
from dftiny.export.engine import first_wrong
from dftiny.graph import Graph
from dftiny.plan import Plan, RegionSpec, costs, plan, segments
from dftiny.schedule_check import CheckedBuffer, check

ROOMY = [RegionSpec("axi", 512 << 10)]
TILES = (64,)


def pairs(made: Plan) -> int:
    """Convolutions that write planes; each is read by a kernel for them."""
    readers = [x.step.sources[0] for x in made.lanes if x.call and "planes" in x.call.function]
    writers = [x.writes for x in made.lanes if writes_planes(x)]
    assert sorted(readers) == sorted(writers)
    return len(writers)


def shorter(b: CheckedBuffer) -> CheckedBuffer:
    """A ring whose rows lie among one another, of two rows only."""
    return replace(b, slots=2) if b.among else b


def with_planes(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(segments, "_PLANES_SAVE", -1.0)
    monkeypatch.setattr(costs, "_PLANES", {1: -9.0, 2: -9.0})
    return plan(graph, ROOMY)


def test_bits_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, found = build_library(tmp_path), 0
    for tile in TILES:
        graph = phinet_like(3, tile, live=True)
        made = with_planes(graph, monkeypatch)
        found += pairs(made)
        schedule = schedule_of(made)
        assert check(schedule) == []
        assert check(replace(schedule, buffers=tuple(shorter(b) for b in schedule.buffers)))
        x = lively(graph.input.shape[1:], tile)[1:3]
        want = np.concatenate([int8.run(graph, one[None]) for one in x])
        folder = tmp_path / str(tile)
        folder.mkdir()
        host = HostModel(graph, made, library, folder)
        np.testing.assert_array_equal(host.run(x), want)
        # A probe sees no row of planes by itself: nothing is claimed of those, and every other row is the oracle's.
        sizes = row_bytes(made)
        assert {lane.step.op.index for lane in made.lanes if writes_planes(lane)} <= {
            op for op, n in enumerate(sizes) if n == 0
        }
        assert sum(sizes) > 0 and first_wrong(host.binary, made, x) is None
        got, _ = arm_model.run(graph, made, arm_model.build(graph, made, folder), x[0])
        np.testing.assert_array_equal(got, want[0].reshape(-1))
    assert found >= 3


def test_little_gain_is_not_worth_their_code(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = phinet_like(3, TILES[0])
    assert pairs(with_planes(graph, monkeypatch)) > 0
    monkeypatch.setattr(segments, "_PLANES_SAVE", 1e3)
    assert pairs(plan(graph, ROOMY)) == 0
