"""Row kernel of a MEAN over height and width. C: firmware/kernels/dft_mean_rows.h."""

from __future__ import annotations

from typing import cast

from dftiny import int8
from dftiny.graph import Graph, MeanOptions
from dftiny.kernels.calls import RIGHT_MAX, Fields
from dftiny.kernels.row_shape import fused_table
from dftiny.kernels.rows import Choice, RowCall
from dftiny.steps import Step

_LIMIT_16 = 0xFFFF


def mean_rows(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    """MEAN of a map [1, H, W, C] over H and W; other axes are averaged whole."""
    del choice
    op = step.op
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if len(x.shape) != 4 or x.shape[0] != 1 or cast(MeanOptions, op.options).axes != (1, 2):
        return None
    height, width, channels = x.shape[1:]
    mult, shift = int8.mean_params(graph, op)
    # The same bounds as of the whole operator: nothing passes 31 bits.
    large = 255 * height * width << max(shift, 0) >= 1 << 30 or max(x.shape) > _LIMIT_16
    if large or not -RIGHT_MAX <= shift <= -1:
        return None
    scale: Fields = (
        ("offset", -x.zero_point * height * width),
        ("mult", mult),
        ("round", (1 << -shift >> 1) + y.zero_point * (1 << -shift)),
        ("right", -shift),
    )
    fields: Fields = (("height", height), ("width", width), ("channels", channels), ("scale", scale))
    return RowCall(
        "dft_mean_rows",
        "dft_mean_rows_params",
        fields,
        fused_table(graph, step),
        aux_bytes=4 * channels,
    )
