"""Training: one recipe, one data folder, one seed to one checkpoint.

A run that was interrupted goes on from its last checkpoint and ends with the same bits. Called by the command
line and by use cases that train many nets.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dftiny.artifact import (
    MANIFEST,
    Manifest,
    atomic_write,
    canonical_json,
    read_manifest,
    refuse_foreign,
    tool_versions,
    write_manifest,
)
from dftiny.data.index import DataIndex, load_round
from dftiny.errors import CheckFailed, DftError
from dftiny.nets.checkpoint import Checkpoint, save_checkpoint
from dftiny.nets.registry import count
from dftiny.train.batches import batch, conditions_in, load_source
from dftiny.train.begin import Wanted, begin_with, plan_of
from dftiny.train.curves import curves_in
from dftiny.train.loop import loop
from dftiny.train.ranks import Ranks, from_first, joined
from dftiny.train.recipe import SIMCLR, Recipe
from dftiny.train.run import Run
from dftiny.train.settle import settle
from dftiny.train.validation import Validation, check_validation, validate

LAST = "last.ckpt"
CHECKPOINT = "checkpoint.safetensors"
HISTORY = "history.jsonl"
RECIPE = "recipe.toml"
CURVES = "tensorboard"
SETTLING = 10  # batches that give a random, frozen backbone its batch statistics
TOOLS = ("torch", "numpy", "pillow")
# What artifact.atomic_write (by tempfile.mkstemp) calls a file that is not yet whole.
_ASIDE = re.compile(r"\..+\.[a-z0-9_]{8}")


@dataclass(frozen=True)
class TrainSummary:
    """A finished run: where its checkpoint lies, the threshold (an image logit) and AUC before sharing, seconds.

    After SimCLR, which trains no head, there is no AUC and the threshold is 0. `thresholds` has one for each sharing
    condition of the validation images.
    """

    checkpoint: Path
    threshold: float
    val_auc: float | None
    resumed_at: int
    seconds: float
    thresholds: dict[str, float]

    def text(self) -> str:
        """The lines that `dftiny train` prints."""
        went_on = f", resumed at step {self.resumed_at}" if self.resumed_at else ""
        if self.val_auc is None:
            return (
                f"{self.checkpoint}: a backbone without a trained head, {self.seconds:.0f} s{went_on}; "
                f"next: dftiny train --recipe simclr_head --start {self.checkpoint.parent}"
            )
        return (
            f"{self.checkpoint}: validation AUC {self.val_auc:.3f} at image level, "
            f"threshold {self.threshold:+.3f} (logit), {self.seconds:.0f} s{went_on}"
        )


@dataclass(frozen=True)
class _Job:
    """What a run is of: everything that its key, its manifest and its loop are made from."""

    recipe: Recipe
    data: Path
    index: DataIndex
    parents: dict[str, str]
    out: Path
    seed: int
    fold: int | None
    begin: Checkpoint | None
    ranks: Ranks
    imitated: tuple[str, ...]
    thresholds_for: tuple[str, ...] | None = None

    @property
    def key(self) -> str:
        """Tells a checkpoint of this very run from all others."""
        # A run from random weights, or of no fold, keeps the key it always had.
        origin: Any = self.parents["data"] if self.begin is None else self.parents
        parts = [self.recipe.values(), origin, self.seed]
        return hashlib.sha256(canonical_json(parts if self.fold is None else [*parts, self.fold])).hexdigest()

    @property
    def config(self) -> dict[str, Any]:
        """The manifest's `config`."""
        of = {} if self.fold is None else {"fold": self.fold}
        return {"recipe": self.recipe.values(), "seed": self.seed, **of}


def train(
    recipe: str,
    data: Path,
    out: Path,
    *,
    net: str | None = None,
    tile: int | None = None,
    sharing: str | None = None,
    fold: int | None = None,
    seed: int = 0,
    resume: bool = True,
    threads: int = 1,
    steps: int | None = None,
    start: Path | None = None,
    weights: Path | None = None,
    tensorboard: bool = False,
    thresholds_for: tuple[str, ...] | None = None,
) -> TrainSummary:
    """Train `recipe` (a name, or the path of a .toml) on the data folder and write the stage folder `out`, from random
    weights, from those of the checkpoint `start`, or from public ones of another project in the file `weights`.

    An interrupted run of the same recipe, data and seed in `out` is continued, a finished one kept as it is, unless
    `resume` is false. `net`, `tile` (px), `sharing` and `steps` override the recipe's; `fold` takes that fold of a data
    folder that was built with folds. Thresholds are chosen for the sharing conditions
    `thresholds_for`, None for all there are (a grid that judges its nets itself needs "pre" alone). `tensorboard` writes curves to `out`/tensorboard. Under torchrun every process
    calls this and takes its part of each batch. CheckFailed when the loss is no longer a number.
    """
    if not 1 <= threads <= 64:
        raise DftError(f"{threads} threads make no sense", "use 1 to 64")
    wanted = Wanted(net, tile, sharing, steps)
    begin = None if start is None and weights is None else begin_with(recipe, wanted, start, weights, seed)
    plan = plan_of(recipe, wanted, begin)
    parents = {"data": read_manifest(data, "data").digest}
    if begin is not None:
        parents["checkpoint"] = begin.sha256
    index = load_round(data, fold)
    conditions = conditions_in(index, plan)
    if plan.method != SIMCLR:
        check_validation(index, data)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with joined() as ranks:
            final = plan.for_images(_images(index))
            imitated = conditions.imitated
            job = _Job(final, data, index, parents, out, seed, fold, begin, ranks, imitated, thresholds_for)
            summary = _train(job, resume, tensorboard)
    finally:
        torch.set_num_threads(before)
    if ranks.first:
        print(summary.text())
    return summary


