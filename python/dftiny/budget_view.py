"""The budget as people and programs read it: two lines a user knows, MACs, regions, operators; or one JSON object.

Also the table of targets. Called by the CLI (`dftiny budget`, `dftiny targets`) and the export. rich is imported
only where a table is drawn.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from dftiny.budget import Budget, OpBudget
from dftiny.budget.whatif import Question, answers
from dftiny.cost import LABEL
from dftiny.errors import CheckFailed, DftError
from dftiny.plan_view import plan_text
from dftiny.report.budget_files import BudgetFiles, write_budget_files
from dftiny.report.growth import growth, growth_text
from dftiny.target import all_targets

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

KB = 1024
_TOP_OPS = 12


def budget_command(
    question: Question,
    *,
    as_json: bool = False,
    show_plan: bool = False,
    files: BudgetFiles | None = None,
    compare: Path | None = None,
    max_growth: float | None = None,
) -> None:
    """`dftiny budget`: print the budget of a .tflite file or bundle folder on stdout, or a table of several.

    `compare` is another model, the old one, to stand beside it. Raises DftError for bad input and CheckFailed, after
    printing and writing `files`, when something does not fit or grew by more than `max_growth` percent.
    """
    written = files is not None and any((files.html, files.junit, files.sarif))
    if question.count > 1 and (written or compare is not None or show_plan):
        raise DftError(
            f"{question.count} budgets were asked for, but --plan, --compare and files are about one",
            "give one --tile, --target and --engine",
        )
    found = answers(question)
    if len(found) > 1:
        _print_many(found, as_json)
        return
    result = found[0]
    value = result.as_json()
    grown: tuple[str, ...] = ()
    if show_plan and result.plan is not None:
        print(plan_text(result.plan))
    if compare is not None:
        (old,) = answers(replace(question, model=compare, elf=None))
        change = growth(old, result)
        value["compared"] = change.as_json()
        grown = () if max_growth is None else change.beyond(max_growth)
        if not as_json:
            print(growth_text(old, result, change))
    print(json.dumps(value, indent=1, sort_keys=True) if as_json else budget_text(result))
    sys.stdout.flush()
    for path in () if files is None else write_budget_files(result, question.model, files, grown):
        print(f"written: {path}", file=sys.stderr)
    result.require()
    if grown:
        raise CheckFailed("; ".join(grown), "make it smaller, or allow more with --max-growth")


def _print_many(found: Sequence[Budget], as_json: bool) -> None:
    """All of them; CheckFailed with how many do not fit."""
    value = {"budgets": [b.as_json() for b in found]}
    print(json.dumps(value, indent=1, sort_keys=True) if as_json else many_text(found))
    sys.stdout.flush()
    failed = [b for b in found if not b.fits]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(found)} do not fit", "see the reasons above")


def many_text(found: Sequence[Budget]) -> str:
    """One line a budget, and behind the table why some do not fit and what the figures leave out."""
    from rich.console import Console

    table = _table("model", "target", "engine", "flash", "RAM", "arena", "MACs", "instr.", "ms", "fits")
    for b in found:
        table.add_row(*_cells(b))
    out = io.StringIO()
    console = Console(file=out, width=180, no_color=True, highlight=False, emoji=False)
    console.print(table)
    for b in found:
        for reason in b.reasons:
            line = f"{_short(b)} does not fit {b.target} ({b.engine}): {reason}"
            console.print(line, markup=False, soft_wrap=True)
    for note in dict.fromkeys(n for b in found for n in b.notes):
        console.print(note, markup=False, soft_wrap=True)
    if any(b.ms_estimated is not None for b in found):
        console.print(f"instructions and ms: {LABEL}", markup=False, soft_wrap=True)
    return out.getvalue().rstrip("\n")


def _short(b: Budget) -> str:
    return PurePath(b.model).name


def _cells(b: Budget) -> tuple[str, ...]:
    floor = "" if b.flash_bytes is not None else "≥ "
    instructions = "–" if b.instructions_estimated is None else f"{b.instructions_estimated / 1e6:,.1f} M"
    ms = "–" if b.ms_estimated is None else f"{b.ms_estimated:,.1f}"
    sizes = (f"{floor}{b.regions[0].used:,}", f"{b.ram_used_bytes:,}", f"{b.arena_bytes:,}")
    macs = f"{b.macs / 1e6:,.1f} M"
    return _short(b), b.target, b.engine, *sizes, macs, instructions, ms, "yes" if b.fits else "no"


def headline(b: Budget) -> list[str]:
    """The lines a user knows: flash, RAM, MACs."""
    return [
        _share("Flash", b.regions[0].used, b.flash_total_bytes, floor=b.flash_bytes is None),
        _share("RAM", b.ram_used_bytes, b.ram_total_bytes),
        f"MACs  {b.macs / 1e6:,.2f} M of {b.max_macs / 1e6:,.0f} M ({100 * b.macs / b.max_macs:.1f} %) an inference",
    ]


def budget_text(b: Budget, width: int = 100) -> str:
    """Headline, table of regions, table of the heaviest operators, verdict. Plain text without colours."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=width, no_color=True, highlight=False, emoji=False)
    print_budget(b, console)
    return out.getvalue().rstrip("\n")


