"""A planned graph → exact instructions and modelled cycles of each operator, from QEMU. Called by fit.py and check.py."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from costing import trm
from dftiny.budget import region_specs
from dftiny.codegen.model_c import model_c
from dftiny.counting import cycles, profile
from dftiny.counting.cores import Core
from dftiny.counting.engine import ENDLESS, Engine
from dftiny.counting.image import build
from dftiny.counting.listing import disassemble
from dftiny.counting.measure import inputs_for
from dftiny.counting.run import run
from dftiny.graph import Graph
from dftiny.plan import DoesNotFit, Plan, Wishes, costs, plan
from dftiny.target import Target


@dataclass(frozen=True)
class Counted:
    """By operator of the model: instructions, and cycles of the core model. `total`: of the inference."""

    plan: Plan
    total: int
    instructions: dict[int, int]
    cycles: dict[int, float]


@contextmanager
def cheap_planes() -> Iterator[None]:
    """Plans made here lay rows out as planes wherever they may, and not only where that pays."""
    kept = costs._PLANES, costs._PLANES_CHANNEL
    costs._PLANES, costs._PLANES_CHANNEL = {1: 0.0, 2: 0.0}, 0
    try:
        yield
    finally:
        costs._PLANES, costs._PLANES_CHANNEL = kept


def planned(graph: Graph, target: Target, wishes: Wishes) -> Plan:
    """The plan, in one endless region where the target is too small."""
    try:
        return plan(graph, region_specs(target), wishes)
    except DoesNotFit:
        return plan(graph, [ENDLESS], wishes)


def counted(graph: Graph, made: Plan, core: Core, kept: Path) -> Counted:
    """One inference on `core`; `kept` holds compiled kernels from call to call."""
    engine = Engine(
        model_c(graph, made, bundle_digest=bytes(32)), (), made.total_bytes, made.lower_bound_bytes, 0
    )
    with tempfile.TemporaryDirectory(prefix="dftiny-cost-") as temporary:
        folder = Path(temporary)
        image = build(engine, core, folder, kept)
        trace = run(image, core, inputs_for(graph, 1), folder)
        listing = disassemble(image.elf)
    straights = profile.straights(listing, trace.blocks)
    return Counted(made, trace.instructions, trace.ops, _cycles(straights, core))


def _cycles(found: Sequence[profile.Straight], core: Core) -> dict[int, float]:
    """By operator: llvm-mca's on the dual-issue core, the manual's table on the other. Empty without llvm-mca."""
    if core.name == "m4":
        by_op: dict[int, float] = {}
        for one in found:
            each = trm.cycles(one.code)
            for op, times in one.counts.items():
                by_op[op] = by_op.get(op, 0.0) + times * each
        return by_op
    tool = cycles.find_mca()
    if tool is None:
        return {}
    return profile.cycles(found, cycles.Estimator(tool, core, cycles.cache_path())).by_op
