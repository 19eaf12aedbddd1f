"""A net with two maps across a cut (ShuffleNet's units): its plan lays their rows in turns, is valid, and the bits stay."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if not all(find_spec(n) for n in ("tensorflow", "tf_keras")):
    pytest.skip("the [export] extra is not installed", allow_module_level=True)

import nets_int8
from host_model import HostModel, build_library

from dftiny import graph as graphs
from dftiny import int8
from dftiny.plan import RegionSpec, plan
from dftiny.schedule_check import check

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_rows_in_turns_save_bytes_and_keep_the_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests/python/schedule"))
    from planned import schedule_of

    graph = graphs.load(nets_int8.model("xinet_like", ROOT / "build/nets_int8"), name="xinet_like")
    made = plan(graph, [RegionSpec("axi", 512 << 10)])
    turns = {p.pitch for p in made.placements if p.pitch != p.row_bytes}
    assert turns, "no map is woven: this test says nothing any more"
    assert check(schedule_of(made)) == []
    assert made.total_bytes <= 1.10 * made.lower_bound_bytes  # contiguous maps 1.37, rings of their own 1.21
    handed_on = [p for p in made.placements if 1 < p.slots < 24]
    assert len({p.tensor for p in handed_on}) > len({(p.offset, p.slots, p.first) for p in handed_on})
    x = nets_int8.samples("xinet_like", 3, seed=5)
    expected = int8.run(graph, x)
    assert len({y.tobytes() for y in expected}) == 3
    assert np.array_equal(HostModel(graph, made, build_library(tmp_path), tmp_path).run(x), expected)
