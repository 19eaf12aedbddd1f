"""tools/campaign tiles in short: a small net on small pictures passes, a wrong engine and a silent net do not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tile_campaign as campaign
from graph_file import tflite_bytes
from PIL import Image
from random_graphs import phinet_like

from dftiny import graph as graphs
from dftiny.graph import Graph

TOOL = Path(__file__).resolve().parents[3] / "tools/campaign"
TILE = 32


def one_channel_wrong(graph: Graph) -> Graph:
    """`graph` with one weight of its first layer another: what an engine with a bug would run."""
    weights = graph.ops[0].inputs[1]
    tensors = list(graph.tensors)
    data = tensors[weights].data
    assert data is not None
    other = data.copy()
    other.flat[0] ^= 64
    tensors[weights] = replace(tensors[weights], data=other)
    return replace(graph, tensors=tuple(tensors))


@pytest.fixture(scope="module")
def net() -> Graph:
    return graphs.load(tflite_bytes(phinet_like(seed=1, tile=TILE, live=True)), name="net")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "deeper").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "deeper/b.png"):
        Image.fromarray(rng.integers(0, 256, (2 * TILE, 3 * TILE, 3)).astype(np.uint8)).save(folder / name)
    return folder


def told(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), "tiles", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_net_is_compared_with_its_maps(net: Graph, pictures: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(tflite_bytes(net))
    done = told(path, "--tiles", 5, "--data", pictures, "--cuts", 1)
    assert done.returncode == 0, done.stderr
    assert (
        "5 tiles and 20 nasty inputs" in done.stdout and "maps behind 1 operators on 3 inputs" in done.stdout
    )
    assert "; equal to" in done.stdout


def test_real_tiles_are_of_all_pictures(pictures: Path) -> None:
    found = campaign.real_tiles(campaign.pictures(pictures), TILE, 5)
    assert found.shape == (5, TILE, TILE, 3) and len({t.tobytes() for t in found}) == 5
    assert len({t.tobytes() for t in campaign.nasty((TILE, TILE, 3))}) == 20


def test_cuts_are_spread_and_hold_the_same_maps(net: Graph) -> None:
    found = list(campaign.cuts(net, 4))
    assert len(found) == 4 and [len(part.ops) for _, part in found] == sorted(len(p.ops) for _, p in found)
    assert list(campaign.cuts(net, 0)) == [] and len(list(campaign.cuts(net, 999))) >= len(net.ops) // 2


def test_another_engine_is_found(net: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        def __init__(self, graph: Graph, *_: object) -> None:
            self.graph = one_channel_wrong(graph)

        def run(self, x: np.ndarray) -> np.ndarray:
            return campaign.int8.run(self.graph, x)

    monkeypatch.setattr(campaign, "HostModel", Wrong)
    _, part = next(campaign.cuts(net, 1))
    data = tflite_bytes(part)
    x = campaign.nasty(net.input.shape[1:])
    found = campaign.compared(graphs.load(data), data, x, Path(), "here")
    assert found.wrong.startswith("engine: ") and "inputs differ" in found.wrong
    line, passed = campaign.verdict("net", found, [], 20)
    assert not passed and "NOT equal" in line


def test_few_values_prove_nothing_without_maps() -> None:
    few = campaign.Compared("", 30, 3, "")
    line, passed = campaign.verdict("net", few, [], 20)
    assert not passed and "prove nothing" in line
    assert campaign.verdict("net", few, [replace(few, behind="x", distinct=40)], 20)[1]
    assert not campaign.verdict("net", few, [replace(few, behind="x", distinct=2)], 20)[1]


def test_bad_input_is_one_sentence(net: Graph, tmp_path: Path) -> None:
    model = tmp_path / "net.tflite"
    model.write_bytes(tflite_bytes(net))
    for arguments, words in (
        ((tmp_path / "none.tflite",), "cannot read"),
        ((model, "--tiles", 0), "compares nothing"),
        ((model, "--cuts", -1), "makes no sense"),
        ((model, "--data", tmp_path), "holds no pictures"),
    ):
        with pytest.raises(campaign.DftError, match=words):
            campaign.main([str(a) for a in arguments])
    done = told(model, "--data", tmp_path)
    assert done.returncode == 2 and "holds no pictures" in done.stderr and "Traceback" not in done.stderr
