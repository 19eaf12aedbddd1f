"""How good the verdicts are, on photographs that had no part in fitting them: outcomes by condition, and tiles saved.

outcomes() takes the test split through detect's own judge. savings() takes disjoint 1024² crops of 64 tiles of the
photographs (large_images), fits a bound for each sharing profile on validation images and compares stopping early with
fixed numbers of tiles, in three orders, pooled over rounds. Called by tools/verdict and crossval/verdicts.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dftiny import graph as graphs
from dftiny import int8
from dftiny.bundle import MODEL, VERDICT
from dftiny.data.index import MOVED, DataIndex, ImageRow, load_whole, read_image, read_picture
from dftiny.data.photos import MIN_TEXTURE, SHRINK, Photo, demo_photos, seed_of, texture
from dftiny.data.sharing import PRE, PROFILES, shared
from dftiny.data.tiles import tiles
from dftiny.detect.engines import Oracle
from dftiny.detect.judge import judge_picture
from dftiny.detect.picture import Picture
from dftiny.errors import DftError
from dftiny.graph import Graph
from dftiny.metrics import logistic_threshold
from dftiny.verdict.file import load_verdict
from dftiny.verdict.fit import THRESHOLDS, WIDTHS, WISHED, agrees, asked_of_validation, stops
from dftiny.verdict.order import spread
from dftiny.verdict.order import texture as textures

CROP_PX = 1024
ORDERS = ("spread", "texture first", "random")
WRONG_MAX = 0.05  # of the verdicts on copies that were MOVED may be confident and wrong


@dataclass(frozen=True)
class Outcomes:
    """One condition and label of the test split: images, called right, wrong, undecided; of those undecided, how many
    for being unlike the training data; mean tiles and their mean offer; Brier score of the probability (None: none)."""

    condition: str
    label: str
    images: int
    right: int
    wrong: int
    undecided: int
    strange: int
    tiles: float
    offered: float
    brier: float | None


def outcomes(model: Path, data: Path, only: Collection[str] = ()) -> list[Outcomes]:
    """The released `model`'s verdicts on the test images of `data`, controls and shared copies among them; of the
    conditions `only`, where some are named. DftError where no image is of them."""
    from rich.progress import track

    file = load_verdict(model / VERDICT)
    graph = graphs.load(model / MODEL)
    tables, engine = file.model(graph.output.scale, graph.output.zero_point), Oracle(graph)
    rows = [r for r in load_whole(data).images if r.split == "test" and (not only or _condition(r) in only)]
    if not rows:
        raise DftError(
            f"{data} has no test image in {', '.join(only) or 'any condition'}", "see its index.json"
        )
    groups: dict[tuple[str, str], list[tuple[str, float | None, bool, int, int]]] = {}
    for row in track(rows, description="test split"):
        picture = Picture(data / row.file, read_image(data, row), 1, row.file.endswith(".jpg"), ())
        f = judge_picture(picture, file, tables, engine)
        groups.setdefault((_condition(row), row.label), []).append(
            (f.verdict, f.p_real, bool(f.warnings), f.tiles, f.offered)
        )
    return [_outcomes(condition, label, found) for (condition, label), found in groups.items()]


def _condition(row: ImageRow) -> str:
    if row.is_control:
        return row.kind
    held_out = "" if row.seen or row.sharing != PRE else ", unseen generator"
    return row.sharing + held_out


def _outcomes(
    condition: str, label: str, found: Sequence[tuple[str, float | None, bool, int, int]]
) -> Outcomes:
    said = Counter(f[0] for f in found)
    other = "fake" if label == "real" else "real"
    p = [f[1] for f in found if f[1] is not None]
    return Outcomes(
        condition=condition,
        label=label,
        images=len(found),
        right=said[label],
        wrong=said[other],
        undecided=said["undecided"],
        strange=sum(f[2] for f in found),
        tiles=float(np.mean([f[3] for f in found])),
        offered=float(np.mean([f[4] for f in found])),
        brier=float(np.mean((np.array(p) - (label == "real")) ** 2)) if p else None,
    )


def outcomes_text(rows: Sequence[Outcomes]) -> str:
    """A table, and the controls' mistakes in one line each."""
    lines = [
        f"{'condition':<24}{'label':<6}{'images':>7}{'right':>7}{'wrong':>7}{'undec.':>7}{'strange':>9}{'tiles':>8}{'Brier':>8}"
    ]
    for r in rows:
        brier = "" if r.brier is None else f"{r.brier:.3f}"
        lines.append(
            f"{r.condition:<24}{r.label:<6}{r.images:>7}{r.right:>7}{r.wrong:>7}{r.undecided:>7}{r.strange:>9}"
            f"{r.tiles:>5.1f}/{r.offered:<2.0f}{brier:>8}"
        )
    for kind in MOVED:
        wrong, images = _wrong_of(rows, kind)
        if images:
            lines.append(
                f"{kind}: {wrong} of {images} verdicts confident and wrong, {100 * wrong / images:.1f} %"
            )
    return "\n".join(lines)


