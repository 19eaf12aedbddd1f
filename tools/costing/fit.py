"""Counted layers → what each piece takes: exact counts, a linear system, no piece below nothing. Called by tools/cost."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from costing.counted import cheap_planes, counted, planned
from costing.layers import FAMILIES, PLANES, family, strays
from dftiny import spec
from dftiny.artifact import atomic_write
from dftiny.cost.lanes import op_pieces
from dftiny.cost.model import CORES
from dftiny.cost.pieces import Pieces
from dftiny.counting.baseline import compiler
from dftiny.counting.cores import Core
from dftiny.errors import DftError
from dftiny.graph import Graph
from dftiny.plan import Wishes
from dftiny.target import load_target

NETS, LAYERS = 10, 22  # of each family
_FLOOR = 200.0  # instructions below which an operator's error counts less
_EASE = 1e-6  # pulls what nothing was counted of to nothing
_ALREADY = 1e-9


@dataclass(frozen=True)
class Row:
    """An operator that was counted: its kernel functions, pieces, instructions and modelled cycles."""

    kernel: str
    pieces: Pieces
    instructions: int
    cycles: float


def rows(core: Core, count: int, only: Sequence[int] = ()) -> Iterator[Row]:
    """Operators of `count` random nets of each family, or of families `only`; nets that the engine refuses are left out."""
    with tempfile.TemporaryDirectory(prefix="dftiny-cost-") as kept:
        for number in only or range(len(FAMILIES)):
            print(f"Cortex-{core.name.upper()}: family {number} of {len(FAMILIES)}", flush=True)
            with cheap_planes() if number == PLANES else nullcontext():
                yield from _rows(core, family(number, count, LAYERS), Path(kept))
        if not only:
            yield from _rows(core, strays(4 * count), Path(kept))


def _rows(core: Core, nets: Iterable[tuple[Graph, Wishes]], kept: Path) -> Iterator[Row]:
    target = load_target("stm32h743")
    for graph, wishes in nets:
        try:
            made = planned(graph, target, wishes)
            found = counted(graph, made, core, kept)
        except DftError as e:
            print(f"a net left out: {e}", flush=True)
            continue
        kernels: dict[int, str] = {}
        for lane in made.lanes:
            calls = [lane.call] if lane.call else lane.whole
            kernels[lane.step.op.index] = " ".join(c.function for c in calls)
        for op, own in op_pieces(made).items():
            yield Row(kernels[op], own, found.instructions[op], found.cycles.get(op, 0.0))


Figures = dict[str, tuple[float, float]]


def fitted(counted_rows: Sequence[Row], fixed: Figures) -> Figures:
    """(instructions, cycles) of each piece; those of `fixed` stay as they are."""
    names = sorted(
        {name for row in counted_rows for name, n in row.pieces.items() if n and name not in fixed}
    )
    wanted = [row for row in counted_rows if any(row.pieces[name] for name in names)]
    table = np.array([[row.pieces[name] for name in names] for row in wanted], np.float64)
    solved = []
    for which in range(2):
        counts = np.array([(row.instructions, row.cycles)[which] for row in wanted], np.float64)
        known = [sum(n * fixed[k][which] for k, n in row.pieces.items() if k in fixed) for row in wanted]
        solved.append(_solved(table, counts, np.maximum(counts - np.array(known), 0.0)).tolist())
    return fixed | {n: (round(i, 4), round(c, 4)) for n, i, c in zip(names, *solved, strict=True)}


def _solved(table: np.ndarray, counts: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Least squares of errors of `rest` relative to `counts`, no value below 0."""
    from scipy.optimize import nnls

    weight = 1 / (counts + _FLOOR)
    weighted = table * weight[:, None]
    scale = np.sqrt((weighted**2).sum(axis=0)) + _ALREADY
    eased = np.vstack([weighted / scale, _EASE * np.eye(table.shape[1])])
    wanted = np.concatenate([rest * weight, np.zeros(table.shape[1])])
    solution: np.ndarray = nnls(eased, wanted, maxiter=100 * table.shape[1])[0] / scale
    return solution


def write(path: Path, core: str, found: Figures, count: int) -> None:
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
