"""The table of one net for all platforms against copies of it tuned to each: what it gives up. Called by report.

Needs neither the data nor torch. Differences are paired: both nets judged the same images of the same photographs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dftiny.artifact import MANIFEST, read_manifest
from dftiny.crossval.fold import SCORES, TRAIN
from dftiny.crossval.tune import TUNED
from dftiny.thesis.pool import Figure, Judged, paired, pooled
from dftiny.thesis.results import FLOAT, plainly
from dftiny.thesis.sheet import STAGE, Sheet, load_sheet
from dftiny.thesis.table import Table, interval, percent


@dataclass(frozen=True)
class Pair:
    """A round's sheet and the sheet of its copy tuned to `sharing` with `way` (recipe and steps)."""

    way: str
    sharing: str
    one: Sheet
    tuned: Sheet


@dataclass(frozen=True)
class Gain:
    """Balanced accuracy and AUC by metric, of the one net, of its tuned copies, and what these have more (-1 to 1)."""

    sharing: str
    one: dict[str, Figure]
    tuned: dict[str, Figure]
    more: dict[str, Figure]


def pairs_of(place: Path, one: Sheet) -> Iterator[Pair]:
    """The finished tunings of the round in `place`, whose own sheet is `one`; those of another net are passed over."""
    start = read_manifest(place / TRAIN).digest
    for manifest in sorted((place / TUNED).glob(f"*/{SCORES}/{MANIFEST}")):
        made = read_manifest(manifest.parent, STAGE)
        if made.parents["start"] == start:
            recipe = made.config["recipe"]
            way = f"{recipe['name']}, {recipe['steps']} steps"
            yield Pair(way, recipe["sharing"], one, load_sheet(manifest.parent))


def tuned_tables(recipe: str, pairs: Iterable[Pair]) -> tuple[list[Table], list[dict[str, Any]]]:
    """A table for each way of tuning, and its figures as JSON has them."""
    ways: dict[str, list[Pair]] = {}
    for pair in pairs:
        ways.setdefault(pair.way, []).append(pair)
    tables, values = [], []
    for way, mine in ways.items():
        gains = _gains(mine)
        tables.append(_table(recipe, way, len({(p.one.fold, p.one.seed) for p in mine}), gains))
        values += [v for g in gains for v in _values(recipe, way, g)]
    return tables, values


def _gains(pairs: Sequence[Pair]) -> list[Gain]:
    gains = []
    order = [c for c in pairs[0].one.conditions if any(p.sharing == c for p in pairs)]
    for sharing in order:
        mine = [p for p in pairs if p.sharing == sharing]
        one: list[Judged] = [plainly(p.one, FLOAT, sharing) for p in mine]
        tuned = [plainly(p.tuned, FLOAT, sharing) for p in mine]
        gains.append(Gain(sharing, pooled(one), pooled(tuned), paired(tuned, one)))
    return gains


def _table(recipe: str, way: str, rounds: int, gains: Sequence[Gain]) -> Table:
    rows = tuple(
        (
            g.sharing, percent(g.one.get("accuracy")), percent(g.tuned.get("accuracy")),
            _signed(g.more.get("accuracy")), interval(g.more.get("accuracy")),
            percent(g.one.get("auc")), percent(g.tuned.get("auc")), _signed(g.more.get("auc")),
        )
        for g in gains
    )  # fmt: skip
    columns = ("float nets on", "one net bal.", "tuned bal.", "tuned − one", "95 %", "one net AUC", "tuned AUC", "tuned − one")  # fmt: skip
    notes = (
        *_loses(gains),
        "tuned = a copy of the one net trained on, with that platform's tiles alone; thresholds of both from that platform's",
        "validation images; the interval is of the difference, paired by photograph; no net tuned from before sharing is here",
    )
    return Table(
        recipe, f"one net against copies tuned per platform ({way}), {rounds} rounds", columns, rows, notes
    )


def _loses(gains: Sequence[Gain]) -> list[str]:
    """How much the one net loses where it loses most, and whether the interval of the difference reaches 0 everywhere."""
    known = [(g.sharing, g.more["accuracy"]) for g in gains if "accuracy" in g.more]
    if not known:
        return []
    where, most = max(known, key=lambda k: k[1].value)
    said = f"the one net loses at most {100 * most.value:+.1f} points ({where}, 95 % {interval(most)})"
    beyond = [s for s, f in known if f.interval is not None and f.interval[0] > 0]
    return [f"{said}; beyond the interval: {', '.join(beyond) or 'nowhere'}"]


def _signed(figure: Figure | None) -> str:
    return percent(figure) if figure is None else f"{100 * figure.value:+.1f}"


def _values(recipe: str, way: str, gain: Gain) -> Iterator[dict[str, Any]]:
    for method, figures in (("one", gain.one), ("tuned", gain.tuned), ("tuned - one", gain.more)):
        for metric in ("accuracy", "auc"):
            if (f := figures.get(metric)) is not None:
                yield {
                    "net": recipe, "method": method, "view": way, "condition": gain.sharing, "metric": metric,
                    "value": f.value, "interval": f.interval, "images": f.images,
                }  # fmt: skip
