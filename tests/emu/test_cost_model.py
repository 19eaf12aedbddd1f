"""The cost model beside QEMU's exact counts, on nets that it was not fitted to; `tools/cost check` does many more."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import random_graphs

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests/baselines")]

from costing.check import NET_PERCENT, OP_PERCENT, compare  # noqa: E402

from dftiny.counting.cores import core  # noqa: E402
from dftiny.graph import Graph, load  # noqa: E402
from dftiny.models import DEFAULT_MODEL, released_model  # noqa: E402

pytestmark = pytest.mark.emu


def nets() -> dict[str, Graph]:
    """A trained net of this project, a net of the same kind with other sizes, and every kernel in small."""
    name, folder = DEFAULT_MODEL, released_model()
    return {
        name: load(folder / "model.tflite"),
        "phinet_like": random_graphs.phinet_like(seed=5, tile=64),
    }


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled kernels."""
    return tmp_path_factory.mktemp("kernels")


@pytest.mark.parametrize("name", list(nets()))
def test_estimates_are_within_their_bounds(name: str, kept: Path) -> None:
    found = compare(nets()[name], core("m7"), kept)
    assert len(found.ops) >= 5, "too few operators to prove anything"
    assert abs(found.percent) <= NET_PERCENT
    for op in found.ops:
        assert abs(op.percent) <= OP_PERCENT, op
