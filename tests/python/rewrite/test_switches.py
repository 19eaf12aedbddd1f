"""Every rewrite and step, left out by its name where it does something: other steps are run, the bits stay TFLM's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exact import assert_same, assert_well_formed, tiles
from host_model import HostModel, build_library
from small_net import SmallNet
from switched_nets import NETS

from dftiny import graph, int8
from dftiny.export import tflm
from dftiny.plan import RegionSpec, Wishes, plan
from dftiny.rewrite import NAMES as REWRITES
from dftiny.rewrite import rewrite
from dftiny.steps import NAMES as STEPS
from dftiny.steps import Steps

AXI = RegionSpec("axi", 64 << 10, 32)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_library(tmp_path_factory.mktemp("library"))


def shown(prepared: Steps) -> list[object]:
    """What is run, one line a step: kind, options, maps, padding, table."""
    return [
        (
            s.op.kind,
            repr(s.op.options),
            s.reads,
            s.writes,
            s.pad,
            None if s.table is None else s.table.tobytes(),
        )
        for s in prepared.steps
    ]


def test_a_net_is_known_for_every_name() -> None:
    assert sorted(NETS) == sorted([*REWRITES, *STEPS])


@pytest.mark.parametrize("name", [*REWRITES, *STEPS])
def test_left_out_it_changes_what_is_run_and_no_bit(name: str, library: Path, tmp_path: Path) -> None:
    model = NETS[name]().model.bytes()
    g = graph.load(model, name=name)
    x = tiles(g)
    expected = tflm.Interpreter(model).run(x) if tflm.available() else int8.run(g, x)
    assert len(np.unique(expected)) > 4, "a dead net proves nothing"
    assert np.array_equal(int8.run(g, x), expected)
    found = []
    for without in (frozenset[str](), frozenset({name})):
        layout = plan(g, [AXI], Wishes(without=without))
        after = rewrite(g, without=without & set(REWRITES))
        assert_well_formed(g, after)
        assert_same(g, after, x)
        folder = tmp_path / str(len(found))
        folder.mkdir()
        assert np.array_equal(HostModel(g, layout, library, folder).run(x), expected)
        found.append((layout.prepared.graph, shown(layout.prepared)))
    (usual, steps), (left, steps_left) = found
    assert steps != steps_left
    assert (usual.ops == left.ops) == (name in STEPS), (
        "a rewrite changes the graph, a step what is made of it"
    )


def test_rewritten_graphs_run_in_c(library: Path, tmp_path: Path) -> None:
    """A PAD with one value a channel and a TABLE, through the whole-tensor kernels."""
    net = SmallNet()
    border = np.broadcast_to(np.array([-24, -12, -4, 100]), (1, 6, 1, 4))
    net.join((net.at, net.constant(border)), 2)
    net.pair("MUL", net.at, net.constant(np.array(90), (0.01, 0)))
    net.conv(3, kernel=3)
    g = graph.load(net.model.bytes())
    after = rewrite(g)
    assert [op.kind for op in after.ops] == ["PAD", "TABLE", "CONV_2D"]
    x = tiles(g)
    model = HostModel(after, plan(after, [AXI]), library, tmp_path)
    assert np.array_equal(model.run(x), int8.run(g, x))
