"""What operators that only move int8 values must satisfy: padding, views, TRANSPOSE, GATHER, joining and cutting,
blocks and nearest neighbours.

Called by graph/build.py through checks.py. Amounts, axes and indices become plain numbers here, so that the oracle and
the engine need no TFLite rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dftiny.graph.types import (
    BlockOptions,
    ConcatenationOptions,
    GatherOptions,
    Options,
    PadOptions,
    RemapOptions,
    SliceOptions,
    Tensor,
    TransposeOptions,
)
from dftiny.graph.view import MAX_RANK, MAX_TAPS, Refused, View, int8_activation, same_quant, spatial

MAX_PAD = 4096
MAX_PARTS = 10  # TFLM's CONCATENATION takes no more
MAX_BLOCK = 64


def _amounts(v: View, x: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(before, after) of the constant paddings that are input 1."""
    pads = v.constant(1, ("int32",))  # TFLM reads int64 paddings as int32 pairs
    if (
        pads.shape != (len(x.shape), 2)
        or not ((pads >= 0) & (pads <= MAX_PAD)).all()
        or len(x.shape) > MAX_RANK
    ):
        raise Refused(
            f"has paddings {pads.tolist() if pads.size <= 16 else pads.shape} for shape {list(x.shape)}"
        )
    return tuple(int(p) for p in pads[:, 0]), tuple(int(p) for p in pads[:, 1])


def _padded(v: View, x: Tensor, before: tuple[int, ...], after: tuple[int, ...]) -> None:
    same_quant(x, v.result([a + b + c for a, b, c in zip(before, x.shape, after, strict=True)]))


def _pad(v: View) -> PadOptions:
    v.arity(2)
    x = v.activation(0)
    before, after = _amounts(v, x)
    _padded(v, x, before, after)
    return PadOptions(before, after)


def _padv2(v: View) -> PadOptions:
    v.arity(3)
    x = v.activation(0)
    before, after = _amounts(v, x)
    _padded(v, x, before, after)
    value = v.constant(2, ("int8",))
    same_quant(x, int8_activation(v.input(2)))
    if value.size != 1:
        raise Refused(f"pads with {value.size} values, not one")
    if int(value.reshape(-1)[0]) == x.zero_point:
        return PadOptions(before, after)
    channels = x.shape[-1] + before[-1] + after[-1]
    return PadOptions(before, after, (int(value.reshape(-1)[0]),) * channels)


def _mirror_pad(v: View) -> RemapOptions:
    v.arity(2)
    x = v.activation(0)
    height, width, _ = spatial(x)
    before, after = _amounts(v, x)
    mode = v.raw.options["Mode"]
    if mode not in (0, 1) or any(p[d] for p in (before, after) for d in (0, 3)):
        raise Refused(f"mirrors batch or channels, or in mode {mode}", "mirror rows and columns only")
    _padded(v, x, before, after)
    sides = ((before[1], after[1], height), (before[2], after[2], width))
    if any(max(a, b) > size - (mode == 0) for a, b, size in sides):
        raise Refused(f"mirrors more than the {height}×{width} map holds")
    rows, columns = (_mirrored(*side, symmetric=mode == 1) for side in sides)
    return RemapOptions(rows, columns)


def _mirrored(before: int, after: int, size: int, *, symmetric: bool) -> tuple[int, ...]:
    indices = np.pad(np.arange(size), (before, after), mode="symmetric" if symmetric else "reflect")
    return tuple(int(i) for i in indices)


def _same_elements(v: View) -> None:
    v.arity(1, 2)
    x, out = v.activation(0), int8_activation(v.output())
    if x.elements != out.elements:
        raise Refused(f"turns shape {list(x.shape)} into {list(out.shape)}")
    same_quant(x, out)


def _transpose(v: View) -> TransposeOptions:
    v.arity(2)
    x = v.activation(0)
    perm = tuple(int(p) for p in v.constant(1, ("int32",)).reshape(-1)[:8])
    if sorted(perm) != list(range(len(x.shape))):
        raise Refused(f"has the permutation {list(perm)} for {len(x.shape)} dimensions")
    out = v.result([x.shape[p] for p in perm])
    same_quant(x, out)
    return TransposeOptions(perm)


def _gather(v: View) -> GatherOptions:
    v.arity(2)
    x, o = v.activation(0), v.raw.options
    axis = o["Axis"] + len(x.shape) if o["Axis"] < 0 else o["Axis"]
    if not 0 <= axis < len(x.shape) or o["BatchDims"] != 0:
        raise Refused(f"gathers along dimension {o['Axis']} with {o['BatchDims']} batch dimensions")
    if v.input(1).dtype == np.int64:
        raise Refused("has int64 indices, which TFLM refuses: index with int32", "index with int32 constants")
    indices = v.constant(1, ("int32",))
    if indices.ndim != 1 or len(indices) > MAX_TAPS or not ((indices >= 0) & (indices < x.shape[axis])).all():
        raise Refused(f"has an index outside dimension {axis} of shape {list(x.shape)}")
    out = v.result((*x.shape[:axis], len(indices), *x.shape[axis + 1 :]))
    same_quant(x, out)
    return GatherOptions(axis)