def print_budget(b: Budget, console: Console) -> None:
    """Draw the budget on a rich console."""
    console.print(f"{b.model} on {b.target}, engine {b.engine}", markup=False, soft_wrap=True)
    for line in headline(b):
        console.print(line, markup=False, soft_wrap=True)
    for line in speed(b):
        console.print(line, markup=False, soft_wrap=True)
    console.print(_parts(b), markup=False, soft_wrap=True)
    console.print(_region_table(b))
    console.print(_op_table(b))
    for line in verdict(b):
        console.print(line, markup=False, soft_wrap=True)


def speed(b: Budget) -> list[str]:
    """What the cost model says, nothing where it has no figure."""
    if b.instructions_estimated is None or b.cycles_estimated is None:
        return []
    time = "" if b.ms_estimated is None else f", {b.ms_estimated:,.1f} ms at the target's highest clock"
    return [
        f"Speed about {b.instructions_estimated / 1e6:,.2f} M instructions an inference; "
        f"{b.cycles_estimated / 1e6:,.1f} M cycles{time} ({LABEL})"
    ]


def verdict(b: Budget) -> list[str]:
    """ "fits", or every reason why not, one a line."""
    return [
        *b.notes,
        *([f"fits {b.target}"] if b.fits else [f"does not fit {b.target}: {r}" for r in b.reasons]),
    ]


def _share(what: str, used: int, total: int, *, floor: bool = False) -> str:
    least = "at least " if floor else ""
    return f"{what:5s} {least}{used / KB:,.1f} KB of {total // KB:,} KB ({100 * used / total:.1f} %)"


def _parts(b: Budget) -> str:
    c = b.const
    statics = b.ram_used_bytes - b.arena_bytes - b.stack_bytes
    kept = b.arena_bytes - b.ram_bytes
    return (
        f"      flash: weights {c.weights:,}, biases and multipliers {c.channels:,}, tables {c.tables:,}, "
        f"parameters {c.params:,}, code {'not known' if b.code_bytes is None else f'{b.code_bytes:,}'}\n"
        f"      RAM: activations {b.ram_bytes:,} (lower bound {b.lower_bound_bytes:,}), "
        f"{f'kept by the interpreter {kept:,}, ' if kept else ''}statics, buffers and code in RAM {statics:,}, stack reserve {b.stack_bytes:,}"
    )


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    return table


def _region_table(b: Budget) -> Table:
    beside = any(r.application for r in b.regions)
    others = ("application",) if beside else ()
    table = _table("region", "used", "reserved", *others, "free", "total", "use %", "over")
    for r in b.regions:
        share = f"{100 * r.taken / r.total:.1f}"
        over = f"{r.over:,}" if r.over else ""
        mine = (f"{r.application:,}",) if beside else ()
        used = f"{'' if r.complete else '≥ '}{r.used:,}"
        table.add_row(r.name, used, f"{r.reserved:,}", *mine, f"{r.free:,}", f"{r.total:,}", share, over)
    return table


def _op_table(b: Budget) -> Table:
    """The operators with most work, in the model's order, and the rest in one row. Their share is of the estimated
    instructions, or of the MACs where nobody estimates any."""
    estimated = b.instructions_estimated is not None
    total = max((b.instructions_estimated if estimated else b.macs) or 0, 1)

    def work(op: OpBudget) -> int:
        return (op.instructions or 0) if estimated else op.macs

    def cells(op: OpBudget) -> tuple[str, ...]:
        count = f"{op.instructions:,}" if op.instructions is not None else "–"
        share = f"{100 * work(op) / total:.1f}"
        return f"{op.macs:,}", count, share, f"{op.const_bytes:,}", f"{op.live_bytes:,}"

    shown = set(sorted(b.ops, key=lambda o: (-work(o), o.index))[:_TOP_OPS])
    table = _table("operator", "MACs", "instructions", "share %", "constants", "activations alive")
    for op in b.ops:
        if op in shown:
            table.add_row(f"{op.index} {op.kind}", *cells(op))
    rest = [o for o in b.ops if o not in shown]
    if rest:
        table.add_row(f"{len(rest)} others", *cells(_together(rest)))
    return table


def _together(ops: Sequence[OpBudget]) -> OpBudget:
    """Several operators as one row."""
    counts = [o.instructions for o in ops if o.instructions is not None]
    return OpBudget(
        index=0,
        kind="",
        name="",
        macs=sum(o.macs for o in ops),
        const_bytes=sum(o.const_bytes for o in ops),
        live_bytes=max(o.live_bytes for o in ops),
        instructions=sum(counts) if counts else None,
    )


def targets_table() -> str:
    """`dftiny targets`: every shipped chip with its sizes, regions and limits."""
    from rich.console import Console

    table = _table("target", "core", "MHz", "flash", "RAM", "MAC limit", "activations in", "stack")
    for t in all_targets():
        held = {r.name: r.bytes for r in t.arena_regions}
        held |= {r.name: r.tight_bytes for r in t.regions if r.tight_bytes}
        arenas = ", ".join(f"{name} {n // KB} KB" for name, n in held.items())
        sizes = (f"{t.flash_total_bytes // KB:,} KB", f"{t.ram_total_bytes // KB:,} KB")
        stack = f"{t.statics_region.stack_bytes // KB} KB"
        table.add_row(
            t.name,
            t.core,
            "–" if t.mhz is None else str(t.mhz),
            *sizes,
            f"{t.max_macs / 1e6:,.0f} M",
            arenas,
            stack,
        )
    out = io.StringIO()
    console = Console(file=out, width=120, no_color=True, highlight=False)
    console.print(table)
    for t in all_targets():
        console.print(f"{t.name}: {t.title}; source: {t.source}", markup=False, soft_wrap=True)
    return out.getvalue().rstrip("\n")
