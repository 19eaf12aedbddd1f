"""Row kernels by operator: which maker knows which kind. Called by the planner (plan/lanes.py)."""

from __future__ import annotations

from collections.abc import Mapping

from dftiny.graph import Graph
from dftiny.kernels.conv_rows import conv_rows, fully_connected_rows
from dftiny.kernels.depthwise_rows import depthwise_rows
from dftiny.kernels.extremum_rows import extremum_rows
from dftiny.kernels.layout_rows import concat_rows, gather_rows, pad_rows
from dftiny.kernels.mean_rows import mean_rows
from dftiny.kernels.pool_rows import pool_rows
from dftiny.kernels.product_rows import product_rows
from dftiny.kernels.rows import Choice, RowCall, RowMaker
from dftiny.kernels.shift_max_rows import shift_max_rows
from dftiny.kernels.sum_rows import sum_rows
from dftiny.kernels.table_rows import table_rows
from dftiny.steps import POINTWISE, Step

MAKERS: Mapping[str, RowMaker] = {
    "CONV_2D": conv_rows,
    "DEPTHWISE_CONV_2D": depthwise_rows,
    "FULLY_CONNECTED": fully_connected_rows,
    "ADD": sum_rows,
    "SUB": sum_rows,
    "MUL": product_rows,
    "MAXIMUM": extremum_rows,
    "MINIMUM": extremum_rows,
    "MEAN": mean_rows,
    "MAX_POOL_2D": pool_rows,
    "AVERAGE_POOL_2D": pool_rows,
    "GATHER": gather_rows,
    "CONCATENATION": concat_rows,
    "PAD": pad_rows,
    "PADV2": pad_rows,
    **dict.fromkeys(POINTWISE, table_rows),
    "SHIFT_MAX": shift_max_rows,
}


def row_call(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    """The row kernel of a step with the planner's choice; None where it is computed whole."""
    maker = MAKERS.get(step.op.kind)
    return None if maker is None else maker(graph, step, choice)


def flat_call(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    """The row kernel of a step with the whole map as one row; None for operators whose rows are not alike."""
    if step.op.kind == "SHIFT_MAX":
        return shift_max_rows(graph, step, choice, flat=True)
    return conv_rows(graph, step, choice, flat=True) if step.op.kind == "CONV_2D" else None