def _concatenation(v: View) -> ConcatenationOptions:
    if len(v.raw.inputs) > MAX_PARTS:
        raise Refused(f"joins {len(v.raw.inputs)} tensors, TFLM at most {MAX_PARTS}", "join in two steps")
    v.arity(1, MAX_PARTS)
    parts = [v.activation(i) for i in range(len(v.raw.inputs))]
    rank, o = len(parts[0].shape), v.raw.options
    axis = o["Axis"] + rank if o["Axis"] < 0 else o["Axis"]
    if not 0 <= axis < rank or rank > 4 or o["FusedActivationFunction"] != 0:
        raise Refused(f"joins along dimension {o['Axis']} with activation {o['FusedActivationFunction']}")
    shapes = {(*p.shape[:axis], -1, *p.shape[axis + 1 :]) for p in parts}
    if len(shapes) != 1 or any(len(p.shape) != rank for p in parts):
        raise Refused("joins tensors whose shapes do not agree")
    shape = parts[0].shape
    out = v.result((*shape[:axis], sum(p.shape[axis] for p in parts), *shape[axis + 1 :]))
    same_quant(out, *parts)
    return ConcatenationOptions(axis)


def _pack(v: View) -> ConcatenationOptions:
    v.arity(1, MAX_PARTS)
    parts = [v.activation(i) for i in range(len(v.raw.inputs))]
    shape = parts[0].shape
    axis = _axis(v.raw.options["Axis"], len(shape) + 1)
    if any(p.shape != shape for p in parts) or v.raw.options["ValuesCount"] != len(parts):
        raise Refused("stacks tensors whose shapes or number do not agree")
    same_quant(v.result((*shape[:axis], len(parts), *shape[axis:])), *parts)
    return ConcatenationOptions(axis)


def _axis(given: int, rank: int) -> int:
    axis = given + rank if given < 0 else given
    if not 0 <= axis < rank:
        raise Refused(f"names dimension {given} of {rank}")
    return axis


def _numbers(v: View, i: int, n: int) -> tuple[int, ...]:
    """Input i, n constant int32."""
    given = v.constant(i, ("int32",)).reshape(-1)
    if given.size != n:
        raise Refused(f"has {given.size} numbers as input {i}, not {n}")
    return tuple(int(g) for g in given)


def _slice(v: View) -> SliceOptions:
    v.arity(3)
    x = v.activation(0)
    rank = len(x.shape)
    begin, sizes = _numbers(v, 1, rank), _numbers(v, 2, rank)
    sizes = tuple(n - b if s == -1 else s for n, b, s in zip(x.shape, begin, sizes, strict=True))
    if any(b < 0 or s < 1 or b + s > n for n, b, s in zip(x.shape, begin, sizes, strict=True)):
        raise Refused(f"takes {list(sizes)} from {list(begin)} on of shape {list(x.shape)}")
    same_quant(x, v.result(sizes))
    return SliceOptions(begin, (1,) * rank, sizes)


def _strided_slice(v: View) -> SliceOptions:
    v.arity(4)
    x, o = v.activation(0), v.raw.options
    rank = len(x.shape)
    if o["EllipsisMask"] or o["NewAxisMask"]:
        raise Refused(
            "has an ellipsis or a new axis, which TFLM refuses", "slice all dimensions, then reshape"
        )
    begin, end, strides = (_numbers(v, i, rank) for i in (1, 2, 3))
    if 0 in strides:
        raise Refused("has a stride of 0")
    taken = []
    for d, (n, b, e, s) in enumerate(zip(x.shape, begin, end, strides, strict=True)):
        first = None if o["BeginMask"] >> d & 1 else b
        last = None if o["EndMask"] >> d & 1 else e
        if o["ShrinkAxisMask"] >> d & 1:
            at = range(n)[b] if -n <= b < n and s > 0 else None
            taken.append(range(0) if at is None else range(at, at + 1))
        else:
            taken.append(range(*slice(first, last, s).indices(n)))
    if not all(taken):
        raise Refused(f"takes nothing of shape {list(x.shape)}, or what is not there")
    sizes = tuple(len(r) for r in taken)
    same_quant(x, v.result([n for d, n in enumerate(sizes) if not o["ShrinkAxisMask"] >> d & 1]))
    return SliceOptions(tuple(r.start for r in taken), tuple(r.step for r in taken), sizes)


def _reverse(v: View) -> SliceOptions:
    v.arity(2)
    x = v.activation(0)
    axes = {_axis(int(a), len(x.shape)) for a in v.constant(1, ("int32",)).reshape(-1)[:8]}
    same_quant(x, v.result(x.shape))
    begin = tuple(n - 1 if d in axes else 0 for d, n in enumerate(x.shape))
    return SliceOptions(begin, tuple(-1 if d in axes else 1 for d in range(len(x.shape))), x.shape)


