"""The ahead-of-time engine's need: weights, tables and parameters counted by the C generator itself, activations by
the planner that the firmware uses, and code from measurements (code_size.py). Called by budget/__init__.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from dftiny.budget.need import EngineNeed
from dftiny.code_size import CodeSizes, load_code_sizes, run_bytes
from dftiny.graph import Graph
from dftiny.kernels.count import model_code
from dftiny.plan import DoesNotFit, Plan, RegionSpec, Wishes, plan
from dftiny.target import NULL_BYTES, Target
from dftiny.vectors import vectors_of

# Each arena costs a name, a region record and a need record in flash, beyond the base measured with one arena.
_ARENA_FLASH_BYTES = 32


def region_specs(target: Target) -> tuple[RegionSpec, ...]:
    """The target's arenas as the planner takes them, and last what may lie beside stack and statics."""
    arenas = tuple(RegionSpec(r.name, r.bytes - r.stack_bytes, r.align) for r in target.arena_regions)
    tight = target.tight_region
    return (
        arenas
        if tight is None
        else (*arenas, RegionSpec(tight.name, tight.tight_bytes, tight.align, tight=True))
    )


def aot_need(graph: Graph, target: Target, wishes: Wishes) -> tuple[EngineNeed, Plan]:
    """The need, and the plan it was counted from: where none fits, one for memory without end. DftError for an
    operator that the engine cannot run."""
    sizes = load_code_sizes()
    base = sizes.base_of(target.name)
    layout, arenas, reasons = _activations(graph, target, wishes)
    code = model_code(layout)
    tried = vectors_of(layout)
    functions = {*code.functions, *(name for v in tried for name in v.functions)}
    code_bytes = base.flash_bytes + sizes.kernels(functions, target.core)
    code_bytes += (
        code.selftest_bytes
        + sum(v.bytes for v in tried)
        + run_bytes(code)
        + _ARENA_FLASH_BYTES * (len(arenas) - 1)
    )
    assumed = f"code size was not measured for {target.name}: the largest known one is assumed"
    need = EngineNeed(
        arenas=arenas,
        activations=sum(arenas.values()),
        lower_bound=layout.lower_bound_bytes,
        base=base,
        code=code_bytes,
        code_from="measured" if base.measured else "assumed",
        const=code.const,
        op_const=code.op_bytes,
        op_live=_live(layout),
        reasons=reasons,
        notes=() if base.measured else (assumed,),
        plan=None if reasons else layout,
        copied=_copied(target, sizes, sorted(functions)),
    )
    return need, layout


def _copied(target: Target, sizes: CodeSizes, functions: Sequence[str]) -> dict[str, int]:
    """Code that is copied to RAM at start, with the bytes at address 0 that stay empty (codegen/linker_ld.py)."""
    out = {}
    for r in target.regions:
        if r.code:
            empty = NULL_BYTES if r.origin == 0 else 0
            out[r.name] = empty + sizes.copied(functions, r.code)
    return out


def _activations(
    graph: Graph, target: Target, wishes: Wishes
) -> tuple[Plan, dict[str, int], tuple[str, ...]]:
    """The plan and bytes by region. Where none fits, the plan for memory without end, and a reason that says which
    region, the largest, would have to grow by how much."""
    specs = region_specs(target)
    try:
        layout = plan(graph, specs, wishes)
    except DoesNotFit as e:
        return e.closest, {e.region: e.closest.total_bytes}, (e.reason,)
    return layout, dict(layout.region_bytes), ()


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
