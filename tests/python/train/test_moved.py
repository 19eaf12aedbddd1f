"""Training pairs that were resized or cut off the 8-px grid: both tiles alike, from memory and from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")

from noise_set import noise_set

from dftiny import spec
from dftiny.data.index import load_index
from dftiny.errors import DftError
from dftiny.train.batches import Place, Pool, batch, load_source
from dftiny.train.conditions import RESAMPLING, RESIZE, Move, conditions_of
from dftiny.train.recipe import Recipe, parse_recipe

TILE = 64


def _recipe(**changes: object) -> Recipe:
    plain = {"periodic": 0.0, "processed": 0.0, "jpeg": 0.0, "sharing": "pre", "moved": 1.0}
    fast = {"net": "resnet_small", "tile": TILE, "batch": 32}
    return parse_recipe({**spec.recipe("mixed"), **fast, **plain, **changes}, "mixed")


@settings(deadline=None, max_examples=50)
@given(
    tile=st.integers(1, 40).map(lambda n: 8 * n),
    factor=st.one_of(st.just(1.0), st.floats(*RESIZE)),
    resampling=st.sampled_from(RESAMPLING),
    offset=st.tuples(st.integers(0, 7), st.integers(0, 7)),
)
def test_a_square_is_large_enough_for_every_move(
    tile: int, factor: float, resampling: str, offset: tuple[int, int]
) -> None:
    move = Move(factor, resampling, offset)
    side = move.side_px(tile)
    assert side % 8 == 0
    assert side <= conditions_of(_recipe(), ()).side_px(tile)
    assert move.apply(np.zeros((side, side, 3), np.uint8), tile).shape == (tile, tile, 3)


def _ramp(shape: tuple[int, int]) -> np.ndarray:
    """An image whose red and green pixels say where they are, in one period of 256."""
    y, x = np.indices(shape, dtype=np.uint8)
    return np.stack([y, x, np.zeros_like(x)], axis=2)


def test_real_and_fake_of_a_pair_are_moved_alike() -> None:
    real = _ramp((256, 256))
    fake = real + np.array([0, 0, 200], np.uint8)
    tiles, _ = batch(Pool(((Place(real, (fake,)),),)), _recipe(), 0, 1)
    whole = resized = 0
    phases = set()
    for a, b in zip(tiles[::2], tiles[1::2], strict=True):
        assert np.array_equal(a[..., :2], b[..., :2])
        assert (a[..., 2] == 0).all()
        assert (b[..., 2] == 200).all()
        steps = np.diff(a[..., 0].astype(int), axis=0)
        if (steps == 1).all():
            whole += 1
            phases.add((int(a[0, 0, 0]) % 8, int(a[0, 0, 1]) % 8))
        else:
            resized += 1
            assert 1 / RESIZE[1] - 0.05 < steps.mean() < 1 / RESIZE[0] + 0.05
    assert whole > 3
    assert resized > 3
    assert len(phases) > 3


@pytest.mark.parametrize("delivered", [(), ("telegram-like",)])
@pytest.mark.parametrize("sharing", ["pre", "telegram-like", "mixed"])
def test_pairs_of_every_sharing_are_moved(sharing: str, delivered: tuple[str, ...]) -> None:
    conditions = conditions_of(_recipe(sharing=sharing), delivered)
    rng = np.random.default_rng(0)
    assert all(conditions.draw(rng).move is not None for _ in range(20))


def test_moved_pairs_are_shared_afterwards() -> None:
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    pool = Pool(((Place(image, (image,)),),))
    plain, _ = batch(pool, _recipe(jpeg=0.0), 0, 1)
    shared, _ = batch(pool, _recipe(sharing="telegram-like"), 0, 1)
    assert plain.shape == shared.shape
    assert np.array_equal(shared[::2], shared[1::2])
    places = [image[y : y + TILE, x : x + TILE] for y in range(193) for x in range(193)]
    kept = {p.tobytes() for p in places}
    assert sum(t.tobytes() in kept for t in plain) > 8
    assert not any(t.tobytes() in kept for t in shared)


def test_a_recipe_that_moves_nothing_draws_what_it_always_drew() -> None:
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    pool = Pool(((Place(image, (image,)),),))
    tiles, _ = batch(pool, _recipe(moved=0.0), 0, 1)
    grid = {image[y : y + TILE, x : x + TILE].tobytes() for y in range(0, 193, 8) for x in range(0, 193, 8)}
    assert all(t.tobytes() in grid for t in tiles)
    before = rng.bit_generator.state
    assert conditions_of(_recipe(moved=0.0), ()).draw(rng).move is None
    assert rng.bit_generator.state == before
    assert "moved" not in _recipe(moved=0.0).values()
    assert _recipe(moved=0.25).values()["moved"] == 0.25


@pytest.mark.parametrize("paired", [True, False])
def test_images_too_small_to_be_moved_are_refused(paired: bool, tmp_path: Path) -> None:
    data = noise_set(tmp_path / "noise", paired=paired)
    index, recipe = load_index(data), _recipe(tile=192)
    tiles, _ = batch(load_source(data, index, _recipe()), _recipe(), 0, 1)
    assert tiles.shape == (32, TILE, TILE, 3)
    with pytest.raises(DftError, match=r"below \d+ px"):
        batch(load_source(data, index, recipe), recipe, 0, 1)
