"""A random backbone that stands still has statistics of its own: its features differ by tile, its weights are untouched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")

import torch
from noise_set import noise_set

from dftiny.nets.checkpoint import load_checkpoint
from dftiny.nets.predict import pooled_features
from dftiny.nets.registry import create
from dftiny.train.settle import settle
from dftiny.train.training import train


def spread(net: torch.nn.Module) -> float:
    """How far features differ between six tiles of noise."""
    tiles = np.random.default_rng(1).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    return float(pooled_features(net, tiles).std(0).mean())


def test_a_deep_random_net_says_something_of_a_tile_only_when_settled() -> None:
    torch.manual_seed(0)
    net = create("micronet_m0", 64)
    weights = {n: p.detach().clone() for n, p in net.named_parameters()}
    before = spread(net)
    assert before < 1e-4
    rng = np.random.default_rng(0)
    settle(net, [rng.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8) for _ in range(3)])
    assert spread(net) > 1000 * before
    assert all(torch.equal(p, weights[n]) for n, p in net.named_parameters())
    assert {m.momentum for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {0.1}


def test_the_frozen_recipe_settles_a_random_backbone_and_no_other(tmp_path: Path) -> None:
    data = noise_set(tmp_path / "data")
    options = {"net": "phinet_demo", "tile": 64, "steps": 2}
    train("frozen", data, tmp_path / "random", **options)
    torch.manual_seed(0)
    fresh = create("phinet_demo", 64).state_dict()
    made = load_checkpoint(tmp_path / "random").net.state_dict()
    means = [k for k in made if k.endswith("running_mean")]
    assert means and all(not torch.equal(made[k], fresh[k]) for k in means)
    body = [k for k in made if k.endswith(".weight") and not k.startswith(("hidden.", "logit."))]
    assert body and all(torch.equal(made[k], fresh[k]) for k in body)
    train("frozen", data, tmp_path / "again", start=tmp_path / "random", **options)
    again = load_checkpoint(tmp_path / "again").net.state_dict()
    assert all(torch.equal(again[k], made[k]) for k in [*means, *body])
