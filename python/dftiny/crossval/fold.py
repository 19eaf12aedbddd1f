"""One round of a cross-validation: train, export to int8, judge with both. What a worker process does.

Called by run, through jobs. One torch thread each: the rounds are what runs in parallel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny import graph as graphs
from dftiny import spec
from dftiny.artifact import atomic_write, read_manifest
from dftiny.bundle import MODEL, export
from dftiny.data.calibration import calibration_rows, calibration_tiles
from dftiny.data.index import ImageRow, load_index, read_image
from dftiny.data.sharing import PRE, PROFILES
from dftiny.data.tiles import image_logit, tiles
from dftiny.diagnose import Cures
from dftiny.export.source import Reading
from dftiny.thesis.results import FLOAT, INT8
from dftiny.thesis.sheet import Sheet, columns_of, write_scores
from dftiny.thesis.work import log_into
from dftiny.verdict.study import Judge
from dftiny.verdict.study import int8_judge as of_graph

TRAIN, BUNDLE, SCORES, CALIBRATION = "train", "bundle", "scores", "calibration.npz"


@dataclass(frozen=True)
class Round:
    """Fold `fold` of the recipe `recipe` with `seed`: its stages lie in the folder `place`. `cures` are of the export."""

    recipe: str
    fold: int
    seed: int
    steps: int | None
    place: Path
    cures: Cures

    @property
    def config(self) -> dict[str, Any]:
        """What its scores depend on beside the data: another recipe, other steps or cures make it again."""
        steps = {} if self.steps is None else {"steps": self.steps}
        return {
            "recipe": {**spec.recipe(self.recipe), **steps},
            "seed": self.seed,
            "cures": asdict(self.cures),
        }


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
        index = load_index(data).of_fold(this.fold)
        # Thresholds come from reals and generators' fakes: the validation part's controls are not looked at.
        rows = [r for r in index.images if r.split == "test" or (r.split == "val" and not r.is_control)]
        _export(this, data, index.images)
        conditions = (PRE, *platforms(rows))
        logits = image_logits(data, rows, {FLOAT: float_judge(this.place), INT8: int8_judge(this.place)})
        net = str(read_manifest(this.place / TRAIN).config["recipe"]["net"])
        sheet = Sheet(
            net, this.fold, this.seed, conditions, **columns_of(rows), logits=logits, history={}
        )  # fmt: skip
        parents = {s: read_manifest(this.place / s).digest for s in (TRAIN, BUNDLE)}
        write_scores(this.place / SCORES, sheet, parents=parents, config=this.config)


def platforms(rows: Sequence[ImageRow]) -> tuple[str, ...]:
    """The sharing profiles among the images, in their usual order."""
    found = {r.sharing for r in rows}
    return tuple(p for p in PROFILES if p in found)


def _export(this: Round, data: Path, rows: Sequence[ImageRow]) -> None:
    from dftiny.nets.checkpoint import load_checkpoint

    tile = load_checkpoint(this.place / TRAIN).tile
    path = this.place / CALIBRATION
    with atomic_write(path) as f:
        np.savez_compressed(f, tiles=calibration_tiles(data, calibration_rows(rows), tile))
    made = Reading(calibration=path)
    export(this.place / TRAIN, out=this.place / BUNDLE, reading=made, cures=this.cures, quiet=True)


def float_judge(place: Path) -> Judge:
    """The float net of the round in `place`, on one thread: rounds run side by side."""
    from dftiny.nets.checkpoint import load_checkpoint
    from dftiny.nets.predict import on_one_thread, predict

    on_one_thread()
    model = load_checkpoint(place / TRAIN)
    return Judge(model.tile, lambda cut: predict(model.net, cut)[:, 0].astype(np.float64))


def int8_judge(place: Path) -> Judge:
    """The int8 net of the round in `place`, through the oracle."""
    return of_graph(graphs.load(place / BUNDLE / MODEL))


def image_logits(
    data: Path, rows: Sequence[ImageRow], methods: dict[str, Judge]
) -> dict[str, NDArray[np.float32]]:
    """Image logits float32 [n] of `rows` by method; each image is decoded once."""
    told: dict[str, list[float]] = {m: [] for m in methods}
    for row in rows:
        pixels = read_image(data, row)
        for method, judge in methods.items():
            told[method].append(image_logit(judge.logits(tiles(pixels, judge.tile))))
    return {m: np.array(v, dtype=np.float32) for m, v in told.items()}
