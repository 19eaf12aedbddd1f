"""A short campaign of random nets through the whole engine, the nets that once failed, and tools/campaign itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import engine_campaign
import numpy as np
import pytest
from engine_campaign import Case, Outcome, Runner, make
from graph_file import tflite_bytes
from random_blocks import lively
from random_graphs import Builder

from dftiny import graph as graphs
from dftiny.export import tflm
from dftiny.graph import ConvOptions, Graph
from dftiny.plan import Wishes

TOOL = Path(__file__).resolve().parents[3] / "tools/campaign"
GRAPHS = 40
EMULATOR = all(shutil.which(n) for n in ("qemu-system-arm", "arm-none-eabi-gcc"))


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(tmp_path_factory.mktemp("campaign"))


@pytest.fixture(scope="module")
def outcomes(runner: Runner) -> list[Outcome]:
    in_qemu = frozenset(range(0, GRAPHS, 10)) if EMULATOR else frozenset()
    return runner.batch(range(GRAPHS), in_qemu)


@pytest.mark.slow
def test_random_nets_equal_tflm_through_the_whole_engine(outcomes: list[Outcome]) -> None:
    assert [(o.seed, o.failures) for o in outcomes if o.failures] == []
    assert [o.refused for o in outcomes if o.refused] == []
    assert sum(o.with_tflm for o in outcomes) == (GRAPHS if tflm.available() else 0)
    assert sum(o.in_qemu for o in outcomes) == (GRAPHS // 10 if EMULATOR else 0)


@pytest.mark.slow
def test_the_short_campaign_reaches_what_it_is_for(outcomes: list[Outcome]) -> None:
    """Most nets tell their inputs apart, some stream, and kernels by rows of every kind are run."""
    assert sum(o.flat for o in outcomes) <= GRAPHS // 20
    assert sum(o.streamed for o in outcomes) >= 8
    by_rows = sum((o.by_rows for o in outcomes), start=Counter())
    assert {"dft_conv_rows", "dft_depthwise_rows", "dft_mean_rows", "dft_table_rows"} <= set(by_rows)
    assert len(sum((o.operators for o in outcomes), start=Counter())) >= 20


def test_the_same_seed_is_the_same_net() -> None:
    a, b, other = make(5), make(5), make(9)
    assert a.model == b.model and np.array_equal(a.x, b.x) and a.wishes == b.wishes
    assert a.model != other.model


def case(graph: Graph, wishes: Wishes = Wishes()) -> Case:  # noqa: B008
    model = tflite_bytes(graph)
    return Case(0, graphs.load(model), model, lively(graph.input.shape[1:], 1), wishes, False)


def outcome_of(one: Case, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    monkeypatch.setattr(engine_campaign, "make", lambda _seed: one)
    (found,) = runner.batch([0])
    return found


def conv_then(seed: int, shape: tuple[int, int, int], stride: int) -> Builder:
    b = Builder(seed, (1, *shape))
    w, scales = b.weights((3, 1, 1, shape[2]), 3, 0)
    sizes = [-(-s // stride) for s in shape[:2]]
    out = b.product_out((1, *sizes, 3), scales, shape[2])
    b.op(
        "CONV_2D",
        (b.x, w, b.bias(3, shape[2])),
        out,
        ConvOptions(stride, stride, 1, 1, "SAME", "NONE", 1),
        tune=True,
    )
    return b


def test_a_table_behind_a_view_of_other_rows(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by seed 1078: the table was fused through a RESHAPE of six rows into one, and one row was computed."""
    b = conv_then(3, (6, 2, 5), 1)
    b.reshape((1, 1, 12, 3))
    b.table("HARD_SWISH")
    found = outcome_of(case(b.graph()), runner, monkeypatch)
    assert (found.failures, found.refused, found.flat) == ((), "", False)
    assert sum(found.by_rows.values()) >= 1


def test_input_rows_that_no_window_covers(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by seed 1010: of eight rows the last is never asked for, and every input but the first came out shifted."""
    b = conv_then(4, (8, 3, 5), 2)
    found = outcome_of(case(b.graph(), Wishes(input_by_rows=True)), runner, monkeypatch)
    assert (found.failures, found.refused, found.flat) == ((), "", False)
    assert found.by_rows["dft_aot_input_row"] == 1


def test_a_wrong_bit_and_a_wrong_oracle_are_seen(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    one = case(conv_then(3, (6, 4, 5), 1).graph())
    real = engine_campaign.int8.run
    monkeypatch.setattr(
        engine_campaign.int8, "run", lambda g, x: real(g, x) ^ (np.arange(18 * 4).reshape(6, 4, 3) == 7)
    )
    found = outcome_of(one, runner, monkeypatch)
    places = [where for where, _ in found.failures]
    assert places == (["oracle", "host"] if tflm.available() else ["host"])
    assert all("5 of 360 bytes differ, by up to 1" in why for _, why in found.failures)


def test_a_model_that_tflm_refuses_is_counted_apart(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    one = case(conv_then(3, (6, 4, 5), 1).graph())
    found = outcome_of(replace(one, model=one.model[:200]), runner, monkeypatch)
    assert not found.with_tflm and found.failures == ()


def test_a_bug_of_the_planner_is_a_failure_of_its_net(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("no way")

    monkeypatch.setattr(engine_campaign, "planned", broken)
    found = outcome_of(case(conv_then(3, (6, 4, 5), 1).graph()), runner, monkeypatch)
    assert found.failures == (("planner", "AssertionError: no way"),)
    assert found.refused == ""


def campaign(*arguments: str | Path) -> list[str]:
    return [sys.executable, str(TOOL), "engine", *map(str, arguments)]


@pytest.mark.slow
def test_stopped_and_taken_up_again_it_counts_every_net_once(tmp_path: Path) -> None:
    record = tmp_path / "engine.json"
    command = campaign("--graphs", "60", "--qemu", "0", "--output", record)
    # A shell's background job ignores SIGINT, and its children inherit that: start from the default.
    first = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )
    deadline = time.monotonic() + 300
    while not record.exists() and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=120)
    assert first.returncode == 130, said
    assert "goes on from the last batch" in said
    half = json.loads(record.read_text())
    assert 20 <= half["next_seed"] < 60 and half["counts"]["tested"] == half["next_seed"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    whole = json.loads(record.read_text())
    assert whole["counts"]["tested"] == whole["next_seed"] == 60
    assert whole["failures"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--graphs", "0"), "makes no sense"), (("--graphs", "5", "--qemu", "6"), "makes no sense")],
)
def test_wrong_use_is_one_sentence(arguments: tuple[str, ...], words: str) -> None:
    done = subprocess.run(campaign(*arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr and done.stderr.count("\n") == 1


def test_without_a_compiler_it_says_so() -> None:
    env = {**os.environ, "PATH": "/nowhere"}
    done = subprocess.run(
        campaign("--graphs", "5", "--qemu", "1"), capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 2
    assert done.stderr.startswith("tools/campaign: not installed: gcc")
