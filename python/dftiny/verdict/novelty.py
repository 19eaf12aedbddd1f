"""Where a photograph is unlike the training data: a few numbers of its tiles against the range that training had.

It is no proof of anything: a picture inside all ranges may still be strange. A flat, drawn, blown-out or already
compressed picture lies outside. Called by detect; ranges are made by verdict/validation.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from dftiny.verdict.order import FLAT_TEXTURE, LUMA, texture

BLOCK = 8  # JPEG's, pixels
STRETCH = 1.25  # the factor by which a training range is widened on either side


@dataclass(frozen=True)
class Traits:
    """Of tiles uint8 [n, H, W, 3]: mean texture in grey levels; parts in 0…1 of flat tiles, of black or white pixels and
    of distinct colours in a tile (median); strength of an 8-px grid (1: none)."""

    texture: float
    flat: float
    clipped: float
    colours: float
    grid: float


# What a value outside the training range means: (below, above). None: that side is harmless.
MEANINGS: Mapping[str, tuple[str | None, str | None]] = {
    "texture": ("it is smoother than every training photograph", "it has finer detail or more noise than every training photograph"),
    "flat": (None, "most of it is flat"),
    "clipped": (None, "much of it is pure black or white"),
    "colours": ("it has few colours, as drawings and screenshots do", None),
}  # fmt: skip


def traits(tiles: NDArray[np.uint8]) -> Traits:
    """Measure uint8 tiles [n, H, W, 3], n > 0."""
    detail = texture(tiles)
    clipped = (tiles.min(axis=3) == 255) | (tiles.max(axis=3) == 0)
    return Traits(
        texture=float(detail.mean()),
        flat=float((detail < FLAT_TEXTURE).mean()),
        clipped=float(clipped.mean()),
        colours=float(np.median([_distinct(t) for t in tiles])),
        grid=grid_strength(tiles),
    )


def _distinct(tile: NDArray[np.uint8]) -> float:
    """Distinct colours of a tile [H, W, 3] as a part of its pixels."""
    packed = tile.reshape(-1, 3).astype(np.uint32) @ np.array([1, 256, 65536], np.uint32)
    return len(np.unique(packed)) / len(packed)


def grid_strength(tiles: NDArray[np.uint8]) -> float:
    """How much larger second differences are across one phase of an 8-px grid than across the others, at the strongest
    phase of both directions. JPEG leaves such a grid, shifted where the picture was cropped afterwards."""
    grey = tiles.astype(np.float32) @ LUMA
    strengths = []
    for g in (grey, grey.transpose(0, 2, 1)):
        # Steps across column i | i + 1 that neither side continues.
        step = np.abs(2 * (g[:, :, 2:-1] - g[:, :, 1:-2]) - (g[:, :, 3:] - g[:, :, :-3]))
        by_column = np.minimum(step, 20).mean(axis=(0, 1))
        by_phase = np.array([by_column[p::BLOCK].mean() for p in range(BLOCK)])
        strengths.append(float(by_phase.max() + 0.01) / float(np.median(by_phase) + 0.01))
    return float(np.sqrt(strengths[0] * strengths[1]))


Ranges = Mapping[str, tuple[float, float]]


def ranges_of(measured: Sequence[Traits]) -> dict[str, tuple[float, float]]:
    """[low, high] of each trait over the training images, widened by STRETCH; the grid's not, it has a use of its own."""
    out = {}
    for f in fields(Traits):
        values = [getattr(t, f.name) for t in measured]
        factor = 1.0 if f.name == "grid" else STRETCH
        out[f.name] = (min(values) / factor, max(values) * factor)
    return out


def strange(found: Traits, ranges: Ranges) -> list[str]:
    """One clause for each way in which a picture is unlike the training data; empty where it is not."""
    return list(_strange(found, ranges))


def _strange(found: Traits, ranges: Ranges) -> Iterable[str]:
    for name, (below, above) in MEANINGS.items():
        value, (low, high) = getattr(found, name), ranges[name]
        if below is not None and value < low:
            yield below
        if above is not None and value > high:
            yield above
