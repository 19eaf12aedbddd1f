"""The plan as people read it: what runs together, what it needs, and why. Called by `dftiny budget --plan`."""

from __future__ import annotations

import io

from dftiny.plan import Lane, Plan, PlannedSegment


def plan_text(made: Plan, width: int = 120) -> str:
    """A row for each segment, then the lower bound and what is computed twice. Plain text without colours."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("operators")
    for name in ("events", "bytes"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for segment in made.segments:
        table.add_row(
            _operators(segment), f"{len(segment.events):,}", f"{segment.peak_bytes:,}", _why(segment)
        )
    out = io.StringIO()
    console = Console(file=out, width=width, no_color=True, highlight=False)
    console.print(table)
    for line in _footer(made):
        console.print(line, markup=False, soft_wrap=True)
    return out.getvalue().rstrip("\n")


def _operators(segment: PlannedSegment) -> str:
    return " → ".join(_name(lane) for lane in segment.lanes)


def _name(lane: Lane) -> str:
    op = lane.step.op
    table = "+table" if lane.step.table is not None else ""
    return f"{op.index} {op.kind.removesuffix('_2D').lower()}{table}"


def _why(segment: PlannedSegment) -> str:
    limit = f"{segment.limit_bytes:,}"
    if segment.lanes[0].call is None:
        return "whole tensors: it has no row kernel"
    if len(segment.lanes) > 1:
        return f"by rows: apart it would take {segment.apart_bytes:,}, the limit is {limit}"
    if segment.apart_bytes > segment.limit_bytes:
        return f"row by row over its input: whole it would take {segment.apart_bytes:,}, the limit is {limit}"
    return f"whole maps, which are fastest: within {limit}"


def _footer(made: Plan) -> list[str]:
    share = 100 * made.total_bytes / max(made.lower_bound_bytes, 1) - 100
    lines = [
        f"activations {made.total_bytes:,} bytes; lower bound {made.lower_bound_bytes:,} (+{share:.1f} %)",
    ]
    if made.repeats:
        macs = sum(r.macs for r in made.repeats)
        lines.append(f"{len(made.repeats)} maps are computed twice to save memory: {macs:,} MACs more")
    return lines
