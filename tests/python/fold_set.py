"""A tiny data set with folds, of noise: for the tests of crossval and of the thesis' grid."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from dftiny.artifact import write_manifest
from dftiny.data.demo import png
from dftiny.data.index import INDEX, DataIndex, ImageRow, save_index

SHARED = ("pre", "facebook-like")


def fold_set(folder: Path, *, side: int, tile: int) -> Path:
    """Three photographs of `side` px in `folder`, a fold each: real, a seen and a held-out fake, a blurred real; in SHARED."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = [
        _row(folder, fold, kind, sharing, rng.integers(low, 200, (side, side, 3), dtype=np.uint8))
        for fold in range(3)
        for kind, low in (("real", 0), ("gen_a", 100), ("gen_new", 90), ("blur", 20))
        for sharing in SHARED
    ]
    save_index(folder, DataIndex("noise", tile, tuple(rows)))
    write_manifest(folder, "data", files=[INDEX])
    return folder


def _row(folder: Path, fold: int, kind: str, sharing: str, pixels: np.ndarray) -> ImageRow:
    content = png(pixels)
    name = f"photo{fold}.{kind}.{sharing}"
    (folder / f"{name}.png").write_bytes(content)
    label = "fake" if kind.startswith("gen") else "real"
    digest = hashlib.sha256(content).hexdigest()
    seen = kind in ("real", "gen_a")
    return ImageRow(
        name, "test", f"photo{fold}", label, kind, seen, sharing, f"{name}.png", digest, fold=fold
    )
