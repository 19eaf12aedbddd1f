"""The thesis' PhiNet: its size, and its equality with micromind's network, weight for weight."""

from __future__ import annotations

import importlib.util
from importlib.metadata import files
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dftiny.errors import DftError
from dftiny.nets.phinet_thesis import PhiNetThesis, from_micromind
from dftiny.nets.registry import count, create
from dftiny.nets.thesis import MEAN, STD, Head, PixelConv


def micromind() -> ModuleType:
    """micromind's networks/phinet.py alone: importing the package wants accelerate and a torchvision that breaks."""
    path = next(f for f in files("micromind") or [] if str(f).endswith("networks/phinet.py")).locate()
    spec = importlib.util.spec_from_file_location("micromind_phinet", str(path))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def randomised(net: nn.Module, seed: int = 0) -> nn.Module:
    """Running statistics and scales that differ from channel to channel, so that a wrong order shows."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
                (module.weight, 0.7, 1.3),
                (module.bias, -0.2, 0.2),
            ):
                assert tensor is not None
                tensor.data.uniform_(low, high, generator=generator)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            module.weight.data.normal_(0, module.weight[0].numel() ** -0.5, generator=generator)
    return net.eval()


def theirs(tile: int) -> nn.Module:
    return micromind().PhiNet(
        (3, tile, tile),
        num_layers=8,
        alpha=1.1,
        beta=0.75,
        t_zero=5,
        divisor=8,
        compatibility=False,
        downsampling_layers=[5, 7],
        include_top=False,
    )


def normalised(pixels: Tensor) -> Tensor:
    mean = torch.tensor(MEAN, dtype=pixels.dtype).view(1, 3, 1, 1)
    return (pixels - mean) / torch.tensor(STD, dtype=pixels.dtype).view(1, 3, 1, 1)


def test_size_is_the_thesis() -> None:
    net = create("phinet_thesis")
    assert count(net, 1024) == (1_147_196, 4_069_818_112)


@pytest.mark.parametrize(("tile", "macs"), [(96, 36_248_712), (128, 64_066_432)])
def test_macs_of_tiles(tile: int, macs: int) -> None:
    assert count(create("phinet_thesis"), tile)[1] == macs


def test_features_equal_micromind() -> None:
    other, ours = randomised(theirs(96)), create("phinet_thesis", 96).eval()
    state = {f"backbone.{k}": v for k, v in other.state_dict().items()}
    head = randomised(nn.Sequential(nn.Linear(208, 512), nn.ReLU(), nn.Linear(512, 1)), seed=1)
    state |= {f"classifier.{k}": v for k, v in head.state_dict().items()}
    ours.load_state_dict(from_micromind(state))
    pixels = torch.randint(0, 256, (2, 3, 96, 96), generator=torch.Generator().manual_seed(2)).double()
    pixels[1] /= 4
    with torch.no_grad():
        maps = other.double()(normalised(pixels))
        features, logits = maps.mean((2, 3)), head.double()(maps.mean((2, 3)))
        assert isinstance(ours, PhiNetThesis)
        single = ours(pixels.float())
        torch.testing.assert_close(ours.double().features(pixels), features, rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(ours(pixels), logits, rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(single.double(), logits, rtol=1e-4, atol=1e-5)
    # The images' features differ a thousand million times more than the tolerance: the comparison sees them.
    assert float((features[0] - features[1]).abs().max()) > 1e-4


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("frame", [(0, 1, 0, 1), (1, 0, 1, 0), (1, 1, 1, 1), (0, 0, 2, 0), (0, 0, 0, 0)])
def test_normalisation_folds_exactly(groups: int, frame: tuple[int, int, int, int]) -> None:
    conv = PixelConv(6, (3, 2), stride=(2, 1), frame=frame, groups=groups).double()
    pixels = torch.randint(0, 256, (2, 3, 8, 10), generator=torch.Generator().manual_seed(3)).double()
    padded = nn.functional.pad(normalised(pixels), frame)
    want = nn.functional.conv2d(padded, conv.weight, None, (2, 1), groups=groups)
    torch.testing.assert_close(conv(pixels), want, rtol=0, atol=1e-12)


def test_head_has_one_hidden_layer() -> None:
    assert sum(p.numel() for p in Head(208).parameters()) == 208 * 512 + 512 + 512 + 1


FACTORS = {"alpha": 1.1, "beta": 0.75, "t_zero": 5.0, "num_layers": 8, "down": (5, 7)}


@pytest.mark.parametrize(
    "change",
    [{"alpha": 0.5}, {"beta": 1.0}, {"t_zero": 3.0}, {"num_layers": 7}, {"divisor": 4}, {"gate": False}],
    ids=lambda change: next(iter(change)),
)
def test_each_factor_of_size_changes_the_size(change: dict[str, Any]) -> None:
    net = PhiNetThesis(**{**FACTORS, **change})
    assert count(net, 96)[0] != 1_147_196
    widths = [block.project[0].out_channels for block in net.blocks]
    assert all(w % change.get("divisor", 8) == 0 for w in widths)
    assert len(net.blocks) == change.get("num_layers", 8) + 1
    assert any(block.gate is not None for block in net.blocks) == change.get("gate", True)


@pytest.mark.parametrize("change", [{"activation": "relu6"}, {"corner": True}])
def test_activation_and_padding_change_the_function_alone(change: dict[str, Any]) -> None:
    plain, other = PhiNetThesis(**FACTORS).eval(), PhiNetThesis(**FACTORS, **change).eval()
    other.load_state_dict(plain.state_dict())
    assert count(plain, 96) == count(other, 96)
    pixels = torch.randint(0, 256, (1, 3, 96, 96)).float()
    with torch.no_grad():
        assert not torch.allclose(plain.features(pixels), other.features(pixels))
    strided = [b.depthwise[0].padding for b in other.blocks if b.depthwise[0].stride == (2, 2)]
    assert strided == [(0, 0) if "corner" in change else (1, 1)] * 4


def test_factors_that_build_no_net_are_refused() -> None:
    with pytest.raises(DftError, match="hardswish, relu6"):
        PhiNetThesis(**FACTORS, activation="swish")
    with pytest.raises(DftError, match="above 0"):
        PhiNetThesis(**{**FACTORS, "alpha": 0.0})
