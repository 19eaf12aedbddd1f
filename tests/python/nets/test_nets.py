"""Every preset runs, is counted and fits its checkpoint; the front end is exact on the int8 grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from dftiny.data.tiles import GRID_PX
from dftiny.errors import DftError
from dftiny.nets.blocks import KERNEL_CROSS, KERNEL_SQUARE, HighPass, PhiBlock
from dftiny.nets.checkpoint import load_checkpoint, save_checkpoint
from dftiny.nets.phinet import divisible, expansion
from dftiny.nets.predict import predict
from dftiny.nets.registry import count, create, names, presets


@pytest.mark.parametrize("name", names())
def test_preset_gives_one_finite_logit_a_tile(name: str) -> None:
    torch.manual_seed(0)
    net = create(name).eval()
    tile = presets()[name].tile
    with torch.no_grad():
        out = net(torch.randint(0, 256, (2, 3, tile, tile)).float())
    assert out.shape == (2, 1)
    assert torch.isfinite(out).all()
    assert presets()[name].summary


def test_demo_is_small_enough_for_an_emulator() -> None:
    parameters, macs = count(create("phinet_demo"), 128)
    assert 20_000 <= parameters <= 60_000
    assert macs <= 4_500_000


@pytest.mark.parametrize(("tile", "macs"), [(128, 50_094_976), (96, 28_389_768)])
def test_the_chips_phinet_has_the_thesis_size(tile: int, macs: int) -> None:
    net = create("phinet_h743")
    assert count(net, tile) == (1_150_165, macs)
    thesis = create("phinet_thesis")
    # The same widths and the same map sizes where the two run in step: blocks 3 to 8.
    ours = [(b.depthwise[0].out_channels, b.project[0].out_channels) for b in net.blocks][2:]
    theirs = [(b.depthwise[0].out_channels, b.project[0].out_channels) for b in thesis.blocks][3:]
    assert ours == theirs


def test_the_chips_phinet_pads_right_and_bottom_only() -> None:
    """At stride 2 no convolution pads by itself, so that the int8 graph holds a PAD that folds into the window."""
    net = create("phinet_h743")
    strided = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert len(strided) == 3
    assert all(m.padding == (0, 0) for m in strided)


def test_macs_of_one_convolution_by_hand() -> None:
    net = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1, groups=3), nn.Flatten(), nn.Linear(6 * 16, 2))
    assert count(net, 8) == (6 * 9 + 6 + 192 + 2, 16 * 6 * 9 + 192)


@pytest.mark.parametrize("kernel", [KERNEL_SQUARE, KERNEL_CROSS])
def test_front_end_is_exact_on_the_int8_grid(kernel: tuple[tuple[int, ...], ...]) -> None:
    integers = np.array(kernel)
    assert integers.sum() == 0
    assert np.abs(integers).max() == 127
    weights = (torch.tensor(kernel, dtype=torch.float32) / 1024).numpy()
    # The converter's symmetric per-channel quantisation in float32: scale = max / 127, q = round(w / scale).
    scale = np.float32(np.abs(weights).max() / np.float32(127))
    assert np.array_equal(np.round(weights / scale), integers)


def test_flat_image_gives_exactly_the_shift_inside() -> None:
    for level in (0.0, 37.0, 255.0):
        out = HighPass()(torch.full((1, 3, 16, 16), level))
        assert (out[:, :, 1:-1, 1:-1] == 3.0).all()


def test_front_end_is_a_clamped_residual() -> None:
    x = torch.randint(0, 256, (1, 3, 16, 16)).float()
    bank = torch.tensor((KERNEL_SQUARE, KERNEL_CROSS), dtype=torch.float32)
    expected = (
        functional.conv2d(
            x.double(), bank.double().repeat(3, 1, 1)[:, None] / 1024, padding=1, groups=3
        ).clamp(-3, 3)
        + 3
    )
    assert torch.allclose(HighPass()(x).double(), expected, atol=1e-5)
    assert not any(p.requires_grad for p in HighPass().parameters())


def test_a_shift_by_the_grid_moves_the_stem_by_one_cell() -> None:
    torch.manual_seed(1)
    net = create("phinet_demo").eval()
    x = torch.randint(0, 256, (1, 3, 128, 128)).float()
    with torch.no_grad():
        here, there = (net.stem(net.front(v)) for v in (x, torch.roll(x, GRID_PX, dims=3)))
    # Border cells see the zero padding.
    assert torch.allclose(here[..., 1:-1, 1:-2], there[..., 1:-1, 2:-1], atol=1e-4)


def test_stride_two_pads_like_tflite_same() -> None:
    torch.manual_seed(0)
    block = PhiBlock(4, 4, 8, 2, 8).eval()
    y = functional.relu6(block.expand(torch.randn(1, 4, 8, 8)))
    seen: list[torch.Tensor] = []
    block.depthwise.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    torch.manual_seed(0)
    block(torch.randn(1, 4, 8, 8))
    assert seen[0].shape[-2:] == (9, 9)
    assert (seen[0][..., -1, :] == 0).all()
    assert seen[0].shape[1] == y.shape[1]


def test_scaling_formulae_of_phinet() -> None:
    assert [divisible(v) for v in (1, 11, 12, 15.84, 31.68, 63.36)] == [8, 16, 16, 16, 32, 64]
    assert expansion(6, 1.0, 3, 7) == pytest.approx(6)
    assert expansion(5, 0.75, 8, 8) == pytest.approx(3.75)


def test_checkpoint_round_trip_is_exact_and_byte_identical(tmp_path: Path) -> None:
    torch.manual_seed(3)
    net = create("phinet_demo")
    for name in ("a", "b"):
        save_checkpoint(
            tmp_path / f"{name}.safetensors", net, preset="phinet_demo", tile=128, threshold=0.1 + 0.2
        )
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded = load_checkpoint(tmp_path / "a.safetensors")
    assert (loaded.preset, loaded.tile, loaded.threshold, loaded.classes) == (
        "phinet_demo",
        128,
        0.1 + 0.2,
        ("fake", "real"),
    )
    x = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), dtype=np.uint8)
    assert np.array_equal(predict(loaded.net, x), predict(net, x))


def test_state_dict_needs_the_nets_name(tmp_path: Path) -> None:
    net = create("phinet_demo")
    torch.save(net.state_dict(), tmp_path / "own.pt")
    with pytest.raises(DftError, match="--net"):
        load_checkpoint(tmp_path / "own.pt")
    assert load_checkpoint(tmp_path / "own.pt", preset="phinet_demo").tile == 128


def test_damaged_checkpoints_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("hello")
    (tmp_path / "text.pt").write_text("hello")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    net = create("phinet_demo")
    with torch.no_grad():
        net.logit.bias.fill_(float("nan"))
    save_checkpoint(tmp_path / "nan.safetensors", net, preset="phinet_demo", tile=128)
    whole = (tmp_path / "nan.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    for name in (
        "text.safetensors",
        "text.pt",
        "other.pt",
        "nan.safetensors",
        "cut.safetensors",
        "absent.safetensors",
    ):
        with pytest.raises(DftError, match=name) as caught:
            load_checkpoint(tmp_path / name, preset="phinet_demo")
        assert "\n" not in str(caught.value)


def test_loading_leaves_the_random_state_alone(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.safetensors", create("phinet_demo"), preset="phinet_demo", tile=128)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_checkpoint(tmp_path / "a.safetensors")
    assert torch.equal(torch.rand(3), expected)


def test_unknown_names_and_tiles_are_refused() -> None:
    with pytest.raises(DftError, match="phinet_demo"):
        create("resnet9000")
    for tile in (0, 100, 4096):
        with pytest.raises(DftError, match="multiple of 32"):
            create("phinet_demo", tile)
