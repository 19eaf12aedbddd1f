"""Training for what sharing leaves: the same treatment for a pair, thresholds by condition, heads alone, folds."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")

import torch
from noise_set import noise_set
from PIL import Image

from dftiny import spec
from dftiny.artifact import read_json, read_manifest
from dftiny.data.index import load_index
from dftiny.data.sharing import PROFILES
from dftiny.errors import DftError
from dftiny.evaluate import evaluate
from dftiny.metrics import logistic_threshold
from dftiny.nets.checkpoint import load_checkpoint
from dftiny.nets.registry import create
from dftiny.train.augment import jpeg
from dftiny.train.batches import Place, Pool, batch, check_sharing, load_pool
from dftiny.train.recipe import TUNING, Recipe, parse_recipe
from dftiny.train.training import train

FAST = {"net": "resnet_small", "tile": 64, "steps": 4, "batch": 4, "checkpoint_every": 2}
SHARED = ("pre", "facebook-like", "twitter-like")


def _recipe(name: str, **changes: object) -> Recipe:
    return parse_recipe({**spec.recipe(name), **FAST, **changes}, name)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise_set(tmp_path_factory.mktemp("shared") / "noise", SHARED)


def _written(recipe: Recipe, folder: Path) -> str:
    path = folder / f"{recipe.name}.toml"
    path.write_text(recipe.toml())
    return str(path)


def test_a_tile_on_the_jpeg_grid_is_what_the_shared_image_holds_there() -> None:
    image = np.random.default_rng(3).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=78, subsampling="4:2:0", progressive=True)
    whole = np.asarray(Image.open(buffer))[64:192, 112:240]
    assert np.array_equal(jpeg(image[64:192, 112:240], 78)[1:-1, 1:-1], whole[1:-1, 1:-1])
    off = np.asarray(Image.open(buffer))[72:200, 112:240]
    assert not np.array_equal(jpeg(image[72:200, 112:240], 78)[1:-1, 1:-1], off[1:-1, 1:-1])


def _qualities(pool: Pool, recipe: Recipe, tiles: np.ndarray) -> list[set[int | None]]:
    """For each pair the JPEG qualities that give exactly these tiles of the pool's images; None: before sharing."""
    grid = range(0, 256 - recipe.tile + 1, 8)
    before = [
        (p.real[y : y + recipe.tile, x : x + recipe.tile], p.fakes[0][y : y + recipe.tile, x : x + recipe.tile])
        for places in pool.photographs for p in places for y in grid for x in grid
    ]  # fmt: skip
    found = []
    for real, fake in zip(tiles[::2], tiles[1::2], strict=True):
        # Only the closest place is tried with every quality.
        near = min(before, key=lambda b: np.abs(b[0].astype(int) - real).sum())
        qualities = {q for q in range(60, 96) if np.array_equal(jpeg(near[0], q), real)}
        qualities &= {q for q in range(60, 96) if np.array_equal(jpeg(near[1], q), fake)}
        same = np.array_equal(near[0], real) and np.array_equal(near[1], fake)
        found.append({None} if same else qualities)
    return found


def test_a_pair_goes_through_the_same_sharing(data: Path) -> None:
    pool = load_pool(data, load_index(data), 64)
    plain: dict[str, object] = {"periodic": 0.0, "processed": 0.0, "jpeg": 0.0, "batch": 12}
    for name in PROFILES:
        recipe = _recipe("mixed", **plain | {"sharing": name})
        low, high = PROFILES[name].quality
        for found in _qualities(pool, recipe, batch(pool, recipe, 0, 1)[0]):
            assert found
            assert all(q is not None and low <= q <= high for q in found)
    recipe = _recipe("mixed", **plain)
    mixed = _qualities(pool, recipe, batch(pool, recipe, 0, 1)[0])
    assert all(mixed)
    assert {None} in mixed
    assert any(None not in found for found in mixed)
    recipe = _recipe("mixed", **plain | {"sharing": "pre", "jpeg": 1.0})
    assert all(
        found and None not in found for found in _qualities(pool, recipe, batch(pool, recipe, 0, 1)[0])
    )


def test_an_image_that_sharing_would_shrink_is_refused() -> None:
    large = np.zeros((64, 1400, 3), np.uint8)
    pool = Pool(((Place(large, (large,)),),))
    check_sharing(pool, _recipe("mixed", sharing="facebook-like"))
    with pytest.raises(DftError, match=r"1400 px would be shrunk by sharing to 1280 px"):
        check_sharing(pool, _recipe("mixed"))


