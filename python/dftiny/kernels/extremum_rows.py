"""Row kernels of MAXIMUM and MINIMUM. C: firmware/kernels/dft_maximum_rows.h, dft_minimum_rows.h."""

from __future__ import annotations

from dftiny.graph import Graph
from dftiny.kernels.calls import Fields
from dftiny.kernels.pair import pair_of, scalar_rows
from dftiny.kernels.row_shape import fused_table
from dftiny.kernels.rows import Choice, RowCall
from dftiny.steps import Step


def extremum_rows(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    """MAXIMUM and MINIMUM of maps of one shape, or of a map and a vector over its channels, or of a map and a number."""
    del choice
    if (call := scalar_rows(graph, step)) is not None:
        return call
    pair = pair_of(graph, step)
    if pair is None:
        return None
    fields: Fields = (("pair", pair.fields),)
    pointers = (*pair.pointers, *fused_table(graph, step))
    function = f"dft_{step.op.kind.lower()}_rows"
    return RowCall(function, "dft_extremum_rows_params", fields, pointers, in_place=True)
