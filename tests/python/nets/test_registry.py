"""The registry is the list of tests: every net runs, is counted as its table says, keeps its weights and goes into ONNX."""

from __future__ import annotations

from pathlib import Path

import onnx as onnxlib
import pytest
import torch
from torch import nn

from dftiny import spec
from dftiny.budget.aot import region_specs
from dftiny.export import onnx
from dftiny.graph.resize import at_tile
from dftiny.models import TILES, models_table, net_rows, released_model
from dftiny.nets.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from dftiny.nets.registry import count, create, names, presets
from dftiny.plan import plan
from dftiny.target import load_target

ROWS = {row.name: row for row in net_rows()}
SMALL = 64  # px: the smallest tile at which every net still has a map to pool


def shaken(name: str, tile: int) -> nn.Module:
    """The net with no tensor as it began."""
    torch.manual_seed(4)
    net = create(name, tile)
    with torch.no_grad():
        for value in net.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand_like(value) * 0.01)
    return net


def test_the_table_is_the_registry() -> None:
    assert list(ROWS) == names(), "run: tools/net_table"
    for name, preset in presets().items():
        assert (ROWS[name].tile, ROWS[name].summary) == (preset.tile, preset.summary)
        assert tuple(ROWS[name].at) == TILES
        assert all((ram == 0) == preset.host for _, ram in ROWS[name].at.values())
        assert f"  {name} " in models_table()


@pytest.mark.parametrize("name", names())
def test_parameters_and_macs_are_the_tables(name: str) -> None:
    net = create(name)
    for tile in TILES[:2]:
        assert count(net, tile) == (ROWS[name].parameters, ROWS[name].at[tile][0]), "run: tools/net_table"


@pytest.mark.parametrize("name", names())
def test_weights_go_out_and_in(name: str, tmp_path: Path) -> None:
    net = shaken(name, SMALL)
    save_checkpoint(tmp_path / "net.safetensors", net, preset=name, tile=SMALL)
    loaded = load_checkpoint(tmp_path / "net.safetensors")
    assert (loaded.preset, loaded.tile) == (name, SMALL)
    pixels = torch.randint(0, 256, (2, 3, SMALL, SMALL)).float()
    with torch.no_grad():
        want, got = net.eval()(pixels), loaded.net(pixels)
    assert got.shape == (2, 1)
    assert torch.equal(got, want)


@pytest.mark.parametrize("name", [n for n, p in presets().items() if not p.host])
def test_goes_into_onnx(name: str, tmp_path: Path) -> None:
    net = shaken(name, SMALL).eval()
    onnx.from_checkpoint(Checkpoint(net, name, SMALL, 0.0, ("fake", "real"), ""), tmp_path / "net.onnx")
    graph = onnxlib.load(tmp_path / "net.onnx").graph
    assert len(graph.node) > 10
    # Batch normalisation is folded: the int8 graph has none to fold wrongly.
    assert "BatchNormalization" not in {node.op_type for node in graph.node}


def test_ram_is_what_the_planner_takes() -> None:
    """Of the released net, at each tile size; the other nets' int8 files are not here."""
    model = (released_model() / "model.tflite").read_bytes()
    regions = region_specs(load_target("stm32h743"))
    for tile in TILES:
        planned = sum(plan(at_tile(model, "phinet_demo", tile), regions).region_bytes.values())
        assert planned == ROWS["phinet_demo"].at[tile][1], "run: tools/net_table"


def test_the_table_needs_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    spec.nets.cache_clear()
    assert "resnet50" in models_table()
