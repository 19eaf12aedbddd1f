"""TFLM's arena, predicted: against a Cortex-M7's, against mcufit's WASM32, and against TFLM of this computer."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from flatmodel import FlatModel, conv_options
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import phinet_like
from skeletons import from_skeleton, skeleton

from dftiny import spec
from dftiny.budget import budget, budget_file
from dftiny.budget.tflm_arena import Buffer, greedy_bytes, tflm_arena
from dftiny.budget_view import budget_text
from dftiny.errors import DftError
from dftiny.graph import load
from dftiny.target import load_target

VECTORS = json.loads(
    (Path(__file__).resolve().parents[2] / "vectors" / "tflm_arena.json").read_text(encoding="utf-8")
)
NETS: dict[str, Any] = VECTORS["nets"]
H743 = load_target("stm32h743")


def test_there_are_enough_nets() -> None:
    assert sum(n["cortex_m7"] is not None for n in NETS.values()) >= 18
    assert sum(n["mcufit"] is not None for n in NETS.values()) >= 12


@pytest.mark.parametrize("name", NETS)
def test_it_is_what_tflm_takes(name: str) -> None:
    """To the byte on a Cortex-M7; within 1 % of mcufit's measurement less the excess that it states."""
    net = NETS[name]
    arena = tflm_arena(from_skeleton(name, net))
    assert net["cortex_m7"] is not None or net["mcufit"] is not None
    if net["cortex_m7"] is not None:
        assert arena.total == net["cortex_m7"]
    if net["mcufit"] is not None:
        wasm = net["mcufit"] - VECTORS["mcufit_excess"]
        assert abs(arena.total - wasm) <= 0.01 * wasm
    assert arena.total <= arena.needed and (arena.head < 1024 or arena.needed < arena.total + 16)


def conv_model(size: int = 8, channels: int = 4, out: int = 4) -> bytes:
    m = FlatModel()
    x = m.act((1, size, size, channels), 0.1)
    w = m.const(np.ones((out, 1, 1, channels), np.int8), 0.01)
    m.op("CONV_2D", (x, w), (m.act((1, size, size, out), 0.1),), **conv_options())
    return m.bytes()


def test_a_skeleton_keeps_what_the_arena_depends_on() -> None:
    graph = load(conv_model(), name="conv")
    again = json.loads(json.dumps(skeleton(graph)))
    assert tflm_arena(from_skeleton("conv", again)) == tflm_arena(graph)


def test_a_tiny_net_needs_more_to_plan_than_to_run() -> None:
    """The planner's own records are larger than what it places; the tail alone is counted then."""
    arena = tflm_arena(load(conv_model(size=1), name="conv"))
    assert arena.needed > arena.total + 16


@pytest.mark.outside("MCUFIT", "TFLM as WASM32, which needs mcufit's folder and node")
@pytest.mark.parametrize("size", [8, 24])
def test_mcufit_agrees_here_and_now(size: int, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(conv_model(size, 16, 32))
    shim = Path(os.environ["MCUFIT"]) / "wasm" / "run_benchmark.mjs"
    done = subprocess.run(["node", shim, path], capture_output=True, text=True, check=True, timeout=60)
    found = re.search(r"Table \]\]: Arena.*?Total\s*\|\s*(\d+)", done.stdout, re.DOTALL)
    assert found is not None
    wasm = int(found.group(1)) - VECTORS["mcufit_excess"]
    assert abs(tflm_arena(load(path)).total - wasm) <= 0.01 * wasm + 32


BUFFERS = st.lists(
    st.builds(lambda size, a, b: Buffer(16 * size, min(a, b), max(a, b)), st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)),
    max_size=14,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(BUFFERS)
def test_the_greedy_plan_lies_between_its_bounds(buffers: list[Buffer]) -> None:
    peak = greedy_bytes(buffers)
    alive = [sum(b.bytes for b in buffers if b.first <= t <= b.last) for t in range(10)]
    assert max(alive) <= peak <= sum(b.bytes for b in buffers)
    if all(b.first == 0 and b.last == 9 for b in buffers):
        assert peak == sum(b.bytes for b in buffers)


def test_an_operator_without_a_size_is_named() -> None:
    graph = from_skeleton("net", {"tensors": [[[1, 4], 0, 1, 0], [[1, 4], 0, 1, 0]], "ops": [["CUBE", [0], [1]]], "folded": [], "edges": [[0], [1]]})  # fmt: skip
    with pytest.raises(DftError, match=r"CUBE \(operator 0\)"):
        tflm_arena(graph)


def test_every_operator_that_dftiny_reads_has_a_size() -> None:
    sizes = spec.read_toml(spec.SPEC_DIR / "tflm_sizes.toml")
    assert set(spec.ops()["op"]) <= set(sizes["kernel"])


def test_the_budget_of_the_tflm_engine(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(conv_model(64, 4, 8))
    b = budget_file(path, engine="tflm")
    arena = tflm_arena(load(path))
    assert b.ram_bytes == arena.head and b.arena_bytes == arena.needed == b.region("axi").used
    assert b.flash_bytes is None and b.code_bytes is None and b.code_from == "unknown"
    assert not b.region("flash").complete and not b.region("dtcm").complete and b.region("axi").complete
    assert b.region("flash").used >= path.stat().st_size
    assert b.const.total == -(-path.stat().st_size // 16) * 16
    jsonschema.validate(json.loads(json.dumps(b.as_json())), spec.schema("budget"))
    text = budget_text(b)
    assert "at least" in text and "code not known" in text and "TFLM's code" in text


def test_tflm_wants_its_arena_in_one_piece() -> None:
    graph = phinet_like(tile=512)
    b = budget(graph, H743, "tflm", file_bytes=1000)
    arena = tflm_arena(graph)
    assert not b.fits
    assert b.reasons[0] == (
        f"needs {arena.needed:,} bytes of arena in one piece, region axi has 524,288: "
        f"{arena.needed - 524288:,} bytes too many"
    )


def test_wrong_engines_are_refused() -> None:
    with pytest.raises(DftError, match="known: aot, tflm"):
        budget(phinet_like(), H743, "glow")
    with pytest.raises(DftError, match="size was not given"):
        budget(phinet_like(), H743, "tflm")
