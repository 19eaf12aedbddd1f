"""Does a model fit a target? Flash, RAM by region, MACs, by operator, from the graph alone: no build needed.

Weights, tables and parameters are counted by the C generator itself, activations by the planner that the firmware
uses, and code comes from measurements (code_size.py): what `budget` says is what the linker then needs, a little
more and never less. Called by the CLI, the export and the report. Never imports torch or tensorflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dftiny.budget.result import Budget, OpBudget, RegionBudget
from dftiny.code_size import Base, load_code_sizes, run_bytes
from dftiny.errors import DftError
from dftiny.graph import Graph, load, macs
from dftiny.kernels.count import ModelCode, model_code
from dftiny.plan import DEFAULT_WISHES, DoesNotFit, Plan, RegionSpec, Wishes, plan
from dftiny.target import Region, Target, load_target

__all__ = ["Budget", "OpBudget", "RegionBudget", "budget", "budget_file", "region_specs"]

# Per operator of the model the firmware keeps one tick count (dft_op_ticks in regions.c).
_TICK_BYTES = 4
# Each arena costs a name, a region record and a need record in flash, beyond the base measured with one arena.
_ARENA_FLASH_BYTES = 32


def region_specs(target: Target) -> tuple[RegionSpec, ...]:
    """The target's arenas as the planner takes them."""
    return tuple(RegionSpec(r.name, r.bytes - r.stack_bytes, r.align) for r in target.arena_regions)


def budget(
    graph: Graph,
    target: Target,
    engine: str = "aot",
    *,
    max_macs: int | None = None,
    wishes: Wishes = DEFAULT_WISHES,
) -> Budget:
    """Predict what `graph` needs on `target` with `engine` ("aot").

    `max_macs` overrides the target's limit of one inference, `wishes` are the planner's. Raises DftError when the engine cannot run an
    operator; a model that is too large is no error here but has `reasons`.
    """
    if engine != "aot":
        raise DftError(f"there is no budget for engine {engine!r}", "use the aot engine")
    sizes = load_code_sizes()
    base = sizes.base_of(target.name)
    reasons: list[str] = []
    layout, region_bytes = _activations(graph, target, reasons, wishes)
    placed = not reasons
    code = model_code(layout)
    code_bytes = base.flash_bytes + sizes.kernels(code.functions)
    code_bytes += run_bytes(code) + _ARENA_FLASH_BYTES * (len(region_bytes) - 1)
    regions = _regions(graph, target, region_bytes, code_bytes + code.const.total, base)
    ops = _ops(graph, layout, code)
    reasons += _flash_reasons(regions[0], ops) + _statics_reasons(regions, target)
    limit = target.max_macs if max_macs is None else max_macs
    total_macs = sum(o.macs for o in ops)
    reasons += _mac_reasons(total_macs, limit, ops)
    ram = [r for r in regions if r.kind == "ram"]
    result = Budget(
        model=graph.name,
        target=target.name,
        engine=engine,
        flash_bytes=regions[0].used,
        flash_total_bytes=target.flash_total_bytes,
        ram_bytes=sum(region_bytes.values()),
        arena_bytes=sum(region_bytes.values()),
        ram_used_bytes=sum(r.used + r.reserved for r in ram),
        ram_total_bytes=target.ram_total_bytes,
        lower_bound_bytes=layout.lower_bound_bytes,
        code_bytes=code_bytes,
        code_measured=base.measured,
        const=code.const,
        stack_bytes=target.statics_region.stack_bytes,
        macs=total_macs,
        max_macs=limit,
        regions=regions,
        ops=ops,
        reasons=tuple(reasons),
        plan=layout if placed else None,
    )
    return with_estimates(result, graph, layout, target)


def with_estimates(b: Budget, graph: Graph, layout: Plan, target: Target) -> Budget:
    """`b` with the cost model's figures of the operators and of the net: the one place where they are filled in.

    Without a cost model every estimate stays None: a figure that nobody has is absent, not zero.
    """
    del graph, layout, target
    return b


def budget_file(
    path: Path,
    target_name: str = "stm32h743",
    *,
    engine: str = "aot",
    max_macs: int | None = None,
    wishes: Wishes = DEFAULT_WISHES,
) -> Budget:
    """The budget of a .tflite file or of a bundle folder. Raises DftError for whatever cannot be read."""
    model = path
    if path.is_dir():
        model = path / "model.tflite"
        if not model.is_file():
            raise DftError(
                f"{path} holds no model.tflite", "give a .tflite file or the folder that dftiny export wrote"
            )
    target = load_target(target_name)
    return budget(load(model), target, engine, max_macs=max_macs, wishes=wishes)


