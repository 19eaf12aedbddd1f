"""What is too much: constants behind the end of the flash, statics behind the end of their region, and the limits of
one inference (MACs, estimated instructions, estimated milliseconds). Each in one sentence that names the culprit.

Called by budget/__init__.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from dftiny.budget.result import Budget, OpBudget, RegionBudget
from dftiny.errors import DftError
from dftiny.target import Target


@dataclass(frozen=True)
class Limits:
    """Limits of one inference; None = not limited (MACs: the target's default)."""

    macs: int | None = None
    instructions: int | None = None
    ms: float | None = None


def broken(b: Budget, target: Target, limits: Limits) -> list[str]:
    """A sentence for everything that `b` breaks. DftError for a limit of a figure that nobody has."""
    return [
        *_flash(b.regions[0], b.ops),
        *_other_regions(b, target),
        *_macs(b, limits.macs),
        *_instructions(b, limits.instructions),
        *_time(b, limits.ms),
    ]


def _flash(flash: RegionBudget, ops: tuple[OpBudget, ...]) -> list[str]:
    """The operator whose constants pass the end of the flash, laid down in order behind the code."""
    if not flash.over:
        return []
    tail = f"{flash.taken:,} bytes of {flash.total:,}, {flash.over:,} bytes over"
    if flash.application:
        tail += f" ({flash.application:,} of them the application's)"
    end = flash.taken - sum(o.const_bytes for o in ops)
    for op in ops:
        end += op.const_bytes
        if end > flash.total:
            return [
                f"the constants of operator {op.index} ({op.kind}) pass the end of region {flash.name}: {tail}"
            ]
    return [f"code and constants pass the end of region {flash.name}: {tail}"]


def _other_regions(b: Budget, target: Target) -> list[str]:
    """Regions over their end for another cause than activations, which the planner has already judged."""
    arenas = {a.name for a in target.arena_regions}
    out = []
    for r in b.regions[1:]:
        if not r.over or (r.name in arenas and (b.reasons or not r.application)):
            continue
        parts = [("model", r.used), ("stack", r.reserved), ("application", r.application)]
        owners = " and ".join(f"{what} {n:,}" for what, n in parts if n)
        out.append(f"{r.taken:,} bytes of region {r.name} are taken ({owners}): {r.over:,} bytes over")
    return out


def _macs(b: Budget, limit: int | None) -> list[str]:
    if limit is None or b.macs <= limit:
        return []
    op = max(b.ops, key=lambda o: o.macs)
    return [
        f"{b.macs:,} MACs, the limit is {limit:,}: {b.macs - limit:,} over; "
        f"most of them in operator {op.index} ({op.kind}), {op.macs:,}"
    ]


def _instructions(b: Budget, limit: int | None) -> list[str]:
    if limit is None:
        return []
    if b.instructions_estimated is None:
        raise _no_figure("instructions", b)
    if b.instructions_estimated <= limit:
        return []
    op = max(b.ops, key=lambda o: o.instructions or 0)
    over = b.instructions_estimated - limit
    return [
        f"an estimated {b.instructions_estimated:,} instructions, the limit is {limit:,}: {over:,} over; "
        f"most of them in operator {op.index} ({op.kind}), {op.instructions or 0:,}"
    ]


def _time(b: Budget, limit: float | None) -> list[str]:
    if limit is None:
        return []
    if b.ms_estimated is None:
        raise _no_figure("milliseconds", b)
    if b.ms_estimated <= limit:
        return []
    return [
        f"an estimated {b.ms_estimated:,.1f} ms an inference, the limit is {limit:,.1f} (model, never checked on silicon)"
    ]


def _no_figure(what: str, b: Budget) -> DftError:
    return DftError(
        f"{what} cannot be limited: there is no estimate of them for engine {b.engine} on {b.target}",
        "leave that limit out, or use --max-macs",
    )
