"""One round of a cross-validation: train, export to int8, judge with both. What a worker process does.

Called by run, through jobs. One torch thread each: the rounds are what runs in parallel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dftiny.artifact import atomic_write, new_folder, read_manifest, write_manifest
from dftiny.bundle import MODEL, export
from dftiny.crossval import FLOAT, INT8
from dftiny.data.calibration import calibration_rows, calibration_tiles
from dftiny.data.index import ImageRow, load_index, read_image
from dftiny.data.sharing import PRE, PROFILES
from dftiny.data.tiles import image_logit, tiles
from dftiny.diagnose import Cures
from dftiny.thesis.sheet import SHEET, STAGE, Sheet, columns_of, save_sheet
from dftiny.thesis.work import log_into

TRAIN, BUNDLE, SCORES, CALIBRATION = "train", "bundle", "scores", "calibration.npz"
Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Round:
    """Fold `fold` of the recipe `recipe` with `seed`: its stages lie in the folder `place`. `cures` are of the export."""

    recipe: str
    fold: int
    seed: int
    steps: int | None
    place: Path
    cures: Cures


def train_round(this: Round, data: Path) -> None:
    """Train it; one that was interrupted goes on."""
    with log_into(this.place):
        from dftiny.train.training import train

        train(
            this.recipe, data, this.place / TRAIN,
            fold=this.fold, seed=this.seed, steps=this.steps, threads=1,
        )  # fmt: skip


def judge_round(this: Round, data: Path) -> None:
    """Export the trained net to int8 and write the image logits of both nets: the stages `bundle` and `scores`."""
    with log_into(this.place):
        import torch

        torch.set_num_threads(1)
        index = load_index(data).of_fold(this.fold)
        # Thresholds come from reals and generators' fakes: the validation part's controls are not looked at.
        rows = [r for r in index.images if r.split == "test" or (r.split == "val" and not r.is_control)]
        _export(this, data, index.images)
        conditions = (PRE, *(p for p in PROFILES if any(r.sharing == p for r in rows)))
        net, tile, float_logits = _float(this)
        logits = _judge(data, rows, tile, {FLOAT: float_logits, INT8: _int8(this)})
        sheet = Sheet(
            net, this.fold, this.seed, conditions, **columns_of(rows), logits=logits, history={}
        )  # fmt: skip
        parents = {s: read_manifest(this.place / s).digest for s in (TRAIN, BUNDLE)}
        with new_folder(this.place / SCORES, stage=STAGE) as folder:
            save_sheet(folder / SHEET, sheet)
            write_manifest(folder, STAGE, files=[SHEET], parents=parents)


def _export(this: Round, data: Path, rows: Sequence[ImageRow]) -> None:
    from dftiny.nets.checkpoint import load_checkpoint

    tile = load_checkpoint(this.place / TRAIN).tile
    path = this.place / CALIBRATION
    with atomic_write(path) as f:
        np.savez_compressed(f, tiles=calibration_tiles(data, calibration_rows(rows), tile))
    export(this.place / TRAIN, out=this.place / BUNDLE, calibration=path, cures=this.cures, quiet=True)


def _float(this: Round) -> tuple[str, int, Logits]:
    from dftiny.nets.checkpoint import load_checkpoint
    from dftiny.nets.predict import predict

    model = load_checkpoint(this.place / TRAIN)
    return model.preset, model.tile, lambda cut: predict(model.net, cut)[:, 0]


def _int8(this: Round) -> Logits:
    from dftiny import graph as graphs
    from dftiny import int8

    g = graphs.load(this.place / BUNDLE / MODEL)
    assert g.output.quant is not None  # int8 at both edges: the reader saw to it
    scale, zero = float(g.output.quant.scale[0]), int(g.output.quant.zero_point[0])

    def logits(cut: NDArray[np.uint8]) -> NDArray[np.float32]:
        said = int8.run(g, int8.from_pixels(cut))[:, 0].astype(np.int32)
        return ((said - zero) * scale).astype(np.float32)

    return logits


def _judge(
    data: Path, rows: Sequence[ImageRow], tile: int, methods: dict[str, Logits]
) -> dict[str, NDArray[np.float32]]:
    """Image logits float32 [n] by method."""
    told: dict[str, list[float]] = {m: [] for m in methods}
    for row in rows:
        cut = tiles(read_image(data, row), tile)
        for method, logits in methods.items():
            told[method].append(image_logit(logits(cut)))
    return {m: np.array(v, dtype=np.float32) for m, v in told.items()}
