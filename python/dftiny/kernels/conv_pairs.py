"""Weights and requantisation of a convolution as pairs of output channels, for dft_conv_rows. Called by conv_rows.py.

Two channels are computed at once and share their epilogue, which has the right shift as an immediate: channels are
paired by equal shifts. What is left over is paired with each other (shifts from registers), or with nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dftiny.kernels.products import Requant

IMMEDIATE_MAX = 16  # DFT_CONV_SHIFT(16)
EPILOGUES = 4  # DFT_CONV_EPILOGUES
MIXED = -1  # shifts from registers
RUN_PAIRS_MAX = 0x1FFF  # DFT_CONV_COUNT
_NOBODY = -1  # a pair's first channel that is not wanted
_BYTE = 0xFF


@dataclass(frozen=True, eq=False)
class Rescaled:
    """Channels in the fast form: (2·sum·mult + 2³¹) >> 32, rounded shift by `right`, plus the zero point. `factor`:
    2 where weights and biases are doubled for it, 1 where sums are."""

    bias: np.ndarray
    mult: np.ndarray
    right: np.ndarray
    rows: np.ndarray
    factor: int = 2


@dataclass(frozen=True)
class Run:
    """Pairs (first, second channel) with one epilogue: the right shift, or MIXED."""

    pairs: tuple[tuple[int, int], ...]
    epilogue: int
    right: tuple[int, int]


def rescaled(r: Requant) -> Rescaled | None:
    """None where a channel needs the slow form or a left shift.

    A constant channel is the identity with a left shift there; here it takes the commonest shift e of the others:
    its sum v · 2^(e+1) times 2³⁰ gives v · 2^e. Of large shifts (a layer behind units that never answer has some above
    20) that sum, doubled, would not be one of 32 bits, so e is at most IMMEDIATE_MAX.
    """
    bias, mult, left, right = (r.table[:, i].copy() for i in (0, 1, 3, 4))
    constant = (left == 2) & (mult == 1 << 30) & (right == 0) & ~r.rows.any(axis=1)
    if r.wide or (left[~constant] != 1).any():
        return None
    others = right[~constant]
    common = min(int(np.bincount(others).argmax()), IMMEDIATE_MAX) if len(others) else 1
    bias[constant] <<= common + 1
    right[constant] = common
    return Rescaled(bias, mult, right, r.rows)


def paired(right: np.ndarray, groups: int) -> list[tuple[Run, ...]]:
    """Runs of each group of a grouped convolution."""
    size = len(right) // groups
    immediate = _immediate(right)
    found = [_group_runs(right, range(g * size, (g + 1) * size), immediate) for g in range(groups)]
    return [tuple(part for run in runs for part in _short_steps(run, right, immediate)) for runs in found]


def _immediate(right: np.ndarray) -> set[int]:
    """Shifts that get an epilogue of their own: none (which cannot be MIXED), and the commonest; one place is MIXED's."""
    counts = np.bincount(right)
    known = sorted(np.flatnonzero(counts[: IMMEDIATE_MAX + 1]).tolist(), key=lambda e: (e > 0, -counts[e]))
    return set(known[: EPILOGUES - 1])


def _group_runs(right: np.ndarray, members: range, immediate: set[int]) -> tuple[Run, ...]:
    runs, left_over = [], []
    for e in sorted({int(right[c]) for c in members}):
        same = [c for c in members if right[c] == e]
        if len(same) % 2 and e > 0:
            left_over.append(same.pop())
        elif len(same) % 2:
            same.insert(0, _NOBODY)  # halves need no care without a shift: nothing to mix it with
        if same:
            pairs = tuple(zip(same[::2], same[1::2], strict=True))
            runs.append(Run(pairs, e if e in immediate else MIXED, (e, e)))
    if len(left_over) % 2:
        alone = int(right[left_over[0]])
        runs.append(
            Run(((_NOBODY, left_over.pop(0)),), alone if alone in immediate else MIXED, (alone, alone))
        )
    for p, q in zip(left_over[::2], left_over[1::2], strict=True):
        runs.append(Run(((p, q),), MIXED, (int(right[p]), int(right[q]))))
    return tuple(runs)


