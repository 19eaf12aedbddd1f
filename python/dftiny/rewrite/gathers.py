"""GATHERs along channels go into the weights of the operator before or behind them, which are only reordered.

A cut along channels (one half of a SPLIT) is a GATHER too, and GATHERs of a GATHER take what they want from the map
before. Before: a convolution writes its output channels in another order (within their groups). Behind: a convolution
reads its input channels in another order; a depthwise convolution lets the shuffle pass, with its own weights
reordered, where somebody further on takes it. Two GATHERs of one map cannot both go: they are SHIFT_MAX's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from dftiny.graph import (
    ConvOptions,
    DepthwiseOptions,
    GatherOptions,
    Graph,
    Op,
    PadOptions,
    Quant,
    SliceOptions,
    Tensor,
)
from dftiny.rewrite.edit import Wiring, bypass, merge, wiring, with_constant, with_tensor


def gather(graph: Graph, old: Sequence[Op], source: int, indices: np.ndarray) -> Graph:
    """`old`, in order, replaced by a GATHER of `source` along its last dimension."""
    target = graph.tensors[old[-1].outputs[0]]
    graph, given = with_tensor(graph, f"{target.name}/indices", indices.shape, None, indices)
    options = GatherOptions(len(target.shape) - 1)
    return merge(graph, old, Op(0, "GATHER", (source, given), (target.index,), options))


def _indices(graph: Graph, op: Op) -> np.ndarray | None:
    """The indices of a GATHER along the last dimension."""
    if op.kind != "GATHER":
        return None
    if cast(GatherOptions, op.options).axis != len(graph.tensors[op.inputs[0]].shape) - 1:
        return None
    return graph.tensors[op.inputs[1]].data


def _is_permutation(indices: np.ndarray, n: int) -> bool:
    return len(indices) == n and bool((np.sort(indices) == np.arange(n)).all())


def _unchanged(graph: Graph) -> Graph | None:
    """A GATHER of everything in order."""
    w = wiring(graph)
    for op in graph.ops:
        indices, target = _indices(graph, op), op.outputs[0]
        if indices is None or target in graph.outputs or not w.readers.get(target):
            continue
        n = graph.tensors[op.inputs[0]].shape[-1]
        if len(indices) == n and (indices == np.arange(n)).all():
            return bypass(graph, op, op.inputs[0])
    return None


def _cut_of_channels(graph: Graph) -> Graph | None:
    """Some channels of a map, as SPLIT, SLICE and STRIDED_SLICE cut them off (or all, backwards: REVERSE_V2) → GATHER,
    which goes by rows. Parts of one operator that are not equally long stay: the self-test knows one length of rows an
    operator."""
    sizes = {(op.index, graph.tensors[op.outputs[0]].shape) for op in graph.ops}
    parts = Counter(index for index, _ in sizes)
    for op in graph.ops:
        if not isinstance(op.options, SliceOptions):
            continue
        o, x, y = op.options, graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
        whole = o.sizes[:-1] == x.shape[:-1] and all(s == 1 for s in o.strides[:-1])
        if whole and parts[op.index] == 1 and len(x.shape) == 4 and y.shape == o.sizes:
            indices = o.begin[-1] + o.strides[-1] * np.arange(o.sizes[-1], dtype=np.int32)
            return gather(graph, (op,), x.index, indices)
    return None


def _consecutive(graph: Graph) -> Graph | None:
    """A GATHER that only GATHERs read → these read what it read."""
    w = wiring(graph)
    for op in graph.ops:
        first, target = _indices(graph, op), op.outputs[0]
        readers = w.readers.get(target, ()) if first is not None and target not in graph.outputs else ()
        picked = [_indices(graph, reader) for reader in readers]
        if first is None or not readers or any(p is None for p in picked):
            continue
        for k, (reader, second) in enumerate(zip(readers, picked, strict=True)):
            old = (reader,) if k else (op, reader)
            graph = gather(graph, old, op.inputs[0], first[second])
        return graph
    return None


def _into_producer(graph: Graph) -> Graph | None:
    """Reorder the output channels of the convolution or matrix product whose output only this GATHER reads."""
    w = wiring(graph)
    for op in graph.ops:
        indices = _indices(graph, op)
        for kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED") if indices is not None else ():
            earlier = w.source(op, kind)
            if earlier is not None and indices is not None and _keeps_groups(graph, earlier, indices):
                return _reordered_outputs(graph, earlier, op, indices)
    return None


def _groups(graph: Graph, op: Op) -> int:
    if op.kind == "CONV_2D":
        return cast(ConvOptions, op.options).groups
    return graph.tensors[op.inputs[0]].shape[-1] if op.kind == "DEPTHWISE_CONV_2D" else 1


def _keeps_groups(graph: Graph, op: Op, indices: np.ndarray) -> bool:
    """Whether every output channel that `indices` picks still belongs to the group at its new place."""
    groups, channels = _groups(graph, op), graph.tensors[op.outputs[0]].shape[-1]
    if len(indices) % groups:
        return False
    own = np.repeat(np.arange(groups), len(indices) // groups)
    return bool((indices // (channels // groups) == own).all())


def _reordered_outputs(graph: Graph, op: Op, later: Op, indices: np.ndarray) -> Graph:
    """`op` and the GATHER behind it as one operator."""
    axis = 3 if op.kind == "DEPTHWISE_CONV_2D" else 0
    graph, inputs = _reordered(graph, op, axis, indices)
    options = op.options
    if op.kind == "DEPTHWISE_CONV_2D":
        multiplier = len(indices) // _groups(graph, op)
        options = replace(cast(DepthwiseOptions, options), multiplier=multiplier)
    return merge(graph, (op, later), replace(op, inputs=inputs, outputs=later.outputs, options=options))


def _reordered(graph: Graph, op: Op, axis: int, indices: np.ndarray) -> tuple[Graph, tuple[int, ...]]:
    """The inputs of `op` with weights, their scales and the bias taken at `indices` of the output channels."""
    inputs = list(op.inputs)
    for k, along in ((1, axis), (2, 0)):
        if len(inputs) > k and inputs[k] >= 0:
            t = graph.tensors[inputs[k]]
            assert t.data is not None
            data = np.take(t.data, indices, axis=along)
            graph, inputs[k] = with_constant(graph, t.index, data, _taken(t, indices))
    return graph, tuple(inputs)


def _taken(t: Tensor, indices: np.ndarray) -> Quant | None:
    if t.quant is None or not t.quant.per_channel:
        return t.quant
    return Quant(t.quant.scale[indices], t.quant.zero_point[indices], t.quant.axis)


def _into_consumer(graph: Graph) -> Graph | None:
    """Reorder the input channels of the convolution or matrix product that alone reads a permutation."""
    w = wiring(graph)
    for op in graph.ops:
        indices, reader = _indices(graph, op), w.only_reader(op.outputs[0])
        if indices is None or reader is None or not _reorders(graph, op, indices, reader):
            continue
        data = graph.tensors[reader.inputs[1]].data
        assert data is not None
        within = _within_group(graph, reader, indices)
        if within is None:
            continue
        return _reordered_inputs(graph, op, reader, within)
    return None


def _reorders(graph: Graph, op: Op, indices: np.ndarray, reader: Op) -> bool:
    """Whether `reader` takes weights in another order of its input channels for this GATHER."""
    x = graph.tensors[op.inputs[0]]
    if reader.inputs[0] != op.outputs[0] or not _is_permutation(indices, x.shape[-1]):
        return False
    if reader.kind == "FULLY_CONNECTED":
        return graph.tensors[reader.inputs[1]].shape[1] == x.shape[-1]
    return reader.kind == "CONV_2D"


def _within_group(graph: Graph, op: Op, indices: np.ndarray) -> np.ndarray | None:
    """int[groups, n]: for each group, which of its channels stands where; None if any channel changes its group."""
    groups = _groups(graph, op)
    split = indices.reshape(groups, -1)
    n = split.shape[1]
    return split % n if (split // n == np.arange(groups)[:, None]).all() else None


def _reordered_inputs(graph: Graph, op: Op, reader: Op, within: np.ndarray) -> Graph:
    """The GATHER `op` and its reader as one: channel k of the reader's group g came from channel within[g, k]."""
    w = graph.tensors[reader.inputs[1]]
    assert w.data is not None
    rows = w.data.reshape(len(within), -1, *w.data.shape[1:])
    data = np.stack([r[..., np.argsort(g)] for r, g in zip(rows, within, strict=True)]).reshape(w.data.shape)
    graph, weights = with_constant(graph, w.index, data, w.quant)
    inputs = (op.inputs[0], weights, *reader.inputs[2:])
    return merge(graph, (op, reader), replace(reader, inputs=inputs))


