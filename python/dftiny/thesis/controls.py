"""What stands beside the thesis' seven tables: every method in every condition, its controls, and the sharing history.

Called by report. A figure stands with its 95 % interval by photograph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dftiny.data.index import MOVED, PROCESSED
from dftiny.data.sharing import PRE
from dftiny.thesis.pool import Figure
from dftiny.thesis.results import BACKBONES, Results
from dftiny.thesis.table import ABSENT, Table, interval, percent
from dftiny.thesis.tables import short

NAMES = {
    "supervised": "trained before sharing",
    "random": "random backbone, head trained",
    "head": "head tuned, a platform each",
    "all": "whole net tuned, a platform each",
    "mixed": "one net for all (mixed)",
    "simclr_head": "SimCLR, head trained",
    "simclr_unfrozen": "SimCLR, whole net trained",
    "simclr_thesis_head": "SimCLR at batch 2, head trained",
}
KNOWN = "threshold of the image's own condition"
MOVED_NOTE = (
    "resized and off-grid copies stand where the data hold them; rows of tuned nets are left out where all they hold is pre, "
    "which is the untuned net's"
)


@dataclass(frozen=True)
class _Line:
    """A row of each net: its name, and method, view and metric of the figure under a condition."""

    name: str
    method: Callable[[str], str]
    view: str
    metric: str


def control_tables(results: Results) -> list[Table]:
    """Tables A to G; a table without any figure is left out."""
    made = [
        _table("A", "accuracy, platform unknown (one threshold)", results, _methods("unknown", "accuracy")),
        _table("B", f"accuracy, platform known ({KNOWN})", results, _methods("known", "accuracy")),
        _table("C", "area under the curve", results, _methods("known", "auc")),
        _table("D", "a head tuned on one platform, tried on the others: accuracy", results, _heads(results)),
        _table("E", "held-out generators: area under the curve", results, _held_out(results)),
        _table(
            "F",
            "processed reals against fakes, and copies off the grid",
            results,
            _processed(),
            (MOVED_NOTE,),
        ),
        _table("G", "the sharing history inferred first: accuracy", results, _history()),
        _confusions(results),
    ]
    return [t for t in made if t.rows]


def _table(
    number: str, title: str, results: Results, lines: Sequence[_Line], notes: tuple[str, ...] = ()
) -> Table:
    rows: list[tuple[str, ...]] = []
    for net, preset in results.nets.items():
        for line in lines:
            found = [results.get(net, line.method(c), line.view, c, line.metric) for c in results.conditions]
            if any(f for f, c in zip(found, results.conditions, strict=True) if _own(line, c, results)):
                rows.append((f"{preset}, {line.name}", *map(_cell, found)))
    return Table(number, title, ("%", *map(short, results.conditions)), tuple(rows), notes)


def _own(line: _Line, condition: str, results: Results) -> bool:
    """Whether that column is the line's own: before sharing, nets that are tuned to platforms repeat the untuned one."""
    tuned = any(line.method(c) != line.method(PRE) for c in results.conditions)
    return not tuned or condition != PRE


def _cell(figure: Figure | None) -> str:
    return ABSENT if figure is None else f"{percent(figure)} ({interval(figure)})"


def _of(method: str) -> Callable[[str], str]:
    """The method's name under a condition: tuned ones have one a platform, and the untuned stands before sharing."""
    if method in ("head", "all"):
        return lambda condition: "supervised" if condition == PRE else f"{method}_{condition}"
    return lambda _condition: method


def _methods(view: str, metric: str) -> list[_Line]:
    return [_Line(name, _of(method), view, metric) for method, name in NAMES.items()]


def _heads(results: Results) -> list[_Line]:
    return [
        _Line(f"head of {short(c)}", lambda _c, m=f"head_{c}": m, "known", "accuracy")  # type: ignore[misc]
        for c in results.conditions[1:]
    ]


def _held_out(results: Results) -> list[_Line]:
    fixed = {"unknown", "known", "held-out", "processed", "history", *PROCESSED, *MOVED}
    views = dict.fromkeys(key[2] for key in results.figures if key[2] not in fixed)
    return [
        _Line(f"{name}: {view}", _of(m), view, "auc")
        for view in ("held-out", *views)
        for m, name in NAMES.items()
    ]


def _processed() -> list[_Line]:
    figures = [
        ("plain reals called fake", "known", "false_alarms"),
        ("AUC of processed reals", "processed", "auc"),
        ("processed reals called fake", "processed", "false_alarms"),
        *((f"AUC, {kind}", kind, "auc") for kind in MOVED),
    ]
    return [
        _Line(f"{name}: {word}", _of(m), view, metric)
        for word, view, metric in figures
        for m, name in NAMES.items()
    ]


def _history() -> list[_Line]:
    lines = [
        _Line(NAMES["mixed"] + ", one threshold", _of("mixed"), "unknown", "accuracy"),
        _Line(NAMES["all"] + ", platform known", _of("all"), "known", "accuracy"),
    ]
    for backbone in BACKBONES:
        for way in ("threshold", "head"):
            for word in ("inferred", "true"):
                method = f"{backbone}, {word} {way}"
                lines.append(
                    _Line(
                        f"{backbone} backbone, {way} of the {word} platform",
                        _of(method),
                        "history",
                        "accuracy",
                    )
                )
    return lines


def _confusions(results: Results) -> Table:
    """Parts of the images of each condition (row) taken for each condition (column), by the history head."""
    rows = []
    for (net, backbone), table in results.confusion.items():
        for condition, counts in zip(results.conditions, table, strict=True):
            total = max(1, sum(counts))
            parts = [f"{100 * n / total:.0f}" for n in counts]
            rows.append((f"{results.nets[net]}, {backbone}: {short(condition)} taken for", *parts))
    return Table("H", "sharing history, image level", ("%", *map(short, results.conditions)), tuple(rows))
