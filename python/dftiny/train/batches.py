"""Training batches: pairs of a real and a fake tile of the same place, on the 8-px grid, never flipped; or SimCLR's views.

A batch depends on (seed, step) alone: a thread may prepare it, and a resumed run sees the same batches.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dftiny.data.index import DataIndex, ImageRow, read_image
from dftiny.data.sharing import PRE, PROFILES
from dftiny.data.tiles import GRID_PX
from dftiny.errors import DftError
from dftiny.train.augment import JPEG_QUALITY, jpeg, views
from dftiny.train.recipe import MIXED, SIMCLR, Recipe
from dftiny.train.traces import periodic_pair, processed

Tile = NDArray[np.uint8]
# Chroma at half the resolution makes a JPEG's own grid twice as wide as its blocks.
JPEG_GRID_PX = 16


@dataclass(frozen=True)
class Place:
    """A real image and its fakes, all uint8 [H, W, 3] of one size."""

    real: NDArray[np.uint8]
    fakes: tuple[NDArray[np.uint8], ...]


@dataclass(frozen=True)
class Pool:
    """The training images in memory, by photograph: each photograph is drawn as often as any other."""

    photographs: tuple[tuple[Place, ...], ...]


def load_pool(folder: Path, index: DataIndex, tile: int) -> Pool:
    """Decode all training images. DftError when a real image has no fake, or an image is smaller than a tile."""
    rows: dict[str, dict[str, list[ImageRow]]] = {}
    for row in index.select(split="train", sharing=PRE):
        if row.is_control:
            continue
        rows.setdefault(row.source, {}).setdefault(row.id.removesuffix(f".{row.kind}"), []).append(row)
    photographs = []
    with ThreadPoolExecutor(2) as pool:
        for places in rows.values():
            photographs.append(tuple(pool.map(lambda rs: _place(folder, rs, tile), places.values())))
    if not photographs:
        raise DftError(f"{folder} holds no training images", "make a data folder with: dftiny data")
    return Pool(tuple(photographs))


def _place(folder: Path, rows: list[ImageRow], tile: int) -> Place:
    reals = [r for r in rows if r.label == "real"]
    fakes = [r for r in rows if r.label == "fake"]
    if len(reals) != 1 or not fakes:
        raise DftError(
            f"training image {rows[0].id} has no real or no fake counterpart", "build the data again"
        )
    images = [read_image(folder, r) for r in reals + fakes]
    if any(i.shape != images[0].shape for i in images) or min(images[0].shape[:2]) < tile:
        raise DftError(f"training image {rows[0].id} and its fakes differ in size or are below {tile} px")
    return Place(images[0], tuple(images[1:]))


def check_sharing(pool: Pool, recipe: Recipe) -> None:
    """DftError when sharing would shrink a training image: tile by tile only JPEG can be imitated."""
    if not recipe.profiles:
        return
    limit = min((PROFILES[p] for p in recipe.profiles), key=lambda p: p.max_px)
    longest = max(max(p.real.shape[:2]) for places in pool.photographs for p in places)
    if longest > limit.max_px:
        raise DftError(
            f"a training image of {longest} px would be shrunk by {limit.name} sharing to {limit.max_px} px",
            "crop the training images first",
        )


def batch(pool: Pool, recipe: Recipe, seed: int, step: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """What `step` of a run trains on, the same whenever it is asked for.

    Supervised: tiles uint8 [batch, tile, tile, 3] and labels float32 [batch] (1 real), reals and fakes alternating.
    SimCLR: views uint8 [batch, 2, tile, tile, 3] of tiles, with their labels, which SimCLR does not look at.
    """
    rng = np.random.default_rng([seed, step])
    draw = _pair if recipe.pairs else _two
    tiles = [t for _ in range(recipe.batch // 2) for t in draw(pool, recipe, rng)]
    labels = np.tile(np.array([1.0, 0.0], dtype=np.float32), recipe.batch // 2)
    if recipe.method != SIMCLR:
        return np.stack(tiles), labels
    names = recipe.augment.split(",")
    return np.stack([np.stack(views(t, names, rng)) for t in tiles]), labels


def _two(pool: Pool, recipe: Recipe, rng: np.random.Generator) -> tuple[Tile, Tile]:
    """A real and a fake tile that have nothing to do with each other."""
    return _pair(pool, recipe, rng)[0], _pair(pool, recipe, rng)[1]


def _pair(pool: Pool, recipe: Recipe, rng: np.random.Generator) -> tuple[Tile, Tile]:
    places = pool.photographs[rng.integers(len(pool.photographs))]
    place = places[rng.integers(len(places))]
    y, x = (int(rng.integers((n - recipe.tile) // GRID_PX + 1)) * GRID_PX for n in place.real.shape[:2])
    quality = _quality(recipe, rng)
    if quality is None:
        return _untouched_pair(place, recipe, y, x, rng)
    y, x = (n // JPEG_GRID_PX * JPEG_GRID_PX for n in (y, x))
    real, fake = _untouched_pair(place, recipe, y, x, rng)
    return jpeg(real, quality), jpeg(fake, quality)


def _quality(recipe: Recipe, rng: np.random.Generator) -> int | None:
    """The JPEG quality that real and fake of a pair go through alike, None for none."""
    # Nothing is drawn for a recipe without sharing: its batches stay what they always were.
    if recipe.jpeg and rng.random() < recipe.jpeg:
        return int(rng.integers(JPEG_QUALITY[0], JPEG_QUALITY[1] + 1))
    name = recipe.sharing
    if name == MIXED:
        known = (PRE, *recipe.profiles)
        name = known[rng.integers(len(known))]
    if name == PRE:
        return None
    low, high = PROFILES[name].quality
    return int(rng.integers(low, high + 1))


def _untouched_pair(
    place: Place, recipe: Recipe, y: int, x: int, rng: np.random.Generator
) -> tuple[Tile, Tile]:
    """Real and fake of one place before sharing."""
    window = (slice(y, y + recipe.tile), slice(x, x + recipe.tile))
    real = place.real[window]
    if rng.random() < recipe.periodic:
        return periodic_pair(real, rng)
    fake = place.fakes[rng.integers(len(place.fakes))][window]
    if rng.random() < recipe.processed:
        real = processed(np.ascontiguousarray(real), rng)
    return real, fake
