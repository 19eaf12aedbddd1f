"""Data sets without pairs: tiles from files, real and fake in equal parts, a platform's own copies where there are any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")

from noise_set import noise_set

from dftiny import spec
from dftiny.data.index import DataIndex, load_index, read_image
from dftiny.errors import DftError
from dftiny.train.batches import batch, conditions_in, load_source
from dftiny.train.pictures import Pictures, is_paired
from dftiny.train.recipe import Recipe, parse_recipe
from dftiny.train.training import train

FAST = {"net": "resnet_small", "tile": 64, "steps": 3, "batch": 8, "checkpoint_every": 1}
COPIES = ("pre", "facebook-like", "twitter-like")


def _recipe(**changes: object) -> Recipe:
    plain = {"periodic": 0.0, "processed": 0.0, "jpeg": 0.0}
    return parse_recipe({**spec.recipe("mixed"), **FAST, **plain, **changes}, "mixed")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise_set(tmp_path_factory.mktemp("unpaired") / "noise", COPIES, paired=False)


def _origin(tile: np.ndarray, data: Path, index: DataIndex) -> set[tuple[str, str, int, int]]:
    """(label, sharing, y, x) of every place in the training images that holds exactly `tile`."""
    found = set()
    for row in index.select(split="train"):
        image = read_image(data, row)
        for y in range(0, 256 - len(tile) + 1, 8):
            for x in range(0, 256 - len(tile) + 1, 8):
                if np.array_equal(image[y : y + len(tile), x : x + len(tile)], tile):
                    found.add((row.label, row.sharing, y, x))
    return found


def test_tiles_come_from_images_of_their_label_and_condition(data: Path, tmp_path: Path) -> None:
    index = load_index(data)
    assert not is_paired(index)
    assert is_paired(load_index(noise_set(tmp_path / "pairs")))
    recipe = _recipe(batch=16)
    source = load_source(data, index, recipe)
    assert isinstance(source, Pictures)
    tiles, labels = batch(source, recipe, 0, 1)
    assert labels.tolist() == [1.0, 0.0] * 8
    places = [_origin(t, data, index) for t in tiles]
    assert all(len(p) == 1 for p in places)
    (first,) = zip(*places, strict=True)
    assert [p[0] for p in first] == ["real", "fake"] * 8
    assert [p[1] for p in first[::2]] == [p[1] for p in first[1::2]]
    assert {p[1] for p in first} == set(COPIES)
    assert np.array_equal(batch(source, recipe, 0, 1)[0], tiles)
    assert not np.array_equal(batch(source, recipe, 0, 2)[0], tiles)


def test_a_condition_without_copies_is_imitated(data: Path) -> None:
    index, recipe = load_index(data), _recipe(sharing="telegram-like")
    assert conditions_in(index, recipe).imitated == ("telegram-like",)
    assert conditions_in(index, _recipe()).known == COPIES
    assert conditions_in(index, _recipe()).imitated == ()
    source = load_source(data, index, recipe)
    assert not any(_origin(t, data, index) for t in batch(source, recipe, 0, 1)[0])
    with pytest.raises(DftError, match="unknown sharing 'myspace'"):
        conditions_in(index, _recipe(sharing="myspace"))


def test_a_run_on_pictures_and_what_it_refuses(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(_recipe().toml())
    made = train(str(path), data, tmp_path / "t")
    assert set(made.thresholds) == set(COPIES)
    with pytest.raises(DftError, match="unknown sharing"):
        train(str(path), data, tmp_path / "no", sharing="myspace")
    assert not (tmp_path / "no").exists()
    index = load_index(data)
    with pytest.raises(DftError, match="below 288 px"):
        large = _recipe(tile=288)
        batch(load_source(data, index, large), large, 0, 0)
    fakes = tuple(r for r in index.images if r.label == "fake")
    with pytest.raises(DftError, match="no real or no fake training images"):
        load_source(data, replace(index, images=fakes), _recipe())
