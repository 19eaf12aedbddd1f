"""Thresholds of a trained net on the validation images: one for each way in which they were shared.

Called by train/training.py at the end of a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from dftiny.data.index import DataIndex, ImageRow, read_image
from dftiny.data.sharing import PRE, shared
from dftiny.data.tiles import image_logit
from dftiny.errors import DftError
from dftiny.metrics import auc, logistic_threshold
from dftiny.nets.predict import image_tile_logits


@dataclass(frozen=True)
class Validation:
    """Thresholds (image logits) and AUCs by sharing condition; "pre" is always among them."""

    thresholds: dict[str, float]
    aucs: dict[str, float]


def check_validation(index: DataIndex, data: Path) -> None:
    """DftError when there is nothing to choose a threshold on: asked before a long run, not behind it."""
    if len({r.label for r in _rows(index, PRE)}) < 2:
        raise DftError(f"{data} has no real or no fake validation images", "build the data again")


def validate(
    net: nn.Module,
    data: Path,
    index: DataIndex,
    tile: int,
    imitated: tuple[str, ...] = (),
    conditions: tuple[str, ...] | None = None,
) -> Validation:
    """Thresholds and AUCs at image level on the validation split, controls left out.

    Of a data folder whose validation images were not shared, the profiles `imitated` are applied to them here.
    `conditions` are the only ones to be judged; None means all.
    """
    check_validation(index, data)
    thresholds, aucs = {}, {}
    shared = dict.fromkeys(r.sharing for r in index.select(split="val"))
    for sharing in dict.fromkeys((*shared, *imitated)):
        if conditions is not None and sharing not in conditions:
            continue
        rows = _rows(index, sharing if sharing in shared else PRE)
        if len({r.label for r in rows}) < 2:
            continue
        pictures = (_picture(data, r, sharing) for r in rows)
        scores = [image_logit(image_tile_logits(net, p, tile)[:, 0]) for p in pictures]
        labels = [r.target for r in rows]
        thresholds[sharing], aucs[sharing] = logistic_threshold(labels, scores), auc(labels, scores)
    return Validation(thresholds, aucs)


def _picture(data: Path, row: ImageRow, sharing: str) -> NDArray[np.uint8]:
    pixels = read_image(data, row)
    if sharing == row.sharing:
        return pixels
    # Named as the builder of the demo data names it: the same quality, the same bytes.
    return shared(pixels, sharing, row.id)


def _rows(index: DataIndex, sharing: str) -> list[ImageRow]:
    return [r for r in index.select(split="val", sharing=sharing) if not r.is_control]
