"""`train --weights`: torchvision's layout, the MicroNet authors' and micromind's files; what does not fit is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from authors_micronet import AuthorsMicroNet
from test_phinet_thesis import theirs
from torch import Tensor
from torch.nn import functional

from dftiny.errors import DftError
from dftiny.nets.checkpoint import load_weights
from dftiny.nets.micronet_tables import M0
from dftiny.nets.registry import count, create
from dftiny.nets.resnet import ResNet


def torchvision_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's resnet50, from its description: [3, 4, 6, 3] bottlenecks, stride at the 3x3."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(conv: str, bn: str, shape: tuple[int, ...]) -> None:
        shapes[f"{conv}.weight"] = shape
        shapes.update({f"{bn}.{part}": () if part == norm[-1] else shape[:1] for part in norm})

    layer("conv1", "bn1", (64, 3, 7, 7))
    inputs = 64
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        width = 32 << stage
        for block in range(blocks):
            at = f"layer{stage}.{block}."
            layer(f"{at}conv1", f"{at}bn1", (width, inputs, 1, 1))
            layer(f"{at}conv2", f"{at}bn2", (width, width, 3, 3))
            layer(f"{at}conv3", f"{at}bn3", (4 * width, width, 1, 1))
            if block == 0:
                layer(f"{at}downsample.0", f"{at}downsample.1", (4 * width, inputs, 1, 1))
            inputs = 4 * width
    return shapes | {"fc.weight": (1000, 2048), "fc.bias": (1000,)}


def test_resnet50_has_torchvisions_layout_and_size() -> None:
    net = ResNet((3, 4, 6, 3), width=64, bottleneck=True, classes=1000)
    parameters, macs = count(net, 64)
    assert parameters == 25_557_032
    # 4.09 G at 224 px, which is 3.5 times as wide, apart from the linear layer.
    assert macs == (4_089_184_256 - 2_048_000) * 4 // 49 + 2_048_000
    assert {k: tuple(v.shape) for k, v in net.state_dict().items()} == torchvision_shapes()
    strides = {c.stride for n, c in net.named_modules() if n.endswith(".conv1")}
    assert strides == {(1, 1)}


def test_the_zeros_before_pooling_are_the_papers_padding() -> None:
    torch.manual_seed(6)
    net = create("resnet_small").eval()
    pixels = torch.randint(0, 256, (2, 3, 96, 96)).float()
    with torch.no_grad():
        x = functional.max_pool2d(functional.relu(net.bn1(net.conv1(pixels))), 3, 2, 1)
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = stage(x)
        assert torch.equal(net.features(pixels), x.mean((2, 3)))


def test_a_file_for_a_thousand_classes_gives_the_backbone(tmp_path: Path) -> None:
    given = {k: torch.rand(s) for k, s in torchvision_shapes().items()}
    torch.save(given, tmp_path / "resnet50.pth")
    found, whole = load_weights(tmp_path / "resnet50.pth", preset="resnet50", tile=96)
    assert not whole and found.tile == 96
    for key, value in found.net.state_dict().items():
        assert key.startswith("fc.") != torch.equal(value, given[key].to(value.dtype)), key


def test_micronet_with_the_papers_head(tmp_path: Path) -> None:
    torch.manual_seed(2)
    given = AuthorsMicroNet(M0).state_dict()
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in given.items()}}, tmp_path / "m0.pth")
    found, whole = load_weights(tmp_path / "m0.pth", preset="micronet_m0")
    assert not whole
    name = "features.2.layers.4.conv.0.weight"
    assert torch.equal(found.net.state_dict()["blocks.1.project.0.weight"], given[name])


def test_head_by_seed_and_own_head_kept(tmp_path: Path) -> None:
    torch.save(theirs(96).state_dict(), tmp_path / "phinet.pt")
    nets = [load_weights(tmp_path / "phinet.pt", preset="phinet_thesis", seed=s)[0].net for s in (1, 1, 2)]
    first, again, other = (n.state_dict()["head.logit.weight"] for n in nets)
    assert torch.equal(first, again) and not torch.equal(first, other)
    torch.save(nets[2].state_dict(), tmp_path / "own.pt")
    found, whole = load_weights(tmp_path / "own.pt", preset="phinet_thesis", seed=1)
    assert whole and torch.equal(found.net.state_dict()["head.logit.weight"], other)


def _refused(state: dict[str, Tensor], preset: str, folder: Path) -> str:
    torch.save(state, folder / "net.pt")
    with pytest.raises(DftError) as caught:
        load_weights(folder / "net.pt", preset=preset)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_does_not_fit_is_named_three_of_a_kind(tmp_path: Path) -> None:
    state = create("resnet_small").state_dict()
    lacking = {k: v for k, v in state.items() if not k.startswith("layer2.0.bn1.")}
    assert "4 of" in (said := _refused(lacking, "resnet_small", tmp_path)) and "and 1 more" in said
    strange = state | {f"ema.{i}": torch.zeros(1) for i in range(5)}
    assert "5 unknown (ema.0, ema.1, ema.2 and 2 more)" in _refused(strange, "resnet_small", tmp_path)
    wrong = state | {"conv1.weight": torch.zeros(64, 3, 7, 7)}
    assert "conv1.weight is (64, 3, 7, 7) and must be (16, 3, 7, 7)" in _refused(
        wrong, "resnet_small", tmp_path
    )
    said = _refused(state, "micronet_m1", tmp_path)
    assert "missing" in said and "--net" not in said and "give weights of micronet_m1" in said


def test_nothing_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(DftError, match="downloads nothing"):
        load_weights(tmp_path / "absent.pth", preset="resnet50")
