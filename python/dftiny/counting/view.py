"""Counts as people read them: the totals, what was executed, the operators."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from dftiny.counting.cycles import LABEL, MAJOR
from dftiny.counting.measure import CHANNEL_BYTES, Counts, OpCounts

if TYPE_CHECKING:
    from rich.table import Table

_TOP_FUNCTIONS = 12


def text(c: Counts, *, worst_first: bool = False, top: int | None = None, width: int = 118) -> str:
    """Plain text without colours. `top`: only that many operators."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, highlight=False, color_system=None)
    ops = sorted(c.ops, key=lambda o: -o.instructions) if worst_first or top else list(c.ops)
    for sentence in _headline(c):
        console.print(sentence, soft_wrap=True)
    console.print(_table_of_classes(c))
    console.print(_table_of_functions(c))
    console.print(_table_of_kinds(c))
    console.print(_table_of_ops(c, ops[:top]))
    made = console.file
    assert isinstance(made, io.StringIO)
    return made.getvalue().rstrip()


def hot_text(c: Counts, n: int) -> str:
    """The code in which most instructions are executed, as objdump shows it."""
    out = []
    for h in c.hot[:n]:
        share = 100 * h.times * len(h.code) / c.instructions
        each = "" if h.cycles_modelled is None else f", {h.cycles_modelled:.1f} cycles modelled"
        out.append(
            f"{share:.1f} %: {h.times:,} × {len(h.code)} instructions{each}, {h.function} at {h.address:#x}"
        )
        out += [f"    {instruction}" for instruction in h.code]
    return "\n".join(out)


def line(c: Counts) -> str:
    """One model in one line."""
    return (
        f"{c.model:24s} {c.instructions:>12,} instructions, {c.instructions / max(c.macs, 1):.3f} per MAC · "
        f"code {c.code_bytes:,} · constants {c.const_bytes:,} · RAM {c.ram_bytes:,} · stack {c.stack_bytes:,}"
    )


def _headline(c: Counts) -> list[str]:
    lines = [
        f"{c.model} on Cortex-{c.core.upper()}, planned for {c.target}"
        + (", convolutions with paired loads" if c.paired_loads else ""),
        f"instructions {c.instructions:,} an inference, {c.instructions / max(c.macs, 1):.3f} per MAC"
        f" ({c.macs:,} MACs)"
        + (f"; up to {c.highest:,} on other inputs" if c.highest != c.instructions else ""),
        _cycles(c),
        f"code {c.code_bytes:,} · weights {c.weight_bytes:,} · other constants {c.const_bytes:,}"
        + f" · RAM {c.ram_bytes:,} (bound {c.lower_bound_bytes:,}) · stack {c.stack_bytes:,} bytes",
        _constants(c),
        f"outputs {'equal' if c.bit_exact else 'DIFFER from'} {c.compared_with} on {c.inputs} inputs",
    ]
    return [*lines, f"does not fit {c.target}: {c.misfit}"] if c.misfit else lines


def _constants(c: Counts) -> str:
    """What the other constants are, beside what a PhiNet may take."""
    per_channel = CHANNEL_BYTES * c.output_channels
    rest = c.const_bytes - c.wide_bytes
    wide = f", and wide weights {c.wide_bytes:,}" if c.wide_bytes else ""
    return (
        f"constants {rest:,}{wide}; for a PhiNet {c.const_allowed_bytes:,} are allowed: {CHANNEL_BYTES} bytes for each of "
        f"{c.output_channels:,} output channels ({per_channel:,}) and tables of pointwise functions ({c.table_bytes:,})"
    )


def _cycles(c: Counts) -> str:
    if c.cycles_modelled is None:
        return (
            f"cycles: none modelled, llvm-mca of LLVM {MAJOR} was not found (sudo apt install llvm-{MAJOR})"
        )
    guessed = f"; {c.cycles_guessed_blocks} blocks it would not take" if c.cycles_guessed_blocks else ""
    return (
        f"cycles {c.cycles_modelled:,}, {c.cycles_modelled / max(c.macs, 1):.3f} per MAC ({LABEL}{guessed})"
    )


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        left = column in ("class", "function", "operator", "kind")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    return table


def _table_of_classes(c: Counts) -> Table:
    table = _table("class", "instructions", "%", "per MAC")
    rows = [*c.classes.items(), ("at the stack, of these", c.spills)]
    for name, n in rows:
        table.add_row(name, f"{n:,}", f"{100 * n / c.instructions:.1f}", f"{n / max(c.macs, 1):.3f}")
    return table


def _table_of_functions(c: Counts) -> Table:
    table = _table("function", "instructions", "%", "at the stack")
    for name, n in list(c.functions.items())[:_TOP_FUNCTIONS]:
        table.add_row(name, f"{n:,}", f"{100 * n / c.instructions:.1f}", f"{c.spills_of.get(name, 0):,}")
    return table


def _table_of_kinds(c: Counts) -> Table:
    table = _table("kind", "operators", "MACs", "instructions", "%", "per MAC")
    kinds = sorted({o.kind for o in c.ops}, key=lambda k: -sum(o.instructions for o in c.ops if o.kind == k))
    for kind in kinds:
        ops = [o for o in c.ops if o.kind == kind]
        n, macs = sum(o.instructions for o in ops), sum(o.macs for o in ops)
        table.add_row(
            kind, str(len(ops)), f"{macs:,}", f"{n:,}", f"{100 * n / c.instructions:.1f}", _ratio(n, macs)
        )
    return table


def _table_of_ops(c: Counts, ops: list[OpCounts]) -> Table:
    table = _table("op", "operator", "MACs", "instructions", "%", "per MAC", "cycles")
    for o in ops:
        share = f"{100 * o.instructions / c.instructions:.1f}"
        modelled = "" if o.cycles_modelled is None else f"{o.cycles_modelled:,}"
        table.add_row(
            str(o.index),
            o.kind,
            f"{o.macs:,}",
            f"{o.instructions:,}",
            share,
            _ratio(o.instructions, o.macs),
            modelled,
        )
    return table


def _ratio(n: int, macs: int) -> str:
    return f"{n / macs:.2f}" if macs else "–"