def _activations(
    graph: Graph, target: Target, reasons: list[str], wishes: Wishes
) -> tuple[Plan, dict[str, int]]:
    """The plan and bytes by region. Where none fits, the plan for memory without end, and a reason that says which
    region, the largest, would have to grow by how much."""
    specs = region_specs(target)
    try:
        layout = plan(graph, specs, wishes)
    except DoesNotFit as e:
        reasons.append(e.reason)
        endless = RegionSpec(e.region, 1 << 40, target.region(e.region).align)
        layout = plan(graph, [endless], replace(wishes, limit_bytes=None, slack=0.0))
        return layout, {e.region: layout.total_bytes}
    return layout, dict(layout.region_bytes)


def _regions(
    graph: Graph, target: Target, arenas: Mapping[str, int], flash_bytes: int, base: Base
) -> tuple[RegionBudget, ...]:
    """Every region of the target, flash first."""

    def used(r: Region) -> int:
        statics = base.statics_bytes + _TICK_BYTES * max(len(graph.ops), 1)
        return arenas.get(r.name, 0) + (statics if r is target.statics_region else 0)

    flash = target.flash
    out = [RegionBudget(flash.name, flash.kind, flash_bytes, 0, flash.bytes)]
    out += [
        RegionBudget(r.name, r.kind, used(r), r.stack_bytes, r.bytes)
        for r in target.regions
        if r.kind == "ram"
    ]
    return tuple(out)


def _ops(graph: Graph, layout: Plan, code: ModelCode) -> tuple[OpBudget, ...]:
    """All operators; those that became views, part of a window or a table behind another one need nothing and keep
    nothing alive. `live_bytes`: everything in memory while any row of the operator is computed, at most."""
    live = _live(layout)
    return tuple(
        OpBudget(
            index=op.index,
            kind=op.kind,
            name=graph.tensors[op.outputs[0]].name,
            macs=macs(graph, op),
            const_bytes=code.op_bytes.get(op.index, 0),
            live_bytes=live.get(op.index, 0),
        )
        for op in graph.ops
    )


def _live(layout: Plan) -> dict[int, int]:
    """Bytes of all buffers alive in a segment, for each operator that runs in it."""
    live: dict[int, int] = {}
    start = 0
    buffers = {(p.region, p.offset, p.bytes, p.first, p.last) for p in layout.placements}
    for segment in layout.segments:
        end = start + len(segment.events) - 1
        total = sum(b[2] for b in buffers if b[3] <= end and b[4] >= start)
        total = min(total, layout.total_bytes)
        live |= {lane.step.op.index: total for lane in segment.lanes}
        start = end + 1
    return live


def _flash_reasons(flash: RegionBudget, ops: tuple[OpBudget, ...]) -> list[str]:
    """The operator whose constants pass the end of the flash, laid down in order behind the code."""
    if not flash.over:
        return []
    end = flash.used - sum(o.const_bytes for o in ops)
    for op in ops:
        end += op.const_bytes
        if end > flash.total:
            return [
                f"the constants of operator {op.index} ({op.kind}) pass the end of region {flash.name}: "
                f"{flash.used:,} bytes of {flash.total:,}, {flash.over:,} bytes over"
            ]
    return [f"code alone takes {flash.used:,} bytes of region {flash.name}: {flash.over:,} bytes over"]


def _statics_reasons(regions: tuple[RegionBudget, ...], target: Target) -> list[str]:
    r = next(r for r in regions if r.name == target.statics_region.name)
    if not r.over or r.name in {a.name for a in target.arena_regions}:
        return []
    return [f"statics and stack take {r.used + r.reserved:,} bytes of region {r.name}: {r.over:,} bytes over"]


def _mac_reasons(total: int, limit: int, ops: tuple[OpBudget, ...]) -> list[str]:
    if total <= limit:
        return []
    op = max(ops, key=lambda o: o.macs)
    return [
        f"{total:,} MACs, the limit is {limit:,}: {total - limit:,} over; "
        f"most of them in operator {op.index} ({op.kind}), {op.macs:,}"
    ]
