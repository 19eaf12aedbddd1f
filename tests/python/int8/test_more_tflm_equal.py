"""The numpy oracle against TFLM by ==, operators that few nets hold: cutting, mirroring, blocks, resizing, reductions,
slopes. Sixteen-odd kinds; the others are in test_tflm_equal.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from flatmodel import FlatModel
from hypothesis import given
from hypothesis import strategies as st
from test_tflm_equal import ALL, equal, few, many, scales, seeds, zeros

from dftiny.export import tflm

pytestmark = pytest.mark.skipif(not tflm.available(), reason="tflite-micro exists for x86-64 Linux only")

maps = st.tuples(st.just(1), st.integers(1, 6), st.integers(1, 6), st.integers(1, 6))
any_scale = st.one_of(scales, st.floats(2**-12, 8, width=32))


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def pieces_back(m: FlatModel, parts: Sequence[int], shapes: Sequence[Sequence[int]]) -> None:
    """Every piece flat, then all joined in reverse: one output of the model shows every value."""
    flat = []
    for t, shape in zip(parts, shapes, strict=True):
        n = int(np.prod(shape))
        flat.append(m.act((1, n), 0.5, 3))
        m.op("RESHAPE", (t, m.const(ints(1, n))), (flat[-1],))
    total = sum(int(np.prod(s)) for s in shapes)
    m.op("CONCATENATION", flat[::-1], (m.act((1, total), 0.5, 3),), Axis=1)


@many
@given(sx=any_scale, zx=zeros)
def test_tanh(sx, zx):
    m = FlatModel()
    m.op("TANH", (m.act((1, 256), sx, zx),), (m.act((1, 256), 1 / 128, 0),))
    equal(m, x=ALL)


@many
@given(sx=any_scale, zx=zeros, so=any_scale, zo=zeros, alpha=st.floats(0, 1, width=32))
def test_leaky_relu(sx, zx, so, zo, alpha):
    m = FlatModel()
    m.op("LEAKY_RELU", (m.act((1, 256), sx, zx),), (m.act((1, 256), so, zo),), Alpha=alpha)
    equal(m, x=ALL)


@many
@given(
    seed=seeds,
    shape=maps,
    sx=any_scale,
    zx=zeros,
    ss=scales,
    zs=zeros,
    so=any_scale,
    zo=zeros,
    wide=st.integers(0, 2),
)
def test_prelu(seed, shape, sx, zx, ss, zs, so, zo, wide):
    m = FlatModel()
    x = m.act(shape, sx, zx)
    slopes = [(1, 1, shape[3]), (1, 1, 1, shape[3]), shape[1:]][wide]
    slope = m.const(np.random.default_rng(seed).integers(-128, 128, slopes).astype(np.int8), ss, zs)
    m.op("PRELU", (x, slope), (m.act(shape, so, zo),))
    equal(m, seed)


@many
@given(
    seed=seeds,
    kind=st.sampled_from(["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"]),
    shape=maps,
    keep=st.booleans(),
    sx=any_scale,
    zx=zeros,
    so=any_scale,
    zo=zeros,
    axes=st.sampled_from([(1, 2), (1,), (2,), (3,), (-1, 1), (1, 2, 3), (2, 3), (3, 1)]),
)
def test_reductions(seed, kind, shape, keep, sx, zx, so, zo, axes):
    if kind.startswith("REDUCE"):
        so, zo = sx, zx
    m = FlatModel()
    gone = {a % 4 for a in axes}
    out = [1 if i in gone else d for i, d in enumerate(shape) if keep or i not in gone]
    x = m.act(shape, sx, zx)
    m.op(kind, (x, m.const(ints(*axes))), (m.act(out, so, zo),), KeepDims=keep)
    equal(m, seed)


@few
@given(
    seed=seeds,
    pads=st.lists(st.integers(0, 3), min_size=6, max_size=6),
    value=st.integers(-128, 127),
    zx=zeros,
)
def test_padv2(seed, pads, value, zx):
    m = FlatModel()
    x = m.act((1, 3, 4, 2), 0.5, zx)
    p = np.array([(0, 0), *zip(pads[::2], pads[1::2], strict=True)], np.int32)
    shape = [d + a + b for d, (a, b) in zip((1, 3, 4, 2), p.tolist(), strict=True)]
    m.op("PADV2", (x, m.const(p), m.const(np.array([value], np.int8), 0.5, zx)), (m.act(shape, 0.5, zx),))
    equal(m, seed)


@many
@given(
    seed=seeds, shape=maps, mode=st.integers(0, 1), pads=st.lists(st.integers(0, 5), min_size=4, max_size=4)
)
def test_mirror_pad(seed, shape, mode, pads):
    m = FlatModel()
    x = m.act(shape, 0.5, 3)
    h, w = (n - (mode == 0) for n in shape[1:3])
    p = np.array([(0, 0), [min(v, h) for v in pads[:2]], [min(v, w) for v in pads[2:]], (0, 0)], np.int32)
    out = [d + int(a + b) for d, (a, b) in zip(shape, p, strict=True)]
    m.op("MIRROR_PAD", (x, m.const(p)), (m.act(out, 0.5, 3),), Mode=mode)
    equal(m, seed)


@many
@given(seed=seeds, shape=maps, whole=st.booleans())
def test_slice(seed, shape, whole):
    rng = np.random.default_rng(seed)
    begin = [int(rng.integers(0, n)) for n in shape]
    size = [int(rng.integers(1, n - b + 1)) for n, b in zip(shape, begin, strict=True)]
    given_size = [-1 if whole else s for s in size]
    size = [n - b if whole else s for n, b, s in zip(shape, begin, size, strict=True)]
    m = FlatModel()
    x = m.act(shape, 0.5, 3)
    m.op("SLICE", (x, m.const(ints(*begin)), m.const(ints(*given_size))), (m.act(size, 0.5, 3),))
    equal(m, seed)


@many
@given(
    seed=seeds,
    shape=maps,
    masks=st.tuples(*[st.integers(0, 15)] * 2),
    shrink=st.sampled_from([0, 2, 4, 8, 6]),
)
def test_strided_slice(seed, shape, masks, shrink):
    rng = np.random.default_rng(seed)
    begin, end, strides, taken = [], [], [], []
    for d, n in enumerate(shape):
        s = int(rng.choice([1, 1, 2, 3] if shrink >> d & 1 else [1, 1, 2, -1, -2]))
        b, e = int(rng.integers(-n, n)), int(rng.integers(-n - 1, n + 3))
        got = range(n)[slice(None if masks[0] >> d & 1 else b, None if masks[1] >> d & 1 else e, s)]
        if d == 0 or (not got and not shrink >> d & 1):
            b, e, s, got = 0, n, 1, range(n)
        begin.append(b), end.append(e), strides.append(s)
        taken.append(1 if shrink >> d & 1 else len(got))
    m = FlatModel()
    x = m.act(shape, 0.5, 3)
    out = [n for d, n in enumerate(taken) if not shrink >> d & 1]
    inputs = (x, *(m.const(ints(*v)) for v in (begin, end, strides)))
    options = {
        "BeginMask": masks[0] & 14 & ~shrink,
        "EndMask": masks[1] & 14 & ~shrink,
        "ShrinkAxisMask": shrink,
    }
    m.op("STRIDED_SLICE", inputs, (m.act(out, 0.5, 3),), **options)
    equal(m, seed)


@few
@given(seed=seeds, axis=st.sampled_from([1, 2, 3, -1]), kind=st.sampled_from(["SPLIT", "SPLIT_V", "UNPACK"]))
def test_cuts(seed, axis, kind):
    rng = np.random.default_rng(seed)
    shape = [1, 4, 6, 8]
    sizes = {
        "SPLIT": [shape[axis] // 2] * 2,
        "SPLIT_V": [1, shape[axis] - 2, 1],
        "UNPACK": [1] * shape[axis],
    }[kind]
    m = FlatModel()
    x = m.act(shape, 0.5, 3)
    shapes = [[s if d == axis % 4 else n for d, n in enumerate(shape)] for s in sizes]
    if kind == "UNPACK":
        shapes = [[n for d, n in enumerate(shape) if d != axis % 4]] * shape[axis]
    outs = [m.act(s, 0.5, 3) for s in shapes]
    options = {"Num": len(outs), "Axis": axis} if kind == "UNPACK" else {"NumSplits": len(outs)}
    where = m.const(ints(axis)) if kind != "UNPACK" else -1
    inputs = {"SPLIT": (where, x), "UNPACK": (x,)}.get(kind) or (x, m.const(ints(*sizes)), where)
    m.op(kind, inputs, outs, **options)
    pieces_back(m, outs, shapes)
    equal(m, int(rng.integers(99)))


@few
@given(seed=seeds, axis=st.integers(1, 4), n=st.integers(1, 3))
def test_pack(seed, axis, n):
    m = FlatModel()
    shape = [1, 3, 4, 2]
    x = m.act(shape, 0.5, 3)
    y = m.const(np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8), 0.5, 3)
    stacked = [*shape[:axis], n + 1, *shape[axis:]]
    packed = m.act(stacked, 0.5, 3)
    m.op("PACK", (*[x] * n, y), (packed,), Axis=axis, ValuesCount=n + 1)
    pieces_back(m, [packed], [stacked])
    equal(m, seed)


@few
@given(seed=seeds, axes=st.sampled_from([(1,), (2,), (3,), (-1,)]))
def test_reverse(seed, axes):
    m = FlatModel()
    x = m.act((1, 3, 4, 5), 0.5, 3)
    m.op("REVERSE_V2", (x, m.const(ints(*axes))), (m.act((1, 3, 4, 5), 0.5, 3),))
    equal(m, seed)


@few
@given(seed=seeds, block=st.integers(1, 3), h=st.integers(1, 3), w=st.integers(1, 3), c=st.integers(1, 5))
def test_blocks(seed, block, h, w, c):
    deep, wide = (1, h, w, c * block * block), (1, h * block, w * block, c)
    for kind, shape, out in (("SPACE_TO_DEPTH", wide, deep), ("DEPTH_TO_SPACE", deep, wide)):
        m = FlatModel()
        m.op(kind, (m.act(shape, 0.5, 3),), (m.act(out, 0.5, 3),), BlockSize=block)
        equal(m, seed)


@many
@given(
    seed=seeds,
    shape=maps,
    size=st.tuples(st.integers(1, 40), st.integers(1, 20)),
    how=st.sampled_from([(False, False), (True, False), (False, True)]),
)
def test_resize_nearest(seed, shape, size, how):
    m = FlatModel()
    x = m.act(shape, 0.5, 3)
    out = m.act((1, *size, shape[3]), 0.5, 3)
    m.op(
        "RESIZE_NEAREST_NEIGHBOR",
        (x, m.const(ints(*size))),
        (out,),
        AlignCorners=how[0],
        HalfPixelCenters=how[1],
    )
    equal(m, seed)
