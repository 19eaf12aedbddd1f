"""Row kernels of pointwise operators and of layout: tables, sums, products, gates, extrema, means, gathers, PAD,
CONCATENATION, pools. Twins: firmware/kernels/*_rows.c with m7/*_run.S. Called by lanes.py."""

from __future__ import annotations

from dftiny.cost.pieces import Job, Pieces, add, copied

_IMMEDIATE = range(6, 10)  # shifts for which gate_run.S has code
_COLUMNS = 256  # DFT_COLUMN_MAX


def run(name: str, n: int, wide: int, times: int = 1) -> Pieces:
    """A run over n bytes, `wide` of them a turn and the last ones singly."""
    return Pieces(
        {f"{name}.runs": times, f"{name}.wide": n // wide * times, f"{name}.ones": n % wide * times}
    )


def fused(job: Job, n: int) -> Pieces:
    """The function fused behind an event's n bytes."""
    return run("table", n, 8) if job.has("table") else Pieces({"table.none": 1})


def table(job: Job) -> Pieces:
    """dft_table_rows."""
    out = Pieces({"table.events": job.events})
    add(out, run("table", job.number("n"), 8), job.events)
    return out


def pair(job: Job, name: str, wide: int) -> Pieces:
    """dft_sum_rows, dft_maximum_rows, dft_exact_sum_rows …: runs of a pair, `wide` elements a turn."""
    runs, n = job.number("runs", "pair"), job.number("run", "pair")
    out = Pieces({f"{name}.events": 1, f"{name}.constant": int(job.has("constant"))})
    add(out, run(name, n, wide, runs))
    add(out, fused(job, runs * n))
    return Pieces({k: v * job.events for k, v in out.items()})


def product(job: Job) -> Pieces:
    """dft_mul_rows."""
    n = job.number("runs", "pair") * job.number("run", "pair")
    out = Pieces({"mul.events": 1, "mul.constant": int(job.has("constant"))})
    add(out, run("mul", n, 4))
    add(out, fused(job, n))
    return Pieces({k: v * job.events for k, v in out.items()})


def gate(job: Job) -> Pieces:
    """dft_gate_rows."""
    runs, channels, period = job.number("runs", "pair"), job.number("run", "pair"), job.number("period")
    how = "" if job.number("right", "product") in _IMMEDIATE else ".any"
    n = runs * channels
    passes, rest = divmod(n, period)
    out = Pieces({"gate.events": 1, "gate.constant": int(job.has("constant")), "gate.passes": passes})
    add(out, run("factor", channels, 4, -(-period // channels)))
    out[f"gate.eights{how}"] = n // 8
    out["gate.entries"] = int(passes > 0) + int(rest >= 8)
    out["gate.rest"] = int(rest >= 8)
    out["gate.ones"] = n % 8
    add(out, fused(job, n))
    return Pieces({k: v * job.events for k, v in out.items()})


def column(width: int, channels: int) -> Pieces:
    """dft_column_run."""
    fours, rest = divmod(channels, 4)
    return Pieces(
        {
            "column.runs": 1,
            "column.fours": fours,
            "column.four_pixels": fours * (width // 4),
            "column.two_pixels": fours * (width >> 1 & 1),
            "column.one_pixel": fours * (width & 1),
            "column.ones": rest,
            "column.one_pixels": rest * width,
        }
    )


def mean(job: Job) -> Pieces:
    """dft_mean_rows: a row an event, and the end of the map once."""
    width, channels = job.number("width"), job.number("channels")
    out = Pieces({"mean.events": job.events, "mean.ends": 1, "mean.channels": channels})
    for left in range(width, 0, -_COLUMNS):
        add(out, column(min(left, _COLUMNS), channels), job.events)
    if job.has("table"):
        add(out, run("table", channels, 8))
    return out


def gather(job: Job) -> Pieces:
    """dft_gather_rows."""
    runs, count, piece = job.number("runs"), job.number("count"), job.number("piece")
    out = Pieces({"gather.events": 1})
    if piece == 1:
        add(out, run("gather", count, 8, runs))
    else:
        out["gather.pieces"] = runs * count
        add(out, copied(piece, runs * count, (piece, piece)))
    add(out, fused(job, runs * count * piece))
    return Pieces({k: v * job.events for k, v in out.items()})


def concat(job: Job) -> Pieces:
    """dft_concat_rows."""
    runs, parts = job.number("runs"), (job.number("run_a"), job.number("run_b"))
    out = Pieces({"concat.events": 1, "concat.runs": runs})
    for i, n in enumerate(parts):
        add(out, copied(n, runs, (sum(parts), n), (parts[0] * (i > 0), 0)))
    add(out, fused(job, runs * sum(parts)))
    return Pieces({k: v * job.events for k, v in out.items()})


def pad(job: Job) -> Pieces:
    """dft_pad_rows."""
    width, channels = job.number("width"), job.number("channels")
    beside, around = job.number("left") + job.number("right"), job.number("below") + job.number("above")
    pixel = channels + around
    out = Pieces()
    for turn in job.turns:
        filled = beside + (0 if turn.inside[0] else width)
        one = Pieces({"pad.events": 1, "pad.filled": filled})
        add(one, copied(pixel, filled, (pixel, 0)))
        if turn.inside[0] and around == 0:
            add(one, copied(width * channels, 1, (0, 0), (pixel * job.number("left"), 0)))
        elif turn.inside[0]:
            one["pad.widened"] = width
            add(one, copied(pixel, width, (pixel, 0)))
            add(one, copied(channels, width, (pixel, channels), (job.number("below"), 0)))
        add(one, fused(job, pixel * (beside + width)))
        add(out, one, turn.times)
    return out


def _columns(job: Job) -> dict[int, int]:
    """How many output pixels have so many columns of the map under their window."""
    left, width, kernel = job.number("pad_left"), job.number("in_w"), job.number("kernel_w")
    found: dict[int, int] = {}
    for x in range(job.number("out_w")):
        first = x * job.number("stride_w")
        n = min(first + kernel, left + width) - max(first, left)
        found[n] = found.get(n, 0) + 1
    return found


def max_pool(job: Job) -> Pieces:
    """dft_max_pool_rows: the largest of each column, then of each window's columns."""
    channels, width = job.number("channels"), job.number("in_w")
    out, row = Pieces(), Pieces({"max_pool.events": 1, "max_pool.window_rows": job.number("kernel_h")})
    for n, pixels in _columns(job).items():
        row["max_pool.pixels"] += pixels
        if n == 1:
            add(row, copied(channels, pixels, (channels, channels)))
        else:
            row["max_pool.columns"] += (n - 1) * pixels
            add(row, run("maximum", channels, 8, (n - 1) * pixels))
    add(row, fused(job, job.number("out_w") * channels))
    for turn in job.turns:
        add(out, row, turn.times)
        add(out, run("maximum", width * channels, 8, max(sum(turn.inside) - 1, 0)), turn.times)
    return out


def average_pool(job: Job) -> Pieces:
    """dft_average_pool_rows."""
    channels, out = job.number("channels"), Pieces()
    for turn in job.turns:
        one = Pieces({"average_pool.events": 1})
        for n, pixels in _columns(job).items():
            one["average_pool.pixels"] += pixels
            one["average_pool.outputs"] += pixels * channels
            one["average_pool.window_rows"] += pixels * job.number("kernel_h")
            add(one, column(n, channels), pixels * sum(turn.inside))
        add(one, fused(job, job.number("out_w") * channels))
        add(out, one, turn.times)
    return out


def shift_max(job: Job) -> Pieces:
    """dft_shift_max_rows: lines of every branch and channel, then all pixels of them."""
    width, channels, branches, chunk = (job.number(n) for n in ("width", "out_c", "branches", "chunk"))
    rows = sum(t.times * t.rows for t in job.turns)
    out = Pieces({"shift_max.events": job.events, "shift_max.rows": rows})
    if not job.has("sums"):
        out["shift_max.general_pixels"] = rows * width
        out["shift_max.general_outputs"] = rows * width * channels
        out["shift_max.general_branches"] = rows * width * channels * branches
        return out
    spans = -(-channels // chunk) if chunk else 1
    finds = job.events if chunk else 1
    out["shift_max.spans"] = spans * job.events
    out["shift_max.terms"] = 2 * branches * spans * finds
    out["shift_max.lines"] = 2 * branches * channels * finds
    for kind in ("first", "larger")[:branches]:
        out[f"shift_max.passes_{kind}"] = spans * rows
        out[f"shift_max.channels_{kind}"] = rows * channels
        out[f"shift_max.outputs_{kind}"] = rows * channels * width
    return out


def matvec(job: Job) -> Pieces:
    """dft_matvec_rows: a vector widened, then channels in fours."""
    n, out_n, vectors = job.number("in_n"), job.number("out_n"), job.number("vectors")
    quads, fours = -(-n // 4), -(-out_n // 4)
    how = "matvec.fours_table" if job.has("table") else "matvec.fours"
    one = Pieces({"matvec.vectors": 1, "matvec.whole_quads": n // 4, "matvec.rest": int(n % 4 > 0)})
    one["matvec.rest_bytes"] = n % 4
    one["matvec.runs"] = int(out_n >= 4) + int(out_n % 4 > 0)
    one["matvec.rest_channels"] = out_n % 4
    one["matvec.rest_run"] = int(out_n % 4 > 0)
    one[how] = fours
    one["matvec.quads"] = fours * quads
    one["matvec.turns"] = fours * -(-quads // 2)
    out = Pieces({"matvec.events": job.events})
    add(out, one, vectors * job.events)
    return out


def matvec_window(job: Job) -> Pieces:
    """dft_matvec_window_rows: the rows of a window copied, filled where they lie outside of the map, then a vector."""
    out = matvec(job)
    n = job.number("in_n") // job.number("window")
    for turn in job.turns:
        there = sum(turn.inside)
        missing = len(turn.inside) - there
        one = Pieces(
            {"matvec_window.events": 1, "matvec_window.rows": there, "matvec_window.missing": missing}
        )
        one["matvec_window.missing_words"] = missing * (n // 4)
        add(one, copied(n, there, (n, n)))
        add(out, one, turn.times)
    return out
