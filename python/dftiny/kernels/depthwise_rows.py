"""DEPTHWISE_CONV_2D by rows: constants of dft_depthwise_rows, as firmware/kernels/dft_depthwise_rows.h says.

Called through row_makers. 3x3 kernels have tiles in assembly on the Cortex-M7, one for every right shift, so that a
shift is an immediate; everything else is dft_depthwise_taps_rows, slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from dftiny import int8
from dftiny.graph import DepthwiseOptions, Graph, Op
from dftiny.kernels.calls import Const, Field, Fields, code_list
from dftiny.kernels.products import channels
from dftiny.kernels.rows import Choice, Planes, RowCall
from dftiny.steps import Step

_WINDOW_ROWS_MAX = 16  # DFT_WINDOW_ROWS_MAX
# DFT_DEPTHWISE_ANY, 3X3_S1_R2, S2_R1, S1_R1, S2_R2, PLAIN, PLANES_S1, PLANES_S2, WIDE
_ANY, _S1, _S2, _R1, _S2R2, _PLAIN, _P1, _P2, _WIDE = range(9)
_ONE_ROW = (0, 1, 3, 4, 2, 6, 5, 7, 8)
_TWO_ROWS = (0, 1, 3, 4, 6, 7, 2, 5, 5, 8)
_ORDERS = {
    _S1: _TWO_ROWS,
    _S2: _ONE_ROW,
    _R1: _ONE_ROW,
    _S2R2: (0, 1, 3, 4, 6, 7, 2, 5, 8),
    _P1: _TWO_ROWS,
    _P2: _ONE_ROW,
}
_NAMES = {_S1: "s1", _S2: "s2", _R1: "r1", _S2R2: "s2r2", _P1: "p1", _P2: "p2"}
_WIDE_ROW = {5: (0, 3, 1, 4, 2), 7: (0, 2, 1, 3, 5, 4, 6)}  # columns of a row of weights as they lie
_WIDE_TILE, _WIDE_PAIR = 4, 16  # outputs; bytes of two columns of four channels
_SHIFTS = 16
_RECORD_BEYOND = 9  # bias, multiplier, shift
_COPY_BYTES = 8 << 10  # at most, unless one channel takes more; that many for a choice of 16 pixels or more
_BYTE, _HALF = 0xFF, 0xFFFF


@dataclass(frozen=True)
class _Window:
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]  # top, left
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    copied: int  # bytes of rows at once


def depthwise_rows(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    """The row kernel of a DEPTHWISE_CONV_2D, or None: dilation, a channel shifted left, huge sums."""
    window, made = _window(graph, step, choice), _channels(graph, step.op)
    if window is None or made is None:
        return None
    rows = min(choice.rows or 2, 2, window.out_size[0])
    kind = _kind(window, made.right, rows)
    if choice.planes is not None:
        kind = _planes_kind(window)
    elif kind == _ANY and _is_wide(window, graph, step):
        kind = _WIDE
    table = _table(graph, step, kind)
    first, tiles = _tiles(kind, made.right, table is None)
    pointers = [("records", Const("int8_t", "weights", _records(made, kind, window.kernel)))]
    if table is not None:
        pointers.append(("table", Const("int8_t", "tables", table)))
    if tiles:
        names = [f"DFT_DEPTHWISE_TILE({t})" if t else "0" for t in tiles]
        pointers.append(("tiles", code_list("dft_depthwise_tile", names)))
    return RowCall(
        _function(kind),
        "dft_depthwise_rows_params",
        (
            *_fields(graph, step.op, window, kind),
            ("method", _pointer(_method(kind))),
            ("first_tile", first),
        ),
        tuple(pointers),
        scratch_bytes=_scratch(window, kind, graph.tensors[step.sources[0]].shape[3]),
        rows={_S1: 2, _S2R2: 2, _P1: 2}.get(kind, 1),
        symbols=_symbols(kind, tiles),
    )


def planes_for(graph: Graph, step: Step) -> Planes | None:
    """How a DEPTHWISE_CONV_2D would like its operand laid out; None where there is no such kernel for it."""
    if step.op.kind != "DEPTHWISE_CONV_2D":
        return None
    window, made = _window(graph, step, Choice()), _channels(graph, step.op)
    if window is None or made is None or _kind(window, made.right, 2) not in (_S1, _S2R2):
        return None
    (top, left), outputs = window.pad, window.out_size[1]
    columns = _columns(window, _planes_kind(window))
    reach = (outputs - 1) * window.stride[1] + 3
    if (
        not _is_single(graph, step)
        or left > 1
        or min(window.in_size[0], 2 * window.out_size[0]) < 4
        or reach > left + window.in_size[1] + 1
        or outputs < 2
        or columns > _BYTE
    ):
        return None
    return Planes(columns, left, top, graph.tensors[step.op.inputs[0]].zero_point)


def _is_single(graph: Graph, step: Step) -> bool:
    """One output channel for each of the input's."""
    return graph.tensors[step.op.outputs[0]].shape[3] == graph.tensors[step.sources[0]].shape[3]


