"""A table as a value, and its three forms: text for the terminal, markdown, JSON. Called by tables and controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dftiny.thesis.pool import Figure

ABSENT = "–"


@dataclass(frozen=True)
class Table:
    """`number` and `title` stand over it; the first column of `rows` holds names; `notes` stand under it."""

    number: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """Aligned columns for a terminal."""
        widths = [max(len(str(r[i])) for r in (self.columns, *self.rows)) for i in range(len(self.columns))]
        lines = [_padded(self.columns, widths), *(_padded(r, widths) for r in self.rows)]
        return "\n".join([self._heading(), *lines, *(f"  {n}" for n in self.notes)])

    def markdown(self) -> str:
        """A heading, a pipe table and the notes as a list."""
        rule = ["---"] + ["---:"] * (len(self.columns) - 1)
        lines = [_piped(self.columns), _piped(rule), *(_piped(r) for r in self.rows)]
        notes = ["", *(f"- {n}" for n in self.notes)] if self.notes else []
        return "\n".join([f"### {self._heading()}", "", *lines, *notes])

    def value(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "number": self.number,
            "title": self.title,
            "columns": list(self.columns),
            "rows": [list(r) for r in self.rows],
            "notes": list(self.notes),
        }

    def _heading(self) -> str:
        return f"Table {self.number}: {self.title}"


def percent(figure: Figure | None) -> str:
    """A figure as percent with one digit, or the sign for one that was not measured."""
    return ABSENT if figure is None else f"{100 * figure.value:.1f}"


def interval(figure: Figure | None) -> str:
    """Its interval, as percent: low–high."""
    if figure is None or figure.interval is None:
        return ABSENT
    low, high = figure.interval
    return f"{100 * low:.0f}–{100 * high:.0f}"


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        c.ljust(w) if not i else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
