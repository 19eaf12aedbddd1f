"""`dftiny reproduce thesis`: the whole grid, cell by cell on several processes, then its tables.

Every cell is a stage folder of its own; a run that was stopped goes on, finished cells are kept as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dftiny.artifact import MANIFEST, read_json, read_manifest, write_json
from dftiny.data.index import load_index
from dftiny.errors import DftError
from dftiny.thesis.grid import SCORES, Grid, Group, Piece, grid, key_of
from dftiny.thesis.jobs import Job, run_jobs
from dftiny.thesis.plan import PACE, Plan, pace_of, plan_of
from dftiny.thesis.report import SETTING, report, save_setting
from dftiny.thesis.work import score_group, train_cell

DONE = "cells.json"


@dataclass(frozen=True)
class Wishes:
    """What `dftiny reproduce thesis` was asked for; see its options."""

    grid: str = "full"
    nets: tuple[str, ...] = ()
    folds: tuple[int, ...] = ()
    seeds: int | None = None
    steps: int | None = None
    jobs: int = 2
    weights: tuple[str, ...] = ()


def reproduce(data: Path, out: Path, wishes: Wishes, *, plan_only: bool = False) -> None:
    """Run what is missing of the grid on `data` into `out`, saying beforehand how long it takes, and print the tables."""
    _claim(out)
    digest = read_manifest(data, "data").digest
    index = load_index(data)
    wanted = grid(
        wishes.grid,
        index,
        nets=wishes.nets,
        folds=wishes.folds,
        seeds=wishes.seeds,
        steps=wishes.steps,
        weights=wishes.weights,
    )
    _check_weights(wanted)
    missing = _missing(wanted, digest, out)
    plan = plan_of(wanted, missing, pace_of(wanted, data, out, wishes.jobs), index, wishes.jobs)
    print(plan.text())
    if plan_only:
        return
    save_setting(out, wanted, index, digest)
    by_name = {piece.name: piece for piece in missing}
    if missing:
        run_jobs(
            _jobs(wanted, plan, data, out),
            workers=wishes.jobs,
            title="thesis",
            done=lambda name: _note(by_name[name], digest, out),
        )
    report(out)


def _check_weights(wanted: Grid) -> None:
    """DftError when public weights do not fit their net: said now, and not by a cell hours later."""
    public = {(g.net, g.tile, c.weights) for g in wanted.groups for c in g.cells if c.weights is not None}
    if not public:
        return
    from dftiny.nets.checkpoint import load_weights

    for net, tile, weights in sorted(public, key=lambda p: p[0]):
        load_weights(weights.file, preset=net, tile=tile)


def _claim(out: Path) -> None:
    """DftError when `out` holds something that is no grid: cells never go among somebody's own files."""
    try:
        foreign = out.exists() and not any((out / f).exists() for f in (SETTING, PACE)) and any(out.iterdir())
    except OSError as e:
        raise DftError(f"cannot read {out}: {e.strerror}", "choose another --out") from e
    if foreign:
        raise DftError(f"{out} exists and holds no grid", "choose another --out or remove it yourself")


def _keys(group: Group, data: str) -> dict[str, str]:
    """Key of each cell by method, and of the scores, which depend on all of them."""
    keys = {c.method: key_of(c, group, data) for c in group.cells}
    every = " ".join(sorted(keys.values()))
    return {**keys, SCORES: hashlib.sha256(every.encode()).hexdigest()}


def _missing(wanted: Grid, data: str, out: Path) -> list[Piece]:
    """The cells and scores that are not there yet, or are of other settings, in the order to make them in."""
    pieces = []
    for group in wanted.groups:
        folder = out / group.place
        noted: dict[str, Any] = read_json(folder / DONE, "list") if (folder / DONE).is_file() else {}
        for method, key in _keys(group, data).items():
            if noted.get(method) != key or not (folder / method / MANIFEST).is_file():
                pieces.append(Piece(group, method))
    return pieces


def _note(made: Piece, data: str, out: Path) -> None:
    """Write down that a cell is finished: read again later instead of hashing its files."""
    path = out / made.group.place / DONE
    noted = read_json(path, "list") if path.is_file() else {}
    write_json(path, {**noted, made.method: _keys(made.group, data)[made.method]})


def _jobs(wanted: Grid, plan: Plan, data: Path, out: Path) -> Sequence[Job]:
    jobs = []
    for piece, seconds in plan.seconds.items():
        group = piece.group
        folder = out / group.place
        if piece.method == SCORES:
            after = tuple(Piece(group, c.method).name for c in group.cells)
            job = Job(piece.name, score_group, (group, wanted.conditions, data, folder), after, seconds)
        else:
            cell = group.cell(piece.method)
            after = () if cell.start is None else (Piece(group, cell.start).name,)
            job = Job(piece.name, train_cell, (cell, data, folder), after, seconds)
        jobs.append(job)
    return jobs
