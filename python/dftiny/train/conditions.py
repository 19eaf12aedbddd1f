"""What training tiles went through: nothing, a platform's own copies where the data set has them, or an imitation.

Real and fake of a pair always go through the same. Called by train/batches.py and train/training.py.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from dftiny.data.sharing import PRE, PROFILES
from dftiny.data.tiles import GRID_PX
from dftiny.errors import DftError
from dftiny.train.augment import JPEG_QUALITY
from dftiny.train.recipe import MIXED, Recipe

# Chroma at half the resolution makes a JPEG's own grid twice as wide as its blocks.
JPEG_GRID_PX = 16


@dataclass(frozen=True)
class Treatment:
    """Of one pair: which copies of the images are taken, and the quality of the JPEG behind them, None for none."""

    copies: str = PRE
    quality: int | None = None

    @property
    def grid_px(self) -> int:
        """Step between the places where a tile may begin, so that the JPEG of a tile is that of its whole image."""
        return GRID_PX if self.quality is None else JPEG_GRID_PX


@dataclass(frozen=True)
class Conditions:
    """The sharing conditions that a recipe trains on, and those of them that are imitated by JPEG."""

    known: tuple[str, ...]
    imitated: tuple[str, ...]
    jpeg: float

    def draw(self, rng: np.random.Generator) -> Treatment:
        """The treatment of the next pair."""
        # Nothing is drawn for a recipe without sharing: its batches stay what they always were.
        if self.jpeg and rng.random() < self.jpeg:
            return Treatment(quality=_quality(JPEG_QUALITY, rng))
        name = self.known[rng.integers(len(self.known))] if len(self.known) > 1 else self.known[0]
        if name not in self.imitated:
            return Treatment(name)
        return Treatment(quality=_quality(PROFILES[name].quality, rng))

    def longest_px(self) -> int | None:
        """Images must not be longer, or an imitated platform would shrink them; None: any length."""
        return min((PROFILES[name].max_px for name in self.imitated), default=None)


def _quality(limits: tuple[int, int], rng: np.random.Generator) -> int:
    return int(rng.integers(limits[0], limits[1] + 1))


def conditions_of(recipe: Recipe, delivered: Collection[str]) -> Conditions:
    """The conditions of `recipe` on training images of the conditions `delivered`; what is not among them is imitated.

    DftError when that cannot be done.
    """
    others = tuple(sorted(set(delivered) - {PRE}))
    if recipe.sharing == MIXED:
        return Conditions((PRE, *(others or PROFILES)), () if others else tuple(PROFILES), recipe.jpeg)
    if recipe.sharing == PRE or recipe.sharing in others:
        return Conditions((recipe.sharing,), (), recipe.jpeg)
    if recipe.sharing not in PROFILES:
        known = (PRE, MIXED, *PROFILES, *others)
        raise DftError(f"unknown sharing {recipe.sharing!r}", f"known here: {', '.join(known)}")
    return Conditions((recipe.sharing,), (recipe.sharing,), recipe.jpeg)
