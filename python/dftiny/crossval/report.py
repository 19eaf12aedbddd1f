"""The figures of a cross-validation, from its score sheets: on the terminal, as markdown and as JSON.

Needs neither the data nor torch. Called by run and by `dftiny crossval --report`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dftiny.artifact import MANIFEST, atomic_write, read_json, write_json
from dftiny.crossval.costs import cost_of, cost_table
from dftiny.crossval.fold import SCORES
from dftiny.crossval.tuned import pairs_of, tuned_tables
from dftiny.errors import DftError
from dftiny.thesis.pool import Figure
from dftiny.thesis.results import FLOAT, INT8, Results, measure
from dftiny.thesis.sheet import Sheet, load_sheet
from dftiny.thesis.table import ABSENT, Table, interval, percent

SETTING = "crossval.json"
TABLES = "tables.md"
RESULTS = "results.json"


def report(out: Path) -> None:
    """Print the tables of the cross-validation in `out`, and write tables.md and results.json there.

    DftError when there is none, or none of its rounds is finished.
    """
    if not (out / SETTING).is_file():
        raise DftError(f"{out} holds no cross-validation", f"run one with: dftiny crossval --out {out}")
    setting = read_json(out / SETTING, "cross-validation")
    finished: dict[str, list[_Finished]] = {}
    for place in setting["rounds"]:
        if (out / place / SCORES / MANIFEST).is_file():
            mine = finished.setdefault(Path(place).parts[0], [])
            mine.append(_Finished(out / place, load_sheet(out / place / SCORES)))
    if not finished:
        raise DftError(f"{out} holds no finished round", "run it again: it goes on where it stopped")
    heading = (
        f"{setting['data']} data, simulated fakes: {setting['photographs']} photographs, image = mean of its tiles, "
        "positive = real. Thresholds from each fold's validation part; intervals (95 %) by photograph."
    )
    tables, values, costs = _everything(finished)
    print("\n\n".join([heading, *(t.text() for t in tables)]))
    with atomic_write(out / TABLES, "w") as f:
        f.write("\n\n".join(["# Cross-validation", heading, *(t.markdown() for t in tables)]) + "\n")
    write_json(out / RESULTS, {"setting": setting, "figures": values, "costs": costs})


@dataclass(frozen=True)
class _Finished:
    """A finished round: its folder, and its sheet."""

    place: Path
    sheet: Sheet


def _everything(
    finished: Mapping[str, Sequence[_Finished]],
) -> tuple[list[Table], list[dict[str, Any]], list[dict[str, Any]]]:
    """All tables, figures and costs of the recipes' rounds."""
    tables, values, rows = [], [], []
    for recipe, rounds in finished.items():
        sheets = [r.sheet for r in rounds]
        results = measure(sheets, {recipe: sheets[0].net})
        gains, more = tuned_tables(recipe, (p for r in rounds for p in pairs_of(r.place, r.sheet)))
        tables += [*_tables(recipe, sheets, results), *gains]
        values += [*results.rows(), *more]
        rows.append((recipe, cost_of(rounds[0].place, len(rounds)), results))
    table, costs = cost_table(rows)
    return [table, *tables], values, costs


def _tables(recipe: str, sheets: Sequence[Sheet], results: Results) -> list[Table]:
    rounds = f"{len(sheets)} rounds, {sum(int((s.split == 'test').sum()) for s in sheets)} test images"
    return [_main(recipe, rounds, results), _hard(recipe, results)]


def _main(recipe: str, rounds: str, results: Results) -> Table:
    def figure(method: str, view: str, condition: str, metric: str) -> Figure | None:
        return results.get(recipe, method, view, condition, metric)

    rows = []
    for c in results.conditions:
        known, auc = figure(INT8, "known", c, "accuracy"), figure(INT8, "known", c, "auc")
        floating = figure(FLOAT, "known", c, "auc")
        rows.append((
            c, percent(known), interval(known), percent(figure(INT8, "unknown", c, "accuracy")),
            percent(figure(FLOAT, "known", c, "accuracy")), percent(auc), percent(floating), _lost(floating, auc),
        ))  # fmt: skip
    columns = (
        "sharing", "int8 bal.", "95 %", "one threshold", "float bal.", "int8 AUC", "float AUC", "AUC lost",
    )  # fmt: skip
    note = "bal. = balanced accuracy, reals against the seen generators; one threshold = the sharing is not known"
    return Table(recipe, rounds, columns, tuple(rows), (note,))


def _lost(floating: Figure | None, auc: Figure | None) -> str:
    return ABSENT if floating is None or auc is None else f"{floating.value - auc.value:+.4f}"


def _hard(recipe: str, results: Results) -> Table:
    views = sorted({k[2] for k in results.figures if k[2] not in ("known", "unknown", "history")})
    rows = []
    for view in views:
        for c in results.conditions:
            auc, false = (results.get(recipe, INT8, view, c, m) for m in ("auc", "false_alarms"))
            floating = results.get(recipe, FLOAT, view, c, "auc")
            if auc is not None or false is not None:
                rows.append((
                    view, c, percent(auc), interval(auc), percent(floating), _lost(floating, auc), percent(false),
                ))  # fmt: skip
    notes = (
        "generators held out of training against the reals; processed reals (blur, denoise) against the seen fakes;",
        "resized and off-grid copies of reals and fakes; false alarms = those reals that the int8 net calls fake",
    )
    columns = ("nets on", "sharing", "int8 AUC", "95 %", "float AUC", "AUC lost", "false alarms")
    return Table(recipe, "what it was not trained on", columns, tuple(rows), notes)
