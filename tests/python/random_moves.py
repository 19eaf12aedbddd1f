"""Random operators that cut, mirror, resize and reduce, and PRELU, for random_graphs. For tests only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dftiny.graph import (
    BlockOptions,
    ConcatenationOptions,
    MeanOptions,
    PadOptions,
    ReduceOptions,
    RemapOptions,
    SliceOptions,
)

if TYPE_CHECKING:
    from random_graphs import Builder

_CUTS = ("SLICE", "STRIDED_SLICE", "REVERSE_V2")
_REDUCTIONS = ("SUM", "REDUCE_MAX", "REDUCE_MIN", "MEAN_APART")
_MAPS = ("RESIZE_NEAREST_NEIGHBOR", "MIRROR_PAD")
_BLOCKS = ("SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
KINDS = (*_CUTS, *_REDUCTIONS, *_MAPS, *_BLOCKS, "PRELU", "PADV2", "PACK")


def grow(b: Builder, kind: str) -> None:
    """Append one operator of KINDS to a four-dimensional running activation."""
    if kind in _CUTS:
        _cut(b, kind)
    elif kind in _REDUCTIONS:
        _reduce(b, kind)
    elif kind in _MAPS:
        _remap(b, kind)
    elif kind in _BLOCKS:
        _block(b, kind)
    elif kind == "PRELU":
        slope = b.operand(b.pick(b.shape, (1, 1, b.shape[3])))
        b.op(kind, (b.x, slope), b.tensor(b.shape, b.scale * b.jitter(), b.zp()), tune=True)
    elif kind == "PADV2":
        _padv2(b)
    else:
        _pack(b)


def _ints(b: Builder, values: Sequence[int]) -> int:
    return b.tensor((len(values),), None, 0, np.array(values, np.int32))


def _cut(b: Builder, kind: str) -> None:
    """A backward stride goes to the start: the file says so with an end mask (see graph_file)."""
    shape = b.shape
    if kind == "REVERSE_V2":
        axis = b.pick(1, 2, 3)
        begin, strides = (
            [v if d == axis else w for d in range(4)] for v, w in ((shape[axis] - 1, 0), (-1, 1))
        )
        b.op(kind, (b.x, _ints(b, [axis])), b.like(shape), SliceOptions(tuple(begin), tuple(strides), shape))
        return
    begin = [int(b.rng.integers(0, n)) for n in shape]
    strides = [b.pick(1, 1, 2, -1) if kind == "STRIDED_SLICE" else 1 for _ in shape]
    left = [-(-(n - f) // s) if s > 0 else f + 1 for n, f, s in zip(shape, begin, strides, strict=True)]
    sizes = [n if s < 0 else int(b.rng.integers(1, n + 1)) for n, s in zip(left, strides, strict=True)]
    end = [f + (n - 1) * s + 1 if s > 0 else 0 for f, n, s in zip(begin, sizes, strides, strict=True)]
    given = (sizes,) if kind == "SLICE" else (end, strides)
    inputs = (b.x, *(_ints(b, v) for v in (begin, *given)))
    b.op(kind, inputs, b.like(sizes), SliceOptions(tuple(begin), tuple(strides), tuple(sizes)))


def _reduce(b: Builder, kind: str) -> None:
    axes = (
        b.pick((1, 3), (1, 3))
        if kind == "MEAN_APART"
        else b.pick((1,), (2,), (3,), (1, 2), (1, 3), (1, 2, 3))
    )
    shape = [1 if d in axes else n for d, n in enumerate(b.shape)]
    given = b.tensor((len(axes),), None, 0, np.array(axes, np.int32))
    out = b.like(shape) if kind.startswith("REDUCE") else b.tensor(shape, b.scale * b.jitter(), b.zp())
    if kind == "MEAN_APART":
        b.op("MEAN", (b.x, given), out, MeanOptions(axes, True), tune=True)
        return
    b.op(kind, (b.x, given), out, ReduceOptions(axes, True), tune=kind == "SUM")


def _remap(b: Builder, kind: str) -> None:
    _, h, w, c = b.shape
    if kind == "MIRROR_PAD":
        amounts = [(0, 0), (b.pick(0, 1), 1), (b.pick(0, 1), 0), (0, 0)]
        rows, columns = (np.pad(np.arange(n), amounts[d + 1], mode="symmetric") for d, n in enumerate((h, w)))
        given = b.tensor((4, 2), None, 0, np.array(amounts, np.int32))
    else:
        sizes = [b.pick(n, 2 * n, n + 1, max(1, n - 1)) for n in (h, w)]
        rows, columns = (
            np.floor(np.arange(m, dtype=np.float32) * (np.float32(n) / np.float32(m))).astype(int)
            for n, m in zip((h, w), sizes, strict=True)
        )
        given = _ints(b, sizes)
    options = RemapOptions(tuple(int(r) for r in rows), tuple(int(k) for k in columns))
    b.op(kind, (b.x, given), b.like((1, len(rows), len(columns), c)), options)


def _block(b: Builder, kind: str) -> None:
    _, h, w, c = b.shape
    if kind == "SPACE_TO_DEPTH":
        n = b.pick(*(k for k in (1, 2, 3) if h % k == 0 and w % k == 0))
        shape = (1, h // n, w // n, c * n * n)
    else:
        n = b.pick(*(k for k in (1, 2, 3) if c % (k * k) == 0))
        shape = (1, h * n, w * n, c // (n * n))
    b.op(kind, (b.x,), b.like(shape), BlockOptions(n))


def _padv2(b: Builder) -> None:
    before, after = ((0, *(int(v) for v in b.rng.integers(0, 3, 3))) for _ in range(2))
    amounts = b.tensor((4, 2), None, 0, np.array([before, after], np.int32).T.copy())
    shape = [p + n + q for p, n, q in zip(before, b.shape, after, strict=True)]
    t, value = b.tensors[b.x], b.rng.integers(-128, 128, 1).astype(np.int8)
    padding = b.tensor((1,), t.scale, t.zero_point, value)
    plain = int(value[0]) == t.zero_point
    options = PadOptions(before, after, None if plain else (int(value[0]),) * shape[3])
    b.op("PADV2", (b.x, amounts, padding), b.like(shape), options)


def _pack(b: Builder) -> None:
    shape, axis = b.shape, b.pick(1, 2, 3, 4)
    stacked = [*shape[:axis], 2, *shape[axis:]]
    b.op("PACK", (b.x, b.operand(shape)), b.like(stacked), ConcatenationOptions(axis))
    b.reshape((1, 2 * shape[1], *shape[2:]))