def _planes_kind(window: _Window) -> int:
    return _P1 if window.stride[1] == 1 else _P2


def _is_wide(window: _Window, graph: Graph, step: Step) -> bool:
    """Five or seven columns, several rows, one product a channel: made by depthwise_wide_rows."""
    high, wide = window.kernel
    return wide in _WIDE_ROW and high > 1 and window.stride[1] <= 2 and _is_single(graph, step)


def _function(kind: int) -> str:
    if kind == _WIDE:
        return "dft_depthwise_wide_rows"
    if kind in (_P1, _P2):
        return "dft_depthwise_planes_rows"
    return "dft_depthwise_rows" if kind in _NAMES else "dft_depthwise_taps_rows"


def _window(graph: Graph, step: Step, choice: Choice) -> _Window | None:
    """None where the kernel cannot go: dilation, huge windows, an output row without a row of the map."""
    op, o = step.op, cast(DepthwiseOptions, step.op.options)
    x, w, y = (graph.tensors[t] for t in (step.sources[0], op.inputs[1], op.outputs[0]))
    kernel = (w.shape[1], w.shape[2])
    pad = int8.padding_before(graph, op)
    if o.padding == "VALID":
        pad = (step.pad[0], step.pad[2])
    copied = _COPY_BYTES * min(choice.block or 16, 16) // 16
    in_size, out_size = (x.shape[1], x.shape[2]), (y.shape[1], y.shape[2])
    window = _Window(kernel, (o.stride_h, o.stride_w), pad, in_size, out_size, copied)
    dilated = any(d > 1 and k > 1 for d, k in zip((o.dilation_h, o.dilation_w), kernel, strict=True))
    below = (window.out_size[0] - 1) * o.stride_h - pad[0] >= window.in_size[0]
    small = kernel[0] <= _WINDOW_ROWS_MAX and kernel[0] * kernel[1] + _RECORD_BEYOND <= _BYTE
    sizes = (*x.shape[1:], y.shape[2], o.multiplier)
    fits = max(pad[1], o.stride_h, o.stride_w) <= _BYTE and max(sizes) <= _HALF
    if dilated or below or pad[0] >= kernel[0] or not small or not fits:
        return None
    return window


@dataclass(frozen=True, eq=False)
class _Channels:
    """Doubled biases and multipliers int64[channels, 2], weights int8[channels, taps], right shifts int64[channels]."""

    head: np.ndarray
    weights: np.ndarray
    right: np.ndarray


def _channels(graph: Graph, op: Op) -> _Channels | None:
    """None where a channel would have to be shifted left, or its sums could pass 2³⁰."""
    w = graph.tensors[op.inputs[1]].data
    assert w is not None
    r = channels(graph, op, w.reshape(-1, w.shape[3]).T)
    bias, mult, left, right = (r.table[:, i].copy() for i in (0, 1, 3, 4))
    # A constant channel is an identity that shifts left; the same with a right shift: 4 · v halved twice.
    constant = (left == 2) & (mult == 1 << 30) & (right == 0) & ~r.rows.any(axis=1)
    bias[constant], left[constant], right[constant] = 4 * bias[constant], 1, 1
    if r.wide or (left != 1).any():
        return None
    return _Channels(np.stack([2 * bias, mult], axis=1), r.rows, right)


def _kind(window: _Window, right: np.ndarray, rows: int) -> int:
    if right.min() < 1:
        return _PLAIN
    if window.kernel != (3, 3) or right.max() > _SHIFTS:
        return _ANY
    if window.stride == (1, 1) and rows == 2:
        return _S1
    if window.stride == (2, 2) and rows == 2:
        return _S2R2
    return {1: _R1, 2: _S2}.get(window.stride[1], _ANY)


def _table(graph: Graph, step: Step, kind: int) -> np.ndarray | None:
    """int8[256] behind the saturated output, or None where saturation is all there is to do.

    To tiles of 3x3, None also promises that ties of negative sums need no care: with the zero point at −128 they
    saturate. Where it lies elsewhere they get a table that changes nothing.
    """
    y = graph.tensors[step.op.outputs[0]]
    low, high = int8.activation_range(cast(DepthwiseOptions, step.op.options).activation, y)
    careless = y.zero_point == -128 or kind not in _NAMES
    if (low, high) == (-128, 127) and careless and step.table is None:
        return None
    clamped = np.clip(np.arange(-128, 128), low, high)
    return clamped if step.table is None else step.table[clamped + 128]


