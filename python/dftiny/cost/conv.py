"""dft_conv_rows: blocks of pixels are widened, then pairs of channels go over their tiles. Twins: firmware/kernels/m7/
conv_rows.c, conv_pairs.S, conv_body.S, conv_epilogue.S. Called by lanes.py."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields

from dftiny.cost.pieces import Job, Pieces, Turn, add
from dftiny.kernels.conv_pairs import RUN_PAIRS_MAX

_TILE, _TILE_WORDS, _LOOP_QUADS = 4, 8, 8  # pixels; of a quad; DFT_CONV LOOP_QUADS
_RUN, _EPILOGUE = 3, 13  # DFT_CONV_RUN, DFT_CONV_EPILOGUE's first bit
_WIDE, _SINGLE, _PLANES = 1, 4, 8  # DFT_CONV_WIDE, DFT_CONV_SINGLE, DFT_CONV_PLANES


@dataclass(frozen=True)
class _Map:
    """The members of dft_conv_rows_params that loops depend on."""

    in_w: int
    in_c: int
    out_w: int
    out_c: int
    group_in: int
    groups_n: int
    quads: int
    block: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_w: int
    pad_left: int
    flags: int
    inner_x0: int = 0
    inner_x1: int = 0

    @property
    def row_bytes(self) -> int:
        """Of a row of a window."""
        return self.kernel_w * self.group_in


def _map(job: Job, *more: str) -> _Map:
    names = [f.name for f in fields(_Map) if f.default is MISSING]
    return _Map(**{name: job.number(name) for name in (*names, *more)})


def conv(job: Job) -> Pieces:
    """All events of the lane."""
    m = _map(job, "inner_x0", "inner_x1")
    out = Pieces()
    for turn in job.turns:
        add(out, _event(job, m, turn), turn.times)
    return out


def _event(job: Job, m: _Map, turn: Turn) -> Pieces:
    out = Pieces({"conv.events": 1})
    for (whole, rest), starts in _blocks(m).items():
        out["conv.blocks"] += len(starts)
        tiles, spans = turn.rows * (whole + (rest > 0)), turn.rows * (int(whole > 0) + int(rest > 0))
        add(out, _pairs(job, m, tiles, spans), len(starts))
        add(out, _widened(m, turn, whole, rest, starts))
    if m.out_w < _TILE:
        add(out, _copy(m.out_w * m.out_c), turn.rows)
    if m.flags & _PLANES:
        out["conv.plane_rows"], out["conv.planes"] = turn.rows, turn.rows * m.out_c
        out["conv.planes_left"] = turn.rows * m.out_c * (job.number("out_left") > 0)
    return out


def conv_map(job: Job) -> Pieces:
    """dft_conv_map_rows: the pixels of a whole map as one row."""
    m = _map(job)
    row, in_h, pad, apart = (job.number(name) for name in ("row", "in_h", "pad_top", "dilation_h"))
    out = Pieces({"conv.events": 1})
    tiles = 0
    for (whole, rest), starts in _blocks(m).items():
        out["conv.blocks"] += len(starts)
        out["conv.widened_rows"] += len(starts)
        out["conv.map_spans"] += len(starts) * (int(whole > 0) + int(rest > 0))
        add(out, _pairs(job, m, whole + (rest > 0), int(whole > 0) + int(rest > 0)), len(starts))
        tiles += len(starts) * (whole + (rest > 0))
    out["conv.widen_calls"] = out["conv.widen_tiles"] = out["conv.map_tiles"] = tiles
    out["conv.widen_quads"] = tiles * m.quads
    out["conv.map_rows"] = m.out_w // row * m.kernel_h
    again = -m.out_w % _TILE  # pixels of the last tile that belong to the one before it as well
    for pixel in (*range(m.out_w), *range(m.out_w - _TILE, m.out_w - _TILE + again)):
        oy, ox = divmod(pixel, row)
        rows = [oy * m.stride_h - pad + k * apart for k in range(m.kernel_h)]
        add(out, _pixel(m, tuple(0 <= y < in_h for y in rows), ox * m.stride_w - m.pad_left))
    return Pieces({name: n * job.events for name, n in out.items()})


def _blocks(m: _Map) -> dict[tuple[int, int], list[int]]:
    """First pixels of blocks with so many whole tiles and pixels behind them."""
    found: dict[tuple[int, int], list[int]] = {}
    for x in range(0, m.out_w, m.block):
        found.setdefault(divmod(min(m.out_w - x, m.block), _TILE), []).append(x)
    return found


def _pairs(job: Job, m: _Map, tiles: int, spans: int) -> Pieces:
    """All pairs over a block of `tiles` in `spans`."""
    runs = job.values("runs").reshape(-1, _RUN)
    names = job.code("epilogues")
    out = Pieces({"conv.groups": m.groups_n, "conv.runs": len(runs)})
    for first in runs[:, 0].tolist():
        pairs = first & RUN_PAIRS_MAX
        out["conv.pairs"] += pairs
        kind = names[first >> _EPILOGUE & 3].removeprefix("DFT_CONV_CODE(").rstrip(")0123456789").rstrip("_")
        out[f"conv.tiles_{kind}"] += pairs * tiles
    add(out, _panel(m, int(out["conv.pairs"])))
    out["conv.spans"] = out["conv.pairs"] * spans
    products = out["conv.pairs"] * tiles
    out["conv.tiles_wide"] = products if m.flags & _WIDE and not m.flags & _SINGLE else 0
    if m.flags & _SINGLE:
        out["conv.loop_tiles"] = products
        out["conv.loop_quads"] = products * m.quads
        out["conv.loop_turns"] = products * -(-(m.quads - 1) // _LOOP_QUADS)
    else:
        out["conv.quads"] = products * m.quads
    return out


def _panel(m: _Map, pairs: int) -> Pieces:
    """The weights of pairs as int16."""
    if m.flags & _WIDE:
        return Pieces({"conv.panels_wide": pairs})
    how = "single" if m.flags & _SINGLE else "double"
    return Pieces(
        {
            f"conv.panels_{how}": pairs,
            f"conv.panel_two_{how}": pairs * (m.quads // 2),
            f"conv.panel_one_{how}": pairs * (m.quads % 2),
        }
    )


def _widened(m: _Map, turn: Turn, whole: int, rest: int, starts: list[int]) -> Pieces:
    """The windows of blocks that begin at pixels `starts`, for all groups."""
    out = Pieces({"conv.widened_rows": len(starts) * turn.rows * m.groups_n})
    for row in range(turn.rows):
        inside = turn.inside[row * m.stride_h : row * m.stride_h + m.kernel_h]
        if (m.inner_x0, m.inner_x1) == (0, m.out_w) and m.out_w >= _TILE:
            add(out, _direct(m, inside, whole), len(starts) * m.groups_n if whole else 0)
            add(out, _direct(m, inside, 1), len(starts) * m.groups_n if rest else 0)
            continue
        for x in starts:
            add(out, _span(m, inside, x, whole), m.groups_n if whole else 0)
            last = 0 if m.out_w < _TILE else m.out_w - _TILE
            add(out, _span(m, inside, last, 1), m.groups_n if rest else 0)
    return out


def _span(m: _Map, inside: tuple[bool, ...], x: int, tiles: int) -> Pieces:
    """`widen` of m7/conv_rows.c: tiles from pixel x on, directly where they may."""
    out = Pieces({"conv.widen_spans": 1})
    while tiles > 0:
        n = min((m.inner_x1 - x) // _TILE, tiles) if m.inner_x0 <= x < m.inner_x1 else 0
        add(out, _direct(m, inside, n) if n > 0 else _gathered(m, inside, x))
        n = max(n, 1)
        tiles, x = tiles - n, x + n * _TILE
    return out


def _direct(m: _Map, inside: tuple[bool, ...], tiles: int) -> Pieces:
    """`widen_tiles`: rows of windows are widened where they lie, or filled."""
    there, missing = sum(inside), len(inside) - sum(inside)
    quads = m.quads // m.kernel_h
    out = Pieces({"conv.direct": 1, "conv.direct_rows": there, "conv.direct_filled": missing})
    out["conv.widen_calls"] = there + missing
    out["conv.widen_tiles"] = (there + missing) * tiles
    out["conv.widen_quads"] = (there + missing) * tiles * quads
    add(out, _fill(4 * quads), missing)
    return out


def _gathered(m: _Map, inside: tuple[bool, ...], x: int) -> Pieces:
    """`gather_tile`: one tile by way of the taps."""
    out = Pieces(
        {"conv.gathered": 1, "conv.widen_calls": 1, "conv.widen_tiles": 1, "conv.widen_quads": m.quads}
    )
    last = (x + _TILE - 1) * m.stride_w + m.kernel_w
    out["conv.looked_rows"] = inside.index(False) + 1 if False in inside else m.kernel_h
    if (
        all(inside)
        and x + _TILE <= m.out_w
        and x * m.stride_w >= m.pad_left
        and m.dilation_w == 1
        and m.group_in == m.in_c
        and (last - m.pad_left) * m.in_c + 3 <= m.in_w * m.in_c
    ):
        rows = _TILE * m.kernel_h
        more = {"conv.gather_calls": 1, "conv.gather_rows": rows}
        add(out, {**more, "conv.gather_words": rows * -(-m.row_bytes // 4)})
        return out
    for i in range(_TILE):
        add(out, _pixel(m, inside, min(x + i, m.out_w - 1) * m.stride_w - m.pad_left))
    return out


def _pixel(m: _Map, inside: tuple[bool, ...], x: int) -> Pieces:
    """`gather_pixel` of a window from column x on."""
    there, missing = sum(inside), len(inside) - sum(inside)
    out = Pieces({"conv.tap_pixels": 1, "conv.tap_rows": m.kernel_h})
    add(out, _fill(m.row_bytes), missing)
    left, right = max(-x, 0), max(x + m.kernel_w - m.in_w, 0)
    if m.group_in != m.in_c or m.dilation_w != 1 or left + right >= m.kernel_w:
        out["conv.tap_columns"] = there * m.kernel_w
        for k in range(m.kernel_w):
            add(
                out,
                _copy(m.group_in) if 0 <= x + k * m.dilation_w < m.in_w else _fill(m.group_in),
                there,
            )
        return out
    add(out, _copy((m.kernel_w - left - right) * m.in_c), there)
    add(out, _fill(m.row_bytes), there * (left + right > 0))
    return out


def _copy(n: int) -> Pieces:
    rest = {"conv.copy_two": n >> 1 & 1, "conv.copy_one": n & 1}
    return Pieces({"conv.copies": 1, "conv.copy_words": n // 4, **rest})


def _fill(n: int) -> Pieces:
    return Pieces({"conv.fills": 1, "conv.fill_words": n // 4, "conv.fill_bytes": n % 4})
