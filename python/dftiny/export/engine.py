"""The last gate: the engine's own C, which the boards will run, answers as the reference kernels did, bit for bit.

The bundle's C is compiled for this computer with the portable kernels and run on the tiles of the other gates; on a few
of them every row of every operator is compared as well. Called by bundle.py when the C is written.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dftiny import graph as graphs
from dftiny import spec
from dftiny.codegen.needed_files import M7, needed_files
from dftiny.codegen.proofs_c import oracle_rows, row_bytes
from dftiny.errors import CheckFailed
from dftiny.export import host
from dftiny.export.gates import Gate
from dftiny.export.tiles import SYNTHETIC, spread
from dftiny.plan import Plan

NAME = "int8-engine"
MODEL_C = "dft_model.c"
# So much is computed at most with calibration tiles: seconds. Golden and synthetic tiles always run.
MACS_MAX = 1_500_000_000
ROW_TILES = 3  # the last synthetic ones: stripes and both kinds of noise
ABSENT = (
    f"not run: no C compiler ({', '.join(host.COMPILERS)}) that makes programs for this computer was found; "
    "install one (sudo apt install gcc libc6-dev) and export again"
)
REPORT = "nothing was written: this is a fault of dftiny's engine, please report the model"


@dataclass(frozen=True, eq=False)
class Answered:
    """Tiles whose answers the other gates agree on: `calibration` of them, then golden, then the synthetic ones.
    `x` int8[n, H, W, 3], `outputs` int8[n, K]."""

    x: np.ndarray
    outputs: np.ndarray
    calibration: int

    def name(self, tile: int) -> str:
        """What a person calls tile number `tile`."""
        made = tile - (len(self.x) - len(SYNTHETIC))
        if made >= 0:
            return f"the synthetic tile {SYNTHETIC[made]!r}"
        golden = tile - self.calibration
        return f"golden tile {golden}" if golden >= 0 else f"calibration tile {tile}"

    def chosen(self, macs: int) -> np.ndarray:
        """Indices of the tiles that a net of so many MACs is run on: fewer of the calibration's where it is large."""
        others = np.arange(self.calibration, len(self.x))
        room = max(0, MACS_MAX // max(macs, 1) - len(others))
        return np.concatenate([spread(np.arange(self.calibration), room), others]) if room else others


@dataclass(frozen=True)
class _Wrong:
    """The first operator, in the model's order, that has a wrong row, and on which tile."""

    op: int
    tile: int
    row: int


def engine_gate(generated: Path, plan: Plan, answered: Answered, cc: host.Compiler | None) -> Gate:
    """Compile the C in the folder `generated`, which was made by `plan`, with `cc`, and compare what it answers.

    CheckFailed names the tile, the output and the first operator that differs. Without a compiler the gate is absent.
    """
    if cc is None:
        return Gate(NAME, "absent", 0, reason=ABSENT)
    graph = plan.prepared.graph
    chosen = answered.chosen(sum(graphs.macs(graph, op) for op in graph.operators))
    with tempfile.TemporaryDirectory(prefix="dftiny-engine-") as name:
        made = host.model_program(cc, portable(generated), generated, Path(name))
        want = answered.outputs[chosen].reshape(len(chosen), -1)
        ran = host.run(made, answered.x[chosen], want.shape[1])
        if ran.stopped or not np.array_equal(ran.outputs, want):
            raise CheckFailed(
                _told(ran, want, answered, chosen) + _where(made, plan, answered, ran, chosen), REPORT
            )
        few = np.arange(len(answered.x))[-ROW_TILES:]
        wrong = first_wrong(made, plan, answered.x[few])
        if wrong is not None:
            raise CheckFailed(
                f"gate {NAME}: the engine's answer is right on {answered.name(int(few[wrong.tile]))}, "
                f"but {_operator(graph, wrong)} differs",
                REPORT,
            )
    figures = {
        "differing_tiles": 0,
        "operators": sum(n > 0 for n in row_bytes(plan)),
        "sanitizers": int(cc.sanitize),
    }
    return Gate(NAME, "passed", len(chosen), figures)


def portable(generated: Path) -> list[str]:
    """Files of the firmware tree that the model in `generated` is compiled with on this computer."""
    text = (generated / MODEL_C).read_text(encoding="utf-8")
    return [f for f in needed_files([text], spec.firmware_dir()) if f.endswith(".c") and not f.startswith(M7)]


def first_wrong(made: Path, plan: Plan, x: np.ndarray) -> _Wrong | None:
    """The first operator that has a row which is not the oracle's for inputs int8[n, …], or one that never came."""
    expected: dict[int, list[np.ndarray]] = {}
    for op, rows in oracle_rows(plan, x):
        expected.setdefault(op, []).append(rows)
    missing = {
        (op, tile, lane, row)
        for op, lanes in expected.items()
        for lane, rows in enumerate(lanes)
        for tile in range(len(x))
        for row in range(rows.shape[1])
    }
    wrong: set[tuple[int, int, int]] = set()
    for tile, op, row, seen in host.run_rows(made, x, row_bytes(plan)):
        lanes = expected[op]
        equal = [
            n for n, rows in enumerate(lanes) if row < rows.shape[1] and rows[tile, row].tobytes() == seen
        ]
        missing -= {(op, tile, n, row) for n in equal}
        if not equal:
            wrong.add((op, tile, row))
    wrong |= {(op, tile, row) for op, tile, _, row in missing}
    return _Wrong(*min(wrong)) if wrong else None


def _told(ran: host.Ran, want: np.ndarray, answered: Answered, chosen: np.ndarray) -> str:
    """What differs, for a person."""
    if ran.stopped:
        at = answered.name(int(chosen[min(len(ran.outputs), len(chosen) - 1)]))
        return f"gate {NAME}: the engine stopped on {at}: {ran.stopped}"
    differing = (ran.outputs != want).any(1)
    tile = int(differing.argmax())
    output = int((ran.outputs[tile] != want[tile]).argmax())
    return (
        f"gate {NAME}: the engine differs from the reference on {int(differing.sum())} of {len(chosen)} tiles, "
        f"first on {answered.name(int(chosen[tile]))}, where output {output} is {ran.outputs[tile, output]} instead of "
        f"{want[tile, output]}"
    )


def _where(made: Path, plan: Plan, answered: Answered, ran: host.Ran, chosen: np.ndarray) -> str:
    """Where in the model it begins, on the first tile that is wrong; "" where no row tells, or the program stopped."""
    if ran.stopped:
        return ""
    want = answered.outputs[chosen].reshape(len(chosen), -1)
    tile = int(chosen[int((ran.outputs != want).any(1).argmax())])
    wrong = first_wrong(made, plan, answered.x[tile : tile + 1])
    return "" if wrong is None else f"; {_operator(plan.prepared.graph, wrong)} is the first that differs"


def _operator(graph: graphs.Graph, wrong: _Wrong) -> str:
    kind = next((op.kind for op in graph.ops if op.index == wrong.op), "fused")
    return f"operator {wrong.op} ({kind}), row {wrong.row}"
