"""What a process of the grid does: train a cell, judge a group, time a net. Its output goes to a log beside the cell.

Called by run and plan, through jobs. One torch thread each: the cells are what runs in parallel.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from dftiny.data.sharing import PRE
from dftiny.errors import DftError
from dftiny.thesis.grid import SCORES, Cell, Group

LOG = "log.txt"


def train_cell(cell: Cell, data: Path, folder: Path) -> None:
    """Train `cell` into its folder below the group's `folder`; one that was interrupted goes on."""
    with log_into(folder):
        from dftiny.train.training import train

        train(
            cell.recipe,
            data,
            folder / cell.method,
            net=cell.net,
            tile=cell.tile,
            sharing=cell.sharing,
            fold=cell.fold,
            seed=cell.seed,
            steps=cell.steps,
            start=None if cell.start is None else folder / cell.start,
            threads=1,
            weights=None if cell.weights is None else cell.weights.file,
            thresholds_for=(PRE,),  # the sheet's thresholds are chosen in score, for all cells in one pass
        )


def score_group(group: Group, conditions: Sequence[str], data: Path, folder: Path) -> None:
    """Judge all cells of `group`, whose folder is `folder`."""
    with log_into(folder):
        from dftiny.thesis.score import score

        score(group, conditions, data, folder, folder / SCORES)


@contextlib.contextmanager
def log_into(folder: Path) -> Iterator[None]:
    """Everything printed inside goes to a file of the group, the terminal has one progress line; and what it took."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOG).open("a", encoding="utf-8")
    except OSError as e:
        raise DftError(f"cannot write {folder / LOG}: {e.strerror}", "choose another --out") from e
    os.environ.setdefault("COLUMNS", "100")
    with file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        started = time.process_time()
        yield
        print(f"{time.process_time() - started:.0f} processor seconds in this process")


def measure_pace(net: str, tile: int, recipes: Sequence[str], data: Path, path: Path) -> None:
    """Write to `path` (JSON) how long that net, the recipes' batches and the decoding of an image take here."""
    with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        from dftiny.artifact import write_json
        from dftiny.data.index import load_index, read_image
        from dftiny.train.pace import batch_pace, net_pace

        rows = load_index(data).images[::97][:8]
        started = time.process_time()
        for row in rows:
            read_image(data, row)
        image = (time.process_time() - started) / len(rows)
        write_json(path, {**net_pace(net, tile), "recipes": batch_pace(recipes, tile), "image": image})
