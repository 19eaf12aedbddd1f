"""Makes a verdict's integers of validation photographs: evidence from tile logits, bounds from what went wrong.

Evidence is a line through the logits (Platt), cut off where the validation data end. At the end of a photograph its mean
evidence is compared with two bounds, set so that at most MISTAKES of the images of every condition are called wrongly
by bounds made without their photograph; between them it is undecided. An image stops early where its mean so far is
further from both bounds than `width · tile_sd · sqrt(1/tiles - 1/all)`. Tiles of one image resemble each other, so that
Wald's widths do not hold: the smallest is taken that agrees with the end often enough on every photograph in every
condition, wherever a bound might lie; with the real bounds alone too few validation images would lie near one.
Called by verdict/validation.py and tools/verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dftiny.errors import DftError
from dftiny.verdict.model import NEVER_FAKE, NEVER_REAL, UNIT, VerdictModel, verdict_model
from dftiny.verdict.running import judge

MISTAKES = 0.02  # of the photographs of a condition, called real or fake wrongly
WISHED = 0.99  # of images, the same side early as with all tiles
THRESHOLDS = 41  # bounds tried, over the range of the validation images' means
FULL = 16  # tiles of a validation image: with fewer the last bounds are wider
MARGINS = np.arange(0.0, 6.01, 0.1)  # tried, in standard deviations of a tile divided by 4
WIDTHS = np.arange(0.0, 12.01, 0.1)  # tried, in standard deviations of a tile


def asked_of_validation(wished: float) -> float:
    """Agreement asked of validation images and bounds, that `wished` of others agree: half the errors one wants to see."""
    return (1 + wished) / 2


AGREEMENT = asked_of_validation(WISHED)


@dataclass(frozen=True, eq=False)
class Shown:
    """One validation image: its photograph, label, condition ("pre", a sharing profile, a control), and the real
    logits of its tiles float [n] in the order in which they are shown."""

    source: str
    real: bool
    condition: str
    logits: NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """Evidence of a logit in nats, real over fake: slope · logit + offset, at most `limit` either way."""

    slope: float
    offset: float
    limit: float

    def of(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evidence float [n] of logits [n]."""
        return np.clip(self.slope * logits + self.offset, -self.limit, self.limit)

    def table(self, scale: float, zero_point: int) -> NDArray[np.int16]:
        """int16 [256] in 1/UNIT, of an int8 output with that quantisation at output + 128."""
        logits = (np.arange(-128, 128) - zero_point) * np.float64(scale)
        found: NDArray[np.int16] = np.round(UNIT * self.of(logits)).astype(np.int16)
        return found


@dataclass(frozen=True)
class Bounds:
    """Mean evidence a tile, in nats: real from `real`, fake to `fake`; `tile_sd` is the spread of tiles in an image,
    `width` how many of them early stopping keeps away (for the inner side too)."""

    real: float
    fake: float
    tile_sd: float
    width: float


def platt(
    scores: NDArray[np.float64],
    real: NDArray[np.bool_],
    weights: NDArray[np.float64],
    photographs: int | None = None,
) -> tuple[float, float]:
    """(slope, offset) of the log odds of "real", both classes taken as equally frequent. With `photographs`, no label
    counts as surer than so many of its kind make it, (n + 1) / (n + 2): Platt's targets (1999, section 2.2), with
    photographs as the sample, because images of one photograph are alike. DftError without both classes."""
    from sklearn.linear_model import LogisticRegression

    if real.all() or not real.any():
        raise DftError("a verdict needs real and fake validation images", "give data with both")
    balanced = weights / np.where(real, weights[real].sum(), weights[~real].sum()) * len(scores) / 2
    sure = 1.0 if photographs is None else (photographs + 1) / (photographs + 2)
    both = np.concatenate([balanced * sure, balanced * (1 - sure)])
    model = LogisticRegression(C=1.0)
    model.fit(np.tile(scores, 2)[:, None], np.concatenate([real, ~real]), sample_weight=both)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def fit_line(photos: Sequence[Shown]) -> Line:
    """Evidence from the tiles of these images, every condition with the same weight. DftError for an upside-down net."""
    logits = np.concatenate([p.logits for p in photos])
    real = np.concatenate([np.full(len(p.logits), p.real) for p in photos])
    counts = {
        c: sum(len(p.logits) for p in photos if p.condition == c) for c in {p.condition for p in photos}
    }
    weights = np.concatenate([np.full(len(p.logits), 1 / counts[p.condition]) for p in photos])
    slope, offset = platt(logits, real, weights)
    if slope <= 0:
        raise DftError(
            "on the validation data this model's logits do not tell real from fake", "train it first"
        )
    low, high = np.percentile(slope * logits + offset, [1, 99])
    return Line(slope, offset, float(max(-low, high, 0.1)))


def _limits(means: Sequence[tuple[Shown, float]]) -> tuple[float, float]:
    """(highest fake, lowest real) mean evidence but for MISTAKES of each condition."""
    fakes: dict[str, list[float]] = {}
    reals: dict[str, list[float]] = {}
    for p, mean in means:
        (reals if p.real else fakes).setdefault(p.condition, []).append(mean)
    high = max(float(np.quantile(v, 1 - MISTAKES)) for v in fakes.values())
    low = min(float(np.quantile(v, MISTAKES)) for v in reals.values())
    return high, low


