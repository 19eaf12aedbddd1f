"""A model's engine as C text, with the few facts about it that no compiler can tell.

All that the counting knows of planner and generator is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dftiny.budget import region_specs
from dftiny.codegen.model_c import model_c
from dftiny.graph import Graph, macs
from dftiny.kernels.count import distinct_constants
from dftiny.plan import DEFAULT_WISHES, DoesNotFit, Plan, RegionSpec, Wishes, plan
from dftiny.target import Target

TABLE_ENTRIES = 256
# Where a model is planned that the chip cannot hold: still worth counting, and said so. Less than the board's PSRAM.
ENDLESS = RegionSpec("endless", 12 << 20, 32)


@dataclass(frozen=True)
class OpFacts:
    """An operator as the engine runs it: its index in the model, kind, name of what it computes, products."""

    index: int
    kind: str
    name: str
    macs: int


@dataclass(frozen=True)
class Engine:
    """`files` are C sources and headers by name. `misfit` says why the model does not fit the target, or nothing."""

    files: Mapping[str, str]
    ops: tuple[OpFacts, ...]
    ram_bytes: int
    lower_bound_bytes: int
    wide_bytes: int
    misfit: str = ""
    table_bytes: int = 0


def generate(graph: Graph, target: Target, wishes: Wishes = DEFAULT_WISHES) -> Engine:
    """Plan `graph` for `target`, or in one endless block when it does not fit, and write its C."""
    misfit = ""
    try:
        made = plan(graph, region_specs(target), wishes)
    except DoesNotFit as e:
        misfit = e.reason
        made = plan(graph, [ENDLESS], wishes)
    return Engine(
        model_c(graph, made, bundle_digest=bytes(32)),
        _ops(made),
        made.total_bytes,
        made.lower_bound_bytes,
        sum(lane.call.wide_bytes for lane in made.lanes if lane.call is not None),
        misfit,
        _table_bytes(made),
    )


def _table_bytes(made: Plan) -> int:
    """Bytes of the tables of pointwise functions: one entry for each of 256 values, equal ones once."""
    found = distinct_constants(made).values()
    return sum(c.nbytes for c in found if c.role == "tables" and len(c.values) == TABLE_ENTRIES)


def _ops(made: Plan) -> tuple[OpFacts, ...]:
    """What the engine's hook can name, in order of the model."""
    graph = made.prepared.graph
    found: dict[int, OpFacts] = {}
    for lane in made.lanes:
        op = lane.step.op
        before = found[op.index].macs if op.index in found else 0  # a map that is computed twice
        name = graph.tensors[lane.step.writes].name
        found[op.index] = OpFacts(op.index, op.kind, name, before + macs(graph, op))
    return tuple(found[i] for i in sorted(found))
