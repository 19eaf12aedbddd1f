"""Training tiles of data sets whose fakes are of other pictures than its reals, as TrueFace's are: decoded when drawn.

Memory holds the images of one batch and no more, however large the set is. What a step gets depends on (seed, step)
alone, as everywhere. Called by train/batches.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dftiny.data.index import DataIndex, ImageRow, read_image
from dftiny.data.sharing import PRE
from dftiny.errors import DftError
from dftiny.train.conditions import Treatment

Tile = NDArray[np.uint8]
DECODERS = 2
LABELS = ("real", "fake")


@dataclass(frozen=True)
class Wish:
    """One square to be cut: from which image, how large, and where, as parts of the way down and to the right, on which
    grid."""

    row: ImageRow
    grid_px: int
    side_px: int
    down: float
    right: float


@dataclass(frozen=True)
class Pictures:
    """The training images by sharing condition and label, each label's by picture: all pictures are drawn alike often."""

    folder: Path
    tile: int
    rows: dict[str, dict[str, tuple[tuple[ImageRow, ...], ...]]]
    _decoders: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(DECODERS), repr=False)

    def draw(self, treatment: Treatment, rng: np.random.Generator) -> tuple[Wish, Wish]:
        """A real and a fake that have nothing to do with each other."""
        real, fake = (self._wish(treatment, label, rng) for label in LABELS)
        return real, fake

    def _wish(self, treatment: Treatment, label: str, rng: np.random.Generator) -> Wish:
        pictures = self.rows[treatment.copies][label]
        copies = pictures[rng.integers(len(pictures))]
        row = copies[rng.integers(len(copies))]
        side = treatment.side_px(self.tile)
        return Wish(row, treatment.grid_px, side, rng.random(), rng.random())

    def cut(self, wishes: Iterable[Wish], longest_px: int | None) -> list[Tile]:
        """The squares uint8 [side, side, 3] of `wishes`, decoded side by side.

        DftError names an image that is damaged, smaller than its square, or longer than `longest_px`.
        """
        return list(self._decoders.map(lambda w: self._cut(w, longest_px), wishes))

    def _cut(self, wish: Wish, longest_px: int | None) -> Tile:
        image = read_image(self.folder, wish.row)
        side = wish.side_px
        if min(image.shape[:2]) < side:
            raise DftError(f"training image {wish.row.id} is below {side} px", "choose a smaller --tile")
        if longest_px is not None and max(image.shape[:2]) > longest_px:
            raise DftError(
                f"training image {wish.row.id} would be shrunk by sharing to {longest_px} px",
                "crop the training images first, or train on images that were shared",
            )
        places = [(n - side) // wish.grid_px + 1 for n in image.shape[:2]]
        y, x = (int(p * n) * wish.grid_px for p, n in zip((wish.down, wish.right), places, strict=True))
        return np.ascontiguousarray(image[y : y + side, x : x + side])


def pictures_of(folder: Path, index: DataIndex, tile: int) -> Pictures:
    """The training images of `index`, controls left out. DftError when there is no real or no fake before sharing."""
    found: dict[str, dict[str, dict[str, list[ImageRow]]]] = {}
    for row in index.select(split="train"):
        if not row.is_control:
            of_label = found.setdefault(row.sharing, {}).setdefault(row.label, {})
            of_label.setdefault(row.source, []).append(row)
    whole = {
        sharing: {label: tuple(tuple(rows) for rows in sources.values()) for label, sources in labels.items()}
        for sharing, labels in found.items()
        if set(labels) == set(LABELS)
    }
    if PRE not in whole:
        raise DftError(f"{folder} has no real or no fake training images", "build the data again")
    return Pictures(folder, tile, whole)


def is_paired(index: DataIndex) -> bool:
    """Whether some training image before sharing has both a real and a fake of the same place."""
    labels: dict[tuple[str, str], set[str]] = {}
    for row in index.select(split="train", sharing=PRE):
        if not row.is_control:
            labels.setdefault((row.source, row.id.removesuffix(f".{row.kind}")), set()).add(row.label)
    return any(len(found) > 1 for found in labels.values())