def _fields(graph: Graph, op: Op, window: _Window, kind: int) -> Fields:
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    return (
        ("in_w", window.in_size[1]),
        ("in_c", x.shape[3]),
        ("out_w", window.out_size[1]),
        ("multiplier", y.shape[3] // x.shape[3]),
        ("kernel_h", window.kernel[0]),
        ("kernel_w", window.kernel[1]),
        ("stride_h", window.stride[0]),
        ("stride_w", window.stride[1]),
        ("pad_left", window.pad[1]),
        ("kind", kind),
        ("record", _RECORD_BEYOND + len(_order(kind, window.kernel))),
        ("out_zp", y.zero_point),
        ("in_zp", x.zero_point),
        ("columns", _columns(window, kind)),
        ("block", _block(window, kind, x.shape[3])),
    )


def _columns(window: _Window, kind: int) -> int:
    """Columns of the scratch memory: under all windows, outputs rounded up to whole tiles."""
    tile = {_S1: 2, _S2: 4, _R1: 4, _S2R2: 2, _P1: 2, _P2: 4, _WIDE: _WIDE_TILE}.get(kind, 1)
    outputs = -(-window.out_size[1] // tile) * tile
    needed = (outputs - 1) * window.stride[1] + window.kernel[1]
    columns = max(needed, window.pad[1] + window.in_size[1] + (kind in (_P1, _P2)))
    together = {_S2: 2, _S2R2: 4, _WIDE: 2}.get(kind, 1)
    return -(-columns // together) * together


def _block(window: _Window, kind: int, channels: int) -> int:
    """Channels that are copied at once because columns of padding belong between their rows; 0 without padding."""
    columns = _columns(window, kind)
    if kind != _ANY or columns == window.in_size[1]:
        return 0
    return max(1, min(channels, window.copied // (window.kernel[0] * columns)))


def _scratch(window: _Window, kind: int, channels: int) -> int:
    """Two words a column and channel of a quad; with stride 2 three words a pair of columns, or ten words
    four columns. Over planes only results lie there, eight bytes a column. Wide windows take four channels, the weights of one, results. Else copied rows, or one of zero points."""
    columns = _columns(window, kind)
    if kind == _WIDE:
        results = -(-window.out_size[1] // _WIDE_TILE) * _WIDE_TILE * 4
        return window.kernel[0] * (columns // 2 * _WIDE_PAIR + 4 * (window.kernel[1] - 1)) + results
    if kind != _ANY:
        return columns * {_S1: 32, _S2: 24, _R1: 32, _S2R2: 40, _P1: 8, _P2: 8}.get(kind, 0)
    block = _block(window, kind, channels)
    if block > 0:
        return block * window.kernel[0] * columns
    below = (window.out_size[0] - 1) * window.stride[0] + window.kernel[0] - window.pad[0] > window.in_size[0]
    return columns * channels if window.pad[0] > 0 or below else 0


def _tiles(kind: int, right: np.ndarray, relu: bool) -> tuple[int, list[str]]:
    """(least shift − 1, tiles from that shift to the greatest, "" where no channel needs one)."""
    if kind not in _NAMES:
        return 0, []
    name = f"{_NAMES[kind]}_{'relu' if relu else 'table'}"
    shifts = range(int(right.min()), int(right.max()) + 1)
    return shifts.start - 1, [f"{name}_{e}" if (right == e).any() else "" for e in shifts]


def _order(kind: int, kernel: tuple[int, int]) -> list[int]:
    """Which tap lies where in a record."""
    if kind == _WIDE:
        return [row * kernel[1] + column for row in range(kernel[0]) for column in _WIDE_ROW[kernel[1]]]
    return list(_ORDERS.get(kind, range(kernel[0] * kernel[1])))


def _symbols(kind: int, tiles: list[str]) -> tuple[str, ...]:
    """What the parameters point to."""
    names = {_method(kind), *tiles} - {""}
    return tuple(sorted(f"dft_depthwise_{n}" for n in names))


def _method(kind: int) -> str:
    """Its name; "" where there are no tiles."""
    return f"method_{_NAMES[kind]}" if kind in _NAMES else ""


def _pointer(method: str) -> Field:
    """The method as C."""
    return cast(Field, f"DFT_DEPTHWISE_METHOD({method})" if method else 0)


def _records(made: _Channels, kind: int, kernel: tuple[int, int]) -> np.ndarray:
    """int8[channels · record]."""
    order = _order(kind, kernel)
    parts = (
        made.head.astype("<i4").view(np.int8).reshape(-1, 8),
        made.weights[:, order].astype(np.int8),
        (made.right - 1).astype(np.int8)[:, None],
    )
    records: np.ndarray = np.concatenate(parts, axis=1).reshape(-1)
    return records
