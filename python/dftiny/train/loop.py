"""The loop of a run: batches prepared ahead, progress on the screen, a checkpoint and a line of history now and then.

Called by train/training.py. Only the first of several processes speaks and writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny.errors import CheckFailed
from dftiny.train.curves import Curves
from dftiny.train.run import Run

Batch = tuple[NDArray[np.uint8], NDArray[np.float32]]


def loop(run: Run, batch_of: Callable[[int], Batch], last: Path, curves: Curves) -> None:
    """Take every step that `run` still has to take, on `batch_of(step)`, and keep its state in `last`.

    CheckFailed when the loss is no longer a number.
    """
    recipe = run.recipe
    recent: list[tuple[float, float]] = []
    # One thread prepares the next batch; each batch depends on its step alone, so the order cannot matter.
    with _progress(run) as show, ThreadPoolExecutor(1) as ahead:
        following: Future[Batch] = ahead.submit(batch_of, run.step)
        while run.step < recipe.steps:
            tiles, labels = following.result()
            if run.step + 1 < recipe.steps:
                following = ahead.submit(batch_of, run.step + 1)
            loss, accuracy = run.advance(tiles, labels)
            if not np.isfinite(loss):
                raise CheckFailed(
                    f"the loss is no longer a number at step {run.step}", "lower peak_rate in the recipe"
                )
            recent.append((loss, accuracy))
            curves.add(run.step, loss=loss, accuracy=accuracy, rate=float(run.schedule.get_last_lr()[0]))
            show(np.mean(recent, axis=0))
            if run.step % recipe.checkpoint_every == 0 or run.step == recipe.steps:
                _keep(run, recent, last)
                recent = []


def _keep(run: Run, recent: list[tuple[float, float]], last: Path) -> None:
    loss, accuracy = np.mean(recent, axis=0)
    run.history.append({"step": run.step, "loss": float(loss), "accuracy": float(accuracy)})
    if run.ranks.first:
        run.save(last)


@contextmanager
def _progress(run: Run) -> Iterator[Callable[[Any], None]]:
    """A bar on the screen, moved by calling what it gives with the recent loss and accuracy."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("train"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not run.ranks.first) as progress:
        task = progress.add_task("", total=run.recipe.steps, completed=run.step)

        def show(recent: Any) -> None:
            words = f"loss {recent[0]:.3f}  accuracy {recent[1]:.3f}"
            progress.update(task, completed=run.step, description=words)

        yield show
