"""Products of a matrix and one or two vectors: constants of dft_matvec_rows, as firmware/kernels/dft_matvec_rows.h says.

Called by conv_rows.py, which knows when a row has so few pixels, and of how many rows a vector is made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dftiny.kernels.calls import Const, Fields
from dftiny.kernels.conv_pairs import Rescaled
from dftiny.kernels.rows import RowCall

_HIGH_LIMIT = 1 << 23  # of the sum that is told by a difference of sums 256 times as large
_SHIFT_MIN = 1


@dataclass(frozen=True)
class Vectors:
    """`count` of a row that lie there as they are; or, with a `window`, one made of so many rows, of which those outside of
    the map are `zero_point`."""

    count: int
    window: int = 0
    zero_point: int = 0


def matvec_rows(r: Rescaled, vectors: Vectors, out_zp: int, table: np.ndarray | None) -> RowCall | None:
    """None where a weight is −128, a shift 0 or a sum too large for two channels in one word."""
    reach = 128 * np.abs(r.rows.astype(np.int64)).sum(axis=1)
    if (
        r.rows.min(initial=0) < -127
        or r.right.min() < _SHIFT_MIN
        or reach[1::2].max(initial=0) >= _HIGH_LIMIT
    ):
        return None
    out_n, in_n = r.rows.shape
    fields: Fields = (
        ("in_n", in_n),
        ("out_n", out_n),
        ("vectors", vectors.count),
        ("window", vectors.window),
        ("in_zp", vectors.zero_point),
        ("round", 2 * out_zp + 1),
    )
    pointers = [
        ("weights", Const("int32_t", "weights", _weights(r.rows))),
        ("records", Const("int32_t", "channels", _records(r))),
    ]
    if table is not None:
        pointers.append(("table", Const("int8_t", "tables", table)))
    return RowCall(
        "dft_matvec_window_rows" if vectors.window else "dft_matvec_rows",
        "dft_matvec_rows_params",
        fields,
        tuple(pointers),
        scratch_bytes=-(-in_n // 4) * 8,
    )


def _fours(values: np.ndarray) -> np.ndarray:
    """[n, …] → [ceil(n / 4), 4, …], filled up with zeros."""
    padded = np.zeros((-(-len(values) // 4) * 4, *values.shape[1:]), np.int64)
    padded[: len(values)] = values
    return padded.reshape(-1, 4, *values.shape[1:])


def _weights(rows: np.ndarray) -> np.ndarray:
    """int32[n · quads · 4] as the header says."""
    inputs = np.zeros((len(rows), -(-rows.shape[1] // 4) * 4), np.int64)
    inputs[:, : rows.shape[1]] = rows
    fours = _fours(inputs)
    halves = (fours[:, ::2] + 256 * fours[:, 1::2]).astype(np.int16)
    quads = halves.reshape(len(halves), 2, -1, 2, 2)  # four, pair, quad, half of the word, word
    return _words(quads.transpose(0, 2, 4, 1, 3))


def _words(values: np.ndarray) -> np.ndarray:
    words: np.ndarray = np.ascontiguousarray(values).view("<i4").reshape(-1).astype(np.int64)
    return words


def _records(r: Rescaled) -> np.ndarray:
    """int32[n · 9] as the header says."""
    bias, mult, right = _fours(r.bias), _fours(r.mult), _fours(r.right - 1)
    shifts = right.astype(np.uint8).view("<i4").astype(np.int64)
    words: np.ndarray = np.concatenate([bias[:, ::2], mult, shifts, 2 * bias[:, 1::2]], axis=1)
    return words.reshape(-1)
