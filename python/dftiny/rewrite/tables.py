"""Functions of one int8 become tables: an operator with a constant that is the same everywhere, and chains of
such operators. The oracle fills the table, so it cannot differ from the operators it stands for."""

from __future__ import annotations

import numpy as np

from dftiny import int8
from dftiny.graph import Graph, Op, TableOptions
from dftiny.int8 import arith
from dftiny.rewrite.edit import first_of, merge, until_done, wiring

_BINARY = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM")
_ALL = np.arange(-128, 128).astype(np.int8)


def table_from_constants(graph: Graph) -> Graph:
    """ADD, SUB, MUL, MAXIMUM, MINIMUM with one constant value → TABLE; pointwise after pointwise → one TABLE."""
    return until_done(first_of(_constant, _chain), graph)


def _constant(graph: Graph) -> Graph | None:
    for op in graph.ops:
        if op.kind in _BINARY and (found := _with_constant(graph, op)) is not None:
            source, values = found
            return _table(graph, (op,), source, values)
    return None


def _with_constant(graph: Graph, op: Op) -> tuple[int, np.ndarray] | None:
    """(activation, its 256 results) of an operator whose other operand has one value and does not widen it."""
    at = 0 if graph.tensors[op.inputs[0]].data is None else 1
    source, data = op.inputs[at], graph.tensors[op.inputs[1 - at]].data
    if data is None or (data != data.flat[0]).any():
        return None
    if (
        graph.tensors[source].data is not None
        or graph.tensors[source].shape != graph.tensors[op.outputs[0]].shape
    ):
        return None
    operands = (_ALL, data.reshape(-1)[:1]) if at == 0 else (data.reshape(-1)[:1], _ALL)
    return source, _evaluate(graph, op, *operands)


def _evaluate(graph: Graph, op: Op, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if op.kind == "MUL":
        return arith.mul(graph, op, a, b)
    if op.kind in ("ADD", "SUB"):
        return arith.add_or_sub(graph, op, a, b)
    return arith.extremum(op, a, b)


def _table(graph: Graph, old: tuple[Op, ...], source: int, values: np.ndarray) -> Graph:
    options = TableOptions(tuple(int(v) for v in values))
    return merge(graph, old, Op(0, "TABLE", (source,), old[-1].outputs, options))


def _chain(graph: Graph) -> Graph | None:
    w = wiring(graph)
    for op in graph.ops:
        earlier = w.writer.get(op.inputs[0]) if op.kind in int8.POINTWISE else None
        if earlier is None or earlier.kind not in int8.POINTWISE or w.only_reader(op.inputs[0]) is None:
            continue
        between = int8.table(graph, earlier).astype(np.int64) + 128
        return _table(graph, (earlier, op), earlier.inputs[0], int8.table(graph, op)[between])
    return None
