"""Figures of test images pooled over folds and seeds, with bootstrap intervals by photograph. Pure numpy.

Called by results. Every photograph lies in the test part of one fold, so thresholds differ by fold: accuracies are
pooled as decisions, and an AUC counts pairs of real and fake within one fold only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dftiny.errors import DftError

Floats = NDArray[np.float64]
BOOTSTRAP = 1000
METRICS = ("accuracy", "f1", "auc", "false_alarms")


@dataclass(frozen=True)
class Judged:
    """The test images of one fold and seed: `logits` float [n] (more is more real), `targets` 1 real or 0 fake [n],
    `sources` [n] photographs, and the `threshold` that this fold's validation part gave."""

    logits: Floats
    targets: NDArray[np.int64]
    sources: tuple[str, ...]
    threshold: float


@dataclass(frozen=True)
class Figure:
    """A pooled figure (0 to 1), its 95 % interval by photograph (None with one photograph), and images judged."""

    value: float
    interval: tuple[float, float] | None
    images: int


@dataclass(frozen=True)
class _Counts:
    """By photograph [p]: reals, fakes, those judged rightly; wins [p, p] of a photograph's reals over another's fakes."""

    reals: Floats
    fakes: Floats
    reals_right: Floats
    fakes_right: Floats
    wins: Floats
    pairs: Floats


def pooled(parts: Sequence[Judged], *, seed: int = 0, bootstrap: int = BOOTSTRAP) -> dict[str, Figure]:
    """accuracy (both classes with the same weight), f1 of real (likewise), auc, and false_alarms (part of the reals
    called fake) over all `parts`; what a missing class does not allow is absent."""
    names = sorted({s for p in parts for s in p.sources})
    once, again = _drawn(parts, names, seed, bootstrap)
    return _told(once, again, len(names), sum(len(p.logits) for p in parts))


def paired(
    first: Sequence[Judged], second: Sequence[Judged], *, seed: int = 0, bootstrap: int = BOOTSTRAP
) -> dict[str, Figure]:
    """What `first` has more than `second` (-1 to 1) by metric, with the interval of that difference.

    Both must have judged images of the same photographs: every draw takes the same ones for both. DftError when not.
    """
    names = sorted({s for p in first for s in p.sources})
    if names != sorted({s for p in second for s in p.sources}):
        raise DftError("the two nets did not judge the same photographs", "run both on the same data")
    (once, again), (other_once, other_again) = (_drawn(p, names, seed, bootstrap) for p in (first, second))
    images = sum(len(p.logits) for p in first)
    return _told(_less(once, other_once), _less(again, other_again), len(names), images)


def _less(one: dict[str, Floats], other: dict[str, Floats]) -> dict[str, Floats]:
    return {k: v - other[k] for k, v in one.items()}


def _drawn(
    parts: Sequence[Judged], names: Sequence[str], seed: int, bootstrap: int
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Each metric [1] of all photographs `names`, and [bootstrap] of draws of them."""
    counts = _counts(parts, names)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), bootstrap).astype(np.float64)
    return _figures(counts, np.ones((1, len(names)))), _figures(counts, draws)


def _told(
    once: dict[str, Floats], again: dict[str, Floats], photographs: int, images: int
) -> dict[str, Figure]:
    return {
        k: Figure(float(v[0]), _interval(again[k], photographs), images)
        for k, v in once.items()
        if np.isfinite(v[0])
    }


def _counts(parts: Sequence[Judged], names: Sequence[str]) -> _Counts:
    place = {name: i for i, name in enumerate(names)}
    n = len(names)
    lines = np.zeros((4, n))
    wins, pairs = np.zeros((n, n)), np.zeros((n, n))
    for part in parts:
        where = np.array([place[s] for s in part.sources], dtype=np.int64)
        real = part.targets == 1
        said = part.logits > part.threshold
        for line, chosen in enumerate((real, ~real, real & said, ~real & ~said)):
            lines[line] += np.bincount(where[chosen], minlength=n)
        ahead = part.logits[real][:, None] - part.logits[~real][None, :]
        at = np.ix_(where[real], where[~real])
        np.add.at(wins, at, (ahead > 0) + 0.5 * (ahead == 0))
        np.add.at(pairs, at, 1.0)
    return _Counts(lines[0], lines[1], lines[2], lines[3], wins, pairs)


def _figures(counts: _Counts, weights: Floats) -> dict[str, Floats]:
    """Each metric [draws] with the photographs weighted `weights` [draws, p]; nan where a class is missing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        right_real = weights @ counts.reals_right / (weights @ counts.reals)
        right_fake = weights @ counts.fakes_right / (weights @ counts.fakes)
        auc = (weights @ counts.wins * weights).sum(1) / (weights @ counts.pairs * weights).sum(1)
    # With both classes weighing the same: recall r and false positives 1 - s give F1 = 2r / (2r + (1 - s) + (1 - r)).
    f1 = 2 * right_real / (2 + right_real - right_fake)
    values = ((right_real + right_fake) / 2, f1, auc, 1 - right_real)
    return dict(zip(METRICS, values, strict=True))


def _interval(values: Floats, photographs: int) -> tuple[float, float] | None:
    found = values[np.isfinite(values)]
    if photographs < 2 or found.size < max(1, values.size // 2):
        return None
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)