def _past_padding_and_depthwise(graph: Graph) -> Graph | None:
    """GATHER then PAD or DEPTHWISE → the operator first, where a later operator takes the shuffle."""
    w = wiring(graph)
    for op in graph.ops:
        indices, reader = _indices(graph, op), w.only_reader(op.outputs[0])
        if (
            indices is None
            or reader is None
            or not _is_permutation(indices, graph.tensors[op.inputs[0]].shape[-1])
        ):
            continue
        if _lets_pass(reader, op.outputs[0]) and _taken_later(w, reader, indices):
            return _swapped(graph, op, reader, indices)
    return None


def _lets_pass(op: Op, tensor: int) -> bool:
    if op.kind == "PAD":
        o = cast(PadOptions, op.options)
        return not (o.before[-1] or o.after[-1])
    return op.kind == "DEPTHWISE_CONV_2D" and op.inputs[0] == tensor


def _multiplied(op: Op, indices: np.ndarray) -> np.ndarray:
    """The shuffle behind `op` that is the shuffle `indices` before it."""
    if op.kind == "PAD":
        return indices
    m = cast(DepthwiseOptions, op.options).multiplier
    result: np.ndarray = (indices[:, None] * m + np.arange(m)).reshape(-1).astype(np.int32)
    return result


def _taken_later(w: Wiring, op: Op, indices: np.ndarray) -> bool:
    """Whether a shuffle that has passed `op` ends in an operator further on."""
    while True:
        indices = _multiplied(op, indices)
        reader = w.only_reader(op.outputs[0])
        if reader is None:
            return False
        if _lets_pass(reader, op.outputs[0]):
            op = reader
            continue
        if _indices(w.graph, reader) is not None:
            return True
        takes = reader.kind == "CONV_2D" and reader.inputs[0] == op.outputs[0]
        return takes and _within_group(w.graph, reader, indices) is not None


