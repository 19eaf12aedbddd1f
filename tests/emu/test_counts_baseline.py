"""The counts that were agreed on: the released model still keeps to them, and a figure that grew is told from noise."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_counts import ROOT, tool

from dftiny import graph, int8
from dftiny.counting import baseline
from dftiny.counting.measure import Counts, OpCounts, inputs_for
from dftiny.errors import DftError
from dftiny.models import released

sys.path.insert(0, str(ROOT / "tests" / "baselines"))
from counted_nets import NETS

pytestmark = pytest.mark.emu
FILE = ROOT / "tests" / "baselines" / "counts.json"

COUNTS = Counts(
    model="a net", core="m7", target="stm32h743", misfit="", macs=10, instructions=10_000, highest=10_000, rest=10,
    ops=(OpCounts(0, "x", "CONV_2D", 10, 4000, None), OpCounts(1, "y", "CONV_2D", 0, 5990, None)),
    classes={}, functions={}, spills=0, spills_of={}, cycles_modelled=None, cycles_guessed_blocks=0, hot=(), code_bytes=1000,
    const_bytes=100, weight_bytes=50, wide_bytes=0, output_channels=3, table_bytes=0, ram_bytes=500, lower_bound_bytes=500, stack_bytes=200, inputs=1,
    compared_with="TFLM", bit_exact=True,
)  # fmt: skip


@pytest.mark.parametrize("name", [name for name, _ in released()])
def test_released_models_keep_to_the_baseline(name: str) -> None:
    done = tool("--check", name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{name} " in done.stdout and " instructions, " in done.stdout


@pytest.mark.slow
def test_small_nets_keep_to_the_baseline() -> None:
    done = tool("--check", "--inputs", "2", *NETS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" instructions, ") == len(NETS) >= 6


def test_the_file_holds_every_model_with_a_reason() -> None:
    value = json.loads(FILE.read_text(encoding="utf-8"))
    assert set(value["models"]) == {name for name, _ in released()} | set(NETS)
    for entry in value["models"].values():
        assert len(entry["reason"]) > 10
        assert set(baseline.FIGURES) < set(entry["figures"])
        assert any(name.startswith("instructions of ") for name in entry["figures"])


def test_the_small_nets_answer_differently_to_different_inputs() -> None:
    for name, make in NETS.items():
        found = graph.load(make())
        answers = int8.run(found, inputs_for(found, 4))
        assert len({a.tobytes() for a in answers}) >= 3, name


def agreed(counts: Counts, where: Path) -> Path:
    baseline.update(where / "counts.json", [counts], "a first measurement")
    return where / "counts.json"


@pytest.mark.parametrize(
    ("figure", "change"),
    [
        ("instructions", {"instructions": 10_201}),
        ("code_bytes", {"code_bytes": 1021}),
        ("const_bytes", {"const_bytes": 103}),
        ("ram_bytes", {"ram_bytes": 511}),
        ("stack_bytes", {"stack_bytes": 208}),
        ("instructions of CONV_2D", {"ops": (replace(COUNTS.ops[0], instructions=4300), COUNTS.ops[1])}),
        ("instructions of MUL", {"ops": (*COUNTS.ops, OpCounts(2, "z", "MUL", 1, 11, None))}),
    ],
)
def test_more_than_two_percent_is_worse(figure: str, change: dict[str, int], tmp_path: Path) -> None:
    file = agreed(COUNTS, tmp_path)
    assert baseline.compare(baseline.load(file), [COUNTS]) == []
    (found,) = baseline.compare(baseline.load(file), [replace(COUNTS, **change)])
    assert (found.figure, found.worse) == (figure, True)
    assert figure in str(found)


def test_less_or_little_more_is_told_but_not_worse(tmp_path: Path) -> None:
    file = agreed(COUNTS, tmp_path)
    tiny = OpCounts(2, "z", "MUL", 1, 10, None)  # 0.1 % of all, though nothing was there before
    now = replace(COUNTS, instructions=10_199, code_bytes=900, ops=(tiny,))
    found = {c.figure: c for c in baseline.compare(baseline.load(file), [now])}
    assert set(found) == {"instructions", "code_bytes", "instructions of CONV_2D", "instructions of MUL"}
    assert not any(c.worse for c in found.values())
    assert "(-10.0 %)" in str(found["code_bytes"])


def test_a_model_without_agreed_counts_is_worse(tmp_path: Path) -> None:
    file = agreed(COUNTS, tmp_path)
    another = replace(COUNTS, model="another")
    found = baseline.compare(baseline.load(file), [another])
    assert len(found) == len(baseline.figures(COUNTS)) == 6 and all(c.worse for c in found)


def test_an_update_needs_a_reason_and_keeps_what_did_not_change(tmp_path: Path) -> None:
    file = agreed(COUNTS, tmp_path)
    other = replace(COUNTS, model="another")
    with pytest.raises(DftError, match="needs a reason"):
        baseline.update(file, [other], " ")
    baseline.update(file, [COUNTS, other], "a second model")
    baseline.update(file, [replace(other, code_bytes=1)], "smaller code")
    models = json.loads(file.read_text(encoding="utf-8"))["models"]
    assert [models[n]["reason"] for n in ("a net", "another")] == ["a first measurement", "smaller code"]
    assert models["another"]["figures"]["code_bytes"] == 1


def test_counts_of_another_compiler_are_not_compared(tmp_path: Path) -> None:
    file = agreed(COUNTS, tmp_path)
    file.write_text(file.read_text(encoding="utf-8").replace(baseline.compiler(), "1.2.3"), encoding="utf-8")
    with pytest.raises(DftError, match=r"made with gcc 1\.2\.3"):
        baseline.load(file)


def test_inputs_are_those_that_were_promised() -> None:
    found = graph.load(NETS["stem"]())
    x = inputs_for(found, 6)
    assert x.shape == (6, 64, 64, 3) and x.dtype == np.int8
    assert (x[1] == -128).all() and (x[2] == 127).all()
    assert x[3].reshape(-1)[:4].tolist() == [-128, 127, -128, 127]
    assert not np.array_equal(x[0], x[4]) and not np.array_equal(x[4], x[5])
    assert all(len(inputs_for(found, n)) == n for n in range(1, 7))
