"""How long the grid will take: a few steps of each net are timed first, the rest is counted. Called by run.

Processor seconds divided by the processes, so it holds for cores that nobody else uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dftiny import spec
from dftiny.artifact import read_json, write_json
from dftiny.data.index import DataIndex
from dftiny.data.sharing import PRE
from dftiny.thesis.grid import SCORES, Cell, Grid, Group, Piece
from dftiny.thesis.history import PLACES_MAX, TILES_EACH
from dftiny.thesis.jobs import Job, run_jobs
from dftiny.thesis.work import measure_pace

PACE = "pace.json"
BEGIN_S = 3.0  # what a process takes to import torch and to begin


@dataclass(frozen=True)
class Pace:
    """Processor seconds: by net and tile {"train", "forward"}, by recipe to prepare a tile, and to decode an image."""

    nets: Mapping[str, Mapping[str, float]]
    recipes: Mapping[str, float]
    image: float


@dataclass(frozen=True)
class Plan:
    """What is to be done and how long it will take; `seconds` of processor time."""

    grid: Grid
    seconds: Mapping[Piece, float]
    finished: int
    jobs: int

    @property
    def minutes(self) -> float:
        """On as many free cores as there are processes."""
        longest = max(self.seconds.values(), default=0.0)
        return max(sum(self.seconds.values()) / self.jobs, longest) / 60

    def text(self) -> str:
        """The lines printed before anything is trained."""
        rounds = len({(g.fold, g.seed) for g in self.grid.groups})
        kinds = len({c.method for g in self.grid.groups for c in g.cells})
        head = (
            f"{self.grid.name} grid: {len(self.grid.nets)} nets x {kinds} cells, {rounds} rounds (folds and seeds) = "
            f"{self.grid.cells} cells to train and {len(self.grid.groups)} sheets to score"
        )
        left = f"{len(self.seconds)} of them to do, {self.finished} finished"
        each = "; ".join(f"{net} {minutes:.0f} min" for net, minutes in self._by_net().items())
        return "\n".join([
            head,
            f"{left}: about {_length(self.minutes)} on {self.jobs} free cores (processor time: {each or 'none'})",
        ])  # fmt: skip

    def _by_net(self) -> dict[str, float]:
        nets: dict[str, float] = {}
        for piece, seconds in self.seconds.items():
            net = piece.group.net
            nets[net] = nets.get(net, 0.0) + seconds / 60
        return nets


def pace_of(wanted: Grid, data: Path, out: Path, jobs: int) -> Pace:
    """The pace of every net of the grid, measured where `out` does not hold it yet."""
    path = out / PACE
    known: dict[str, Any] = read_json(path, "pace") if path.is_file() else {}
    recipes = sorted({c.recipe for g in wanted.groups for c in g.cells})
    missing = [n for n in wanted.nets.values() if n not in known]
    if missing:
        tile = wanted.groups[0].tile
        tasks = [
            Job(n, measure_pace, (n, tile, recipes, data, out / f".pace.{n}.json"), (), 1.0) for n in missing
        ]
        run_jobs(tasks, workers=jobs, title="timing a few steps", done=lambda _: None)
        for net in missing:
            part = out / f".pace.{net}.json"
            known[net] = read_json(part, "pace")
            part.unlink()
        write_json(path, known)
    first = known[next(iter(wanted.nets.values()))]
    return Pace({n: known[n] for n in wanted.nets.values()}, first["recipes"], first["image"])


def plan_of(wanted: Grid, missing: Sequence[Piece], pace: Pace, index: DataIndex, jobs: int) -> Plan:
    """The plan for what is missing."""
    counts: dict[int | None, _Counts] = {}
    seconds = {}
    for piece in missing:
        group = piece.group
        if group.fold not in counts:
            counts[group.fold] = _count(index, group)
        of = counts[group.fold]
        if piece.method == SCORES:
            seconds[piece] = _score_seconds(group, wanted.conditions, pace, of)
        else:
            seconds[piece] = _train_seconds(group.cell(piece.method), pace, of)
    everything = wanted.cells + len(wanted.groups)
    return Plan(wanted, seconds, everything - len(missing), jobs)


@dataclass(frozen=True)
class _Counts:
    """Images of a round by split; `places` are reals to train on, `plain` validation images that a cell looks at itself."""

    train: int
    places: int
    plain: int
    judged: int
    tiles: int


def _count(index: DataIndex, group: Group) -> _Counts:
    rows = index.of_fold(group.fold).images
    before = [r for r in rows if r.sharing == PRE and not r.is_control]
    return _Counts(
        train=sum(r.split == "train" for r in before),
        places=sum(r.split == "train" and r.label == "real" for r in before),
        plain=sum(r.split == "val" for r in before),
        judged=sum(r.split != "train" for r in rows),
        # The demo's images are 512 px wide; others are counted as if they were.
        tiles=(512 // group.tile) ** 2,
    )


def _train_seconds(cell: Cell, pace: Pace, counts: _Counts) -> float:
    recipe = spec.recipe(cell.recipe)
    net = pace.nets[cell.net]
    epochs = int(recipe.get("epochs", 0))
    tiles = (
        epochs * counts.train
        if epochs and cell.steps is None
        else (cell.steps or recipe["steps"]) * recipe["batch"]
    )
    step = net["forward"] if recipe.get("trainable", "all") == "head" else net["train"]
    views = 2 if recipe.get("method") == "simclr" else 1
    learning = tiles * (views * step + pace.recipes[cell.recipe])
    validation = 0.0 if cell.pretext else counts.plain * (pace.image + counts.tiles * net["forward"])
    return BEGIN_S + counts.train * pace.image + learning + validation


def _score_seconds(group: Group, conditions: Sequence[str], pace: Pace, counts: _Counts) -> float:
    """Each image is decoded once and goes through every backbone; heads on one backbone cost nothing."""
    backbones = sum(1 for c in group.cells if not c.pretext and not c.method.startswith("head_"))
    forward = pace.nets[group.net]["forward"]
    judged = counts.judged * (pace.image + counts.tiles * backbones * forward)
    places = min(PLACES_MAX, counts.places) * 2 * len(conditions)
    return BEGIN_S + judged + 2 * places * (2 * pace.image + TILES_EACH * forward)


def _length(minutes: float) -> str:
    if minutes < 90:
        return f"{max(1, round(minutes))} minutes"
    return f"{minutes / 60:.1f} hours" if minutes < 48 * 60 else f"{minutes / 60 / 24:.1f} days"
