"""`dftiny report`: a bench folder as one self-contained HTML page that loads nothing.

page.py decides what stands on it, charts.py draws, spec/templates/report.html.j2 lays it out. A use case: it
computes no metric, it shows bench.json.
"""

from __future__ import annotations

from pathlib import Path

from dftiny.artifact import atomic_write, read_json, read_manifest
from dftiny.errors import DftError
from dftiny.report.page import page
from dftiny.report.render import render

__all__ = ["report"]

REPORT = "report.html"


def report(bench_dir: Path, out: Path | None = None, *, compare: Path | None = None) -> Path:
    """Write the page of a bench folder (and, with `compare`, the stages side by side); returns its path.

    DftError when a folder is not of its stage, CheckFailed when its files were changed since.
    """
    manifest = read_manifest(bench_dir, "bench")
    summary = read_json(bench_dir / "bench.json", "bench result")
    beside = None
    if compare is not None:
        read_manifest(compare, "compare")
        beside = read_json(compare / "compare.json", "comparison")
    target = out or bench_dir / REPORT
    if target.is_dir():
        raise DftError(f"{target} is a folder", f"give a file name, for instance {target / REPORT}")
    text = render("report.html.j2", page(summary, manifest, bench_dir, beside))
    with atomic_write(target, "w") as f:
        f.write(text)
    print(f"report: {target}")
    return target
