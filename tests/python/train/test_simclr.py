"""SimCLR: its loss against the paper's formula written out, its views, and a run from pretraining to a head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")

import torch
from noise_set import noise_set

from dftiny import spec
from dftiny.artifact import read_manifest
from dftiny.data.index import load_index
from dftiny.errors import DftError
from dftiny.evaluate import evaluate
from dftiny.nets.checkpoint import load_checkpoint
from dftiny.nets.registry import create
from dftiny.train.augment import AUGMENTATIONS, views
from dftiny.train.batches import batch, load_pool
from dftiny.train.ranks import Ranks
from dftiny.train.recipe import Recipe, parse_recipe
from dftiny.train.run import Run
from dftiny.train.simclr import Contrast, feature_count, nt_xent
from dftiny.train.training import train

FAST = {"net": "resnet_small", "tile": 64, "steps": 4, "batch": 4, "checkpoint_every": 1, "epochs": 0}


def _recipe(name: str, **changes: object) -> Recipe:
    return parse_recipe({**spec.recipe(name), **FAST, **changes}, name)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise_set(tmp_path_factory.mktemp("simclr") / "noise")


def test_the_loss_is_that_of_the_paper() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=(10, 6))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    expected, nearest = 0.0, 0
    for i in range(10):
        j = (i + 5) % 10
        others = [np.exp(z[i] @ z[k] / 0.07) for k in range(10) if k != i]
        expected -= np.log(np.exp(z[i] @ z[j] / 0.07) / sum(others)) / 10
        nearest += np.exp(z[i] @ z[j] / 0.07) == max(others)
    first, second = torch.from_numpy(z).chunk(2)
    loss, accuracy = nt_xent(first, second, 0.07, Ranks())
    assert float(loss) == pytest.approx(expected, rel=1e-9)
    assert float(accuracy) == pytest.approx(nearest / 10)


def test_an_augmentation_keeps_every_pixel_in_its_place() -> None:
    tile = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in AUGMENTATIONS:
        seen = [v for s in range(8) for v in views(tile, (name,), np.random.default_rng(s))]
        assert all(v.shape == tile.shape and v.dtype == np.uint8 for v in seen)
        assert any(not np.array_equal(v, tile) for v in seen), name
        # What an augmentation gives resembles the tile (or its mirror image) at the same pixels and nowhere else.
        for v in seen:
            gray, same = (
                v.mean(2),
                max((tile.mean(2), tile[:, ::-1].mean(2)), key=lambda t: _like(v.mean(2), t)),
            )
            moved = max(_like(gray, np.roll(same, s, axis)) for s in (-1, 1) for axis in (0, 1))
            assert _like(gray, same) > moved + 0.03, name
    first, second = views(tile, tuple(AUGMENTATIONS), np.random.default_rng(0))
    assert not np.array_equal(first, second)
    assert all(np.array_equal(v, tile) for v in views(tile, (), np.random.default_rng(0)))


def _like(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_the_thesis_recipe_is_the_thesis() -> None:
    recipe = parse_recipe(spec.recipe("simclr_thesis"), "r")
    assert (recipe.batch, recipe.temperature, recipe.epochs) == (2, 0.07, 10)
    assert set(recipe.augment.split(",")) == set(AUGMENTATIONS)
    assert len(AUGMENTATIONS) == 7
    for name in ("phinet_demo", "phinet_h743", "phinet_thesis", "micronet_m0", "resnet_small"):
        net = create(name, 64)
        contrast = Contrast(net, recipe.temperature, Ranks())
        hidden, _, projected = contrast.projection
        assert net.features(torch.zeros(2, 3, 64, 64)).shape == (2, feature_count(net))
        assert (hidden.out_features, projected.out_features) == (2048, 128)


def test_batches_of_views(data: Path) -> None:
    pool = load_pool(data, load_index(data), 64)
    seen, labels = batch(pool, _recipe("simclr", augment=""), 0, 3)
    assert seen.shape == (4, 2, 64, 64, 3)
    assert np.array_equal(seen[:, 0], seen[:, 1])
    assert labels.tolist() == [1.0, 0.0, 1.0, 0.0]
    pixels, _ = Contrast(create("resnet_small", 64), 0.07, Ranks()).inputs(seen, labels)
    assert torch.equal(pixels[:4], pixels[4:])
    assert np.array_equal(pixels[1].permute(1, 2, 0).numpy(), seen[1, 0])


@pytest.mark.slow
def test_from_pretraining_to_a_head(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.toml"
    path.write_text(_recipe("simclr_thesis", batch=2, peak_rate=1e-3).toml())
    whole = train(str(path), data, tmp_path / "whole")
    assert whole.val_auc is None
    assert "without a trained head" in whole.text()
    after = load_checkpoint(tmp_path / "whole").net.state_dict()
    torch.manual_seed(0)
    begin = create("resnet_small", 64)
    moved = {k for k, v in begin.state_dict().items() if not torch.equal(v, after[k])}
    assert "layer4.0.conv1.weight" in moved
    assert not any(k.startswith("fc.") for k in moved)
    advance = Run.advance

    def unplugged(run: Run, tiles: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        if run.step == 2:
            raise KeyboardInterrupt
        return advance(run, tiles, labels)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", unplugged)
        with pytest.raises(KeyboardInterrupt):
            train(str(path), data, tmp_path / "cut")
    assert train(str(path), data, tmp_path / "cut").resumed_at == 2
    for name in ("checkpoint.safetensors", "history.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(DftError, match="head was never trained"):
        evaluate(tmp_path / "cut", data, tmp_path / "e")
    head = train("simclr_head", data, tmp_path / "head", start=tmp_path / "cut", steps=2)
    state = load_checkpoint(tmp_path / "head").net.state_dict()
    assert {k for k in state if not torch.equal(state[k], after[k])} == {"fc.weight", "fc.bias"}
    assert read_manifest(tmp_path / "head").parents["checkpoint"] == load_checkpoint(tmp_path / "cut").sha256
    assert head.val_auc is not None
    assert evaluate(tmp_path / "head", data, tmp_path / "e", bootstrap=0).images == 4
