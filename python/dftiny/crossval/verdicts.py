"""The sequential verdict over a cross-validation: every round's net on the large crops of photographs it never saw.

A use case beside study; called by tools/verdict. Rounds are judged in processes of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from dftiny.bundle import MODEL
from dftiny.crossval.fold import BUNDLE, float_judge, int8_judge
from dftiny.data.index import DataIndex, load_index
from dftiny.data.photos import Photo, demo_photos
from dftiny.errors import DftError
from dftiny.verdict.study import Large, Round, large_images, validation_images


def rounds(folder: Path, data: Path, *, floating: bool, jobs: int) -> list[Round]:
    """Every finished round below `folder`, a recipe's folder of `dftiny crossval`, on the folds of `data`.

    Only the generators that were trained on: how held-out ones are judged is not what stopping early is about.
    """
    from rich.progress import track

    index = load_index(data)
    index.of_fold(0)  # says that there are no folds, where there are none
    places = {k: p for k in range(index.folds) for p in sorted(folder.glob(f"fold{k}_seed*"))[:1]}
    done = {k: p for k, p in places.items() if (p / BUNDLE / MODEL).is_file()}
    if not done:
        raise DftError(f"{folder} holds no finished round", "run one with: dftiny crossval --recipe NAME")
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        futures = [pool.submit(judged, p, data, k, floating) for k, p in done.items()]
        return [f.result() for f in track(futures, description="rounds")]


def judged(place: Path, data: Path, fold: int, floating: bool) -> Round:
    """The round in `place`: validation images and large crops of its validation photographs, large crops of its test ones."""
    from dftiny.data.generators import SEEN

    index = load_index(data).of_fold(fold)
    judge = float_judge(place) if floating else int8_judge(place)
    validation: list[Large] = [
        *validation_images(judge, data, index),
        *large_images(judge, _photos(index, "val"), SEEN),
    ]
    return Round(validation, list(large_images(judge, _photos(index, "test"), SEEN)))


def _photos(index: DataIndex, split: str) -> Sequence[Photo]:
    sources = {r.source for r in index.select(split)}
    return [p for p in demo_photos()[0] if p.id in sources]
