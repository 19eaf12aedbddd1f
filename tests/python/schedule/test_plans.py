"""Plans of the planner, executed symbolically by the checker and held to the lower bound.

Kernels that do not exist yet are stood in for by calls with the same demands (scratch, aux, rows an event, in place), so
that the planner streams whatever it can, and the planner is tested rather than the list of kernels.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from planned import schedule_of
from random_graphs import KINDS, phinet_like, random_graph

from dftiny.graph import Graph, MeanOptions, load
from dftiny.kernels.rows import Choice, RowCall
from dftiny.models import released_model
from dftiny.plan import Plan, RegionSpec, Wishes, lanes, plan
from dftiny.schedule_bound import lower_bound
from dftiny.schedule_check import CheckedSchedule, check
from dftiny.schedule_steps import checked_net
from dftiny.steps import Step

MODELS = sorted((Path(__file__).resolve().parents[3] / "models").glob("*/model.tflite"))
ROOMY = [RegionSpec("axi", 512 << 10), RegionSpec("d2", 288 << 10)]


def pretend_conv(graph: Graph, step: Step, choice: Choice) -> RowCall:
    taps = graph.tensors[step.op.inputs[1]].elements // graph.tensors[step.writes].shape[3]
    return RowCall("f", "s", (), (), scratch_bytes=2 * taps * (choice.block or 32))


def pretend(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    channels = graph.tensors[step.sources[0]].shape[-1]
    match step.op.kind:
        case "CONV_2D":
            return pretend_conv(graph, step, choice)
        case "DEPTHWISE_CONV_2D":
            return RowCall("f", "s", (), (), scratch_bytes=8 * channels, rows=choice.rows or 2)
        case "ADD" | "MUL" | "SUB" | "HARD_SWISH" | "LOGISTIC" | "TABLE":
            return RowCall("f", "s", (), (), in_place=_same_shape(graph, step))
        case "MEAN" if cast(MeanOptions, step.op.options).axes == (1, 2):
            return RowCall("f", "s", (), (), aux_bytes=4 * channels)
    return None


def pretend_flat(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    return pretend_conv(graph, step, choice) if step.op.kind == "CONV_2D" else None


def _same_shape(graph: Graph, step: Step) -> bool:
    return graph.tensors[step.sources[0]].shape == graph.tensors[step.writes].shape


@pytest.fixture
def every_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "row_call", pretend)
    monkeypatch.setattr(lanes, "flat_call", pretend_flat)


def assert_valid(made: Plan) -> CheckedSchedule:
    schedule = schedule_of(made)
    assert check(schedule) == []
    assert lower_bound(checked_net(made.prepared)).bytes <= made.total_bytes
    return schedule


@pytest.mark.usefixtures("every_kernel")
def test_plans_of_random_graphs_are_valid() -> None:
    seen = {"ring": 0, "in place": 0, "aux": 0, "scratch": 0}
    for seed in range(100):
        kinds = [KINDS[(seed * 7 + k * (1 + seed % 5)) % len(KINDS)] for k in range(2 + seed % 6)]
        schedule = assert_valid(plan(random_graph(seed, kinds, live=False), ROOMY))
        seen["ring"] += any(b.slots < b.height for b in schedule.buffers)
        seen["in place"] += any(s.in_place for s in schedule.steps)
        seen["aux"] += any(s.aux is not None for s in schedule.steps)
        seen["scratch"] += any(s.scratch is not None for s in schedule.steps)
    assert min(seen.values()) >= 4, seen


@pytest.mark.usefixtures("every_kernel")
@pytest.mark.parametrize("by_rows", [False, True], ids=["input whole", "input by rows"])
def test_a_plan_with_every_kernel_there_is_valid_and_near_the_bound(by_rows: bool) -> None:
    """Of the small released net: the fixture's kernels know no Shift-Max. All nets with their real kernels come below."""
    made = plan(load(released_model() / "model.tflite"), ROOMY, Wishes(input_by_rows=by_rows))
    schedule = assert_valid(made)
    assert any(b.slots < b.height for b in schedule.buffers)
    if not by_rows:
        assert made.total_bytes < 1.5 * lower_bound(checked_net(made.prepared)).bytes


@pytest.mark.parametrize("model", MODELS, ids=lambda p: p.parent.name)
def test_plans_with_the_kernels_that_there_are(model: Path) -> None:
    made = plan(load(model), ROOMY)
    assert_valid(made)
    assert made.total_bytes <= 1.10 * made.lower_bound_bytes


@pytest.mark.usefixtures("every_kernel")
def test_a_plan_with_a_tensor_moved_is_refused() -> None:
    """Of a packed plan at least some tensors cannot move by four bytes without harm: the check is awake."""
    schedule = schedule_of(plan(phinet_like(3), ROOMY))
    assert check(schedule) == []
    refused = 0
    for k, b in enumerate(schedule.buffers):
        moved = (*schedule.buffers[:k], replace(b, offset=b.offset - 4), *schedule.buffers[k + 1 :])
        refused += check(replace(schedule, buffers=moved)) != []
    assert refused >= 3
