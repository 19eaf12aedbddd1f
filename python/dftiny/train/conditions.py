"""What training tiles went through: nothing, a platform's own copies where the data set has them, or an imitation.

Before that a pair may have been moved: resized, or cut off the 8-px grid. Real and fake of a pair always go through the
same. Called by train/batches.py, train/pictures.py and train/training.py.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dftiny.data.sharing import PRE, PROFILES
from dftiny.data.tiles import GRID_PX
from dftiny.errors import DftError
from dftiny.train.augment import JPEG_QUALITY
from dftiny.train.recipe import MIXED, Recipe

# Chroma at half the resolution makes a JPEG's own grid twice as wide as its blocks.
JPEG_GRID_PX = 16


# How much a moved pair is resized; half of them only leave the grid.
RESIZE = (0.7, 1.05)
RESAMPLING = ("BILINEAR", "BICUBIC", "LANCZOS")


@dataclass(frozen=True)
class Move:
    """Resizing by `factor` with one of Pillow's filters, then a cut `offset` (down, right) pixels off the 8-px grid."""

    factor: float
    resampling: str
    offset: tuple[int, int]

    def side_px(self, tile: int) -> int:
        """Side of the square that a moved tile is made of, whole blocks."""
        return math.ceil((tile + GRID_PX) / self.factor / GRID_PX) * GRID_PX

    def apply(self, square: NDArray[np.uint8], tile: int) -> NDArray[np.uint8]:
        """The tile uint8 [tile, tile, 3] of a square of `side_px`."""
        from PIL import Image

        y, x = self.offset
        if self.factor != 1.0:
            side = round(square.shape[0] * self.factor)
            image = Image.fromarray(np.ascontiguousarray(square))
            square = np.asarray(image.resize((side, side), Image.Resampling[self.resampling]), dtype=np.uint8)
        return np.ascontiguousarray(square[y : y + tile, x : x + tile])


@dataclass(frozen=True)
class Treatment:
    """Of one pair: which copies of the images are taken, how they were moved, and the quality of the JPEG behind that,
    None for none.
    """

    copies: str = PRE
    quality: int | None = None
    move: Move | None = None

    @property
    def grid_px(self) -> int:
        """Step between the places where a tile may begin, so that the JPEG of a tile is that of its whole image."""
        return GRID_PX if self.quality is None else JPEG_GRID_PX

    def side_px(self, tile: int) -> int:
        """Side of the square to be cut for a tile."""
        return tile if self.move is None else self.move.side_px(tile)


@dataclass(frozen=True)
class Conditions:
    """The sharing conditions that a recipe trains on, and those of them that are imitated by JPEG."""

    known: tuple[str, ...]
    imitated: tuple[str, ...]
    jpeg: float
    moved: float = 0.0

    def draw(self, rng: np.random.Generator) -> Treatment:
        """The treatment of the next pair."""
        treatment = self._shared(rng)
        # Nothing is drawn for a recipe without it: its batches stay what they always were.
        if self.moved and rng.random() < self.moved:
            return replace(treatment, move=_move(rng))
        return treatment

    def _shared(self, rng: np.random.Generator) -> Treatment:
        if self.jpeg and rng.random() < self.jpeg:
            return Treatment(quality=_quality(JPEG_QUALITY, rng))
        name = self.known[rng.integers(len(self.known))] if len(self.known) > 1 else self.known[0]
        if name not in self.imitated:
            return Treatment(name)
        return Treatment(quality=_quality(PROFILES[name].quality, rng))

    def side_px(self, tile: int) -> int:
        """Side of the largest square that is cut for a tile: images must not be smaller."""
        return Move(RESIZE[0], RESAMPLING[0], (0, 0)).side_px(tile) if self.moved else tile

    def longest_px(self) -> int | None:
        """Images must not be longer, or an imitated platform would shrink them; None: any length."""
        return min((PROFILES[name].max_px for name in self.imitated), default=None)


def _move(rng: np.random.Generator) -> Move:
    factor = float(rng.uniform(*RESIZE)) if rng.random() < 0.5 else 1.0
    resampling = RESAMPLING[rng.integers(len(RESAMPLING))]
    y, x = rng.integers(GRID_PX, size=2)
    return Move(factor, resampling, (int(y), int(x)))


def _quality(limits: tuple[int, int], rng: np.random.Generator) -> int:
    return int(rng.integers(limits[0], limits[1] + 1))


def conditions_of(recipe: Recipe, delivered: Collection[str]) -> Conditions:
    """The conditions of `recipe` on training images of the conditions `delivered`; what is not among them is imitated.

    DftError when that cannot be done.
    """
    others = tuple(sorted(set(delivered) - {PRE}))
    wanted = (PRE, *(others or PROFILES)) if recipe.sharing == MIXED else (recipe.sharing,)
    imitated = tuple(name for name in wanted if name not in (PRE, *others))
    if not set(imitated) <= set(PROFILES):
        known = (PRE, MIXED, *PROFILES, *others)
        raise DftError(f"unknown sharing {recipe.sharing!r}", f"known here: {', '.join(known)}")
    return Conditions(wanted, imitated, recipe.jpeg, recipe.moved)
