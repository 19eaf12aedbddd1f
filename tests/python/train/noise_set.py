"""A small data folder for tests of training: noise photographs, and fakes of them with a pattern of period 4."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from dftiny.artifact import write_manifest
from dftiny.data.demo import png
from dftiny.data.index import DataIndex, ImageRow, save_index
from dftiny.data.sharing import share


def noise_set(
    folder: Path, sharings: tuple[str, ...] = ("pre",), *, folds: int = 0, paired: bool = True
) -> Path:
    """Two photographs of 256 px a split in `folder`; those of val and test also as each of `sharings` delivers them.

    With `folds` (3) each split is a fold instead, all of it shared. Not `paired`: fakes pass for pictures of their own,
    and the training images are shared too.
    """
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    pattern = np.tile(rng.normal(0, 25, (4, 4, 1)), (64, 64, 3))
    rows = []
    for fold, split in enumerate(("train", "val", "test")):
        for n in range(2):
            real = rng.integers(80, 170, (256, 256, 3), dtype=np.uint8)
            fake = np.clip(real + pattern, 0, 255).astype(np.uint8)
            for kind, pixels in (("real", real), ("tconv", fake)):
                for sharing in sharings if folds or not paired or split != "train" else ("pre",):
                    source = f"{split}{n}" if paired else f"{kind}-{split}{n}"
                    row = _row(folder, source, split, kind, sharing, pixels)
                    rows.append(replace(row, split="test", fold=fold) if folds else row)
    save_index(folder, DataIndex("noise", 128, tuple(rows)))
    write_manifest(folder, "data", files=["index.json"])
    return folder


def _row(folder: Path, source: str, split: str, kind: str, sharing: str, pixels: np.ndarray) -> ImageRow:
    plain = f"{source}.0.{kind}"
    content = png(pixels) if sharing == "pre" else share(pixels, sharing, plain)
    name = plain if sharing == "pre" else f"{plain}.{sharing}"
    file = f"images/{name}.{'png' if sharing == 'pre' else 'jpg'}"
    (folder / file).write_bytes(content)
    label = "real" if kind == "real" else "fake"
    digest = hashlib.sha256(content).hexdigest()
    return ImageRow(name, split, source, label, kind, True, sharing, file, digest)
