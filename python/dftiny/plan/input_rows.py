"""The input taken row by row: an operator that asks the caller for each row when it is needed, so that the tile
never lies whole in memory. A switch for targets where the input sets the peak."""

from __future__ import annotations

from dataclasses import replace

from dftiny.graph import Graph, Op
from dftiny.kernels.rows import RowCall

KIND = "INPUT_ROWS"
# engines/aot/dft_aot.c; its parameter is the number of bytes of a row. READER tells it whom to ask.
FUNCTION, STRUCT, READER = "dft_aot_input_row", "dft_input_rows", "dft_aot_set_reader"


def with_input_rows(graph: Graph) -> Graph:
    """`graph` with an operator in front that makes its input tensor."""
    first = Op(graph.ops[0].index, KIND, (), (graph.inputs[0],), None)
    return replace(graph, ops=(first, *graph.ops))


def input_call(row_bytes: int) -> RowCall:
    """The kernel of that operator."""
    return RowCall(FUNCTION, STRUCT, (("row_bytes", row_bytes),), (), symbols=(READER,))
