"""Speed before the board: instructions and cycles of a planned graph, from shapes alone. No compiler, no emulator.

`estimate` is the door. lanes.py turns lanes into pieces of code, the modules of kernels (conv, depthwise, taps, runs,
whole) count how often each piece runs, model.py knows what it takes, stalls.py adds waiting for memory. Called by the
budget and by tools/cost, which fits the figures to exact counts and checks them on nets that were kept aside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dftiny.cost.lanes import UNKNOWN, op_pieces
from dftiny.cost.model import Memory, Model, core_of, load_memory, load_model
from dftiny.cost.pieces import Pieces
from dftiny.cost.stalls import op_stalls
from dftiny.graph import Graph
from dftiny.plan import Plan

__all__ = ["LABEL", "UNKNOWN", "Estimate", "Memory", "core_of", "estimate", "load_memory"]

LABEL = "model, never checked on silicon"
_GUESS = (10.0, 12.0)  # instructions and cycles an output byte of a kernel that nobody described


@dataclass(frozen=True)
class Estimate:
    """`instructions` of one inference and `ops` by index of the model's operators; `cycles` and `op_cycles` include
    waiting for memory as `memory` assumes it, `op_stalls`. Operators that became part of others are absent. `note` says what the
    figures are and are not."""

    instructions: int
    ops: Mapping[int, int]
    cycles: int
    op_cycles: Mapping[int, int]
    op_stalls: Mapping[int, int]
    note: str
    core: str
    memory: Memory

    def ms(self, mhz: float) -> float:
        """Milliseconds at that clock."""
        return self.cycles / (mhz * 1000.0)


def estimate(graph: Graph, plan: Plan, core: str = "m7", chip: str = "") -> Estimate:
    """What one inference of `plan` takes on `core` (m7, m4), with memory as assumed of `chip`, a target's name.

    `graph` is the one that was planned; its name goes into sentences. DftError for an unknown core.
    """
    model, memory = load_model(core), load_memory(chip, core)
    pieces = op_pieces(plan)
    stalls = {op: round(n) for op, n in op_stalls(plan, memory).items()}
    ops = {op: round(model.instructions(p) + _guessed(p, 0)) for op, p in pieces.items()}
    cycles = {op: round(model.cycles(p) + _guessed(p, 1) + stalls[op]) for op, p in pieces.items()}
    note = _note(graph, model, memory, pieces)
    return Estimate(sum(ops.values()), ops, sum(cycles.values()), cycles, stalls, note, core, memory)


def _guessed(pieces: Pieces, which: int) -> float:
    """Kernels that the model does not know, by their output bytes."""
    return _GUESS[which] * sum(n for name, n in pieces.items() if name.startswith(UNKNOWN))


def _note(graph: Graph, model: Model, memory: Memory, pieces: Mapping[int, Pieces]) -> str:
    kinds = {op.index: op.kind for op in graph.ops}
    open_ones = [op for op, p in pieces.items() if model.unknown(p)]
    note = (
        f"instructions: cost model of the Cortex-{model.core.upper()} kernels as gcc {model.gcc} compiles them; "
        f"cycles and milliseconds: {LABEL}, memory of {memory.chip} as assumed in "
        "spec/cost.toml"
    )
    if open_ones:
        named = ", ".join(f"{op} ({kinds.get(op, '?')})" for op in open_ones[:3])
        more = f" and {len(open_ones) - 3} more" if len(open_ones) > 3 else ""
        note += f"; partly guessed: operators {named}{more}, whose kernels the model does not know in full"
    return note
