"""dft_depthwise_wide_rows: depthwise windows five or seven columns wide. Twins: firmware/kernels/m7/depthwise_wide_rows.c
and depthwise_wide.S. Called by lanes.py."""

from __future__ import annotations

from dftiny.cost.pieces import Job, Pieces, Turn, add

_LANES, _TILE = 4, 4


def wide(job: Job) -> Pieces:
    """All events of the lane."""
    out = Pieces()
    for turn in job.turns:
        add(out, _event(job, turn), turn.times)
    return Pieces({f"depthwise_wide.{k}": n for k, n in out.items()})


def _event(job: Job, turn: Turn) -> Pieces:
    inside = turn.inside[: job.number("kernel_h")]
    there, columns, width = sum(inside), job.number("columns"), job.number("in_w")
    out = Pieces({"events": 1, "rows": len(inside), "missing_rows": len(inside) - there})
    out["zeros"] = there * (columns - width) + (len(inside) - there) * columns
    whole, left = divmod(job.number("in_c"), _LANES)
    add(out, _quad(job, there, _LANES), whole)
    if left:
        add(out, _quad(job, there, left))
    return out


def _quad(job: Job, there: int, lanes: int) -> Pieces:
    """Up to four channels: widened, computed one by one, stored."""
    height, taps, out_w = job.number("kernel_h"), job.number("kernel_w"), job.number("out_w")
    width, first = job.number("in_w"), job.number("pad_left") & 1
    pairs, tiles = (width - first) // 2, -(-out_w // _TILE)
    out = Pieces({"quads": 1, "quad_rows": height, "channels": lanes, f"weights_{taps}": lanes * height})
    out["tiles_table" if job.has("table") else "tiles"] = lanes * tiles
    out[f"rows_{taps}_{job.number('stride_w')}"] = lanes * tiles * height
    if lanes < _LANES or pairs == 0:
        out["byte_rows"], out["byte_pixels"], out["byte_numbers"] = (
            there,
            there * width,
            there * width * lanes,
        )
    else:
        out["widens"], out["pairs"] = there, there * pairs
        out["ones"] = there * (first + int(first + 2 * pairs != width))
    if lanes == _LANES:
        out["stores"] = out_w
    else:
        out["some_stores"], out["some_bytes"] = out_w, out_w * lanes
    return out
