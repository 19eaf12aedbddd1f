"""Training batches: pairs of a real and a fake tile of the same place, on the 8-px grid, never flipped; or SimCLR's views.

A batch depends on (seed, step) alone: a thread may prepare it, and a resumed run sees the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dftiny.data.index import DataIndex, ImageRow, read_image
from dftiny.data.sharing import PRE
from dftiny.data.tiles import GRID_PX
from dftiny.errors import DftError
from dftiny.train.augment import jpeg, views
from dftiny.train.conditions import Conditions, Treatment, conditions_of
from dftiny.train.pictures import Pictures, is_paired, pictures_of
from dftiny.train.recipe import SIMCLR, Recipe
from dftiny.train.traces import periodic_pair, processed

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True)
class Place:
    """A real image and its fakes, all uint8 [H, W, 3] of one size."""

    real: NDArray[np.uint8]
    fakes: tuple[NDArray[np.uint8], ...]


@dataclass(frozen=True)
class Pool:
    """The training images in memory, by photograph: each photograph is drawn as often as any other."""

    photographs: tuple[tuple[Place, ...], ...]


def load_pool(folder: Path, index: DataIndex, side: int) -> Pool:
    """Decode all training images. DftError when a real image has no fake, or an image is smaller than `side` px."""
    rows: dict[str, dict[str, list[ImageRow]]] = {}
    for row in index.select(split="train", sharing=PRE):
        if row.is_control:
            continue
        rows.setdefault(row.source, {}).setdefault(row.id.removesuffix(f".{row.kind}"), []).append(row)
    photographs = []
    with ThreadPoolExecutor(2) as pool:
        for places in rows.values():
            photographs.append(tuple(pool.map(lambda rs: _place(folder, rs, side), places.values())))
    if not photographs:
        raise DftError(f"{folder} holds no training images", "make a data folder with: dftiny data")
    return Pool(tuple(photographs))


def _place(folder: Path, rows: list[ImageRow], side: int) -> Place:
    reals = [r for r in rows if r.label == "real"]
    fakes = [r for r in rows if r.label == "fake"]
    if len(reals) != 1 or not fakes:
        raise DftError(
            f"training image {rows[0].id} has no real or no fake counterpart", "build the data again"
        )
    images = [read_image(folder, r) for r in reals + fakes]
    if any(i.shape != images[0].shape for i in images) or min(images[0].shape[:2]) < side:
        raise DftError(f"training image {rows[0].id} and its fakes differ in size or are below {side} px")
    return Place(images[0], tuple(images[1:]))


def conditions_in(index: DataIndex, recipe: Recipe) -> Conditions:
    """The sharing conditions of `recipe` on the training images of `index`. DftError when they cannot be had of them."""
    paired = is_paired(index)
    return conditions_of(recipe, () if paired else {r.sharing for r in index.select(split="train")})


def load_source(folder: Path, index: DataIndex, recipe: Recipe) -> Pool | Pictures:
    """What `recipe` draws its tiles from: all images in memory where fakes are of the same places as reals, otherwise
    images decoded when they are drawn.
    """
    if is_paired(index):
        pool = load_pool(folder, index, conditions_of(recipe, ()).side_px(recipe.tile))
        check_sharing(pool, recipe)
        return pool
    return pictures_of(folder, index, recipe.tile)


def check_sharing(pool: Pool, recipe: Recipe) -> None:
    """DftError when sharing would shrink a training image: tile by tile only JPEG can be imitated."""
    limit = conditions_of(recipe, ()).longest_px()
    longest = max(max(p.real.shape[:2]) for places in pool.photographs for p in places)
    if limit is not None and longest > limit:
        raise DftError(
            f"a training image of {longest} px would be shrunk by sharing to {limit} px",
            "crop the training images first",
        )


def batch(
    source: Pool | Pictures, recipe: Recipe, seed: int, step: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """What `step` of a run trains on, the same whenever it is asked for.

    Supervised: tiles uint8 [batch, tile, tile, 3] and labels float32 [batch] (1 real), reals and fakes alternating.
    SimCLR: views uint8 [batch, 2, tile, tile, 3] of tiles, with their labels, which SimCLR does not look at.
    """
    rng = np.random.default_rng([seed, step])
    pairs = _from_memory if isinstance(source, Pool) else _from_files
    tiles = [tile for pair in pairs(source, recipe, rng) for tile in pair]  # type: ignore[arg-type]
    labels = np.tile(np.array([1.0, 0.0], dtype=np.float32), recipe.batch // 2)
    if recipe.method != SIMCLR:
        return np.stack(tiles), labels
    names = recipe.augment.split(",")
    return np.stack([np.stack(views(t, names, rng)) for t in tiles]), labels


def _from_files(pictures: Pictures, recipe: Recipe, rng: np.random.Generator) -> Iterator[Pair]:
    """Pairs of tiles that have nothing to do with each other: drawn first, decoded side by side, then treated."""
    conditions = conditions_of(recipe, pictures.rows)
    treatments = [conditions.draw(rng) for _ in range(recipe.batch // 2)]
    wishes = [wish for t in treatments for wish in pictures.draw(t, rng)]
    cut = iter(pictures.cut(wishes, conditions.longest_px()))
    for treatment in treatments:
        place = Place(next(cut), (next(cut),))
        yield _treated(_traced(place, recipe, (slice(None), slice(None)), rng), treatment, recipe.tile)


def _from_memory(pool: Pool, recipe: Recipe, rng: np.random.Generator) -> Iterator[Pair]:
    """Pairs of real and fake of one place, or of two where the recipe does not want pairs."""
    conditions = conditions_of(recipe, ())
    for _ in range(recipe.batch // 2):
        pair = _pair(pool, recipe, conditions, rng)
        yield pair if recipe.pairs else (pair[0], _pair(pool, recipe, conditions, rng)[1])


def _pair(pool: Pool, recipe: Recipe, conditions: Conditions, rng: np.random.Generator) -> Pair:
    places = pool.photographs[rng.integers(len(pool.photographs))]
    place = places[rng.integers(len(places))]
    shape = place.real.shape[:2]
    corner = [int(rng.integers((n - recipe.tile) // GRID_PX + 1)) * GRID_PX for n in shape]
    treatment = conditions.draw(rng)
    side, grid = treatment.side_px(recipe.tile), treatment.grid_px
    y, x = (min(c, n - side) // grid * grid for c, n in zip(corner, shape, strict=True))
    window = (slice(y, y + side), slice(x, x + side))
    return _treated(_traced(place, recipe, window, rng), treatment, recipe.tile)


def _treated(pair: Pair, treatment: Treatment, tile: int) -> Pair:
    if treatment.move is not None:
        pair = treatment.move.apply(pair[0], tile), treatment.move.apply(pair[1], tile)
    if treatment.quality is None:
        return pair
    return jpeg(pair[0], treatment.quality), jpeg(pair[1], treatment.quality)


def _traced(place: Place, recipe: Recipe, window: tuple[slice, slice], rng: np.random.Generator) -> Pair:
    """Real and fake of one place before sharing, with a part of synthetic fakes and of processed reals."""
    real = place.real[window]
    if rng.random() < recipe.periodic:
        return periodic_pair(real, rng)
    fake = place.fakes[rng.integers(len(place.fakes))][window]
    if rng.random() < recipe.processed:
        real = processed(np.ascontiguousarray(real), rng)
    return real, fake