def _short_steps(run: Run, right: np.ndarray, immediate: set[int]) -> list[Run]:
    """The run in parts that are not too long, and in which a byte holds the way from channel to channel."""
    pairs: list[tuple[int, int]] = []
    for p, q in run.pairs:
        low, high = (q, q) if p == _NOBODY else sorted((p, q))
        pairs += (
            [(p, q)] if p == _NOBODY else [(low, high)] if high - low <= _BYTE else [(-1, low), (-1, high)]
        )
    parts: list[list[tuple[int, int]]] = []
    for pair in pairs:
        step = _first(pair) - _first(parts[-1][-1]) if parts else -1
        if len(pairs) > len(run.pairs) or not 0 <= step <= _BYTE or len(parts[-1]) == RUN_PAIRS_MAX:
            parts.append([])
        parts[-1].append(pair)
    return [_run_of(tuple(part), run, right, immediate) for part in parts]


def _run_of(pairs: tuple[tuple[int, int], ...], run: Run, right: np.ndarray, immediate: set[int]) -> Run:
    """Pairs of `run` with their shifts, which differ only where the run is one MIXED pair."""
    p, q = pairs[0]
    shifts = (int(right[_first((p, q))]), int(right[q]))
    alone = shifts[0] if shifts[0] == shifts[1] and shifts[0] in immediate else MIXED
    return Run(pairs, run.epilogue if len(pairs) > 1 else alone, shifts)


def _first(pair: tuple[int, int]) -> int:
    """The first output channel that a pair writes."""
    return pair[1] if pair[0] == _NOBODY else pair[0]


def steps(runs: list[Run]) -> tuple[list[int], np.ndarray]:
    """(first output channel of each run, uint8[2 · pairs]: steps to a pair's first channel and on to its second)."""
    bytes_: list[int] = []
    for run in runs:
        before = _first(run.pairs[0])
        for pair in run.pairs:
            bytes_ += [_first(pair) - before, pair[1] - _first(pair)]
            before = _first(pair)
    return [_first(run.pairs[0]) for run in runs], np.array(bytes_, np.int64)


def records(r: Rescaled, pairs: list[tuple[int, int]]) -> np.ndarray:
    """int32[4 · pairs]: biases, multipliers."""
    first, second = np.array(pairs).T
    absent = first == _NOBODY
    both = np.stack([np.where(absent, second, first), second])
    bias, mult = r.factor * r.bias[both], r.mult[both]
    bias[0, absent] = mult[0, absent] = 0
    words: np.ndarray = np.stack([*bias, *mult], axis=1)
    return words.astype(np.int64).reshape(-1)


def weight_words(r: Rescaled, pairs: list[tuple[int, int]], wide: bool) -> np.ndarray:
    """Weights as words: [pair][quad][2] of int8, or [pair][quad][4] of int16."""
    n = r.rows.shape[1]
    padded = np.zeros((len(r.rows) + 1, -(-n // 4) * 4), np.int8)  # the last row is nobody's
    padded[:-1, :n] = r.rows
    chosen = padded[np.array(pairs)].reshape(len(pairs), 2, -1, 4).transpose(0, 2, 1, 3)
    if not wide:
        return _words(chosen)
    values = r.factor * chosen.astype(np.int16)
    halves = np.stack([values[..., [0, 2]], values[..., [1, 3]]], axis=2)
    return _words(halves)


def _words(values: np.ndarray) -> np.ndarray:
    """Little-endian words of what lies in memory, int64[n]."""
    words: np.ndarray = np.ascontiguousarray(values).view("<i4").reshape(-1).astype(np.int64)
    return words
