"""dft_depthwise_taps_rows: depthwise windows without a tile. Twins: firmware/kernels/m7/depthwise_taps_rows.c,
depthwise_line.S, pair.S, sums.S, and depthwise_plain_rows.c. Called by lanes.py."""

from __future__ import annotations

from dftiny.cost.pieces import Job, Pieces, Turn, add, copied

_PLAIN, _AT_ONCE = 5, 4  # DFT_DEPTHWISE_PLAIN, WIDE_AT
_LOWEST = -128


def taps(job: Job) -> Pieces:
    """All events of the lane."""
    out = Pieces()
    for turn in job.turns:
        add(out, _event(job, turn), turn.times)
    return Pieces({f"depthwise_taps.{k}" if "." not in k else k: n for k, n in out.items()})


def _event(job: Job, turn: Turn) -> Pieces:
    channels, block = job.number("in_c"), job.number("block")
    if job.number("kind") == _PLAIN:
        return _plain(job, turn)
    out = Pieces({"events": 1, "rows": job.number("kernel_h")})
    if not block:
        if not all(turn.inside[: job.number("kernel_h")]):
            out["zeros"] = 1
            out["zero_words"] = job.number("in_w") * channels // 4
        add(out, _block(job, channels))
        return out
    for c in range(0, channels, block):
        n = min(channels - c, block)
        out["blocks"] += 1
        for k, there in enumerate(turn.inside[: job.number("kernel_h")]):
            add(out, _padded(job, c, n, k) if there else _filled(job, n))
        add(out, _block(job, n))
    return out


def _filled(job: Job, n: int) -> Pieces:
    """A row of n channels that lies outside of the map."""
    return Pieces({"filled": 1, "filled_words": job.number("columns") * n // 4})


def _padded(job: Job, c: int, n: int, k: int) -> Pieces:
    """Row k of the window, n channels from c on, between its padding."""
    width, columns, all_of_it = job.number("in_w"), job.number("columns"), job.number("in_c")
    out = Pieces({"padded": 1, "padded_words": (columns - width) * n // 4})
    runs = 1 if n == all_of_it else width
    out["padded_runs"] = runs
    to = (k * columns + job.number("pad_left")) * n
    add(out, copied(width * n // runs, runs, (n, all_of_it), (to, c)))
    return out


def _block(job: Job, channels: int) -> Pieces:
    """`channels` input channels whose windows lie ready."""
    products, out_w = channels * job.number("multiplier"), job.number("out_w")
    code = _line(job)
    if code:
        pairs = -(-out_w // 2)
        each = products // 2 if code.startswith("pair") else products
        return Pieces({f"{code}_lines": 1, f"{code}_channels": each, f"{code}_pairs": each * pairs,
                       f"{code}_odd": each * (out_w & 1), f"{code}_inputs": channels})  # fmt: skip
    turns = out_w // _AT_ONCE + out_w % _AT_ONCE
    height, width = job.number("kernel_h"), job.number("kernel_w")
    how = "five" if width == 5 else "any"
    table = "_table" if job.has("table") else ""
    return Pieces(
        {
            "blocks_any": 1,
            "channels": products,
            f"turns_{how}": products * turns,
            f"rows_{how}": products * turns * height,
            f"taps_{how}": products * turns * height * width if how == "any" else 0,
            f"outputs{table}": products * out_w,
        }
    )


def _line(job: Job) -> str:
    """The assembly that takes windows of one row or one column."""
    height, width, table = job.number("kernel_h"), job.number("kernel_w"), job.has("table")
    if (height != 1 and width != 1) or job.number("out_w") < 2:
        return ""
    if height * width == 3 and not table and job.number("multiplier") % 2 == 0:
        return "pair_relu" if job.number("out_zp") == _LOWEST else "pair"
    if height * width in (3, 5):
        return f"line_{height * width}{'_table' if table else ''}"
    return ""


def _plain(job: Job, turn: Turn) -> Pieces:
    height, width = job.number("kernel_h"), job.number("kernel_w")
    outputs = job.number("in_c") * job.number("multiplier") * job.number("out_w") * turn.rows
    table = int(job.has("table"))
    return Pieces(
        {
            "plain_events": 1,
            "plain_outputs": outputs,
            "plain_tables": outputs * table,
            "plain_rows": outputs * height,
            "plain_taps": outputs * height * width,
        }
    )
