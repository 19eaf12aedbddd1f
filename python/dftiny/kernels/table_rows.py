"""Row kernel of pointwise functions: a table of 256 values, as the oracle computes them.

C: firmware/kernels/dft_table_rows.h.
"""

from __future__ import annotations

import numpy as np

from dftiny import int8
from dftiny.graph import Graph
from dftiny.kernels.row_shape import row_shape, table_const
from dftiny.kernels.rows import Choice, RowCall
from dftiny.steps import Step


def table_rows(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    """Every pointwise function (int8.POINTWISE)."""
    del choice
    table = int8.table(graph, step.op)
    if step.table is not None:
        table = step.table[table.astype(np.int16) + 128]
    return table_call(table, row_shape(graph.tensors[step.op.outputs[0]]).row_bytes)


def table_call(table: np.ndarray, row_bytes: int) -> RowCall:
    """Rows of `row_bytes` through `table`, in the order −128…127."""
    pointers = (("table", table_const(table)),)
    return RowCall("dft_table_rows", "dft_table_rows_params", (("n", row_bytes),), pointers, in_place=True)
