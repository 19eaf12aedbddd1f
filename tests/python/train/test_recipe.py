"""Recipes are checked key by key, and the synthetic traces are what they claim."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dftiny import spec
from dftiny.errors import DftError
from dftiny.train.recipe import parse_recipe
from dftiny.train.traces import PERIODS, periodic_pair, processed

GOOD: dict[str, Any] = dict(spec.recipe("phinet_demo"))


@pytest.mark.parametrize("name", spec.names("recipes"))
def test_shipped_recipes_parse_and_print_back(name: str) -> None:
    recipe = parse_recipe(spec.recipe(name), name)
    assert parse_recipe(spec.tomllib.loads(recipe.toml()), "again") == recipe


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"steps": 1}, "steps"), ({"steps": "many"}, "steps"), ({"steps": True}, "steps"), ({"batch": 7}, "batch"),
        ({"peak_rate": 0}, "peak_rate"), ({"warmup": 1.0}, "warmup"), ({"periodic": -0.1}, "periodic"),
        ({"speed": 3}, "speed"), ({"sharing": 'my"space'}, "plain words"), ({"trainable": "tail"}, "all, head"),
        ({"method": "simclr", "augment": "flip,resize"}, "'resize'"), ({"jpeg": 1.5}, "jpeg"), ({"temperature": 0}, "temperature"),
        ({"method": "simclr", "trainable": "head"}, "whole net"), ({"schedule": "cosine"}, "onecycle"), ({"epochs": -1}, "epochs"),
        ({"batch": 2}, "batch"), ({"net": 'a"b'}, "plain words"), ({"checkpoint_every": 0}, "checkpoint_every"),
    ],
)  # fmt: skip
def test_wrong_values_are_named(change: dict[str, Any], word: str) -> None:
    with pytest.raises(DftError, match=word):
        parse_recipe(GOOD | change, "r.toml")


def test_keys_at_their_defaults_change_no_digest() -> None:
    explicit = parse_recipe(GOOD | {"sharing": "pre", "jpeg": 0.0, "method": "supervised", "epochs": 0}, "r")
    assert explicit.values() == dict(GOOD)
    assert list(explicit.values()) == list(GOOD)
    assert parse_recipe(GOOD | {"sharing": "mixed"}, "r").values() == GOOD | {"sharing": "mixed"}


def test_epochs_become_steps_of_the_training_images() -> None:
    recipe = parse_recipe(GOOD | {"epochs": 10, "batch": 4}, "r")
    assert recipe.for_images(33).steps == 83
    assert parse_recipe(GOOD, "r").for_images(33).steps == GOOD["steps"]


def test_missing_key_is_named() -> None:
    with pytest.raises(DftError, match="lacks 'tile'"):
        parse_recipe({k: v for k, v in GOOD.items() if k != "tile"}, "r.toml")


def test_periodic_pair_differs_by_phase_and_processed_does_not() -> None:
    tile = np.random.default_rng(1).integers(60, 190, (128, 128, 3), dtype=np.uint8)

    def by_phase(other: np.ndarray) -> float:
        energy = np.square(other.astype(float) - tile).sum(2).reshape(32, 4, 32, 4).mean((0, 2))
        return float(energy.std() / max(energy.mean(), 1e-9))

    fakes, reals = [], []
    for seed in range(12):
        real, fake = periodic_pair(tile, np.random.default_rng(seed))
        fakes.append(by_phase(fake))
        assert real.shape == fake.shape == tile.shape
        if not np.array_equal(real, tile):
            reals.append(by_phase(real))
        reals.append(by_phase(processed(tile, np.random.default_rng(seed))))
    assert min(fakes) > 3 * np.median(reals)
    assert max(PERIODS) == 4


def test_flat_tiles_stay_flat() -> None:
    flat = np.full((128, 128, 3), 200, np.uint8)
    for seed in range(6):
        for tile in periodic_pair(flat, np.random.default_rng(seed)):
            assert np.array_equal(tile, flat)


def test_same_generator_same_pair() -> None:
    tile = np.random.default_rng(1).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    first, second = (periodic_pair(tile, np.random.default_rng(9)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
