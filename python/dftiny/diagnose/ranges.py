"""What activations do on calibration tiles: their range by several methods, and by channel.

The public converter takes the smallest and the largest value seen. One rare value then costs every other one its
resolution; cutting it off costs that value its size. `percentile` cuts a fixed share, `mse` the share that leaves the
least squared error of the tensor. Two passes over the tiles: extremes first, then a histogram between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dftiny.diagnose import Method
from dftiny.diagnose.floats import FloatNet, Values, input_values, run

BINS = 2048
CUT = 1e-4  # share of values that `percentile` cuts off at each end
SHRINKS = 40  # candidates that `mse` tries
BATCH_ELEMENTS = 1 << 21


@dataclass(frozen=True, eq=False)
class Seen:
    """One activation on the calibration tiles. `low` and `high` its extremes; `reach`: the largest absolute value of
    each entry of its last dimension, float64[C]; `counts`: how many values in each of BINS bins from low to high."""

    low: float
    high: float
    reach: np.ndarray
    counts: np.ndarray


def batches(net: FloatNet, tiles: np.ndarray) -> Iterator[Values]:
    """All float tensors, for a few of the tiles uint8 [n, H, W, C] at a time."""
    largest = max(net.graph.tensors[t].elements for op in net.graph.ops for t in op.outputs)
    step = max(1, BATCH_ELEMENTS // largest)
    for start in range(0, len(tiles), step):
        yield run(net, input_values(net.graph, tiles[start : start + step]))


def observe(net: FloatNet, tiles: np.ndarray) -> dict[int, Seen]:
    """Every activation of `net` on uint8 tiles [n, H, W, C], by tensor index."""
    extremes: dict[int, tuple[float, float, np.ndarray]] = {}
    for values in batches(net, tiles):
        for t, v in values.items():
            reach = np.abs(v.reshape(-1, v.shape[-1])).max(0).astype(np.float64)
            low, high, before = extremes.get(t, (np.inf, -np.inf, reach))
            extremes[t] = min(low, float(v.min())), max(high, float(v.max())), np.maximum(before, reach)
    counts = {t: np.zeros(BINS, np.int64) for t in extremes}
    for values in batches(net, tiles):
        for t, v in values.items():
            low, high, _ = extremes[t]
            if high > low:
                counts[t] += np.histogram(v, BINS, (low, high))[0]
    return {t: Seen(low, high, reach, counts[t]) for t, (low, high, reach) in extremes.items()}


def joined(parts: list[Seen]) -> Seen:
    """Several tensors that share one scale, as one. `reach` is that of the first."""
    low, high = min(p.low for p in parts), max(p.high for p in parts)
    counts = np.zeros(BINS, np.int64)
    for p in parts:
        if high > low and p.counts.any():
            middles = np.linspace(p.low, p.high, BINS, endpoint=False) + (p.high - p.low) / (2 * BINS)
            where = np.clip(((middles - low) / (high - low) * BINS).astype(int), 0, BINS - 1)
            np.add.at(counts, where, p.counts)
    return Seen(low, high, parts[0].reach, counts)


def chosen_range(seen: Seen, method: Method) -> tuple[float, float]:
    """(low, high) that int8 is to carry, both sides of zero or at it."""
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    if method == "minmax" or not seen.counts.any():
        return low, high
    if method == "percentile":
        return _percentile(seen, low, high)
    return _least_error(seen, low, high)


def _percentile(seen: Seen, low: float, high: float) -> tuple[float, float]:
    edges = np.linspace(seen.low, seen.high, BINS + 1)
    share = np.cumsum(seen.counts) / seen.counts.sum()
    first = int(np.searchsorted(share, CUT, side="right"))
    last = int(np.searchsorted(share, 1 - CUT))
    return max(low, min(0.0, float(edges[first]))), min(high, max(0.0, float(edges[min(last + 1, BINS)])))


def _least_error(seen: Seen, low: float, high: float) -> tuple[float, float]:
    """The cut, on both sides by one factor or on the far side alone, with the least squared error."""
    middles = np.linspace(seen.low, seen.high, BINS, endpoint=False) + (seen.high - seen.low) / (2 * BINS)
    factors = [float(f) for f in np.geomspace(1.0, 0.05, SHRINKS)]
    pairs = [(low * f, high * f) for f in factors] + [
        (low, high * f) if high > -low else (low * f, high) for f in factors
    ]
    errors = [_squared_error(seen.counts, middles, a, b) for a, b in pairs]
    return pairs[int(np.argmin(errors))]


def _squared_error(counts: np.ndarray, middles: np.ndarray, low: float, high: float) -> float:
    """Σ of squares: a twelfth of a step's square inside, the cut-off distance outside."""
    step = (high - low) / 255
    outside = np.maximum(0, np.maximum(middles - high, low - middles))
    return float((counts * np.where(outside > 0, outside**2, step**2 / 12)).sum())
