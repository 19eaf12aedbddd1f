"""Does a model fit a target? Flash, RAM by region, MACs, by operator, from the graph alone: no build needed.

aot.py and tflm.py say what the engines need, limits.py what is too much, elf.py puts a linked firmware's figures in
their place: what `budget` says is what the linker then needs, a little more and never less. Called by the CLI, the
export and the report. Never imports torch or tensorflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dftiny.budget.aot import aot_need, region_specs
from dftiny.budget.limits import Limits, broken
from dftiny.budget.linked import with_linked
from dftiny.budget.need import EngineNeed
from dftiny.budget.reserve import beside
from dftiny.budget.result import Budget, OpBudget, RegionBudget
from dftiny.budget.tflm import tflm_need
from dftiny.cost import core_of, estimate
from dftiny.errors import DftError
from dftiny.graph import Graph, load, macs
from dftiny.plan import DEFAULT_WISHES, Plan, Wishes
from dftiny.target import Target, load_target
from dftiny.verdict import file as verdicts

ENGINES = ("aot", "tflm")
NOTHING: Mapping[str, int] = {}

__all__ = [
    "ENGINES",
    "Budget",
    "Limits",
    "OpBudget",
    "RegionBudget",
    "budget",
    "budget_file",
    "model_file",
    "region_specs",
    "verdict_bytes",
]


def budget(
    graph: Graph,
    target: Target,
    engine: str = "aot",
    *,
    max_macs: int | None = None,
    limits: Limits | None = None,
    wishes: Wishes = DEFAULT_WISHES,
    file_bytes: int | None = None,
    verdict_bytes: int = 0,
    application: Mapping[str, int] = NOTHING,
    elf: Path | None = None,
    core: str | None = None,
) -> Budget:
    """Predict what `graph` needs on `target` with `engine` ("aot" or "tflm").

    `max_macs` or `limits` override the target's limit of one inference, `wishes` are the aot planner's, `file_bytes`
    is the size of the .tflite file, which tflm keeps in flash, `verdict_bytes` that of the tables of the model's
    verdict, `application` what the user's own firmware takes of each region, in bytes, `elf` a firmware already linked
    with this model, `core` (m7, m4) what speed is estimated for. Raises DftError when the engine cannot run an
    operator; a model that is too large is no error here but has `reasons`.
    """
    lent = beside(target, application) if application else target
    need, layout = _need(graph, lent, engine, wishes, file_bytes)
    need = replace(need, const=replace(need.const, tables=need.const.tables + verdict_bytes))
    result = _assembled(graph, target, engine, need, application)
    if elf is not None:
        result = with_linked(result, elf, target)
    if layout is not None:
        result = with_estimates(result, graph, layout, target, core)
    asked = limits or Limits()
    macs_limit = next(m for m in (asked.macs, max_macs, target.max_macs) if m is not None)
    result = replace(result, max_macs=macs_limit)
    return replace(result, reasons=(*need.reasons, *broken(result, target, replace(asked, macs=macs_limit))))


def with_estimates(b: Budget, graph: Graph, layout: Plan, target: Target, core: str | None = None) -> Budget:
    """`b` with the cost model's figures of the operators and of the net: the one place where they are filled in.
    `core` (m7, m4) stands for the target's processor, with memory of no chip in particular where that is another; None
    takes the nearest one that is modelled."""
    own = core_of(target.core)
    guess = estimate(graph, layout, core or own, target.name if core in (None, own) else "")
    ops = tuple(
        replace(o, instructions=guess.ops.get(o.index), cycles=guess.op_cycles.get(o.index)) for o in b.ops
    )
    return replace(
        b,
        ops=ops,
        instructions_estimated=guess.instructions,
        cycles_estimated=guess.cycles,
        ms_estimated=None if target.mhz is None else round(guess.ms(target.mhz), 3),
        estimate_note=guess.note,
    )


def budget_file(
    path: Path,
    target_name: str = "stm32h743",
    *,
    engine: str = "aot",
    max_macs: int | None = None,
    wishes: Wishes = DEFAULT_WISHES,
    core: str | None = None,
) -> Budget:
    """The budget of a .tflite file or of a bundle folder. Raises DftError for whatever cannot be read."""
    model = model_file(path)
    target = load_target(target_name)
    graph = load(model)
    size = model.stat().st_size
    return budget(
        graph,
        target,
        engine,
        max_macs=max_macs,
        wishes=wishes,
        file_bytes=size,
        verdict_bytes=verdict_bytes(path, graph),
        core=core,
    )


def verdict_bytes(path: Path, graph: Graph) -> int:
    """Tables of the verdict that the export takes up with a model: it lies in the same folder."""
    beside = (path if path.is_dir() else path.parent) / verdicts.NAME
    if model_file(path).name != "model.tflite" or not beside.is_file():
        return 0
    return verdicts.load_verdict(beside).model(graph.output.scale, graph.output.zero_point).flash_bytes


def model_file(path: Path) -> Path:
    """The .tflite file that a path given by the user means. DftError for nothing, and for a folder that holds none."""
    if not path.exists():
        raise DftError(
            f"there is nothing at {path}", "run dftiny export first, or give a .tflite file or a bundle"
        )
    if not path.is_dir():
        return path
    model = path / "model.tflite"
    if not model.is_file():
        raise DftError(
            f"{path} holds no model.tflite", "give a .tflite file or the folder that dftiny export wrote"
        )
    return model


def _need(
    graph: Graph, target: Target, engine: str, wishes: Wishes, file_bytes: int | None
) -> tuple[EngineNeed, Plan | None]:
    if engine == "aot":
        return aot_need(graph, target, wishes)
    if engine != "tflm":
        raise DftError(f"there is no budget for engine {engine!r}", f"known: {', '.join(ENGINES)}")
    if file_bytes is None:
        raise DftError("TFLM keeps the .tflite file in flash, whose size was not given", "give the file")
    return tflm_need(graph, target, file_bytes), None


def _assembled(
    graph: Graph, target: Target, engine: str, need: EngineNeed, application: Mapping[str, int]
) -> Budget:
    """The need as a Budget that nobody has judged yet."""
    regions = tuple(replace(r, application=application.get(r.name, 0)) for r in _regions(graph, target, need))
    ops = _ops(graph, need)
    ram = [r for r in regions if r.kind == "ram"]
    return Budget(
        model=graph.name,
        target=target.name,
        engine=engine,
        flash_bytes=None if need.code is None else regions[0].used,
        flash_total_bytes=target.flash_total_bytes,
        ram_bytes=need.activations,
        arena_bytes=sum(need.arenas.values()),
        ram_used_bytes=sum(r.used + r.reserved for r in ram),
        ram_total_bytes=target.ram_total_bytes,
        lower_bound_bytes=need.lower_bound,
        code_bytes=need.code,
        code_from=need.code_from,
        const=need.const,
        stack_bytes=target.statics_region.stack_bytes,
        macs=sum(o.macs for o in ops),
        max_macs=target.max_macs,
        regions=regions,
        ops=ops,
        reasons=need.reasons,
        plan=need.plan,
        notes=need.notes,
    )


def _regions(graph: Graph, target: Target, need: EngineNeed) -> tuple[RegionBudget, ...]:
    """Every region of the target, flash first."""
    known = need.code is not None
    statics = target.statics_region.name
    other = [need.arenas, need.copied, {statics: need.statics(len(graph.operators))}]
    if not need.reasons:
        other.append(_staging(graph, target, need))
    flash = target.flash
    out = [RegionBudget(flash.name, flash.kind, need.flash, 0, flash.bytes, complete=known)]
    for r in target.regions:
        if r.kind == "ram":
            used = sum(o.get(r.name, 0) for o in other)
            out.append(
                RegionBudget(
                    r.name, r.kind, used, r.stack_bytes, r.bytes, complete=known or r.name != statics
                )
            )
    return tuple(out)


def _staging(graph: Graph, target: Target, need: EngineNeed) -> dict[str, int]:
    """Where the firmware receives the next input while one is computed: a region with room for it, or nowhere."""
    found = target.staging_region(need.arenas, graph.input.nbytes)
    if found is None:
        return {}
    size = graph.input.nbytes
    # Beside an arena it may come first, and the arena behind it is aligned.
    return {found.name: -(-size // found.align) * found.align if need.arenas.get(found.name) else size}


def _ops(graph: Graph, need: EngineNeed) -> tuple[OpBudget, ...]:
    """All operators; those that became views, part of a window or a table behind another one need nothing and keep
    nothing alive. `live_bytes`: everything in memory while any row of the operator is computed, at most."""
    return tuple(
        OpBudget(
            index=op.index,
            kind=op.kind,
            name=graph.tensors[op.outputs[0]].name,
            macs=macs(graph, op),
            const_bytes=need.op_const.get(op.index, 0),
            live_bytes=need.op_live.get(op.index, 0),
        )
        for op in graph.operators
    )
