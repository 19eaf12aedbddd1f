"""Whole-tensor kernels, firmware/kernels/*_s8.c: plain loops, counted by their bounds. Called by lanes.py."""

from __future__ import annotations

import math

from dftiny.cost.pieces import Job, Pieces, add, copied

_WIDE, _SMALL_TAPS = 2, 25  # DFT_WIDE; TAPS_MAX of depthwise_s8.c


def _walk(job: Job, name: str, struct: str = "shape") -> Pieces:
    """Elementwise with broadcasting: rows of the innermost dimension."""
    n = job.numbers("n", struct)
    rows = math.prod(n[:3])
    return Pieces({f"{name}.calls": 1, f"{name}.rows": rows, f"{name}.planes": math.prod(n[:2]), f"{name}.outputs": rows * n[3]})  # fmt: skip


def broadcast(job: Job) -> Pieces:
    """ADD, SUB, MUL, MAXIMUM, MINIMUM."""
    nested = job.function in ("dft_add_s8", "dft_sub_s8", "dft_mul_s8")
    return _walk(job, job.function.removeprefix("dft_"), "shape" if nested else "")


def table(job: Job) -> Pieces:
    """dft_lut_s8."""
    return Pieces({"lut_s8.calls": 1, "lut_s8.fours": job.number("n") / 4})


