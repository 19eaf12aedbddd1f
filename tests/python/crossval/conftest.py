"""A tiny data set with folds and one round of a cross-validation on it, shared by the tests of this folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from dftiny.artifact import write_manifest
from dftiny.crossval.run import Wishes, crossval
from dftiny.data.index import INDEX, DataIndex, ImageRow, save_index


def _row(folder: Path, fold: int, kind: str, sharing: str, pixels: np.ndarray) -> ImageRow:
    from dftiny.data.demo import png

    content = png(pixels)
    name = f"photo{fold}.{kind}.{sharing}"
    (folder / f"{name}.png").write_bytes(content)
    label = "fake" if kind.startswith("gen") else "real"
    digest = hashlib.sha256(content).hexdigest()
    seen = kind in ("real", "gen_a")
    return ImageRow(
        name, "test", f"photo{fold}", label, kind, seen, sharing, f"{name}.png", digest, fold=fold
    )


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs of noise, a fold each, one tile of 128 px: real, a seen and a held-out fake, a blurred real."""
    folder = tmp_path_factory.mktemp("crossval") / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = [
        _row(folder, fold, kind, sharing, rng.integers(low, 200, (128, 128, 3), dtype=np.uint8))
        for fold in range(3)
        for kind, low in (("real", 0), ("gen_a", 100), ("gen_new", 90), ("blur", 20))
        for sharing in ("pre", "facebook-like")
    ]
    save_index(folder, DataIndex("noise", 128, tuple(rows)))
    write_manifest(folder, "data", files=[INDEX])
    return folder


@pytest.fixture(scope="session")
def done(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished round: fold 1 of phinet_demo, three steps. Tests that change it take a copy."""
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")
    out = tmp_path_factory.mktemp("crossval") / "out"
    crossval(data, out, Wishes(("phinet_demo",), folds=(1,), steps=3, jobs=1))
    return out
