"""One picture → one finding: tiles chosen, shown until the verdict stops, and what has to be said beside it.

The engine decides by tiles; this holds its verdict back where the picture is unlike the training data, and does not
confirm what was compressed where the validation data forbid it. Called by detect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dftiny.data.tiles import tile_grid
from dftiny.detect.engines import Engine
from dftiny.detect.picture import Picture
from dftiny.verdict.file import COMPRESSED, LOSSLESS, VerdictFile
from dftiny.verdict.model import NAMES, REAL, UNDECIDED, UNIT, VerdictModel
from dftiny.verdict.novelty import strange, traits
from dftiny.verdict.order import offered, spread, texture
from dftiny.verdict.running import Outcome

SAMPLE = 64  # tiles that a picture's traits are measured on


@dataclass(frozen=True, eq=False)
class Finding:
    """What came of a picture. `verdict`: "real", "fake" or "undecided"; `by_tiles` is what the tiles alone said;
    `p_real` None where no tile was looked at or the picture is unlike the training data. `tiles` were used of `offered`,
    which are those with texture of all `grid` = (rows, columns), at most the verdict's limit. `evidence`, 1/256 nat, is
    the sum; `warnings` and `notes` are clauses."""

    picture: Picture
    verdict: str
    by_tiles: str
    p_real: float | None
    condition: str
    tiles: int
    offered: int
    grid: tuple[int, int]
    evidence: int
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height as stored."""
        return self.picture.pixels.shape[1], self.picture.pixels.shape[0]


def cut(pixels: NDArray[np.uint8], side: int, numbers: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Tiles uint8 [n, side, side, 3] of `pixels` by row-major number: only those are copied."""
    columns = pixels.shape[1] // side
    out = np.empty((len(numbers), side, side, 3), np.uint8)
    for i, number in enumerate(numbers.tolist()):
        y, x = divmod(number, columns)
        out[i] = pixels[y * side : (y + 1) * side, x * side : (x + 1) * side]
    return out


def textures(pixels: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Texture in grey levels of every tile [rows * columns], row-major."""
    rows, columns = tile_grid(pixels.shape[0], pixels.shape[1], side)
    parts = [texture(cut(pixels, side, np.arange(r * columns, (r + 1) * columns))) for r in range(rows)]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def judge_picture(picture: Picture, file: VerdictFile, model: VerdictModel, engine: Engine) -> Finding:
    """Look at a picture. Its tiles are shown in the same order to every engine."""
    side = file.tile
    grid = tile_grid(picture.pixels.shape[0], picture.pixels.shape[1], side)
    if not grid[0] * grid[1]:
        return _nothing(picture, grid, f"it is smaller than one tile of {side}x{side} pixels")
    chosen = offered(*grid, textures(picture.pixels, side), model.tiles_max)
    if not len(chosen):
        return _nothing(picture, grid, "all of it is flat")
    sample = traits(cut(picture.pixels, side, spread(*grid)[:SAMPLE]))
    condition = COMPRESSED if picture.lossy or sample.grid > file.ranges["grid"][1] else LOSSLESS
    outcome = engine.decide(model, cut(picture.pixels, side, chosen))
    return _finding(picture, file, grid, len(chosen), outcome, condition, strange(sample, file.ranges))


def _nothing(picture: Picture, grid: tuple[int, int], why: str) -> Finding:
    name = NAMES[UNDECIDED]
    return Finding(picture, name, name, None, LOSSLESS, 0, 0, grid, 0, (why,), picture.notes)


def _finding(
    picture: Picture,
    file: VerdictFile,
    grid: tuple[int, int],
    n: int,
    outcome: Outcome,
    condition: str,
    warnings: list[str],
) -> Finding:
    verdict, notes = outcome.decision, list(picture.notes)
    if verdict == REAL and condition not in file.confirms:
        verdict = UNDECIDED
        notes.append("compressed, which hides traces: this model calls no compressed picture real")
    elif condition == COMPRESSED:
        notes.append("compressed")
    p_real = file.p_real(condition, outcome.evidence / outcome.seen / UNIT)
    return Finding(
        picture=picture,
        verdict=NAMES[UNDECIDED if warnings else verdict],
        by_tiles=NAMES[outcome.decision],
        p_real=None if warnings else p_real,
        condition=condition,
        tiles=outcome.seen,
        offered=n,
        grid=grid,
        evidence=outcome.evidence,
        warnings=tuple(warnings),
        notes=tuple(notes),
    )
