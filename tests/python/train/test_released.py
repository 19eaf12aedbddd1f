"""Every released model is whole, small, loads, and holds tiles of CC0 and CC-BY photographs only."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from dftiny import spec
from dftiny.artifact import read_manifest, write_manifest
from dftiny.bundle import cures_of
from dftiny.data.photos import _table
from dftiny.diagnose import Cures
from dftiny.errors import DftError
from dftiny.model_card import VERDICTS, with_crossval, with_verdicts
from dftiny.release import release
from dftiny.train.recipe import parse_recipe
from dftiny.verdict.file import load_verdict
from dftiny.verdict.validation import table

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")

from dftiny.nets.checkpoint import load_checkpoint
from dftiny.nets.predict import predict
from dftiny.nets.registry import count

MODELS = sorted(p.parent for p in spec.models_dir().glob("*/manifest.json"))


def test_the_default_model_is_released() -> None:
    assert "phinet_demo_128.demo" in [m.name for m in MODELS]


@pytest.mark.parametrize("folder", MODELS, ids=lambda p: p.name)
def test_released_model_is_whole(folder: Path) -> None:
    manifest = read_manifest(folder, "model")
    model = load_checkpoint(folder)
    config = manifest.config
    assert (model.preset, model.tile, model.threshold) == (config["net"], config["tile"], config["threshold"])
    assert count(model.net, model.tile) == (config["parameters"], config["macs"])
    assert parse_recipe(spec.recipe(str(folder / "recipe.toml")), folder.name).net == model.preset
    assert (folder / "checkpoint.safetensors").stat().st_size < 5 * config["parameters"]
    assert sum(p.stat().st_size for p in folder.rglob("*")) < 9_000_000


@pytest.mark.parametrize("folder", MODELS, ids=lambda p: p.name)
def test_a_card_says_what_the_recipe_did_to_the_pairs(folder: Path) -> None:
    recipe = parse_recipe(spec.recipe(str(folder / "recipe.toml")), folder.name)
    card = (folder / "card.md").read_text()
    assert ("went through one of the profiles" in card) == (recipe.sharing != "pre")
    assert ("resized or cut off the 8-px grid before that" in card) == (recipe.moved > 0)


@pytest.mark.parametrize("folder", MODELS, ids=lambda p: p.name)
def test_shipped_tiles_may_be_shipped_and_are_credited(folder: Path) -> None:
    photos = {row["id"]: row for package in _table() for row in package["photos"]}
    card = (folder / "card.md").read_text()
    for name, split in (("calibration.npz", "train"), ("golden.npz", "test")):
        with np.load(folder / name) as packed:
            assert packed["tiles"].dtype == np.uint8
            assert packed["tiles"].shape[1:] == (128, 128, 3)
            for source in {str(i).split(".")[0] for i in packed["ids"]}:
                assert photos[source]["licence"] in ("CC0-1.0", "CC-BY-4.0")
                assert photos[source]["split"] == split
                assert f"{photos[source]['file']} by {photos[source]['author']}" in card


def test_golden_tiles_hold_both_verdicts() -> None:
    folder = spec.models_dir() / "phinet_demo_128.demo"
    model = load_checkpoint(folder)
    with np.load(folder / "golden.npz") as golden:
        said = predict(model.net, golden["tiles"])[:, 0] > model.threshold
        labels = golden["labels"] == 1
    assert len(labels) >= 8
    assert set(said.tolist()) == {True, False}
    assert (said == labels).mean() >= 0.75


def test_a_card_says_what_verdicts_are_worth_once() -> None:
    folder = spec.models_dir() / "phinet_demo_128.demo"
    card = (folder / "card.md").read_text()
    assert card.count(VERDICTS) == 1
    assert table(load_verdict(folder / "verdict.json")) in card
    again = with_verdicts("# a\n\n" + with_verdicts("text", "old").strip() + "\n\n## Credits\n- b\n", "new")
    assert "old" not in again
    assert again.count(VERDICTS) == 1
    assert again.endswith("## Credits\n- b\n")
    twice = with_crossval(
        with_crossval(again, "# Cross-validation\nold table"), "# Cross-validation\nnew table"
    )
    assert "old table" not in twice
    assert twice.count("new table") == 1
    assert twice.count(VERDICTS) == 1


def test_a_released_model_says_how_it_was_exported(tmp_path: Path) -> None:
    wanted = Cures(correct_bias=True)
    write_manifest(tmp_path, "model", files=[], config={"cures": asdict(wanted)})
    assert cures_of(tmp_path) == wanted
    write_manifest(tmp_path, "model", files=[], config={})
    assert cures_of(tmp_path) is None
    assert cures_of(tmp_path / "model.tflite") is None


@pytest.mark.parametrize("wrong", ["data of the training", "checkpoint judged", "data judged on"])
def test_stages_of_two_runs_are_refused(wrong: str, tmp_path: Path) -> None:
    data, train, judged = (tmp_path / n for n in ("data", "train", "evaluate"))
    for folder in (data, train, judged):
        folder.mkdir()
    (train / "checkpoint.safetensors").write_bytes(b"weights")
    made = write_manifest(data, "data", files=[]).digest
    other = {wrong: "0" * 64}
    parents = {"data": other.get("data of the training", made)}
    trained = write_manifest(train, "train", files=["checkpoint.safetensors"], parents=parents)
    weights = other.get("checkpoint judged", trained.files["checkpoint.safetensors"]["sha256"])
    parents = {"checkpoint": weights, "data": other.get("data judged on", made)}
    write_manifest(judged, "evaluate", files=[], parents=parents)
    with pytest.raises(DftError, match="are not stages of one run"):
        release(data, train, judged, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_releasing_what_is_no_model_ends_in_a_sentence(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "dftiny.release", "--again", str(tmp_path), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("dftiny.release: ") and "Traceback" not in done.stderr
