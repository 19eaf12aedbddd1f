"""Tables 4.1 to 4.7 in the thesis' own shape, its figures beside ours. Called by report.

Under the thesis' row of a net stand ours, each with its interval: the same method, then its control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dftiny import spec
from dftiny.data.sharing import PRE
from dftiny.thesis.figures import NETS, Published, Thesis, thesis
from dftiny.thesis.pool import Figure
from dftiny.thesis.results import Results
from dftiny.thesis.table import ABSENT, Table, interval, percent

SIGNS = "abcdefgh"
SHORT = {"facebook": "FB", "telegram": "TG", "twitter": "TW"}
EQUAL_CLASSES = "accuracy and F1 of ours let real and fake weigh the same, as in a test set with as many of both; positive = real"


@dataclass(frozen=True)
class Place:
    """Where a figure of ours lies in the results."""

    method: str
    view: str
    condition: str


Line = tuple[str, tuple[Place | None, ...]]


def thesis_tables(results: Results) -> list[Table]:
    """All seven, with a sign for what was not measured."""
    known = thesis()
    return [*(_table(t, known, results) for t in known.tables), sizes_table(results.nets)]


def short(condition: str) -> str:
    """How a column is headed: pre, FB, TG, TW, or the condition's own name."""
    return next((s for name, s in SHORT.items() if condition.startswith(name)), condition)


def _table(published: Published, known: Thesis, results: Results) -> Table:
    columns = ["%", PRE, *SHORT.values()]
    if published.approach == "supervised":
        columns += [f"{name} tuned" for name in SHORT.values()]
    places = _lines(published.approach, _of_platforms(results.conditions))
    rows: list[tuple[str, ...]] = []
    for net in NETS:
        cells = published.rows[net]
        marks = [_marks(known, published.number, net, i) for i in range(len(cells))]
        rows.append((f"{net}, thesis", *(f"{v:.1f}{m}" for v, m in zip(cells, marks, strict=True))))
        for name, line in places:
            found = [_figure(results, net, place, published.metric) for place in line]
            if any(found):
                rows.append((f"  {results.nets[net]}, {name}", *map(percent, found)))
                rows.append(("    95 % interval", *map(interval, found)))
    notes = flag_notes(known, published.number)
    if published.metric != "auc":
        notes = (*notes, EQUAL_CLASSES)
    return Table(published.number, published.caption, tuple(columns), tuple(rows), notes)


def _of_platforms(conditions: Sequence[str]) -> list[str | None]:
    """The data's condition for each column of the thesis: before sharing, and a platform or None where it has none."""
    shared = [next((c for c in conditions if c.lower().startswith(p)), None) for p in SHORT]
    return [PRE, *shared]


def _lines(approach: str, conditions: Sequence[str | None]) -> list[Line]:
    """Ours under each row of the thesis: name and where each column's figure lies."""

    def everywhere(method: str) -> tuple[Place | None, ...]:
        return tuple(None if c is None else Place(method, "unknown", c) for c in conditions)

    def tuned(way: str) -> tuple[Place | None, ...]:
        return tuple(None if c is None else Place(f"{way}_{c}", "known", c) for c in conditions[1:])

    nothing: tuple[Place | None, ...] = (None,) * 3
    if approach == "supervised":
        return [
            ("whole net trained, head tuned", everywhere("supervised") + tuned("head")),
            ("whole net tuned", (None, *nothing, *tuned("all"))),
            ("control: random backbone, head trained", everywhere("random") + nothing),
        ]
    return [
        ("SimCLR as the thesis (batch 2), head trained", everywhere("simclr_thesis_head")),
        ("SimCLR, head trained", everywhere("simclr_head")),
        ("control: random backbone, head trained", everywhere("random")),
        ("SimCLR, then the whole net trained", everywhere("simclr_unfrozen")),
    ]


def _figure(results: Results, net: str, place: Place | None, metric: str) -> Figure | None:
    if place is None or net not in results.nets:
        return None
    return results.get(net, place.method, place.view, place.condition, metric)


def _marks(known: Thesis, table: str, net: str, column: int) -> str:
    numbers = known.flagged(table, net, column)
    return f" [{','.join(SIGNS[n - 1] for n in numbers)}]" if numbers else ""


def flag_notes(known: Thesis, table: str) -> tuple[str, ...]:
    """The flags on that table, each with its sign."""
    return tuple(
        f"[{SIGNS[n]}] the thesis contradicts itself: {flag.text}"
        for n, flag in enumerate(known.flags)
        if any(t == table for t, _, _ in flag.cells)
    )


def sizes_table(nets: Mapping[str, str]) -> Table:
    """Table 4.7: operations and parameters, the thesis' at 1024x1024 and ours at 1024x1024 and at a tile of 128x128."""
    known, ours = thesis(), spec.nets()
    at_1024 = spec.thesis()["macs_1024"]
    rows: list[tuple[str, ...]] = []
    for net in NETS:
        macs, parameters = known.sizes[net]
        marks = [_marks(known, "4.7", net, i) for i in range(2)]
        rows.append((f"{net}, thesis", f"{_big(macs)}{marks[0]}", f"{_big(parameters)}{marks[1]}", ABSENT))
        preset = nets.get(net, "")
        if preset in ours:
            of = ours[preset]
            whole = _big(at_1024[preset]) if preset in at_1024 else ABSENT
            rows.append((f"  {preset}, here", whole, _big(of["parameters"]), _big(of["at"]["128"]["macs"])))
    columns = ("", "MACs at 1024²", "parameters", "MACs at 128²")
    return Table("4.7", known.sizes_caption, columns, tuple(rows), flag_notes(known, "4.7"))


def _big(value: float) -> str:
    for factor, unit in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= factor:
            return f"{value / factor:.4g} {unit}"
    return f"{value:.0f}"
