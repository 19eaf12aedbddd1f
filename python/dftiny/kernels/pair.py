"""Row kernels of two operands: which operand is the map whose rows go through, and how the other one lies.

Used by the makers of sums, products and extrema. Twin: firmware/kernels/dft_pair.h.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dftiny import int8
from dftiny.graph import Graph, Op, Tensor
from dftiny.kernels.calls import Const, Fields
from dftiny.kernels.row_shape import Pointers, row_shape
from dftiny.kernels.rows import RowCall
from dftiny.kernels.table_rows import table_call
from dftiny.steps import Step


@dataclass(frozen=True, eq=False)
class Pair:
    """`first` and `second` are positions among the operator's inputs; `vector`: the second operand has one value a
    channel; `fields` and `pointers` are struct dft_pair and the constant, where the second operand is one."""

    first: int
    second: int
    vector: bool
    fields: Fields
    pointers: Pointers


def pair_of(graph: Graph, step: Step) -> Pair | None:
    """The operands of a step, or None where they do not lie as a row kernel needs them."""
    constant = [graph.tensors[t].data is not None for t in step.op.inputs[:2]]
    if all(constant):
        return None
    first = 1 if constant[0] else 0
    x, other = (graph.tensors[step.op.inputs[k]] for k in (first, 1 - first))
    y = graph.tensors[step.op.outputs[0]]
    shape = row_shape(y)
    if x.elements != y.elements or row_shape(x) != shape:
        return None
    vector = other.elements == shape.channels == other.shape[-1] != y.elements
    if not vector and (other.elements != y.elements or (other.data is None and row_shape(other) != shape)):
        return None
    run = shape.channels if vector else shape.row_bytes
    fields: Fields = (
        ("runs", shape.row_bytes // run),
        ("run", run),
        ("step", 0 if vector else run),
        ("constant_step", 0 if vector else run),
    )
    data = other.data
    pointers = () if data is None else (("constant", Const("int8_t", "weights", data.reshape(-1))),)
    return Pair(first, 1 - first, vector, fields, pointers)


def scalar_rows(graph: Graph, step: Step) -> RowCall | None:
    """A constant with one value makes the operator a function of the other operand: a table."""
    op = step.op
    y = graph.tensors[op.outputs[0]]
    for k in range(2):
        t = graph.tensors[op.inputs[k]]
        if t.data is None or len(np.unique(t.data)) != 1 or graph.tensors[op.inputs[1 - k]].data is not None:
            continue
        if graph.tensors[op.inputs[1 - k]].elements != y.elements:
            continue
        table = _table(graph, op, k, int(t.data.reshape(-1)[0]))
        if step.table is not None:
            table = step.table[table.astype(np.int16) + 128]
        return table_call(table, row_shape(y).row_bytes)
    return None


def _table(graph: Graph, op: Op, constant: int, value: int) -> np.ndarray:
    """int8[256]: the operator's outputs for all inputs beside a constant, as the oracle computes them."""
    shape = (1, 1, 1, 256)
    tensors = [_reshaped(graph.tensors[t], i, shape) for i, t in enumerate((*op.inputs[:2], op.outputs[0]))]
    tensors[constant] = _reshaped(tensors[constant], constant, (1,), np.array([value], np.int8))
    small = Graph("table", tuple(tensors), (Op(0, op.kind, (0, 1), (2,), op.options),), (1 - constant,), (2,))
    values = np.arange(-128, 128).astype(np.int8).reshape(shape)
    return int8.run(small, values).reshape(-1)


def _reshaped(t: Tensor, index: int, shape: tuple[int, ...], data: np.ndarray | None = None) -> Tensor:
    return Tensor(index, t.name, shape, t.dtype, t.quant, data)
