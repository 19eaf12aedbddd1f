"""The budget's files: one HTML page that loads nothing, JUnit XML, SARIF. Called by budget_view for `dftiny budget`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dftiny.artifact import atomic_write, read_json, read_manifest
from dftiny.budget import Budget
from dftiny.errors import DftError
from dftiny.report.budget_page import budget_page
from dftiny.report.junit import junit_xml
from dftiny.report.render import render
from dftiny.report.sarif import sarif


@dataclass(frozen=True)
class BudgetFiles:
    """Which files are wanted, and the folder of `dftiny compare` whose stages stand on the page."""

    html: Path | None = None
    junit: Path | None = None
    sarif: Path | None = None
    accuracy: Path | None = None


def write_budget_files(b: Budget, model: Path, files: BudgetFiles, grown: tuple[str, ...] = ()) -> list[Path]:
    """Write the files asked for, each whole or not at all; returns their paths. `grown`: sentences on what grew.

    DftError for a path that is a folder, or for a folder of accuracies that is none.
    """
    ladder = None if files.accuracy is None else _ladder(files.accuracy)
    wanted: list[tuple[Path | None, Callable[[], str]]] = [
        (files.html, lambda: render("budget.html.j2", budget_page(b, ladder))),
        (files.junit, lambda: junit_xml(b)),
        (files.sarif, lambda: json.dumps(sarif(b, model, grown), indent=1) + "\n"),
    ]
    written = []
    for path, text in wanted:
        if path is None:
            continue
        if path.is_dir():
            raise DftError(f"{path} is a folder", "give the name of a file")
        with atomic_write(path, "w") as f:
            f.write(text())
        written.append(path)
    return written


def _ladder(folder: Path) -> Mapping[str, Any]:
    read_manifest(folder, "compare")
    found: Mapping[str, Any] = read_json(folder / "compare.json", "comparison")
    return found