def _swapped(graph: Graph, op: Op, reader: Op, indices: np.ndarray) -> Graph:
    """`reader` at the place of the GATHER `op`, and the GATHER at its place."""
    behind = _multiplied(reader, indices)
    inputs = (op.inputs[0], *reader.inputs[1:])
    if reader.kind == "DEPTHWISE_CONV_2D":
        graph, inputs = _reordered(graph, replace(reader, inputs=inputs), 3, np.argsort(behind))
    out = graph.tensors[reader.outputs[0]]
    graph, middle = with_tensor(graph, f"{out.name}/unshuffled", out.shape, out.quant)
    graph, given = with_tensor(graph, f"{out.name}/indices", behind.shape, None, behind)
    first = replace(reader, index=op.index, inputs=inputs, outputs=(middle,))
    axis = len(out.shape) - 1
    second = replace(
        op, index=reader.index, inputs=(middle, given), outputs=(out.index,), options=GatherOptions(axis)
    )
    swap = {op.outputs: first, reader.outputs: second}
    return replace(graph, ops=tuple(swap.get(o.outputs, o) for o in graph.ops))


RULES = (
    _unchanged,
    _cut_of_channels,
    _consecutive,
    _into_producer,
    _into_consumer,
    _past_padding_and_depthwise,
)
