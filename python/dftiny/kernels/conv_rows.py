"""CONV_2D and FULLY_CONNECTED by rows: constants of dft_conv_rows, as firmware/kernels/dft_conv_rows.h says.

Called through row_makers and, for a map taken as one row, by the planner.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from dftiny import int8
from dftiny.graph import ConvOptions, Graph, Op
from dftiny.kernels.calls import Const, Field, Fields, code_list, inner_range
from dftiny.kernels.conv_pairs import (
    EPILOGUES,
    MIXED,
    RUN_PAIRS_MAX,
    Rescaled,
    Run,
    paired,
    records,
    rescaled,
    steps,
    weight_words,
)
from dftiny.kernels.matvec_rows import Vectors, matvec_rows
from dftiny.kernels.products import channels
from dftiny.kernels.rows import Choice, Planes, RowCall
from dftiny.steps import Step

_WINDOW_ROWS_MAX = 16  # DFT_WINDOW_ROWS_MAX
_OUT_ROWS_MAX = 2  # DFT_OUT_ROWS_MAX
_WIDE, _LINEAR, _SINGLE, _PLANES, _DIRECT = 1, 2, 4, 8, 16  # DFT_CONV_WIDE …
_LAST = 0x8000  # DFT_CONV_LAST
_UNROLLED_MAX = 64  # dft_conv_k64
_TILE = 4  # pixels
_STATE_BYTES = 72  # dft_conv_state
_SCRATCH_AIM, _SCRATCH_LEAN = 8192, 4096
_ENOUGH = 16  # pixels that make up for widening the weights
_NARROW_MAP = 32  # pixels of a row up to which an event takes two
_FEW = 2  # pixels of a row
_BYTE, _HALF = 0xFF, 0xFFFF


@dataclass(frozen=True)
class _Map:
    """A convolution's geometry, (height, width) each; `depth` channels of the input, `groups` of them."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int]  # top, left
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    depth: int
    out_depth: int
    groups: int
    row: int = 0  # columns of an output row where all pixels of the map are computed in one event, as if they were one

    @property
    def group_in(self) -> int:
        return self.depth // self.groups

    @property
    def products(self) -> int:
        """K."""
        return self.kernel[0] * self.kernel[1] * self.group_in

    @property
    def quads(self) -> int:
        """K in fours."""
        return -(-self.products // 4)


def conv_rows(graph: Graph, step: Step, choice: Choice, flat: bool = False) -> RowCall | None:
    """The row kernel of a CONV_2D. `flat`: the whole map is computed in one event, as `may_be_flat` allows it.

    None for one input channel a group, left shifts, accumulators beyond 2³⁰ and sizes beyond the struct's.
    """
    m = _geometry(graph, step)
    if flat:
        m = _flat(m)
    return _call(graph, step, choice, m)


def may_be_flat(graph: Graph, step: Step) -> bool:
    """All pixels of a CONV_2D's map may be taken as one row: 1x1 windows without stride or padding, whose input is such a
    row as well; or narrow maps, where a row would leave tiles half empty, with windows whose columns follow each other."""
    m = _geometry(graph, step)
    pixels = m.out_size[0] * m.out_size[1]
    if _is_pointwise(m):
        return pixels <= _HALF
    left, right = m.pad[1], (m.out_size[1] - 1) * m.stride[1] + m.kernel[1] - m.pad[1] - m.in_size[1]
    touching = max(left, right) < m.kernel[1]  # every window has a column of the map
    narrow = _TILE <= pixels <= _HALF and m.out_size[1] <= _NARROW_MAP
    return narrow and m.groups == m.dilation[1] == 1 and touching and max(m.pad[0], m.dilation[0]) <= _BYTE


def _flat(m: _Map) -> _Map:
    pixels = m.out_size[0] * m.out_size[1]
    if _is_pointwise(m):
        return replace(m, in_size=(1, pixels), out_size=(1, pixels))
    return replace(m, out_size=(1, pixels), row=m.out_size[1])


def _is_pointwise(m: _Map) -> bool:
    return m.kernel == m.stride == (1, 1) and m.in_size == m.out_size and m.pad == (0, 0)


def fully_connected_rows(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    """The row kernel of a FULLY_CONNECTED: its input vectors are the pixels of one row. None for a map of several rows."""
    x, w = (graph.tensors[t] for t in step.op.inputs[:2])
    if len(x.shape) == 4 and x.shape[1] > 1:
        return None
    n = x.elements // w.shape[1]
    one = (1, 1)
    return _call(graph, step, choice, _Map(one, one, one, (0, 0), (1, n), (1, n), w.shape[1], w.shape[0], 1))


def _geometry(graph: Graph, step: Step) -> _Map:
    op, o = step.op, cast(ConvOptions, step.op.options)
    x, w, y = (graph.tensors[t] for t in (step.sources[0], op.inputs[1], op.outputs[0]))
    pad = (step.pad[0], step.pad[2]) if o.padding == "VALID" else int8.padding_before(graph, op)
    return _Map(
        kernel=(w.shape[1], w.shape[2]),
        stride=(o.stride_h, o.stride_w),
        dilation=(o.dilation_h, o.dilation_w if w.shape[2] > 1 else 1),
        pad=pad,
        in_size=(x.shape[1], x.shape[2]),
        out_size=(y.shape[1], y.shape[2]),
        depth=x.shape[3],
        out_depth=y.shape[3],
        groups=o.groups,
    )


def _call(graph: Graph, step: Step, choice: Choice, m: _Map) -> RowCall | None:
    op = step.op
    data = graph.tensors[op.inputs[1]].data
    assert data is not None
    if not _fits(m):
        return None
    r = rescaled(channels(graph, op, data.reshape(len(data), -1)))
    if r is None:
        return None
    table, linear = _table(graph, step)
    vectors = _vectors(m, graph.tensors[op.inputs[0]].zero_point)
    if vectors and m.out_depth > 2:  # four channels at once would store a logit's weights four times
        call = matvec_rows(r, vectors, graph.tensors[op.outputs[0]].zero_point, table)
        if call is not None:
            return call
    groups = paired(r.right, m.groups)
    runs = [run for group in groups for run in group]
    pairs = [pair for run in runs for pair in run.pairs]
    names = _epilogues(runs, linear, table is not None, choice.planes is not None)
    single = 4 * m.quads > _UNROLLED_MAX
    body = "loop" if single else f"{'wide_' * choice.wide}k{4 * m.quads}"
    rows, block = _sizes(m, choice)
    flags = _WIDE * choice.wide + _LINEAR * linear + _SINGLE * single + _DIRECT * _bare(m, choice)
    fields = _fields(graph, op, m, block, flags) if choice.planes is None else ()
    if choice.planes is not None:
        fields = _fields(graph, op, m, block, flags + _PLANES) + _planes_fields(choice.planes)
    fields += (("body", cast(Field, f"DFT_CONV_CODE({body})")),)
    code = code_list("dft_conv_code", [f"DFT_CONV_CODE({n})" for n in names.values()])
    r = replace(r, factor=1 if single else 2)
    return RowCall(
        "dft_conv_map_rows" if m.row else "dft_conv_rows",
        "dft_conv_rows_params",
        fields,
        (*_pointers(r, groups, pairs, list(names), choice.wide, table), ("epilogues", code)),
        scratch_bytes=_scratch(m, choice, rows, block),
        rows=rows,
        in_place=choice.planes is None and _in_place(m, block),
        symbols=tuple(f"dft_conv_{n}" for n in (body, *names.values())),
        wide_bytes=8 * m.quads * len(pairs) if choice.wide else 0,
    )


def _fits(m: _Map) -> bool:
    """Sizes fit the struct and the event; depthwise in disguise is refused."""
    small = (*m.kernel, *m.stride, m.dilation[1], m.pad[1])
    large = (*m.in_size, *m.out_size, m.depth, m.out_depth, m.quads)
    dwarf = m.groups > 1 and m.group_in == 1
    return not dwarf and m.kernel[0] <= _WINDOW_ROWS_MAX and max(small) <= _BYTE and max(large) <= _HALF


def _vectors(m: _Map, zero_point: int) -> Vectors | None:
    """So few pixels a row that tiles of four do not pay: one or two of a pointwise product, or one whose window takes the
    first columns of its rows."""
    if m.groups > 1 or m.out_size[1] > _FEW:
        return None
    if m.kernel == m.stride == (1, 1) and m.pad == (0, 0) and m.in_size == m.out_size:
        return Vectors(m.out_size[1])
    inside = m.pad[1] == 0 and m.kernel[1] <= m.in_size[1] and (m.kernel[1] == 1 or m.dilation[1] == 1)
    return Vectors(1, m.kernel[0], zero_point) if m.out_size[1] == 1 and inside else None


def _table(graph: Graph, step: Step) -> tuple[np.ndarray | None, bool]:
    """(int8[256] behind the saturated output or None, halves of negative sums are visible)."""
    y = graph.tensors[step.op.outputs[0]]
    low, high = int8.activation_range(getattr(step.op.options, "activation", "NONE"), y)
    linear = low < y.zero_point
    if (low, high) == (-128, 127) and step.table is None:
        return None, linear
    clamped = np.clip(np.arange(-128, 128), low, high)
    return clamped if step.table is None else step.table[clamped + 128].astype(np.int64), linear


def _planes_fields(planes: Planes) -> Fields:
    return (
        ("out_columns", planes.columns),
        ("out_left", planes.left),
        ("out_top", planes.top),
        ("out_pad", planes.zero),
    )


def may_write_planes(graph: Graph, step: Step) -> bool:
    """Rows of a whole tile or more, and not one of the vectors that have a kernel of their own."""
    return step.op.kind == "CONV_2D" and graph.tensors[step.op.outputs[0]].shape[2] >= _TILE


def _epilogues(runs: list[Run], linear: bool, table: bool, planes: bool) -> dict[int, str]:
    """Shift or MIXED → name of its code, in the order of the struct's list."""
    used = sorted({run.epilogue for run in runs})
    assert len(used) <= EPILOGUES
    out = {}
    for e in used:
        kind = "linear" if linear and e != 0 else "relu"  # without a shift there are no halves
        form = f"{'_table' if table else ''}{'_planes' if planes else ''}"
        out[e] = f"{kind}{form}_{'mixed' if e == MIXED else e}"
    return out


def _sizes(m: _Map, choice: Choice) -> tuple[int, int]:
    """(output rows an event, pixels of a row that are widened at once): as many as pay, or as memory should hold."""
    pixel = 8 * m.quads
    lean = bool(choice.block)
    room = max((_SCRATCH_LEAN if lean else _SCRATCH_AIM) - _scratch(m, choice, 1, 0), 0) // pixel
    room = max(room, _TILE if lean else _ENOUGH)
    whole = _rounded(m.out_size[1])
    most = _OUT_ROWS_MAX if m.dilation[0] == 1 and m.kernel[0] + m.stride[0] <= _WINDOW_ROWS_MAX else 1
    narrow = m.out_size[1] <= _NARROW_MAP and 2 * whole <= room
    wanted = 1 if choice.planes else choice.rows  # of a ring of four rows, one event reads all
    rows = min(wanted or (2 if narrow else 1), most, m.out_size[0])
    block = min(_rounded(choice.block) or whole, max(room // rows // _TILE, 1) * _TILE)
    return rows, min(block, whole)


def _in_place(m: _Map, block: int) -> bool:
    """A block of pixels is read before any of it is written, and no pixel is read again behind it: a last tile that
    overlaps the one before must be of the same block."""
    pixelwise = m.kernel == m.stride == (1, 1) and m.in_size == m.out_size and m.groups == 1
    width = m.out_size[1]
    together = width % _TILE == 0 or width <= block or width % block >= _TILE
    return pixelwise and m.out_depth <= m.depth and together


def _rounded(pixels: int) -> int:
    return -(-pixels // _TILE) * _TILE


def _scratch(m: _Map, choice: Choice, rows: int, block: int) -> int:
    """Widened pixels, panel or windows, state, and the output of a map that is narrower than a tile."""
    narrow = rows * _TILE * m.out_depth if m.out_size[1] < _TILE else 0
    panel = 0 if _bare(m, choice) else 16 * m.quads
    return 8 * m.quads * rows * block + panel + _STATE_BYTES + narrow


def _bare(m: _Map, choice: Choice) -> bool:
    """Weights and windows are read where they lie."""
    return choice.wide and not _gathers(m)


def _gathers(m: _Map) -> bool:
    """Some windows cannot be read where they lie."""
    if m.row:
        return True
    below = (m.out_size[0] - 1) * m.stride[0] - m.pad[0] + (m.kernel[0] - 1) * m.dilation[0] >= m.in_size[0]
    return m.out_size[1] < _TILE or m.pad[0] > 0 or below or _direct(m) != (0, m.out_size[1])


def _direct(m: _Map) -> tuple[int, int]:
    """Output pixels [first, end) whose windows are read where they lie: rows of a window are contiguous there, whole
    quads (or one row, whose last quad may reach into the next pixel but not behind the map's row)."""
    run = m.kernel[1] * m.group_in
    contiguous = m.kernel[1] == 1 or (m.dilation[1] == 1 and m.groups == 1)
    if not contiguous or (run % 4 and m.kernel[0] > 1):
        return 0, 0
    first, end = inner_range(m.in_size[1], m.out_size[1], m.kernel[1], m.stride[1], m.pad[1])
    behind = (m.groups - 1) * m.group_in + -(-run // 4) * 4
    while end > first and ((end - 1) * m.stride[1] - m.pad[1]) * m.depth + behind > m.in_size[1] * m.depth:
        end -= 1
    return first, end


def _fields(graph: Graph, op: Op, m: _Map, block: int, flags: int) -> Fields:
    where: Fields
    if m.row:
        where = (("in_h", m.in_size[0]), ("row", m.row), ("pad_top", m.pad[0]), ("dilation_h", m.dilation[0]))
    else:
        where = tuple(zip(("inner_x0", "inner_x1"), _direct(m), strict=True))
    return (
        ("in_w", m.in_size[1]),
        ("in_c", m.depth),
        ("out_w", m.out_size[1]),
        ("out_c", m.out_depth),
        ("group_in", m.group_in),
        ("groups_n", m.groups),
        ("quads", m.quads),
        ("block", block),
        *where,
        ("kernel_h", m.kernel[0]),
        ("kernel_w", m.kernel[1]),
        ("stride_h", m.stride[0]),
        ("stride_w", m.stride[1]),
        ("dilation_w", m.dilation[1]),
        ("pad_left", m.pad[1]),
        ("flags", flags),
        ("in_zp", graph.tensors[op.inputs[0]].zero_point),
        ("out_zp", graph.tensors[op.outputs[0]].zero_point),
    )


def _pointers(
    r: Rescaled,
    groups: list[tuple[Run, ...]],
    pairs: list[tuple[int, int]],
    epilogues: list[int],
    wide: bool,
    table: np.ndarray | None,
) -> tuple[tuple[str, Const], ...]:
    firsts, channels = steps([run for group in groups for run in group])
    ends = [run is group[-1] for group in groups for run in group]
    words = [
        (
            len(run.pairs) | epilogues.index(run.epilogue) * (RUN_PAIRS_MAX + 1) | _LAST * end,
            run.right[0] | run.right[1] << 8,
            first,
        )
        for run, end, first in zip((run for group in groups for run in group), ends, firsts, strict=True)
    ]
    out = [
        ("weights", Const("int32_t", "weights", weight_words(r, pairs, wide))),
        ("pairs", Const("int32_t", "channels", records(r, pairs))),
        ("steps", Const("uint8_t", "channels", channels)),
        ("runs", Const("uint16_t", "channels", np.array(words, np.int64).reshape(-1))),
    ]
    if table is not None:
        out.append(("table", Const("int8_t", "tables", table)))
    return tuple(out)
