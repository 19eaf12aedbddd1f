"""The same net for another size of square input: every shape inferred anew from the file's operators, weights as they are.

For what-if budgets only (`dftiny budget --tile`): the answers of such a net mean nothing until it is trained for that
tile. What a file fixes (a flattened map, a window that cuts a map) is refused by operator. build.py checks the result
like any other file. Called by budget_view.py through `at_tile`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dftiny.errors import DftError
from dftiny.graph.build import build
from dftiny.graph.checks import window_out
from dftiny.graph.flat import RawModel, RawOp, read_raw
from dftiny.graph.types import (
    BlockOptions,
    ConcatenationOptions,
    ConvOptions,
    DepthwiseOptions,
    GatherOptions,
    Graph,
    MeanOptions,
    Op,
    PoolOptions,
    ReduceOptions,
    SliceOptions,
    TransposeOptions,
)

Shape = tuple[int, ...]


class _Fixed(ValueError):
    """Why an operator cannot follow, as the end of the sentence "operator 3 (RESHAPE) …"."""


@dataclass
class _Resizing:
    """Shapes found so far, and the options and constants that must change with them."""

    graph: Graph
    shapes: dict[int, Shape]
    options: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    constants: dict[int, np.ndarray] = field(default_factory=dict)

    def old(self, t: int) -> Shape:
        return self.graph.tensors[t].shape

    def new(self, t: int) -> Shape:
        return self.shapes.get(t, self.old(t))


def at_tile(data: bytes, name: str, tile: int) -> Graph:
    """The model in `data` for a `tile` × `tile` input. DftError for one that is no square image, and for one that
    cannot follow, naming the operator."""
    raw = read_raw(data, name)
    graph = build(raw, name)
    shape = graph.input.shape
    if len(shape) != 4 or shape[1] != shape[2]:
        raise DftError(
            f"{name} takes an input of shape {list(shape)}, no square image: --tile does not apply"
        )
    if shape[1] == tile:
        return graph
    state = _Resizing(graph, {graph.inputs[0]: (1, tile, tile, shape[3])})
    steps = {i: [op for op in graph.ops if op.index == i] for i in range(len(raw.ops))}
    for i, op in enumerate(raw.ops):
        try:
            _follow(state, op, steps[i])
        except _Fixed as e:
            raise DftError(
                f"{name} cannot be made for a tile of {tile}: operator {i} ({op.kind}) {e}",
                "export the net again at that tile",
            ) from e
    return build(_rewritten(raw, state), f"{name} at {tile}")


def _follow(state: _Resizing, raw: RawOp, ops: Sequence[Op]) -> None:
    """Shapes of the outputs of one operator of the file."""
    if not ops or all(state.new(t) == state.old(t) for t in raw.inputs if t >= 0):
        return  # folded, or none of its inputs changed
    rule = _RULES.get(raw.kind)
    if rule is None:
        raise _Fixed("has no rule for another size")
    for op in ops:
        shape = tuple(rule(state, op))
        if any(d < 1 for d in shape):
            raise _Fixed(f"would make a map of {list(shape)}")
        state.shapes[op.outputs[0]] = shape


def _rewritten(raw: RawModel, state: _Resizing) -> RawModel:
    tensors = list(raw.tensors)
    for t, shape in state.shapes.items():
        tensors[t] = replace(tensors[t], shape=shape)
    for t, value in state.constants.items():
        tensors[t] = replace(tensors[t], data=np.ascontiguousarray(value).reshape(-1).view(np.uint8))
    ops = [replace(op, options={**op.options, **state.options.get(i, {})}) for i, op in enumerate(raw.ops)]
    return replace(raw, tensors=tuple(tensors), ops=tuple(ops))


def _same(state: _Resizing, op: Op) -> Shape:
    return state.new(op.inputs[0])


def _broadcast(state: _Resizing, op: Op) -> Shape:
    shapes = [state.new(t) for t in op.inputs]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise _Fixed(
            f"has a constant or a branch of a fixed size: {' and '.join(map(str, shapes))}"
        ) from None


def _window(state: _Resizing, op: Op) -> Shape:
    o = op.options
    assert isinstance(o, ConvOptions | DepthwiseOptions)
    _, h, w, _ = state.new(op.inputs[0])
    _, kh, kw, _ = state.old(op.inputs[1])
    high = window_out(h, (kh - 1) * o.dilation_h + 1, o.stride_h, o.padding)
    wide = window_out(w, (kw - 1) * o.dilation_w + 1, o.stride_w, o.padding)
    return 1, high, wide, state.old(op.outputs[0])[-1]


def _pool(state: _Resizing, op: Op) -> Shape:
    """A window over the whole map stays one: it is a global mean or maximum."""
    o = op.options
    assert isinstance(o, PoolOptions)
    _, h, w, c = state.new(op.inputs[0])
    if (o.filter_h, o.filter_w) == state.old(op.inputs[0])[1:3] and state.old(op.outputs[0])[1:3] == (1, 1):
        state.options[op.index] = {"FilterHeight": h, "FilterWidth": w}
        return 1, 1, 1, c
    high = window_out(h, o.filter_h, o.stride_h, o.padding)
    return 1, high, window_out(w, o.filter_w, o.stride_w, o.padding), c


def _pad(state: _Resizing, op: Op) -> Shape:
    x, out = op.inputs[0], op.outputs[0]
    return tuple(n + b - a for n, a, b in zip(state.new(x), state.old(x), state.old(out), strict=True))


def _reduce(state: _Resizing, op: Op) -> Shape:
    o = op.options
    assert isinstance(o, MeanOptions | ReduceOptions)
    shape = state.new(op.inputs[0])
    if o.keep_dims:
        return tuple(1 if d in o.axes else n for d, n in enumerate(shape))
    return tuple(n for d, n in enumerate(shape) if d not in o.axes)


def _concatenation(state: _Resizing, op: Op) -> Shape:
    o = op.options
    assert isinstance(o, ConcatenationOptions)
    moving = next(t for t in op.inputs if state.graph.tensors[t].data is None)
    for t in op.inputs:
        _stretch(state, t, state.new(moving), o.axis)
    parts = [state.new(t) for t in op.inputs]
    if len({(*p[: o.axis], *p[o.axis + 1 :]) for p in parts}) != 1:
        raise _Fixed(f"joins maps of different sizes: {' and '.join(map(str, parts))}")
    return (*parts[0][: o.axis], sum(p[o.axis] for p in parts), *parts[0][o.axis + 1 :])


def _stretch(state: _Resizing, t: int, like: Shape, axis: int) -> None:
    """A constant border (padding written as a concatenation) is as long as the map: it must be the same all along."""
    data = state.graph.tensors[t].data
    if data is None or data.ndim != len(like):
        return
    for d in range(data.ndim):
        if d == axis or data.shape[d] == like[d]:
            continue
        one = data.take([0], axis=d)
        if not (data == one).all():
            raise _Fixed(f"joins a constant that is not the same along dimension {d}, which changes")
        data = np.repeat(one, like[d], axis=d)
    if data.shape != state.old(t):
        state.shapes[t], state.constants[t] = data.shape, data


def _pack(state: _Resizing, op: Op) -> Shape:
    o = op.options
    assert isinstance(o, ConcatenationOptions)
    shape = _broadcast(state, op)
    return (*shape[: o.axis], len(op.inputs), *shape[o.axis :])


def _reshape(state: _Resizing, op: Op) -> Shape:
    """Leading dimensions that input and output share may change; what is folded together may not."""
    x, out = op.inputs[0], op.outputs[0]
    old, new, made = state.old(x), state.new(x), state.old(out)
    shared = 0
    while shared < min(len(old), len(made)) and old[shared] == made[shared]:
        shared += 1
    if old[shared:] != new[shared:]:
        raise _Fixed(f"fixes the size: it turns {list(old)} into {list(made)}")
    return (*new[:shared], *made[shared:])


def _transpose(state: _Resizing, op: Op) -> Shape:
    assert isinstance(op.options, TransposeOptions)
    shape = state.new(op.inputs[0])
    return tuple(shape[p] for p in op.options.perm)


def _gather(state: _Resizing, op: Op) -> Shape:
    assert isinstance(op.options, GatherOptions)
    axis, x = op.options.axis, op.inputs[0]
    if state.new(x)[axis] != state.old(x)[axis]:
        raise _Fixed("takes places of a dimension that changes")
    shape = state.new(x)
    return (*shape[:axis], state.old(op.outputs[0])[axis], *shape[axis + 1 :])


def _cut(state: _Resizing, op: Op) -> Shape:
    """Dimensions that change must be taken whole; the constants that say so follow."""
    o, x = op.options, op.inputs[0]
    assert isinstance(o, SliceOptions)
    old, new = state.old(x), state.new(x)
    for d, (a, b) in enumerate(zip(old, new, strict=True)):
        if a != b and (o.begin[d], o.strides[d], o.sizes[d]) != (0, 1, a):
            raise _Fixed(f"cuts dimension {d}, which changes")
    shape, made = (
        [b if s == a else s for a, b, s in zip(old, new, o.sizes, strict=True)],
        state.old(op.outputs[0]),
    )
    if len(made) != len(old):
        raise _Fixed("drops a dimension of a map that changes")
    if op.kind in ("SLICE", "STRIDED_SLICE"):
        data = state.graph.tensors[op.inputs[2]].data
        assert data is not None
        value = data.reshape(-1).copy()
        for d, (a, b) in enumerate(zip(old, new, strict=True)):
            value[d] = b if a != b and value[d] > 0 else value[d]
        state.constants[op.inputs[2]] = value
    return tuple(shape)


def _block(state: _Resizing, op: Op) -> Shape:
    assert isinstance(op.options, BlockOptions)
    block = op.options.block
    _, h, w, c = state.new(op.inputs[0])
    if op.kind == "DEPTH_TO_SPACE":
        return 1, h * block, w * block, c // (block * block)
    if h % block or w % block:
        raise _Fixed(f"would cut a {h}×{w} map into blocks of {block}")
    return 1, h // block, w // block, c * block * block


def _nearest(state: _Resizing, op: Op) -> Shape:
    """The same factor; its result is a constant of the file, which follows."""
    old, new, made = (
        state.old(op.inputs[0]), state.new(op.inputs[0]), state.old(op.outputs[0]),
    )  # fmt: skip
    size = [m * n // o for m, n, o in zip(made[1:3], new[1:3], old[1:3], strict=True)]
    if any(m * n % o for m, n, o in zip(made[1:3], new[1:3], old[1:3], strict=True)):
        raise _Fixed("would resize by no whole number")
    state.constants[op.inputs[1]] = np.array(size, "<i4")
    return 1, size[0], size[1], made[3]


def _dense(state: _Resizing, op: Op) -> Shape:
    raise _Fixed(f"is made for an input of {list(state.old(op.inputs[0]))}")


_RULES: Mapping[str, Callable[[_Resizing, Op], Sequence[int]]] = {
    **dict.fromkeys(("RELU", "RELU6", "HARD_SWISH", "LOGISTIC", "TANH", "SOFTMAX", "QUANTIZE"), _same),
    **dict.fromkeys(("LEAKY_RELU", "PRELU", "REVERSE_V2"), _same),
    **dict.fromkeys(("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"), _broadcast),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), _window),
    **dict.fromkeys(("MAX_POOL_2D", "AVERAGE_POOL_2D"), _pool),
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), _pad),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"), _reduce),
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), _reshape),
    **dict.fromkeys(("SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V", "UNPACK"), _cut),
    **dict.fromkeys(("SPACE_TO_DEPTH", "DEPTH_TO_SPACE"), _block),
    "CONCATENATION": _concatenation,
    "PACK": _pack,
    "TRANSPOSE": _transpose,
    "GATHER": _gather,
    "RESIZE_NEAREST_NEIGHBOR": _nearest,
    "FULLY_CONNECTED": _dense,
}
