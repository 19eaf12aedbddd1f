"""dft_depthwise_rows: 3x3 windows by tiles, four channels at a time; dft_depthwise_planes_rows: over planes, four channels
at a time. Twins: firmware/kernels/m7/depthwise_rows.c with depthwise_s1.S, r1.S, s2.S, s2r2.S, and depthwise_planes_rows.c
with depthwise_planes.S. Called by lanes.py."""

from __future__ import annotations

from dataclasses import dataclass

from dftiny.cost.pieces import Job, Pieces, Turn, add

_LANES, _PLANES_S1 = 4, 6  # DFT_DEPTHWISE_PLANES_S1
_METHODS = {1: ("s1", 4, 2), 2: ("s2", 3, 4), 3: ("r1", 3, 4), 4: ("s2r2", 5, 2)}


@dataclass(frozen=True)
class _Layer:
    """Geometry and method: `rows` a column holds, `outputs` of a tile."""

    name: str
    rows: int
    outputs: int
    how: str
    in_w: int
    in_c: int
    out_w: int
    multiplier: int
    stride: int
    left: int

    @property
    def tiles(self) -> int:
        """Of a channel."""
        return -(-self.out_w // self.outputs)


def depthwise(job: Job) -> Pieces:
    """All events of the lane."""
    name, rows, outputs = _METHODS[job.number("kind")]
    sizes = [job.number(n) for n in ("in_w", "in_c", "out_w", "multiplier", "stride_w", "pad_left")]
    layer = _Layer(name, rows, outputs, "table" if job.has("table") else "relu", *sizes)
    out = Pieces()
    for turn in job.turns:
        add(out, _event(layer, turn, job.number("stride_h")), turn.times)
    return Pieces({f"depthwise_{name}.{k}": n for k, n in out.items()})


def _event(m: _Layer, turn: Turn, stride_h: int) -> Pieces:
    under = 3 + (turn.rows - 1) * stride_h
    inside = [k < under and turn.inside[k] for k in range(m.rows)]
    missing = tuple(k for k, there in enumerate(inside) if not there and k < under)
    out = Pieces({"events": 1, "missing_rows": len(missing)})
    add(out, _padding(m, _LANES))
    if m.multiplier == 1:
        add(out, _quads(m, turn.rows, under, missing))
    else:
        add(out, _multiplied(m, turn.rows, under, missing))
    return out


def _padding(m: _Layer, lanes: int) -> Pieces:
    """fill_padding: columns left and right of the rows."""
    right = m.left + m.in_w
    columns = m.left + max((m.out_w - 1) * m.stride + 3 - right, 0)
    rows = 3 if m.name == "s2" else 1
    return Pieces({"paddings": 1, "padding_columns": columns, "padding_numbers": columns * lanes * rows})


def _widen(m: _Layer, missing: tuple[int, ...], pixels: int) -> Pieces:
    """The rows of four channels as columns; `missing` ones are filled behind where no code leaves them out."""
    known: dict[tuple[int, ...], str] = {(): "", (0,): "_top", (m.rows - 1,): "_bottom"}
    if m.rows == 5:
        known[2,] = "_middle"
    if m.rows == 4:
        known[2, 3] = known[2,] = "_last"
    how = known.get(missing)
    fills = 0 if how is not None else len(missing)
    how = how or ""
    out = Pieces({"widens": 1, f"pixels{how}": pixels, f"widens{how}": 1})
    if m.rows == 4:
        out["odd_pixels"] = pixels & 1
    elif m.name == "s2":
        odd = m.left & 1
        out["first_odd"], out["last_even"] = odd, (pixels - odd) & 1
    elif m.name == "s2r2" and how not in ("_top", "_middle"):
        before = min(-m.left % 4, pixels)
        singly = before + (pixels - before) % 4
        out[f"single_pixels{how}"] = singly
        out["blocks"] = (pixels - before) // 4
        out["singles"] = int(before > 0) + int((pixels - before) % 4 > 0)
    elif m.name == "r1":
        out["odd_pixels"] = pixels & 1
    out["filled_rows"] = fills
    out["filled_numbers"] = fills * m.in_w * _LANES
    out["filled_looks"] = max(missing) + 1 if fills else 0
    return out


def _run(m: _Layer, channels: int) -> Pieces:
    return Pieces({"runs": 1, "channels": channels, f"tiles_{m.how}": channels * m.tiles})


def _stored(m: _Layer) -> Pieces:
    return Pieces({"stores": 1, "store_columns": m.out_w, "store_odd": m.out_w & 1})


def _some_stored(m: _Layer, rows: int, n: int) -> Pieces:
    return Pieces({"some_stores": 1, "some_rows": rows, f"some_columns_{n}": rows * m.out_w})


def _quads(m: _Layer, rows: int, under: int, missing: tuple[int, ...]) -> Pieces:
    whole, left = divmod(m.in_c, _LANES)
    out = Pieces()
    add(out, _widen(m, missing, m.in_w), whole)
    add(out, _run(m, _LANES), whole)
    add(out, _stored(m), whole)
    overwritten = 2 * m.out_w if m.name.startswith("s2") else m.tiles * m.outputs
    padded = m.left > 1 or overwritten > m.left + m.in_w
    if padded:
        add(out, _padding(m, 1), whole)
    out["unusual_quads"] = whole * (padded or out["filled_rows"] > 0)
    if left:
        add(out, _some_widened(m, under, missing, whole * _LANES, left))
        add(out, _run(m, left))
        add(out, _some_stored(m, rows, left))
    return out


def _some_widened(m: _Layer, under: int, missing: tuple[int, ...], channel: int, lanes: int) -> Pieces:
    """widen_some: words as far as they may be read, then bytes."""
    room, end = m.in_w * m.in_c, channel + _LANES
    pixels = min(0 if room < end else (room - end) // m.in_c + 1, m.in_w)
    out = Pieces({"some_widens": 1})
    add(out, _widen(m, missing, pixels) if pixels else _padding(m, 1))
    out["byte_rows"] = under
    out["byte_pixels"] = under * (m.in_w - pixels)
    out["byte_numbers"] = under * (m.in_w - pixels) * lanes
    return out


def _multiplied(m: _Layer, rows: int, under: int, missing: tuple[int, ...]) -> Pieces:
    """Three input channels at a time, one product of a channel after the other."""
    out = Pieces()
    for channel in range(0, m.in_c, _LANES - 1):
        lanes = min(m.in_c - channel, _LANES - 1)
        add(out, _some_widened(m, under, missing, channel, lanes))
        whole, held = divmod(lanes * m.multiplier, _LANES)
        add(out, _run(m, 1), lanes * m.multiplier)
        add(out, _stored(m), whole)
        if held:
            add(out, _some_stored(m, rows, held))
        out["threes"] += 1
        out["aims"] += lanes * m.multiplier
    return out


def planes(job: Job) -> Pieces:
    """dft_depthwise_planes_rows: four channels at a time; rows outside of the map are filled in before."""
    name, outputs = ("p1", 2) if job.number("kind") == _PLANES_S1 else ("p2", 4)
    channels, out_w, stride_h = job.number("in_c"), job.number("out_w"), job.number("stride_h")
    how = "table" if job.has("table") else "relu"
    quads, left = divmod(channels, _LANES)
    tiles = channels * -(-out_w // outputs)
    out = Pieces()
    for turn in job.turns:
        missing = sum(not there for there in turn.inside[: 3 + (turn.rows - 1) * stride_h])
        one = {
            "depthwise_p.events": 1,
            "depthwise_p.missing_rows": missing,
            "depthwise_p.missing_numbers": missing * channels * job.number("columns"),
            "depthwise_p.runs": quads + (left > 0),
            "depthwise_p.some_columns": turn.rows * out_w * (left > 0),
            "depthwise_p.some_numbers": turn.rows * out_w * left,
            f"depthwise_{name}.channels": channels,
            f"depthwise_{name}.tiles_{how}": tiles,
            f"depthwise_{name}.store_columns": quads * out_w,
        }
        add(out, one, turn.times)
    return out
