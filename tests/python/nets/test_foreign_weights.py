"""Checkpoints made elsewhere: what goes in, and the sentence for what does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_phinet_thesis import theirs
from torch import Tensor, nn

from dftiny.errors import DftError
from dftiny.export.source import Reading, open_source
from dftiny.nets.checkpoint import load_checkpoint, save_checkpoint
from dftiny.nets.registry import create


@pytest.fixture(scope="module")
def backbone() -> dict[str, Tensor]:
    return theirs(96).state_dict()


@pytest.fixture(scope="module")
def head() -> dict[str, Tensor]:
    return nn.Sequential(nn.Linear(208, 512), nn.ReLU(), nn.Linear(512, 1)).state_dict()


def test_one_state_dict(backbone: dict[str, Tensor], head: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({f"0.{k}": v for k, v in backbone.items()} | {f"1.{k}": v for k, v in head.items()}, path)
    loaded = load_checkpoint(path, preset="phinet_thesis")
    assert (loaded.preset, loaded.tile) == ("phinet_thesis", 96)
    assert torch.equal(loaded.net.state_dict()["head.logit.bias"], head["2.bias"])
    assert torch.equal(loaded.net.state_dict()["stem.weight"], backbone["_layers.1._layers.0.weight"])


def test_one_state_dict_a_module(
    backbone: dict[str, Tensor], head: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "state-dict.pth.tar"  # the name micromind's trainer gives
    torch.save({"feature_extractor": backbone, "classifier": head}, path)
    loaded = load_checkpoint(path, preset="phinet_thesis")
    assert torch.equal(loaded.net.state_dict()["head.hidden.weight"], head["0.weight"])


def test_export_takes_the_file_of_micromind(
    backbone: dict[str, Tensor], head: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save({"feature_extractor": backbone, "classifier": head}, tmp_path / "state-dict.pth.tar")
    np.savez(tmp_path / "tiles.npz", tiles=np.zeros((4, 96, 96, 3), np.uint8))
    source = open_source(
        tmp_path / "state-dict.pth.tar", Reading(calibration=tmp_path / "tiles.npz", net="phinet_thesis")
    )
    assert (source.name, source.size) == ("phinet_thesis_96.own", (96, 96))


def test_our_own_format_again(backbone: dict[str, Tensor], head: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"feature_extractor": backbone, "classifier": head}, tmp_path / "net.pt")
    net = load_checkpoint(tmp_path / "net.pt", preset="phinet_thesis").net
    save_checkpoint(tmp_path / "net.safetensors", net, preset="phinet_thesis", tile=128)
    again = load_checkpoint(tmp_path / "net.safetensors")
    assert again.tile == 128
    for key, value in net.state_dict().items():
        assert torch.equal(again.net.state_dict()[key], value)


def _refused(state: object, tmp_path: Path, preset: str = "phinet_thesis") -> str:
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(DftError) as caught:
        load_checkpoint(tmp_path / "net.pt", preset=preset)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_head(backbone: dict[str, Tensor], tmp_path: Path) -> None:
    said = _refused(backbone, tmp_path)
    assert "4 of" in said and "head.hidden.weight" in said and "missing" in said


def test_another_head(backbone: dict[str, Tensor], tmp_path: Path) -> None:
    other = nn.Sequential(nn.Linear(208, 256), nn.ReLU(), nn.Linear(256, 1)).state_dict()
    said = _refused({"a": backbone, "b": other}, tmp_path)
    assert "head.hidden.weight is (256, 208) and must be (512, 208)" in said


def test_a_layer_too_many(backbone: dict[str, Tensor], head: dict[str, Tensor], tmp_path: Path) -> None:
    extra = {"projector.weight": torch.zeros(3, 3), "_layers.11._layers.4.weight": torch.zeros(1)}
    said = _refused(backbone | {f"head.{k}": v for k, v in head.items()} | extra, tmp_path)
    assert "2 unknown" in said and "projector.weight" in said


def test_two_nets_in_one_file(backbone: dict[str, Tensor], head: dict[str, Tensor], tmp_path: Path) -> None:
    said = _refused({"net": backbone, "ema": backbone, "head": head}, tmp_path)
    assert f"{len(backbone)} unknown (ema._layers.1._layers.0.weight" in said


def test_another_net(tmp_path: Path) -> None:
    said = _refused(create("phinet_demo").state_dict(), tmp_path, "micronet_m1")
    assert "missing" in said and "unknown" in said
    # Its net was named: by --net here, by NET=FILE in `dftiny reproduce`, which has no --net.
    assert "--net" not in said and said.endswith(
        "give weights of micronet_m1, or name the net that these are of"
    )


def test_not_a_state_dict(tmp_path: Path) -> None:
    assert "not a PyTorch state dict" in _refused({"net": {"x": 3}}, tmp_path)
