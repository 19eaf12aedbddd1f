"""The cost model beside exact counts, operator by operator, on nets that it was not fitted to. Called by tools/cost and
by a test."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from costing.counted import counted, planned
from dftiny.cost import estimate
from dftiny.counting.cores import Core
from dftiny.errors import CheckFailed, DftError
from dftiny.graph import Graph, load
from dftiny.plan import Wishes
from dftiny.target import load_target

OP_PERCENT, NET_PERCENT, SHARE = 5.0, 3.0, 0.01


@dataclass(frozen=True)
class OpError:
    """An operator: counted and estimated instructions; cycles of llvm-mca (or the M4's table) and of the model without
    memory."""

    index: int
    kind: str
    instructions: int
    estimated: int
    cycles: float
    cycles_estimated: float

    @property
    def percent(self) -> float:
        """Of the estimate's instructions."""
        return 100 * (self.estimated / max(self.instructions, 1) - 1)


@dataclass(frozen=True)
class NetError:
    """A net; `ops` are those of at least 1 % of it."""

    name: str
    instructions: int
    estimated: int
    cycles: float
    cycles_estimated: float
    ops: tuple[OpError, ...]

    @property
    def percent(self) -> float:
        """Of the estimate's instructions."""
        return 100 * (self.estimated / self.instructions - 1)

    @property
    def cycles_percent(self) -> float:
        """Of the estimate's cycles, without memory, beside what they were fitted to."""
        return 100 * (self.cycles_estimated / self.cycles - 1) if self.cycles else 0.0

    @property
    def worst(self) -> OpError:
        """The operator that is furthest off."""
        return max(self.ops, key=lambda o: abs(o.percent))

    @property
    def worst_cycles_percent(self) -> float:
        """Of the operator whose cycles are furthest from what they were fitted to."""
        errors = [100 * (o.cycles_estimated / o.cycles - 1) for o in self.ops if o.cycles]
        return max(errors, key=abs, default=0.0)

    @property
    def good(self) -> bool:
        """Within the bounds."""
        return abs(self.percent) <= NET_PERCENT and abs(self.worst.percent) <= OP_PERCENT


def compare(graph: Graph, core: Core, kept: Path, wishes: Wishes | None = None) -> NetError:
    """Count one inference and estimate it. `kept` holds compiled kernels from call to call."""
    made = planned(graph, load_target("stm32h743"), wishes or Wishes())
    found, guess = counted(graph, made, core, kept), estimate(graph, made, core.name)
    kinds = {op.index: op.kind for op in graph.ops}
    ops = []
    for index, n in guess.ops.items():
        exact = found.instructions[index]
        if exact >= SHARE * found.total:
            bare = guess.op_cycles[index] - guess.op_stalls[index]
            ops.append(OpError(index, kinds.get(index, "?"), exact, n, found.cycles.get(index, 0.0), bare))
    bare = guess.cycles - sum(guess.op_stalls.values())
    return NetError(graph.name, found.total, guess.instructions, sum(found.cycles.values()), bare, tuple(ops))


def run(models: Sequence[Path], core: Core, show_ops: bool) -> None:
    """One line a net; CheckFailed when one is out of bounds."""
    if not models:
        raise DftError(
            "tools/cost check was given no model", "make some: tools/nets --out NETS, then name NETS/*.tflite"
        )
    bad = 0
    print(
        f"{'net':26s} {'counted':>12s} {'estimated':>12s} {'error':>8s}  worst operator of 1 % and more    cycles (no memory)"
    )
    with tempfile.TemporaryDirectory(prefix="dftiny-cost-") as kept:
        for path in models:
            try:
                one = compare(load(path), core, Path(kept))
            except DftError as e:
                print(f"tools/cost: {path.name} left out: {e}", file=sys.stderr)
                continue
            bad += not one.good
            print(_line(path.stem, one), flush=True)
            for op in one.ops if show_ops else ():
                print(
                    f"    {op.index:4d} {op.kind:22s} {op.instructions:>12,} {op.estimated:>12,} {op.percent:+7.2f} %"
                )
    if bad:
        raise CheckFailed(f"{bad} nets are out of bounds", "fit the model anew: tools/cost fit")


def _line(name: str, one: NetError) -> str:
    worst = f"{one.worst.index} {one.worst.kind} {one.worst.percent:+.2f} %"
    mark = "" if one.good else "  OUT OF BOUNDS"
    return (
        f"{name:26s} {one.instructions:>12,} {one.estimated:>12,} {one.percent:+7.2f} %  {worst:36s}"
        f" {one.cycles_percent:+.2f} %, operators {one.worst_cycles_percent:+.2f} %{mark}"
    )