def cautious(rows: Sequence[Outcomes], kinds: Collection[str] = MOVED) -> bool:
    """Whether copies of all `kinds` that lost their grid were looked at, and at most WRONG_MAX of each called wrongly."""
    counts = [_wrong_of(rows, kind) for kind in kinds]
    return all(images > 0 and wrong <= WRONG_MAX * images for wrong, images in counts)


def _wrong_of(rows: Sequence[Outcomes], condition: str) -> tuple[int, int]:
    """Confident and wrong verdicts, and images, real and fake together."""
    part = [r for r in rows if r.condition == condition]
    return sum(r.wrong for r in part), sum(r.images for r in part)


@dataclass(frozen=True)
class Judge:
    """A net: its tile in pixels, and real logits float64 [n] of tiles uint8 [n, tile, tile, 3]."""

    tile: int
    logits: Callable[[NDArray[np.uint8]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Large:
    """One image of whole tiles in one condition: real logits float [n], row-major, and textures [n]."""

    source: str
    real: bool
    condition: str
    logits: NDArray[np.float64]
    textures: NDArray[np.float32]


@dataclass(frozen=True)
class Round:
    """What a net's bounds are fitted on, and what they are tried on: no photograph is in both."""

    validation: Sequence[Large]
    test: Sequence[Large]


@dataclass(frozen=True)
class Saving:
    """Stopping early in one condition and order, `wished` for agreement: part of `images` that end where all 64 tiles end, with a bootstrap
    interval by photograph, mean tiles, and the smallest fixed number that agrees as often on these images. `chosen` is the
    mean fixed number that validation images ask for by the rule that gives early stopping its width, `chosen_agreement`
    how often it agrees."""

    wished: float
    condition: str
    order: str
    images: int
    agreement: float
    interval: tuple[float, float]
    tiles: float
    fixed: int
    chosen: float
    chosen_agreement: float


def large_images(
    judge: Judge, photos: Sequence[Photo], kinds: Sequence[str], say: str = ""
) -> Iterator[Large]:
    """Every disjoint 1024² crop with texture of `photos`, real and of the generators `kinds`, in each condition."""
    from rich.progress import track

    from dftiny.data.generators import load_faker

    fakers = [load_faker(k, "strong") for k in kinds]
    for photo in track(photos, description=f"1024² crops, {say}", disable=not say):
        for number, crop in enumerate(_large_crops(photo)):
            name = f"{photo.id}.large{number}"
            for kind, pixels in {"real": crop, **{f.kind: f.fake(crop, name) for f in fakers}}.items():
                yield _large(judge, photo.id, kind, PRE, pixels)
                for profile in PROFILES:
                    copy = shared(pixels, profile, f"{name}.{kind}")
                    yield _large(judge, photo.id, kind, profile, copy)


def _large_crops(photo: Photo) -> Iterator[NDArray[np.uint8]]:
    """Crops of the photograph shrunk as the demo data are; none where 1024 px do not remain."""
    from PIL import Image

    try:
        source = read_picture(photo.path)
    except DftError:
        return
    height, width = source.shape[:2]
    smallest = max(SHRINK[0], CROP_PX / min(height, width))
    if smallest > SHRINK[1]:
        return
    ratio = float(np.random.default_rng(seed_of("large", photo.id)).uniform(smallest, SHRINK[1]))
    small = Image.fromarray(source).resize(
        (round(width * ratio), round(height * ratio)), Image.Resampling.LANCZOS
    )
    pixels = np.asarray(small)
    for y in range(0, pixels.shape[0] - CROP_PX + 1, CROP_PX):
        for x in range(0, pixels.shape[1] - CROP_PX + 1, CROP_PX):
            crop = np.ascontiguousarray(pixels[y : y + CROP_PX, x : x + CROP_PX])
            if texture(crop) >= MIN_TEXTURE:
                yield crop


def of_split(split: str) -> list[Photo]:
    """The demo photographs of that split."""
    return [p for p in demo_photos()[0] if p.split == split]


def int8_judge(graph: Graph) -> Judge:
    """Dequantised logits of the int8 net, through the oracle."""

    def logits(cut: NDArray[np.uint8]) -> NDArray[np.float64]:
        out = int8.run(graph, int8.from_pixels(cut))[:, 0].astype(np.float64)
        return (out - graph.output.zero_point) * graph.output.scale

    return Judge(graph.input.shape[1], logits)


def _large(judge: Judge, source: str, kind: str, condition: str, pixels: NDArray[np.uint8]) -> Large:
    cut = tiles(pixels, judge.tile)
    return Large(source, kind == "real", condition, judge.logits(cut), textures(cut))


def validation_images(judge: Judge, data: Path, index: DataIndex, say: str = "") -> Iterator[Large]:
    """The validation images of `index` in the folder `data` and shared copies of them, 16 tiles each."""
    from rich.progress import track

    rows = [r for r in index.select("val", PRE) if not r.is_control]
    for row in track(rows, description=say, disable=not say):
        pixels = read_image(data, row)
        yield _large(judge, row.source, row.kind, PRE, pixels)
        for profile in PROFILES:
            yield _large(judge, row.source, row.kind, profile, shared(pixels, profile, row.id))


def ordered(image: Large, order: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """The image's logits in one of ORDERS."""
    n = len(image.logits)
    if order == "texture first":
        return image.logits[np.argsort(-image.textures, kind="stable")]
    side = round(n**0.5)
    return image.logits[spread(side, side) if order == "spread" else rng.permutation(n)]


def savings(rounds: Sequence[Round], wished: float = WISHED, seed: int = 0) -> list[Saving]:
    """Threshold and width of each condition from each round's validation images, judged on its test images, pooled.

    `wished` is the agreement with all tiles to be seen on the test images; validation is asked for half of its errors.
    """
    required = asked_of_validation(wished)
    out = []
    for condition in (PRE, *PROFILES):
        for order in ORDERS:
            shown = [s for r in rounds for s in _shown(r, condition, order, required, seed)]
            out.append(_saving(wished, condition, order, shown))
    return out


@dataclass(frozen=True, eq=False)
class _Shown:
    """A test image in order: logits less its round's threshold, where it stops and on which side, and how many tiles
    the round's validation images ask for when their number is fixed."""

    source: str
    values: NDArray[np.float64]
    seen: int
    side: bool
    fixed: int


def _shown(this: Round, condition: str, order: str, required: float, seed: int) -> Iterator[_Shown]:
    val = [v for v in this.validation if v.condition == condition]
    threshold = logistic_threshold([int(v.real) for v in val], [float(v.logits.mean()) for v in val])
    rng = np.random.default_rng(seed)
    known = [ordered(v, order, rng) - threshold for v in val]
    sources = [v.source for v in val]
    width = next(
        (float(w) for w in WIDTHS * 2 if agrees(known, sources, float(w)) >= required),
        float(WIDTHS[-1] * 2),
    )
    fixed = _fixed(known, sources, required)
    for image in this.test:
        if image.condition == condition:
            values = ordered(image, order, rng) - threshold
            seen, side = stops(values, np.zeros(1), width)
            yield _Shown(image.source, values, int(seen[0]), bool(side[0]), fixed)


def _fixed(known: Sequence[NDArray[np.float64]], sources: Sequence[str], required: float) -> int:
    """The smallest number of tiles that tells, of every photograph, the side of all tiles as often as early stopping must."""
    longest = max(len(v) for v in known)
    means = np.array([v.mean() for v in known])
    low, high = np.percentile(means, [2, 98])
    bounds = np.linspace(float(low), float(high), THRESHOLDS)
    for k in range(1, longest):
        same: dict[str, list[float]] = {}
        for values, mean, source in zip(known, means, sources, strict=True):
            early = values[:k].mean() > bounds
            same.setdefault(source, []).append(float((early == (mean > bounds)).mean()))
        if min(float(np.mean(v)) for v in same.values()) >= required:
            return k
    return longest


def _saving(wished: float, condition: str, order: str, shown: Sequence[_Shown]) -> Saving:
    truth = np.array([bool(s.values.mean() > 0) for s in shown])
    same = np.array([s.side for s in shown]) == truth
    fixed = next(
        k
        for k in range(1, len(shown[0].values) + 1)
        if np.mean([s.values[:k].mean() > 0 for s in shown] == truth) >= same.mean()
    )
    return Saving(
        wished, condition, order, len(shown), float(same.mean()), interval(same, [s.source for s in shown]),
        float(np.mean([s.seen for s in shown])), fixed, float(np.mean([s.fixed for s in shown])),
        float(np.mean([s.values[: s.fixed].mean() > 0 for s in shown] == truth)),
    )  # fmt: skip


def interval(same: NDArray[np.bool_], sources: Sequence[str]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean, photographs drawn anew."""
    groups = [same[np.array(sources) == s] for s in sorted(set(sources))]
    rng = np.random.default_rng(0)
    means = [
        float(np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))]).mean())
        for _ in range(1000)
    ]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def savings_text(rows: Sequence[Saving], longest: int = 64) -> str:
    """A table: times fewer tiles than all, than the number that validation images ask for, and than the best in hindsight."""
    lines = [
        f"agreement wished: {rows[0].wished}",
        f"{'condition':<15}{'order':<15}{'images':>7}{'agreement':>11}{'95 %':>15}{'tiles':>7}{'x fewer':>9}"
        f"{'chosen k':>10}{'agrees':>8}{'x than k':>9}{'hindsight k':>13}{'x than k':>9}",
    ]
    lines += [
        f"{r.condition:<15}{r.order:<15}{r.images:>7}{r.agreement:>11.3f}{r.interval[0]:>8.3f}–{r.interval[1]:.3f} {r.tiles:>7.1f}"
        f"{longest / r.tiles:>9.1f}{r.chosen:>10.1f}{r.chosen_agreement:>8.3f}{r.chosen / r.tiles:>9.1f}"
        f"{r.fixed:>13}{r.fixed / r.tiles:>9.1f}"
        for r in rows
    ]
    return "\n".join(lines)