def mean(job: Job) -> Pieces:
    """dft_mean_s8."""
    outer, count, inner = (job.number(n) for n in ("outer", "reduce", "inner"))
    fours, ones = outer * (inner // 4), outer * (inner % 4)
    return Pieces(
        {
            "mean_s8.calls": 1,
            "mean_s8.outer": outer,
            "mean_s8.fours": fours,
            "mean_s8.four_values": fours * count,
            "mean_s8.ones": ones,
            "mean_s8.one_values": ones * count,
        }
    )


def _inside(out: int, stride: int, pad: int, kernel: int, size: int) -> list[int]:
    """How many taps of each window lie inside, in one dimension."""
    first = [i * stride - pad for i in range(out)]
    return [max(min(x + kernel, size) - max(x, 0), 0) for x in first]


def pool(job: Job) -> Pieces:
    """dft_max_pool_s8, dft_average_pool_s8."""
    name = job.function.removeprefix("dft_")
    size = {
        k: job.number(k, "window") for k in ("in_h", "in_w", "in_c", "out_h", "out_w", "kernel_h", "kernel_w")
    }
    strides = [job.number(f"stride_{d}", "window") for d in "hw"]
    pads = job.number("pad_top", "window"), job.number("pad_left", "window")
    ys = _inside(size["out_h"], strides[0], pads[0], size["kernel_h"], size["in_h"])
    xs = _inside(size["out_w"], strides[1], pads[1], size["kernel_w"], size["in_w"])
    out = Pieces({f"{name}.calls": 1, f"{name}.pixels": len(xs) * len(ys)})
    out[f"{name}.outputs"] = len(xs) * len(ys) * size["in_c"]
    for lines in ys:
        for n in xs:
            rows, taps = (1, lines * n) if n == size["in_w"] else (lines, n)
            fours = "max" not in name
            out[f"{name}.lines"] += rows * size["in_c"]
            out[f"{name}.fours"] += rows * size["in_c"] * (taps // 4) * fours
            out[f"{name}.ones"] += rows * size["in_c"] * (taps % 4 if fours else taps)
    return out


def pad(job: Job) -> Pieces:
    """dft_pad_s8."""
    n, before, after = (job.numbers(k) for k in ("in", "before", "after"))
    out = Pieces({"pad_s8.calls": 1, "pad_s8.rows": math.prod(n[:2]), "pad_s8.pixels": math.prod(n[:3])})
    whole = [b + s + a for b, s, a in zip(before, n, after, strict=True)]
    out["pad_s8.filled_words"] = (math.prod(whole) - math.prod(n)) // 4
    add(out, copied(n[3], math.prod(n[:3]), (whole[3], n[3])))
    return out


def concat(job: Job) -> Pieces:
    """dft_concat_s8, an operand."""
    rows, run = job.number("rows"), job.number("run")
    out = Pieces({"concat_s8.calls": 1, "concat_s8.rows": rows})
    add(out, copied(run, rows, (job.number("out_stride"), run), (job.number("out_offset"), 0)))
    return out


def gather(job: Job) -> Pieces:
    """dft_gather_s8."""
    outer, count, inner = job.number("outer"), job.number("count"), job.number("inner")
    if inner == 1:
        return Pieces({"gather_s8.calls": 1, "gather_s8.outer": outer, "gather_s8.values": outer * count})
    out = Pieces({"gather_s8.calls": 1, "gather_s8.outer": outer, "gather_s8.pieces": outer * count})
    add(out, copied(inner, outer * count, (inner, inner)))
    return out


def transpose(job: Job) -> Pieces:
    """dft_transpose_s8: runs that lie in order are copied, others taken byte by byte."""
    n, stride = job.numbers("n"), job.numbers("stride")
    rows = math.prod(n[:3])
    out = Pieces({"transpose_s8.calls": 1, "transpose_s8.planes": math.prod(n[:2])})
    if stride[3] == 1:
        out["transpose_s8.runs"] = rows
        add(out, copied(n[3], rows, (n[3], stride[2])))
    else:
        out["transpose_s8.rows"], out["transpose_s8.values"] = rows, rows * n[3]
    return out


def remap(job: Job) -> Pieces:
    """dft_remap_s8: an output row that shows the input row of the one before is copied from it."""
    out_h, out_w, pixel = job.number("out_h"), job.number("out_w"), job.number("pixel")
    rows = job.values("rows")
    same = int((rows[1:] == rows[:-1]).sum())
    out = Pieces({"remap_s8.calls": 1, "remap_s8.rows": out_h, "remap_s8.pixels": (out_h - same) * out_w})
    add(out, copied(out_w * pixel, same, (out_w * pixel, out_w * pixel)))
    add(out, copied(pixel, (out_h - same) * out_w, (pixel, pixel)))
    return out


def reduce(job: Job) -> Pieces:
    """dft_sum_s8, dft_reduce_max_s8, dft_reduce_min_s8."""
    name = "sum_s8" if job.function == "dft_sum_s8" else "reduce_s8"
    (n0, n1), (m0, m1) = job.numbers("n"), job.numbers("m")
    return Pieces(
        {
            f"{name}.calls": 1,
            f"{name}.outer": n0,
            f"{name}.outputs": n0 * n1,
            f"{name}.rows": n0 * n1 * m0,
            f"{name}.values": n0 * n1 * m0 * m1,
        }
    )


def prelu(job: Job) -> Pieces:
    """dft_prelu_s8; what is negative takes longer, and half of the values are taken for that."""
    return _walk(job, "prelu_s8")


def softmax(job: Job) -> Pieces:
    """dft_softmax_s8; how long a row takes depends a little on its values."""
    rows, n = job.number("rows"), job.number("n")
    return Pieces({"softmax_s8.calls": 1, "softmax_s8.rows": rows, "softmax_s8.values": rows * n})


def _finished(job: Job, outputs: int) -> Pieces:
    """Requantisations, of which those beyond the usual take longer."""
    flags = job.number("flags")
    how = "wide" if flags & _WIDE else "narrow" if flags else "plain"
    return Pieces({f"finish_s8.{how}": outputs})


def _dots(name: str, n: int, times: int) -> Pieces:
    return Pieces({f"{name}.dots": times, f"{name}.fours": n // 4 * times, f"{name}.ones": n % 4 * times})


def fully_connected(job: Job) -> Pieces:
    """dft_fully_connected_s8."""
    rows, out_n = job.number("rows"), job.number("out_n")
    out = Pieces({"fully_connected_s8.calls": 1, "fully_connected_s8.rows": rows})
    add(out, _dots("fully_connected_s8", job.number("in_n"), rows * -(-out_n // 2)))
    add(out, _finished(job, rows * out_n))
    return out


def conv(job: Job) -> Pieces:
    """dft_conv2d_s8: pairs of pixels whose windows lie inside, the others tap by tap."""
    w = {k: job.number(k, "window") for k in _WINDOW}
    groups = job.number("groups")
    simple = groups == 1 and (w["dilation_w"] == 1 or w["kernel_w"] == 1)
    inner_rows = max(w["inner_y1"] - w["inner_y0"], 0) if simple else 0
    pairs = inner_rows * (max(w["inner_x1"] - w["inner_x0"], 0) // 2)
    singles = w["out_h"] * w["out_w"] - 2 * pairs
    channels = -(-(w["out_c"] // groups) // 2) * groups
    run = w["kernel_w"] * w["in_c"]
    out = Pieces({"conv2d_s8.calls": 1, "conv2d_s8.rows": w["out_h"], "conv2d_s8.pairs": pairs})
    name = "conv2d_s8.row" if w["kernel_h"] == 1 else "conv2d_s8.inner"
    out[f"{name}_channels"] = pairs * channels
    add(out, _dots(name, run, pairs * channels * w["kernel_h"]))
    add(out, _finished(job, 2 * pairs * w["out_c"]))
    taps = singles * channels * w["kernel_h"] * w["kernel_w"]
    out["conv2d_s8.singles"] = singles
    out["conv2d_s8.single_channels"] = singles * channels
    out["conv2d_s8.single_rows"] = singles * channels * w["kernel_h"]
    outside = _outside(w) / max(w["out_h"] * w["out_w"] * w["kernel_h"] * w["kernel_w"], 1)
    padded = round(min(outside * w["out_h"] * w["out_w"] / max(singles, 1), 1.0) * taps)
    n = w["in_c"] // groups
    out["conv2d_s8.padded"], out["conv2d_s8.padded_values"] = padded, padded * n
    add(out, _dots("conv2d_s8.tap", n, taps - padded))
    add(out, _single_finished(job, singles * w["out_c"]))
    return out


_WINDOW = (
    "in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h",
    "dilation_w", "pad_top", "pad_left", "inner_y0", "inner_y1", "inner_x0", "inner_x1",
)  # fmt: skip


def _single_finished(job: Job, outputs: int) -> Pieces:
    return Pieces({f"{k}_single": n for k, n in _finished(job, outputs).items()})


def _outside(w: dict[str, int]) -> int:
    """Taps of all windows that lie outside of the map."""
    here = [
        sum(
            0 <= o * w[f"stride_{d}"] - w[p] + k * w[f"dilation_{d}"] < w[f"in_{d}"]
            for o in range(w[f"out_{d}"])
            for k in range(w[f"kernel_{d}"])
        )
        for d, p in (("h", "pad_top"), ("w", "pad_left"))
    ]
    return w["out_h"] * w["out_w"] * w["kernel_h"] * w["kernel_w"] - here[0] * here[1]


def depthwise(job: Job) -> Pieces:
    """dft_depthwise_s8."""
    w = {k: job.number(k, "window") for k in _WINDOW}
    inner = max(w["inner_y1"] - w["inner_y0"], 0) * max(w["inner_x1"] - w["inner_x0"], 0)
    border = w["out_h"] * w["out_w"] - inner
    taps, channels = w["kernel_h"] * w["kernel_w"], w["out_c"]
    out = Pieces({"depthwise_s8.calls": 1, "depthwise_s8.rows": w["out_h"], "depthwise_s8.pixels": inner})
    three = (w["kernel_h"], w["kernel_w"]) == (3, 3)
    if three and job.number("multiplier") == 1:
        out["depthwise_s8.three"] = inner * channels
    elif three and job.number("multiplier") % 2 == 0:
        out["depthwise_s8.three_pairs"] = inner * channels
    else:
        out["depthwise_s8.any"] = inner * channels
        out["depthwise_s8.any_rows"] = inner * channels * w["kernel_h"]
        out["depthwise_s8.any_taps"] = inner * channels * taps
    how = "border" if taps <= _SMALL_TAPS else "large"
    out[f"depthwise_s8.{how}"] = border
    out[f"depthwise_s8.{how}_taps"] = border * taps
    out[f"depthwise_s8.{how}_channels"] = border * channels
    out[f"depthwise_s8.{how}_products"] = border * channels * taps
    add(out, {f"{k}_depthwise": n for k, n in _finished(job, w["out_h"] * w["out_w"] * channels).items()})
    return out
