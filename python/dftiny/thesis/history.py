"""The idea that the thesis leaves open: read the sharing history from the backbone's pooled features, then judge with
that platform's head. Linear heads on features that were computed once; an image's answer is the mean over its tiles.

Called by score. Linear, so the mean of the tiles' answers is the answer to the mean of their features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny.data.index import DataIndex, ImageRow, read_image
from dftiny.data.sharing import PRE, PROFILES, shared
from dftiny.data.tiles import tiles

# A place and a fake of it in every condition: so many tiles of each image, of at most so many places.
TILES_EACH = 4
PLACES_MAX = 400


@dataclass(frozen=True)
class Linear:
    """weights float64 [features, outputs] and bias [outputs] of a linear head on pooled features."""

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log odds float32 [n, outputs] of features [n, features]."""
        answer: NDArray[np.float32] = (features @ self.weights + self.bias).astype(np.float32)
        return answer


@dataclass(frozen=True)
class Seen:
    """Tiles to learn from: `tiles` uint8 [n, tile, tile, 3] of one image, its condition's number, 1 real or 0 fake."""

    tiles: NDArray[np.uint8]
    condition: int
    target: int


def training_tiles(
    folder: Path, index: DataIndex, tile: int, conditions: Sequence[str], seed: int
) -> Iterator[Seen]:
    """Reals and one seen fake each of the training split in every condition: as the data hold it, or shared here."""
    rng = np.random.default_rng(seed)
    copies = {(r.source, r.kind, r.sharing): r for r in index.select("train")}
    for row in _rows(index):
        pixels = read_image(folder, row)
        for number, condition in enumerate(conditions):
            own = None if condition == PRE else copies.get((row.source, row.kind, condition))
            seen = _imitated(row, pixels, condition) if own is None else read_image(folder, own)
            cut = tiles(seen, tile)
            chosen = rng.permutation(len(cut))[:TILES_EACH]
            yield Seen(cut[chosen], number, row.target)


def _rows(index: DataIndex) -> list[ImageRow]:
    """A real and, cyclic, one of its fakes for each place, evenly taken from the training split."""
    plain = [r for r in index.select("train", PRE) if not r.is_control]
    reals = [r for r in plain if r.label == "real"]
    kinds = sorted({r.kind for r in plain if r.label == "fake"})
    by_kind = {k: [r for r in plain if r.kind == k] for k in kinds}
    step = max(1, len(reals) // PLACES_MAX)
    found: list[ImageRow] = []
    for number, real in enumerate(reals[::step][:PLACES_MAX]):
        fakes = by_kind[kinds[number % len(kinds)]]
        found += [real, fakes[min(number * step, len(fakes) - 1)]]
    return found


def _imitated(row: ImageRow, pixels: NDArray[np.uint8], condition: str) -> NDArray[np.uint8]:
    """The image as that platform may leave it; as it is where nobody imitates that platform."""
    return shared(pixels, condition, row.id) if condition in PROFILES else pixels


def fit(features: NDArray[np.float32], answers: NDArray[np.int64], seed: int) -> Linear:
    """A logistic regression on standardised features [n, features] as a linear head on the plain ones.

    One output for two classes (log odds of the larger number), one for each class beyond.
    """
    from sklearn.linear_model import LogisticRegression

    mean, spread = features.mean(0), features.std(0) + 1e-6
    model = LogisticRegression(C=0.1, max_iter=200, random_state=seed)
    model.fit((features - mean) / spread, answers)
    weights = model.coef_.T / spread[:, None]
    return Linear(weights.astype(np.float64), (model.intercept_ - mean @ weights).astype(np.float64))


def fit_heads(
    features: NDArray[np.float32],
    condition: NDArray[np.int64],
    target: NDArray[np.int64],
    conditions: int,
    seed: int,
) -> tuple[Linear, list[Linear]]:
    """The head that tells the condition, and a real-or-fake head for each condition, on tiles' features [n, features]."""
    history = fit(features, condition, seed)
    chosen = [condition == c for c in range(conditions)]
    return history, [fit(features[m], target[m], seed) for m in chosen]


def chip_cost(features: int, conditions: int, macs: int) -> Mapping[str, Any]:
    """What history and a head for each condition add to a net that has one: parameters, MACs a tile, part of its `macs`."""
    extra = conditions + (conditions - 1)
    more = extra * features
    return {"parameters": extra * (features + 1), "macs": more, "part": more / macs}
