"""What the self-test on the board holds each operator to, as C text: sums over the rows of its output for one input.

The rows come from the oracle, the input from a formula that firmware/src/selftest.c repeats: eight bytes an operator are
enough to find, on silicon and without a host, the first operator whose bits are wrong. No inference reads them: they are
files of their own, which only firmware with a self-test links. Called by selftest_c.py, and by export's gate, which compares
the rows themselves.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dftiny import int8
from dftiny.kernels.count import proofs_n
from dftiny.plan import Lane, Plan
from dftiny.plan.input_rows import FUNCTION, KIND

_MASK = 0xFFFFFFFF


def selftest_input(n: int) -> np.ndarray:
    """int8[n]: every byte is a hash of its index (multiply, shift, multiply; Knuth's constant first)."""
    i = np.arange(1, n + 1, dtype=np.uint32)
    mixed = i * np.uint32(2654435761)
    mixed = (mixed ^ mixed >> np.uint32(15)) * np.uint32(2246822519)
    return (mixed >> np.uint32(24)).astype(np.uint8).view(np.int8)


def row_sum(values: np.ndarray, rows: int) -> int:
    """The sum over rows that dft/proofs.h describes, of one tensor's int8 values."""
    cut = np.ascontiguousarray(values).reshape(rows, -1)
    return sum(zlib.crc32(row.tobytes(), index) for index, row in enumerate(cut)) & _MASK


def row_bytes(plan: Plan) -> list[int]:
    """Bytes of a row of every operator by its index; 0 for those that are folded away, run as a whole or
    show no rows."""
    found = [0] * proofs_n(plan)
    for lane in _shown(plan):
        if found[lane.step.op.index] not in (0, lane.shape.row_bytes):
            raise ValueError(f"operator {lane.step.op.index} has lanes of different rows")
        found[lane.step.op.index] = lane.shape.row_bytes
    return found


def oracle_rows(plan: Plan, x: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(operator, int8[n, rows, bytes]) of each lane that a probe sees, for inputs int8[n, …] of the model; an operator that
    is computed twice comes twice."""
    whole = plan.prepared.graph
    graph = replace(
        whole, ops=tuple(op for op in whole.ops if op.kind != KIND)
    )  # the oracle has its input whole
    tensors = int8.run_all(graph, x)
    for lane in _shown(plan):
        cut = np.ascontiguousarray(tensors[lane.writes]).reshape(len(x), lane.shape.rows, -1)
        yield lane.step.op.index, cut


def proofs(plan: Plan) -> list[tuple[int, int]]:
    """(row_bytes, sum) of every operator by its index; zeros for those that row_bytes leaves out."""
    given = plan.prepared.graph.input
    sums = [0] * proofs_n(plan)
    for op, rows in oracle_rows(plan, selftest_input(given.nbytes).reshape(1, *given.shape[1:])):
        sums[op] = (sums[op] + row_sum(rows, rows.shape[1])) & _MASK
    return list(zip(row_bytes(plan), sums, strict=True))


def _shown(plan: Plan) -> Iterator[Lane]:
    """The lanes whose rows a probe sees and can tell apart: rows of planes lie among one another (Shape.ring), and an input
    that is taken row by row has the index of the first operator."""
    calls = [(lane, lane.call) for lane in plan.lanes if lane.call is not None]
    inputs = {lane.step.op.index for lane, call in calls if call.function == FUNCTION}
    for lane, _ in calls:
        if lane.step.op.index not in inputs and not lane.shape.ring:
            yield lane


def operators_c(plan: Plan) -> str:
    """`ops`, the table of sums: one an operator up to the last one that runs."""
    found = proofs(plan)
    lines = ",\n".join(f"    {{{n}u, 0x{total:08X}u}}" for n, total in found)
    return f"static const dft_proof ops[{len(found)}] = {{\n{lines},\n}};\n"
