"""Training batches: pairs of a real and a fake tile of the same place, on the 8-px grid, never flipped.

A batch depends on (seed, step) alone: a thread may prepare it, and a resumed run sees the same batches.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dftiny.data.index import DataIndex, ImageRow, read_image
from dftiny.data.tiles import GRID_PX
from dftiny.errors import DftError
from dftiny.train.recipe import Recipe
from dftiny.train.traces import periodic_pair, processed


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
    for row in index.select(split="train", sharing="pre"):
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


def batch(pool: Pool, recipe: Recipe, seed: int, step: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Tiles uint8 [batch, tile, tile, 3] and labels float32 [batch] (1 real), reals and fakes alternating."""
    rng = np.random.default_rng([seed, step])
    tiles = [t for _ in range(recipe.batch // 2) for t in _pair(pool, recipe, rng)]
    labels = np.tile(np.array([1.0, 0.0], dtype=np.float32), recipe.batch // 2)
    return np.stack(tiles), labels


def _pair(
    pool: Pool, recipe: Recipe, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    places = pool.photographs[rng.integers(len(pool.photographs))]
    place = places[rng.integers(len(places))]
    y, x = (int(rng.integers((n - recipe.tile) // GRID_PX + 1)) * GRID_PX for n in place.real.shape[:2])
    window = (slice(y, y + recipe.tile), slice(x, x + recipe.tile))
    real = place.real[window]
    if rng.random() < recipe.periodic:
        return periodic_pair(real, rng)
    fake = place.fakes[rng.integers(len(place.fakes))][window]
    if rng.random() < recipe.processed:
        real = processed(np.ascontiguousarray(real), rng)
    return real, fake
