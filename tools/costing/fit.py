"""Counted layers → what each piece takes: exact counts, a linear system, no piece below nothing. Called by tools/cost."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from costing.counted import counted, planned
from costing.layers import nets
from dftiny import spec
from dftiny.artifact import atomic_write
from dftiny.cost.lanes import op_pieces
from dftiny.cost.model import CORES
from dftiny.cost.pieces import Pieces
from dftiny.counting.baseline import compiler
from dftiny.counting.cores import Core
from dftiny.errors import DftError
from dftiny.target import load_target

NETS, LAYERS = 120, 22
_FLOOR = 200.0  # instructions below which an operator's error counts less
_EASE = 1e-6  # pulls what nothing was counted of to nothing
_ALREADY = 1e-9


@dataclass(frozen=True)
class Row:
    """An operator that was counted: its kernel functions, pieces, instructions and modelled cycles."""

    net: int
    kernel: str
    pieces: Pieces
    instructions: int
    cycles: float


def rows(core: Core, count: int) -> Iterator[Row]:
    """Operators of `count` random nets; nets that the engine refuses are left out."""
    target = load_target("stm32h743")
    with tempfile.TemporaryDirectory(prefix="dftiny-cost-") as kept:
        for number, (graph, wishes) in enumerate(nets(count, LAYERS)):
            try:
                made = planned(graph, target, wishes)
                found = counted(graph, made, core, Path(kept))
            except DftError as e:
                print(f"net {number} left out: {e}", flush=True)
                continue
            pieces = op_pieces(made)
            kernels: dict[int, str] = {}
            for lane in made.lanes:
                calls = [lane.call] if lane.call else lane.whole
                kernels[lane.step.op.index] = " ".join(c.function for c in calls)
            if number % 20 == 0:
                print(f"Cortex-{core.name.upper()}: {number} of {count} nets counted", flush=True)
            for op, own in pieces.items():
                yield Row(number, kernels[op], own, found.instructions[op], found.cycles.get(op, 0.0))


def fitted(counted_rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    """(instructions, cycles) of each piece."""
    names = sorted({name for row in counted_rows for name, n in row.pieces.items() if n})
    table = np.array([[row.pieces[name] for name in names] for row in counted_rows], np.float64)
    instructions = _solved(table, np.array([row.instructions for row in counted_rows], np.float64))
    cycles = _solved(table, np.array([row.cycles for row in counted_rows], np.float64))
    both = zip(instructions.tolist(), cycles.tolist(), strict=True)
    return {name: (round(i, 4), round(c, 4)) for name, (i, c) in zip(names, both, strict=True)}


def _solved(table: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Least squares of relative errors, no value below 0."""
    from scipy.optimize import nnls

    weight = 1 / (counts + _FLOOR)
    weighted = table * weight[:, None]
    scale = np.sqrt((weighted**2).sum(axis=0)) + _ALREADY
    eased = np.vstack([weighted / scale, _EASE * np.eye(table.shape[1])])
    wanted = np.concatenate([counts * weight, np.zeros(table.shape[1])])
    solution: np.ndarray = nnls(eased, wanted, maxiter=100 * table.shape[1])[0] / scale
    return solution


def write(path: Path, core: str, found: dict[str, tuple[float, float]], count: int) -> None:
    """The pieces of `core` in spec/cost_pieces.toml; those of other cores stay as they are."""
    known = spec.read_toml(path, "table of pieces") if path.exists() else {}
    known |= {"gcc": compiler(), core: found, f"nets_{core}": count}
    lines = [
        "# What each piece of kernel code takes: instructions, and cycles of the core model without waiting for memory.",
        "# Made by tools/cost fit; never edited. Cycles: model, never checked on silicon.",
        f'gcc = "{known["gcc"]}"',
        *(f"{name} = {value}" for name, value in sorted(known.items()) if name.startswith("nets_")),
    ]
    for name in (n for n in CORES if n in known):
        lines += ["", f"[{name}]", *(f'"{k}" = [{i:g}, {c:g}]' for k, (i, c) in sorted(known[name].items()))]
    with atomic_write(path, "w") as f:
        f.write("\n".join(lines) + "\n")