@pytest.mark.slow
def test_each_condition_has_a_threshold_of_its_own(data: Path, tmp_path: Path) -> None:
    made = train(_written(_recipe("mixed", steps=12, peak_rate=0.01), tmp_path), data, tmp_path / "t")
    # Telegram is not among the validation images: it is imitated on them, since the recipe trains for it.
    assert set(made.thresholds) == {*SHARED, "telegram-like"}
    assert made.thresholds["pre"] == made.threshold
    assert len(set(made.thresholds.values())) > 1
    assert read_manifest(tmp_path / "t").metrics["thresholds"] == made.thresholds
    model = load_checkpoint(tmp_path / "t")
    assert model.thresholds == made.thresholds
    assert model.threshold_for("elsewhere") == model.threshold == made.threshold
    result = evaluate(tmp_path / "t", data, tmp_path / "e", split="val", bootstrap=0)
    with np.load(tmp_path / "e/tiles.npz") as saved:
        scores = saved["logits"].reshape(-1, 16).mean(1, dtype=np.float64)
    rows = [r for r in load_index(data).images if r.split == "val"]
    for sharing in SHARED:
        labels = [r.target for r in rows if r.sharing == sharing]
        mine = [s for s, r in zip(scores, rows, strict=True) if r.sharing == sharing]
        assert made.thresholds[sharing] == pytest.approx(logistic_threshold(labels, mine), abs=1e-4)
        said = [s > made.thresholds[sharing] for s in mine]
        right = np.mean([s == (y == 1) for s, y in zip(said, labels, strict=True)])
        assert result.metrics[sharing]["all"]["accuracy"] == right
    assert read_json(tmp_path / "e/metrics.json")["thresholds"] == made.thresholds


def test_a_head_is_trained_alone_and_everything_else_stands_still(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    net = create("phinet_demo", 64)
    recipe = _recipe("finetune_head", net="any", tile=64)
    torch.save(net.state_dict(), tmp_path / "start.pth")
    train(_written(recipe, tmp_path), data, tmp_path / "t", net="phinet_demo", weights=tmp_path / "start.pth")
    before, after = net.state_dict(), load_checkpoint(tmp_path / "t").net.state_dict()
    changed = {k for k in before if not torch.equal(before[k], after[k])}
    assert changed == {k for k in before if k.startswith(("hidden.", "logit."))}
    again = train(
        _written(recipe, tmp_path), data, tmp_path / "u", start=tmp_path / "t", sharing="twitter-like"
    )
    assert read_manifest(tmp_path / "u").config["recipe"]["net"] == "phinet_demo"
    assert read_manifest(tmp_path / "u").config["recipe"]["sharing"] == "twitter-like"
    assert set(again.thresholds) == set(SHARED)


def test_normalisation_may_stand_still_while_all_else_learns(data: Path, tmp_path: Path) -> None:
    recipe = _recipe("finetune_all", freeze_norm=True)
    start = create("resnet_small", 64)
    torch.save(start.state_dict(), tmp_path / "s.pth")
    train(_written(recipe, tmp_path), data, tmp_path / "t", weights=tmp_path / "s.pth")
    before, after = start.state_dict(), load_checkpoint(tmp_path / "t").net.state_dict()
    same = {k for k in before if torch.equal(before[k], after[k])}
    assert same == {k for k in before if "running" in k or "num_batches" in k}


def test_a_recipe_for_any_net_wants_one(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DftError, match="for any net"):
        train("supervised", data, tmp_path / "t")
    with pytest.raises(DftError, match="unknown net"):
        train("supervised", data, tmp_path / "t", net="lenet")
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("recipe", TUNING)
def test_a_recipe_that_tunes_a_net_wants_that_net(recipe: str, data: Path, tmp_path: Path) -> None:
    for net in (None, "phinet_demo"):
        with pytest.raises(DftError, match=f"{recipe} tunes a trained net; give --start RUN"):
            train(recipe, data, tmp_path / "t", net=net)
    assert not (tmp_path / "t").exists()


def test_these_recipes_are_those_that_the_thesis_begins_with_a_net() -> None:
    methods = spec.thesis()["methods"].values()
    assert set(TUNING) == {m["recipe"] for m in methods if "start" in m}
    assert set(TUNING).isdisjoint({m["recipe"] for m in methods if "start" not in m})


@pytest.mark.parametrize("recipe", ["supervised", "simclr"])
def test_a_set_with_folds_is_not_trained_on_without_one(recipe: str, tmp_path: Path) -> None:
    folded = noise_set(tmp_path / "data", SHARED, folds=3)
    with pytest.raises(DftError, match=r"no splits of its own.*--fold 0 to 2"):
        train(recipe, folded, tmp_path / "t", net="phinet_demo")
    assert not (tmp_path / "t").exists()


def test_a_round_of_folds_is_trained_and_judged(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DftError, match="no folds"):
        train("supervised", data, tmp_path / "t", net="resnet_small", fold=0)
    folded = noise_set(tmp_path / "data", SHARED, folds=3)
    recipe = _written(_recipe("supervised"), tmp_path)
    train(recipe, folded, tmp_path / "t", fold=1)
    assert read_manifest(tmp_path / "t").config["fold"] == 1
    result = evaluate(tmp_path / "t", folded, tmp_path / "e", fold=1, bootstrap=0)
    assert {s: g["all"]["n"] for s, g in result.metrics.items()} == dict.fromkeys(SHARED, 4)
    assert read_manifest(tmp_path / "e").config["fold"] == 1
    with np.load(tmp_path / "e/tiles.npz") as saved:
        assert {str(i)[:4] for i in saved["ids"]} == {"val0", "val1"}
    # Another fold is another run, even with the same weights to begin with.
    first = (tmp_path / "t/checkpoint.safetensors").read_bytes()
    train(recipe, folded, tmp_path / "t", fold=2)
    assert (tmp_path / "t/checkpoint.safetensors").read_bytes() != first
