"""Random operators that cut, mirror, resize and reduce, and PRELU, for random_graphs. For tests only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dftiny.graph import (
    BlockOptions,
    ConcatenationOptions,
    PadOptions,
    ReduceOptions,
    RemapOptions,
    SliceOptions,
)

if TYPE_CHECKING:
    from random_graphs import Builder

_CUTS = ("SLICE", "STRIDED_SLICE", "REVERSE_V2", "SPLIT")
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


def _cut(b: Builder, kind: str) -> None:
    shape = b.shape
    begin, strides, sizes = [], [], []
    for n in shape:
        stride = b.pick(1, 1, 2, -1) if kind == "STRIDED_SLICE" else 1
        stride = b.pick(1, -1) if kind == "REVERSE_V2" else stride
        first = int(b.rng.integers(0, n)) if kind != "REVERSE_V2" else (n - 1 if stride < 0 else 0)
        left = -(-(n - first) // stride) if stride > 0 else first + 1
        begin.append(first)
        strides.append(stride)
        sizes.append(left if kind == "REVERSE_V2" else int(b.rng.integers(1, left + 1)))
    b.op(kind, (b.x,), b.like(sizes), SliceOptions(tuple(begin), tuple(strides), tuple(sizes)))


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
        from dftiny.graph import MeanOptions

        b.op("MEAN", (b.x, given), out, MeanOptions(axes, True), tune=True)
        return
    b.op(kind, (b.x, given), out, ReduceOptions(axes, True), tune=kind == "SUM")


def _remap(b: Builder, kind: str) -> None:
    _, h, w, c = b.shape
    rows = tuple(sorted(int(i) for i in b.rng.integers(0, h, int(b.rng.integers(1, 2 * h + 1)))))
    columns = tuple(int(i) for i in b.rng.integers(0, w, int(b.rng.integers(1, 2 * w + 1))))
    b.op(kind, (b.x,), b.like((1, len(rows), len(columns), c)), RemapOptions(rows, columns))


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
    values = (int(b.rng.integers(-128, 128)),) * shape[3]
    b.op("PADV2", (b.x, amounts), b.like(shape), PadOptions(before, after, values))


def _pack(b: Builder) -> None:
    shape, axis = b.shape, b.pick(1, 2, 3, 4)
    stacked = [*shape[:axis], 2, *shape[axis:]]
    b.op("PACK", (b.x, b.operand(shape)), b.like(stacked), ConcatenationOptions(axis))
    b.reshape((1, 2 * shape[1], *shape[2:]))