def _images(index: DataIndex) -> int:
    return sum(not r.is_control for r in index.select(split="train", sharing="pre"))


def _train(job: _Job, resume: bool, tensorboard: bool) -> TrainSummary:
    started = time.monotonic()
    made = from_first(job.ranks, partial(_claim, job, resume))
    if made is not None:
        return _summary(job.out, made.metrics, 0, started)
    run = Run(job.recipe, job.seed, job.key, job.begin, job.ranks)
    resumed_at = run.step if resume and run.restore(job.out / LAST) else 0
    if run.step < job.recipe.steps:
        source = load_source(job.data, job.index, job.recipe)
        if job.recipe.trainable == "head" and job.begin is None and run.step == 0:
            settle(run.net, (batch(source, job.recipe, job.seed, step)[0] for step in range(SETTLING)))
        curves = job.out / CURVES if tensorboard and job.ranks.first else None
        with curves_in(curves, run.step) as written:
            loop(run, partial(batch, source, job.recipe, job.seed), job.out / LAST, written)
    metrics = from_first(job.ranks, partial(_finish, job, run))
    return _summary(job.out, metrics, resumed_at, started)


def _summary(out: Path, metrics: Any, resumed_at: int, started: float) -> TrainSummary:
    thresholds = dict(metrics.get("thresholds", {"pre": metrics["threshold"]}))
    seconds = time.monotonic() - started
    return TrainSummary(
        out / CHECKPOINT, metrics["threshold"], metrics.get("val_auc"), resumed_at, seconds, thresholds
    )


def _claim(job: _Job, resume: bool) -> Manifest | None:
    """Make the folder, or refuse one that holds something else; its manifest when the run is there already, finished."""
    out = job.out
    try:
        _sweep(out)
        if not (out / LAST).is_file():
            refuse_foreign(out, stage="train")
        out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise DftError(f"cannot create {out}: {e.strerror}", "choose another --out") from e
    return _finished(job) if resume else None


def _sweep(out: Path) -> None:
    """Throw away what a killed run was just writing aside: alone in a folder it would look like somebody else's."""
    for name in (LAST, CHECKPOINT, RECIPE, HISTORY, MANIFEST):
        for path in out.glob(f".{name}.*"):
            if _ASIDE.fullmatch(path.name):
                path.unlink(missing_ok=True)


def _finished(job: _Job) -> Manifest | None:
    """The manifest when it is of this very run, finished, with the packages of today, and nothing was changed."""
    if (job.out / LAST).is_file() or not (job.out / MANIFEST).is_file():
        return None
    try:
        made = read_manifest(job.out, "train")
    except CheckFailed:
        return None
    same = (
        made.parents == job.parents
        and made.config == json.loads(canonical_json(job.config))
        and made.tools == tool_versions(*TOOLS)
    )
    return made if same else None


def _finish(job: _Job, run: Run) -> dict[str, Any]:
    """Validate and write the stage; the manifest's metrics."""
    net = run.net.cpu()
    if job.recipe.method == SIMCLR:
        judged = Validation({"pre": 0.0}, {})
    else:
        judged = validate(net, job.data, job.index, job.recipe.tile, job.imitated, job.thresholds_for)
    parameters, macs = count(net, job.recipe.tile)
    metrics: dict[str, Any] = {
        "threshold": judged.thresholds["pre"],
        "parameters": parameters,
        "macs": macs,
    }
    if judged.aucs:
        metrics |= {
            "val_auc": judged.aucs["pre"],
            "thresholds": judged.thresholds,
            "val_aucs": judged.aucs,
        }
    _write(job, run, metrics)
    return metrics


def _write(job: _Job, run: Run, metrics: dict[str, Any]) -> None:
    recipe, out = job.recipe, job.out
    # Until here the folder may hold an earlier run, whole; from here on it is this run's, marked by LAST.
    (out / MANIFEST).unlink(missing_ok=True)
    save_checkpoint(
        out / CHECKPOINT,
        run.net,
        preset=recipe.net,
        tile=recipe.tile,
        threshold=metrics["threshold"],
        thresholds=metrics.get("thresholds"),
        head=recipe.method != SIMCLR,
    )
    with atomic_write(out / RECIPE, "w") as f:
        f.write(recipe.toml())
    with atomic_write(out / HISTORY, "w") as f:
        f.writelines(json.dumps(entry, sort_keys=True) + os.linesep for entry in run.history)
    write_manifest(
        out,
        "train",
        files=[CHECKPOINT, RECIPE, HISTORY],
        parents=job.parents,
        config=job.config,
        metrics=metrics,
        tools=tool_versions(*TOOLS),
    )
    (out / LAST).unlink(missing_ok=True)
