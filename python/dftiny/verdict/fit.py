"""Makes a verdict's integers of validation photographs: evidence from tile logits, bounds from what went wrong.

Evidence is a line through the logits (Platt), cut off where the validation data end. At the end of a photograph its mean
evidence is compared with two bounds, set so that at most MISTAKES of the photographs of every condition are called
wrongly when their own photograph was left out; between them it is undecided. A photograph stops early where the mean so
far is further from both bounds than `width / sqrt(tiles)`, the smallest width that agrees with the end often enough.
Called by verdict/validation.py and tools/verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dftiny.errors import DftError
from dftiny.verdict.model import NEVER_FAKE, NEVER_REAL, UNIT, VerdictModel, verdict_model
from dftiny.verdict.running import follow, judge

MISTAKES = 0.02  # of the photographs of a condition, called real or fake wrongly
AGREEMENT = 0.99  # of the photographs, the same outcome early as with all tiles
FULL = 16  # tiles of a validation image: with fewer the last bounds are wider
MARGINS = np.arange(0.0, 6.01, 0.1)  # tried, in standard deviations of a tile divided by 4
WIDTHS = np.arange(0.0, 12.01, 0.1)  # tried, in standard deviations of a tile


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
    scores: NDArray[np.float64], real: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[float, float]:
    """(slope, offset) of the log odds of "real", both classes taken as equally frequent. DftError without both."""
    from sklearn.linear_model import LogisticRegression

    if real.all() or not real.any():
        raise DftError("a verdict needs real and fake validation images", "give data with both")
    balanced = weights / np.where(real, weights[real].sum(), weights[~real].sum())
    model = LogisticRegression(C=1.0).fit(scores[:, None], real, sample_weight=balanced * len(scores) / 2)
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
    # Of tiles_max tiles that will be shown, the mean still to come cannot move further than this.
    away = bounds.width * bounds.tile_sd * np.sqrt(1 / seen - 1 / (tiles_max + 1))
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


def fit_width(
    photos: Sequence[Shown], line: Line, real: float, fake: float, sd: float, agreement: float = AGREEMENT
) -> Bounds:
    """Bounds with the smallest width at which `agreement` of the images end early as they do with all their tiles."""
    # An output scale so fine that quantisation plays no part: what is fitted holds for any net of this line.
    scale = 1 / 16
    outputs = [np.clip(np.round(p.logits / scale), -128, 127).astype(np.int8) for p in photos]
    for width in WIDTHS:
        bounds = Bounds(real, fake, sd, float(width))
        model = tables(line, bounds, scale, 0, max(len(o) for o in outputs))
        same = [follow(model, o).decision == final(model, o) for o in outputs]
        if np.mean(same) >= agreement:
            break
    return bounds


def final(model: VerdictModel, outputs: NDArray[np.int8]) -> int:
    """The decision with all tiles of an image, int8 outputs [n], looked at."""
    seen = min(len(outputs), model.tiles_max)
    evidence = int(model.evidence[outputs[:seen].astype(int) + 128].sum(dtype=np.int64))
    return judge(model, seen, seen, evidence)
