"""Heads on shared features: equal to the whole net, learnt where there is something to learn, and cheap on the chip."""

from __future__ import annotations

import numpy as np
import pytest

from dftiny.data.index import DataIndex, ImageRow
from dftiny.thesis.history import _imitated, _rows, chip_cost, fit, fit_heads

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")


@pytest.mark.parametrize("name", ["phinet_demo", "phinet_h743", "micronet_m0", "resnet_small", "resnet_demo"])
def test_head_of_features_is_the_whole_net(name: str) -> None:
    from dftiny.nets.predict import head_logits, pooled_features, predict
    from dftiny.nets.registry import create

    torch.manual_seed(0)
    net = create(name, 32)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    features = pooled_features(net, pixels)
    told = head_logits(net, features)
    assert np.array_equal(told, predict(net, pixels)) and len(set(told[:, 0].tolist())) > 1
    assert "features" not in net.__dict__


def test_cells_share_a_backbone_only_when_every_bit_is_equal() -> None:
    from dftiny.nets.registry import create
    from dftiny.thesis.score import _backbones

    nets = {name: create("phinet_demo", 32) for name in ("supervised", "head", "all")}
    for name in ("head", "all"):
        nets[name].load_state_dict(nets["supervised"].state_dict())
    with torch.no_grad():
        nets["head"].logit.bias.add_(1.0)
        next(p for n, p in nets["all"].named_parameters() if not n.startswith(("hidden.", "logit."))).view(
            -1
        )[0] += 1e-6
    assert [b.methods for b in _backbones(nets)] == [("supervised", "head"), ("all",)]


def test_linear_heads_learn_condition_and_label() -> None:
    rng = np.random.default_rng(1)
    condition, target = np.repeat([0, 1, 2, 3], 60), np.tile([0, 1], 120)
    features = rng.normal(size=(240, 12)).astype(np.float32) * 3 + 5
    features[np.arange(240), condition] += 8
    # What speaks for real differs by condition: one head for all could not know it.
    features[:, 6] += np.where(condition % 2, 1, -1) * (target * 2 - 1) * 9
    history, heads = fit_heads(features, condition, target, 4, 0)
    assert (history(features).argmax(1) == condition).mean() > 0.85
    for c, head in enumerate(heads):
        mine = condition == c
        assert ((head(features[mine])[:, 0] > 0) == (target[mine] == 1)).mean() > 0.9
    one = fit(features, target, 0)
    assert ((one(features)[:, 0] > 0) == (target == 1)).mean() < 0.75
    # Linear: the mean of the tiles' answers is the answer to the mean of their features.
    assert history(features[:16]).mean(0) == pytest.approx(
        history(features[:16].mean(0, keepdims=True))[0], abs=1e-4
    )


def test_training_places_have_a_real_and_a_fake_each() -> None:
    rows = [
        ImageRow(
            f"p{p}.{kind}",
            "train",
            f"p{p}",
            "real" if kind == "real" else "fake",
            kind,
            True,
            "pre",
            "f",
            "0",
        )
        for p in range(6)
        for kind in ("real", "gen_a", "gen_b")
    ]
    chosen = _rows(DataIndex("demo", 128, tuple(rows)))
    assert [r.source for r in chosen[::2]] == [r.source for r in chosen[1::2]] == [f"p{p}" for p in range(6)]
    assert {r.kind for r in chosen[1::2]} == {"gen_a", "gen_b"} and {r.kind for r in chosen[::2]} == {"real"}


def test_imitated_sharing_changes_pixels_and_an_unknown_platform_none() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    row = ImageRow("a", "train", "a", "real", "real", True, "pre", "f", "0")
    shared = _imitated(row, pixels, "twitter-like")
    assert shared.shape == pixels.shape and not np.array_equal(shared, pixels)
    assert np.array_equal(_imitated(row, pixels, "somewhere"), pixels)


def test_cost_on_the_chip() -> None:
    cost = chip_cost(64, 4, 4_497_568)
    # Four outputs of history and three further heads, 64 weights and a bias each.
    assert (cost["parameters"], cost["macs"]) == (7 * 65, 7 * 64)
    assert cost["part"] == pytest.approx(0.0000996, rel=1e-2)