def _split(v: View) -> tuple[SliceOptions, ...]:
    v.operands(2)
    return _pieces(v, v.activation(1), _numbers(v, 0, 1)[0])


def _split_v(v: View) -> tuple[SliceOptions, ...]:
    v.operands(3)
    return _pieces(v, v.activation(0), _numbers(v, 2, 1)[0], _numbers(v, 1, len(v.raw.outputs)))


def _pieces(v: View, x: Tensor, given: int, sizes: Sequence[int] | None = None) -> tuple[SliceOptions, ...]:
    """One slice for each output, one behind the other along dimension `given`."""
    axis, n = _axis(given, len(x.shape)), len(v.raw.outputs)
    lengths = [x.shape[axis] // n] * n if sizes is None else list(sizes)
    if sum(lengths) != x.shape[axis] or min(lengths) < 1:
        raise Refused(f"cuts dimension {axis} of shape {list(x.shape)} into {n} pieces {lengths[:8]}")
    found, start = [], 0
    for k, length in enumerate(lengths):
        shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
        same_quant(x, v.result(shape, k))
        begin = tuple(start if d == axis else 0 for d in range(len(x.shape)))
        found.append(SliceOptions(begin, (1,) * len(x.shape), shape))
        start += length
    return tuple(found)


def _unpack(v: View) -> tuple[SliceOptions, ...]:
    v.operands(1)
    x = v.activation(0)
    axis = _axis(v.raw.options["Axis"], len(x.shape))
    if not len(v.raw.outputs) == v.raw.options["Num"] == x.shape[axis]:
        raise Refused(f"cuts dimension {axis} of shape {list(x.shape)} into {len(v.raw.outputs)} pieces")
    sizes = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    found = []
    for k in range(len(v.raw.outputs)):
        same_quant(x, v.result((*x.shape[:axis], *x.shape[axis + 1 :]), k))
        begin = tuple(k if d == axis else 0 for d in range(len(x.shape)))
        found.append(SliceOptions(begin, (1,) * len(x.shape), sizes))
    return tuple(found)


def _block(v: View) -> int:
    v.arity(1)
    block = int(v.raw.options["BlockSize"])
    if not 1 <= block <= MAX_BLOCK:
        raise Refused(f"has blocks of {block} pixels")
    return block


def _space_to_depth(v: View) -> BlockOptions:
    block, x = _block(v), v.activation(0)
    h, w, c = spatial(x)
    if h % block or w % block:
        raise Refused(f"cuts a {h}×{w} map into blocks of {block}", "pad the map to a multiple of the block")
    same_quant(x, v.result((1, h // block, w // block, c * block * block)))
    return BlockOptions(block)


def _depth_to_space(v: View) -> BlockOptions:
    block, x = _block(v), v.activation(0)
    h, w, c = spatial(x)
    if c % (block * block):
        raise Refused(f"makes blocks of {block}×{block} pixels of {c} channels")
    same_quant(x, v.result((1, h * block, w * block, c // (block * block))))
    return BlockOptions(block)


def _resize_nearest(v: View) -> RemapOptions:
    v.arity(2)
    x, o = v.activation(0), v.raw.options
    h, w, c = spatial(x)
    size = _numbers(v, 1, 2)
    if not all(1 <= n <= MAX_PAD for n in size):
        raise Refused(f"makes a map of {size[0]}×{size[1]}")
    same_quant(x, v.result((1, *size, c)))
    flags = bool(o["AlignCorners"]), bool(o["HalfPixelCenters"])
    return RemapOptions(_nearest(h, size[0], *flags), _nearest(w, size[1], *flags))


def _nearest(size: int, out: int, align_corners: bool, half_pixel_centers: bool) -> tuple[int, ...]:
    """GetNearestNeighbor of TFLite's reference kernel, in float32 as there."""
    scale = np.float32(size) / np.float32(out)
    if align_corners and out > 1:
        scale = np.float32(size - 1) / np.float32(out - 1)
    at = (np.arange(out, dtype=np.float32) + np.float32(0.5 if half_pixel_centers else 0.0)) * scale
    indices = np.floor(at + np.float32(0.5)) if align_corners else np.floor(at)
    return tuple(int(i) for i in np.clip(indices, 0, size - 1))


CHECKS: Mapping[str, Callable[[View], Options | None]] = {
    "PAD": _pad,
    "PADV2": _padv2,
    "MIRROR_PAD": _mirror_pad,
    "RESHAPE": _same_elements,
    "SQUEEZE": _same_elements,
    "EXPAND_DIMS": _same_elements,
    "TRANSPOSE": _transpose,
    "GATHER": _gather,
    "CONCATENATION": _concatenation,
    "PACK": _pack,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "REVERSE_V2": _reverse,
    "SPACE_TO_DEPTH": _space_to_depth,
    "DEPTH_TO_SPACE": _depth_to_space,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
}
# Operators with one or more outputs: the options of each.
CUTS: Mapping[str, Callable[[View], tuple[SliceOptions, ...]]] = {
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "UNPACK": _unpack,
}
