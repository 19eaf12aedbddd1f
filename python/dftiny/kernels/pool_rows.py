"""Row kernels of MAX_POOL_2D and AVERAGE_POOL_2D. C: firmware/kernels/dft_max_pool_rows.h,
dft_average_pool_rows.h."""

from __future__ import annotations

from typing import cast

from dftiny.graph import Graph, PoolOptions
from dftiny.kernels.calls import Fields, same_pad
from dftiny.kernels.row_shape import fused_table
from dftiny.kernels.rows import Choice, RowCall
from dftiny.steps import Step

_WINDOW_ROWS_MAX = 16  # DFT_WINDOW_ROWS_MAX
_COLUMNS_MAX = 256  # what dft_column_run takes at once


def pool_rows(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    """Pools with windows of at most 16 rows and 256 columns."""
    del choice
    o = cast(PoolOptions, step.op.options)
    x, y = graph.tensors[step.op.inputs[0]], graph.tensors[step.op.outputs[0]]
    if o.filter_h > _WINDOW_ROWS_MAX or o.filter_w > _COLUMNS_MAX or max(x.shape) > 0xFFFF:
        return None
    in_w, channels, out_w = x.shape[2], x.shape[3], y.shape[2]
    fields: Fields = (
        ("in_w", in_w),
        ("out_w", out_w),
        ("channels", channels),
        ("kernel_h", o.filter_h),
        ("kernel_w", o.filter_w),
        ("stride_w", o.stride_w),
        ("pad_left", same_pad(in_w, out_w, o.filter_w, o.stride_w) if o.padding == "SAME" else 0),
    )
    kind = step.op.kind.removesuffix("_2D").lower()
    scratch = in_w * channels if kind == "max_pool" else 4 * channels
    pointers = fused_table(graph, step)
    return RowCall(f"dft_{kind}_rows", "dft_pool_rows_params", fields, pointers, scratch_bytes=scratch)
