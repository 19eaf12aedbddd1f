"""Supervised training of a tile detector: one recipe, one data folder, one seed to one checkpoint.

A run that was interrupted goes on from its last checkpoint and ends with the same bits.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from dftiny import spec
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
from dftiny.data.index import DataIndex, load_index, read_image
from dftiny.data.tiles import image_logit
from dftiny.errors import CheckFailed, DftError
from dftiny.metrics import auc, calibrate_threshold
from dftiny.nets.checkpoint import Checkpoint, load_checkpoint, load_weights, save_checkpoint
from dftiny.nets.predict import image_tile_logits, to_input
from dftiny.nets.registry import count, create
from dftiny.train.batches import Pool, batch, load_pool
from dftiny.train.fake_quant import FakeQuant
from dftiny.train.recipe import Recipe, parse_recipe

LAST = "last.ckpt"
CHECKPOINT = "checkpoint.safetensors"
HISTORY = "history.jsonl"
RECIPE = "recipe.toml"


@dataclass(frozen=True)
class TrainSummary:
    """A finished run: where its checkpoint lies, the threshold (an image logit), validation AUC, seconds."""

    checkpoint: Path
    threshold: float
    val_auc: float
    resumed_at: int
    seconds: float

    def text(self) -> str:
        """The lines that `dftiny train` prints."""
        went_on = f", resumed at step {self.resumed_at}" if self.resumed_at else ""
        return (
            f"{self.checkpoint}: validation AUC {self.val_auc:.3f} at image level, "
            f"threshold {self.threshold:+.3f} (logit), {self.seconds:.0f} s{went_on}"
        )


class _Run:
    """The moving parts of one run: net, optimiser, schedule, history, and the next step."""

    def __init__(self, recipe: Recipe, seed: int, key: str, start: Checkpoint | None = None) -> None:
        self.recipe, self.seed, self.key = recipe, seed, key
        torch.manual_seed(seed)
        self.net = create(recipe.net, recipe.tile).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if start is not None:
            self.net.load_state_dict(start.net.state_dict())
        self.rounding = FakeQuant() if recipe.fake_quant else None
        trained = [p for p in self.net.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            trained, recipe.peak_rate, weight_decay=recipe.weight_decay, fused=True
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, recipe.peak_rate, total_steps=recipe.steps, pct_start=recipe.warmup
        )
        self.history: list[dict[str, float]] = []
        self.step = 0

    def advance(self, tiles: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        """One optimisation step on a batch; its loss and its accuracy."""
        # Seeded by step, so that dropout is the same in a resumed run without any saved generator state.
        torch.manual_seed(self.seed * 1_000_003 + self.step)
        self.net.train()
        with nullcontext() if self.rounding is None else self.rounding.forward_pass(self.net):
            logits = self.net(to_input(tiles))[:, 0]
        target = torch.from_numpy(labels)
        loss = functional.binary_cross_entropy_with_logits(logits, target)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        return loss.item(), ((logits > 0) == (target > 0.5)).float().mean().item()

    def save(self, path: Path) -> None:
        """Write the whole state aside and rename it: a kill leaves the old one or the new one."""
        state = {
            "key": self.key,
            "step": self.step,
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": self.history,
            "ranges": None if self.rounding is None else self.rounding.ranges,
        }
        buffer = io.BytesIO()  # torch's own writer turns a full disk into an error without a name
        torch.save(state, buffer)
        with atomic_write(path) as f:
            f.write(buffer.getbuffer())

    def restore(self, path: Path) -> bool:
        """Go on from `path` when it belongs to the same recipe, data and seed. DftError when it is damaged."""
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            if state["key"] != self.key:
                return False
            self.net.load_state_dict(state["net"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.schedule.load_state_dict(state["schedule"])
            self.history, self.step = list(state["history"]), int(state["step"])
            if self.rounding is not None:
                self.rounding.ranges = state["ranges"]
        except (UnpicklingError, RuntimeError, KeyError, ValueError, EOFError, TypeError, OSError) as e:
            raise DftError(
                f"{path} cannot be resumed: {str(e).splitlines()[0][:120]}", "start again with --no-resume"
            ) from e
        return True


def train(
    recipe: str,
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    resume: bool = True,
    threads: int = 1,
    steps: int | None = None,
    start: Path | None = None,
    weights: Path | None = None,
) -> TrainSummary:
    """Train `recipe` (a name, or the path of a .toml) on the data folder and write the stage folder `out`, from random
    weights, from those of the checkpoint `start`, or from public ones of another project in the file `weights`.

    An interrupted run of the same recipe, data and seed in `out` is continued, a finished one kept as it is, unless
    `resume` is false.
    `steps` overrides the recipe's. CheckFailed when the loss is no longer a number.
    """
    plan = parse_recipe(spec.recipe(recipe), recipe)
    if steps is not None:
        plan = parse_recipe({**plan.values(), "steps": steps}, recipe)
    if not 1 <= threads <= 64:
        raise DftError(f"{threads} threads make no sense", "use 1 to 64")
    begin = _start(plan, start) if weights is None else _public(plan, start, weights, seed)
    parents = {"data": read_manifest(data, "data").digest}
    if begin is not None:
        parents["checkpoint"] = begin.sha256
    index = load_index(data)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        summary = _train(plan, data, index, parents, out, seed, resume, begin)
    finally:
        torch.set_num_threads(before)
    print(summary.text())
    return summary


def _start(recipe: Recipe, path: Path | None) -> Checkpoint | None:
    """The checkpoint to begin with. DftError when it is another net, or when the recipe needs one and there is none."""
    if path is None:
        if recipe.fake_quant:
            raise DftError(
                f"the recipe {recipe.name} fine-tunes a trained net", "give --start with its checkpoint"
            )
        return None
    found = load_checkpoint(path)
    if (found.preset, found.tile) != (recipe.net, recipe.tile):
        raise DftError(
            f"{path} is {found.preset} for tiles of {found.tile} px, "
            f"the recipe {recipe.name} trains {recipe.net} at {recipe.tile} px",
            "choose another --start or --recipe",
        )
    return found


def _public(recipe: Recipe, start: Path | None, path: Path, seed: int) -> Checkpoint:
    """Public weights to begin with; says on the screen when the head is not among them."""
    if start is not None:
        raise DftError("--start and --weights both say where to begin", "give one of them")
    if recipe.fake_quant:
        raise DftError(
            f"the recipe {recipe.name} fine-tunes a trained net", "give --start with its checkpoint"
        )
    found, whole = load_weights(path, preset=recipe.net, tile=recipe.tile, seed=seed)
    if not whole:
        print(f"{path}: backbone of {recipe.net} taken, its head starts at random")
    return found


def _train(
    recipe: Recipe,
    data: Path,
    index: DataIndex,
    parents: dict[str, str],
    out: Path,
    seed: int,
    resume: bool,
    begin: Checkpoint | None,
) -> TrainSummary:
    started = time.monotonic()
    _claim(out)
    if resume and (made := _finished(recipe, parents, out, seed)) is not None:
        m = made.metrics
        return TrainSummary(
            out / CHECKPOINT, m["threshold"], m["val_auc"], recipe.steps, time.monotonic() - started
        )
    # A run from random weights keeps the key it always had.
    origin: Any = parents["data"] if begin is None else parents
    key = hashlib.sha256(canonical_json([recipe.values(), origin, seed])).hexdigest()
    run = _Run(recipe, seed, key, begin)
    resumed = resume and (out / LAST).is_file() and run.restore(out / LAST)
    resumed_at = run.step if resumed else 0
    if run.step < recipe.steps:
        _loop(run, load_pool(data, index, recipe.tile), out)
    threshold, val_auc = _validate(run.net, data, index, recipe.tile)
    _write(run, out, parents, threshold, val_auc)
    return TrainSummary(out / CHECKPOINT, threshold, val_auc, resumed_at, time.monotonic() - started)


def _finished(recipe: Recipe, parents: dict[str, str], out: Path, seed: int) -> Manifest | None:
    """The manifest in `out` when it is of this very run, finished, with the packages of today, and nothing was changed."""
    if (out / LAST).is_file() or not (out / MANIFEST).is_file():
        return None
    try:
        made = read_manifest(out, "train")
    except CheckFailed:
        return None
    same = (
        made.parents == parents
        and made.config == json.loads(canonical_json({"recipe": recipe.values(), "seed": seed}))
        and made.tools == tool_versions("torch", "numpy", "pillow")
    )
    return made if same else None


def _claim(out: Path) -> None:
    """Make `out`, or refuse a folder that holds something else."""
    try:
        if not (out / LAST).is_file():
            refuse_foreign(out, stage="train")
        out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise DftError(f"cannot create {out}: {e.strerror}", "choose another --out") from e


def _loop(run: _Run, pool: Pool, out: Path) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    recipe = run.recipe
    columns = (
        TextColumn("train"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    losses: list[float] = []
    accuracies: list[float] = []
    # One thread prepares the next batch; each batch depends on its step alone, so the order cannot matter.
    with Progress(*columns) as progress, ThreadPoolExecutor(1) as ahead:
        task = progress.add_task("", total=recipe.steps, completed=run.step)
        following: Future[Any] = ahead.submit(batch, pool, recipe, run.seed, run.step)
        while run.step < recipe.steps:
            tiles, labels = following.result()
            following = ahead.submit(batch, pool, recipe, run.seed, run.step + 1)
            loss, accuracy = run.advance(tiles, labels)
            if not np.isfinite(loss):
                raise CheckFailed(
                    f"the loss is no longer a number at step {run.step}", "lower peak_rate in the recipe"
                )
            losses.append(loss)
            accuracies.append(accuracy)
            if run.step % recipe.checkpoint_every == 0 or run.step == recipe.steps:
                entry = {
                    "step": run.step,
                    "loss": float(np.mean(losses)),
                    "accuracy": float(np.mean(accuracies)),
                }
                run.history.append(entry)
                losses, accuracies = [], []
                run.save(out / LAST)
            if losses:
                recent = f"loss {np.mean(losses):.3f}  accuracy {np.mean(accuracies):.3f}"
                progress.update(task, completed=run.step, description=recent)
        progress.update(task, completed=run.step)


def _validate(net: nn.Module, data: Path, index: DataIndex, tile: int) -> tuple[float, float]:
    """Threshold and AUC at image level on the validation split, before sharing."""
    rows = index.select(split="val", sharing="pre")
    if len({r.label for r in rows}) < 2:
        raise DftError(f"{data} has no real or no fake validation images", "build the data again")
    scores = [image_logit(image_tile_logits(net, read_image(data, r), tile)[:, 0]) for r in rows]
    labels = [r.target for r in rows]
    return calibrate_threshold(labels, scores), auc(labels, scores)


def _write(run: _Run, out: Path, parents: dict[str, str], threshold: float, val_auc: float) -> None:
    recipe = run.recipe
    # Until here the folder may hold an earlier run, whole; from here on it is this run's, marked by LAST.
    (out / MANIFEST).unlink(missing_ok=True)
    save_checkpoint(out / CHECKPOINT, run.net, preset=recipe.net, tile=recipe.tile, threshold=threshold)
    with atomic_write(out / RECIPE, "w") as f:
        f.write(recipe.toml())
    with atomic_write(out / HISTORY, "w") as f:
        f.writelines(json.dumps(entry, sort_keys=True) + os.linesep for entry in run.history)
    parameters, macs = count(run.net, recipe.tile)
    write_manifest(
        out,
        "train",
        files=[CHECKPOINT, RECIPE, HISTORY],
        parents=parents,
        config={"recipe": recipe.values(), "seed": run.seed},
        metrics={"threshold": threshold, "val_auc": val_auc, "parameters": parameters, "macs": macs},
        tools=tool_versions("torch", "numpy", "pillow"),
    )
    (out / LAST).unlink(missing_ok=True)