def _wrong(means: Iterable[tuple[Shown, float]], real_from: float, fake_to: float) -> dict[str, list[bool]]:
    """By condition, whether each image would be called wrongly."""
    found: dict[str, list[bool]] = {}
    for p, mean in means:
        found.setdefault(p.condition, []).append(mean <= fake_to if p.real else mean >= real_from)
    return found


def fit_bounds(photos: Sequence[Shown], line: Line) -> tuple[float, float, float]:
    """(real from, fake to, tile sd) in mean evidence. Each photograph is judged by bounds made without it; the margin
    is the smallest at which no condition has more than MISTAKES wrong."""
    means = [(p, float(line.of(p.logits).mean())) for p in photos]
    sd = float(np.mean([line.of(p.logits).std() for p in photos]))
    sources = sorted({p.source for p in photos})
    without = {s: _limits([m for m in means if m[0].source != s]) for s in sources}
    for margin in MARGINS * sd / np.sqrt(FULL):
        wrong: dict[str, list[bool]] = {}
        for s in sources:
            high, low = without[s]
            real_from, fake_to = _apart(high + margin, low - margin)
            for name, flags in _wrong([m for m in means if m[0].source == s], real_from, fake_to).items():
                wrong.setdefault(name, []).extend(flags)
        if all(np.mean(flags) <= MISTAKES for flags in wrong.values()):
            break
    high, low = _limits(means)
    return (*_apart(high + float(margin), low - float(margin)), sd)


def _apart(real_from: float, fake_to: float) -> tuple[float, float]:
    """Where the classes are so far apart that the bounds would cross, both lie in the middle."""
    if real_from > fake_to:
        return real_from, fake_to
    middle = (real_from + fake_to) / 2
    return middle + 1 / UNIT, middle - 1 / UNIT


def tables(line: Line, bounds: Bounds, scale: float, zero_point: int, tiles_max: int) -> VerdictModel:
    """The integers of a line and bounds for a net with that output quantisation."""
    seen = np.arange(1, tiles_max + 1)
    away = bounds.width * bounds.tile_sd * np.sqrt(1 / seen - 1 / tiles_max)
    few = bounds.tile_sd * np.sqrt(np.maximum(1 / seen - 1 / FULL, 0))
    real_from = _sums(seen, bounds.real + away)
    between_from, between_to = _sums(seen, bounds.fake + away), _sums(seen, bounds.real - away)
    return verdict_model(
        {
            "evidence": line.table(scale, zero_point),
            "real_from": real_from,
            "fake_to": _sums(seen, bounds.fake - away),
            "between_from": between_from,
            "between_to": np.minimum(between_to, real_from - 1),
            "last_real": _sums(seen, bounds.real + few),
            "last_fake": _sums(seen, bounds.fake - few),
        }
    )


def _sums(seen: NDArray[np.int64], means: NDArray[np.float64]) -> NDArray[np.int64]:
    sums: NDArray[np.int64] = np.clip(np.round(UNIT * seen * means), NEVER_FAKE, NEVER_REAL).astype(np.int64)
    return sums


def fit_width(photos: Sequence[Shown], line: Line, sd: float, agreement: float = AGREEMENT) -> float:
    """The smallest width, in `sd`, at which in every condition and of every photograph at least `agreement` of all pairs
    of an image and a bound end early on the side where all tiles end."""
    by_condition: dict[str, list[Shown]] = {}
    for p in photos:
        by_condition.setdefault(p.condition, []).append(p)
    groups = [([line.of(p.logits) for p in v], [p.source for p in v]) for v in by_condition.values()]
    for width in WIDTHS:
        if all(agrees(values, sources, float(width) * sd) >= agreement for values, sources in groups):
            break
    return float(width)


def agrees(images: Sequence[NDArray[np.float64]], sources: Sequence[str], width: float) -> float:
    """Of each photograph the part of pairs of an image, float [tiles] of evidence in order, and a bound for which stopping
    `width` away from the bound tells the side on which the mean of all tiles lies; that of the worst photograph."""
    means = np.array([v.mean() for v in images])
    low, high = np.percentile(means, [2, 98])
    bounds = np.linspace(float(low), float(high), THRESHOLDS)
    same: dict[str, list[float]] = {}
    for values, mean, source in zip(images, means, sources, strict=True):
        _, side = stops(values, bounds, width)
        same.setdefault(source, []).append(float((side == (mean > bounds)).mean()))
    return min(float(np.mean(v)) for v in same.values())


def stops(
    values: NDArray[np.float64], bounds: NDArray[np.float64], width: float
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(tiles seen, mean above the bound) where an image's evidence float [tiles] stops, for each bound [n]."""
    seen = np.arange(1, len(values) + 1)
    running = np.cumsum(values) / seen
    away = width * np.sqrt(1 / seen - 1 / len(values))
    last = np.arange(len(values)) == len(values) - 1
    at = ((np.abs(running - bounds[:, None]) >= away) | last).argmax(axis=1)
    return at + 1, running[at] > bounds


def final(model: VerdictModel, outputs: NDArray[np.int8]) -> int:
    """The decision with all tiles of an image, int8 outputs [n], looked at."""
    seen = min(len(outputs), model.tiles_max)
    evidence = int(model.evidence[outputs[:seen].astype(int) + 128].sum(dtype=np.int64))
    return judge(model, seen, seen, evidence)
