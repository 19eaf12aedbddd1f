"""Tiles that an int8 model's ranges are taken from: training images, before sharing and after each profile in turn.

Called by crossval and release. A net that will see shared images must not be calibrated on lossless ones alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dftiny.data.index import ImageRow, read_image
from dftiny.data.photos import seed_of
from dftiny.data.sharing import PRE, PROFILES, shared
from dftiny.data.tiles import tiles

CALIBRATION_TILES = 40


def calibration_rows(rows: Sequence[ImageRow], count: int = CALIBRATION_TILES) -> list[ImageRow]:
    """`count` training images before sharing, evenly over `rows` in their order."""
    train = [r for r in rows if r.split == "train" and r.sharing == PRE]
    return [train[i] for i in np.linspace(0, len(train) - 1, count).round().astype(int)]


def calibration_tiles(
    data: Path, chosen: Sequence[ImageRow], tile: int, profiles: Sequence[str] = tuple(PROFILES)
) -> NDArray[np.uint8]:
    """One random tile, uint8 [n, tile, tile, 3], of each chosen image: lossless and through `profiles` by turns."""
    turns = (PRE, *profiles)
    picked = []
    for number, row in enumerate(chosen):
        turn, pixels = turns[number % len(turns)], read_image(data, row)
        cut = tiles(pixels if turn == PRE else shared(pixels, turn, row.id), tile)
        picked.append(cut[np.random.default_rng(seed_of("calibration", row.id)).integers(len(cut))])
    return np.stack(picked)
