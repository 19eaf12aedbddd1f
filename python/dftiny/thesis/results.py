"""From score sheets to figures: every method of every net under every condition, with its controls, pooled over folds.

Called by run and report. Thresholds come from the validation part of each fold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny.data.index import MOVED, PROCESSED
from dftiny.data.sharing import PRE
from dftiny.metrics import logistic_threshold
from dftiny.thesis.pool import BOOTSTRAP, Figure, Judged, pooled
from dftiny.thesis.sheet import Sheet

ANY = "all conditions"
FLOAT, INT8 = "float", "int8"
HEADS = "mixed_head_"
# Methods that are meant for all conditions, this grid's and a cross-validation's: their one threshold comes from all of them.
FOR_ALL = ("mixed", FLOAT, INT8)
# The backbones whose features the sharing history is read from, and the method that judges for each condition.
BACKBONES = ("supervised", "mixed")


@dataclass(frozen=True)
class Results:
    """Figures by (net, method, view, condition, metric); `nets` maps the thesis' name to our preset.

    Views: "unknown" (one threshold) and "known" (that condition's) against the seen generators; "held-out" and a
    generator's name; "processed", "blur", "denoise" (those reals against the seen fakes); "resized", "offgrid".
    `confusion` is, by (net, backbone), images [true condition][inferred condition].
    """

    nets: Mapping[str, str]
    conditions: tuple[str, ...]
    figures: Mapping[tuple[str, str, str, str, str], Figure]
    confusion: Mapping[tuple[str, str], tuple[tuple[int, ...], ...]]

    def get(self, net: str, method: str, view: str, condition: str, metric: str) -> Figure | None:
        """That figure, None where it was not measured."""
        return self.figures.get((net, method, view, condition, metric))

    def rows(self) -> list[dict[str, Any]]:
        """All figures for results.json, what each is about beside it."""
        names = ("net", "method", "view", "condition", "metric")
        return [
            {
                **dict(zip(names, key, strict=True)),
                "value": f.value,
                "interval": f.interval,
                "images": f.images,
            }
            for key, f in self.figures.items()
        ]


def home_of(method: str, conditions: Sequence[str]) -> str:
    """The condition that `method` learnt from, which its one threshold comes from: `ANY` for mixed ones."""
    for condition in conditions:
        if method.endswith(f"_{condition}"):
            return condition
    return ANY if method in FOR_ALL else PRE


def thresholds(sheet: Sheet, method: str) -> dict[str, float]:
    """Thresholds (image logits) from the validation images of each condition that has both classes, and of `ANY` of them."""
    scores = sheet.logits[method]
    chosen = {c: sheet.pick("val", c) for c in sheet.conditions}
    chosen[ANY] = np.logical_or.reduce(list(chosen.values()))
    both = {c: m for c, m in chosen.items() if len(set(sheet.target[m])) == 2}
    return {c: logistic_threshold(sheet.target[m], scores[m]) for c, m in both.items()}


def plainly(sheet: Sheet, method: str, condition: str) -> Judged:
    """The test images of `condition`, reals and seen fakes, with the threshold of its own validation images.

    KeyError when those do not hold both classes.
    """
    scores = sheet.logits[method]
    return _judge(sheet, sheet.pick("test", condition), scores, thresholds(sheet, method)[condition])


def measure(
    sheets: Iterable[Sheet], nets: Mapping[str, str], *, bootstrap: int = BOOTSTRAP, seed: int = 0
) -> Results:
    """All figures of those sheets; `nets` maps the thesis' names to the sheets' nets."""
    every = list(sheets)
    figures: dict[tuple[str, str, str, str, str], Figure] = {}
    confusion: dict[tuple[str, str], tuple[tuple[int, ...], ...]] = {}
    conditions = every[0].conditions if every else ()
    for name, preset in nets.items():
        mine = [s for s in every if s.net == preset]
        parts: dict[tuple[str, str, str], list[Judged]] = {}
        for sheet in mine:
            for method in sheet.logits:
                _method(sheet, method, parts)
            for backbone in BACKBONES:
                _history(sheet, backbone, parts)
        for key, judged in parts.items():
            for metric, figure in pooled(judged, seed=seed, bootstrap=bootstrap).items():
                method, view, condition = key
                figures[name, method, view, condition, metric] = figure
        for backbone in BACKBONES:
            if tables := [_confusion(s, backbone) for s in mine if backbone in s.history]:
                confusion[name, backbone] = tuple(tuple(row) for row in np.sum(tables, 0).tolist())
    return Results(dict(nets), conditions, figures, confusion)


def _judge(sheet: Sheet, chosen: NDArray[np.bool_], scores: NDArray[np.floating], threshold: float) -> Judged:
    sources = tuple(str(s) for s in sheet.source[chosen])
    return Judged(scores[chosen].astype(np.float64), sheet.target[chosen], sources, threshold)


def _method(sheet: Sheet, method: str, parts: dict[tuple[str, str, str], list[Judged]]) -> None:
    """Add one method's test images to `parts`, by (method, view, condition)."""
    scores, cut = sheet.logits[method], thresholds(sheet, method)
    home = home_of(method, sheet.conditions)
    one = cut.get(home, cut[PRE])

    def add(view: str, condition: str, chosen: NDArray[np.bool_], threshold: float) -> None:
        if chosen.any():
            parts.setdefault((method, view, condition), []).append(_judge(sheet, chosen, scores, threshold))

    for condition in sheet.conditions:
        plain = sheet.pick("test", condition)
        reals = sheet.pick("test", condition, ["real"])
        fakes = plain & (sheet.target == 0)
        add("unknown", condition, plain, one)
        known = cut.get(condition, one)
        add("known", condition, plain, known)
        unseen = sorted({str(k) for k in sheet.kind[sheet.is_generated & ~sheet.seen]})
        for view, kinds in {"held-out": unseen, **{k: [k] for k in unseen}}.items():
            if kinds and (found := sheet.pick("test", condition, kinds)).any():
                add(view, condition, reals | found, known)
        for view, kinds in {"processed": list(PROCESSED), **{k: [k] for k in PROCESSED}}.items():
            if (found := sheet.pick("test", condition, kinds)).any():
                add(view, condition, found | fakes, known)
        for kind in MOVED:
            add(kind, condition, sheet.pick("test", condition, [kind]), known)


def _heads(backbone: str, conditions: Sequence[str]) -> dict[str, str]:
    """The method that judges an image of each condition when heads share `backbone`."""
    if backbone == "mixed":
        return {c: HEADS + c for c in conditions}
    return {c: backbone if c == PRE else f"head_{c}" for c in conditions}


def inferred(sheet: Sheet, backbone: str) -> NDArray[np.int64]:
    """The sharing condition [n] that the history head on `backbone` reads from each image, a number in `conditions`."""
    said: NDArray[np.int64] = sheet.history[backbone].argmax(1).astype(np.int64)
    return said


def _confusion(sheet: Sheet, backbone: str) -> NDArray[np.int64]:
    table = np.zeros((len(sheet.conditions),) * 2, dtype=np.int64)
    said = inferred(sheet, backbone)
    for i, condition in enumerate(sheet.conditions):
        np.add.at(table[i], said[sheet.pick("test", condition)], 1)
    return table


def _history(sheet: Sheet, backbone: str, parts: dict[tuple[str, str, str], list[Judged]]) -> None:
    """What is gained by inferring the sharing history: thresholds and heads of the inferred and of the true condition."""
    if backbone not in sheet.history:
        return
    said = inferred(sheet, backbone)
    truth = np.array([sheet.conditions.index(s) if s in sheet.conditions else 0 for s in sheet.sharing])
    heads = _heads(backbone, sheet.conditions)
    ways = {"threshold": dict.fromkeys(sheet.conditions, backbone)}
    if all(m in sheet.logits for m in heads.values()):
        ways["head"] = heads
    for way, methods in ways.items():
        margins = np.stack(
            [sheet.logits[m] - thresholds(sheet, m).get(c, 0.0) for c, m in methods.items()], 1
        )
        for word, which in (("inferred", said), ("true", truth)):
            scores = margins[np.arange(len(which)), which]
            for condition in sheet.conditions:
                chosen = sheet.pick("test", condition)
                if chosen.any():
                    judged = _judge(sheet, chosen, scores, 0.0)
                    parts.setdefault((f"{backbone}, {word} {way}", "history", condition), []).append(judged)
