"""A tiny data set with folds and one round of a cross-validation on it, shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from fold_set import fold_set

from dftiny.crossval.run import Wishes, crossval


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of one tile of 128 px."""
    return fold_set(tmp_path_factory.mktemp("crossval") / "data", side=128, tile=128)


@pytest.fixture(scope="session")
def done(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished round: fold 1 of phinet_demo, three steps. Tests that change it take a copy."""
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")
    out = tmp_path_factory.mktemp("crossval") / "out"
    crossval(data, out, Wishes(("phinet_demo",), folds=(1,), steps=3, jobs=1))
    return out
