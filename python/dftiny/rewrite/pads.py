"""Padding that is written otherwise becomes PAD, and PADs in a row become one; steps.py takes a PAD with the zero
point in front of a convolution into the window.

Our converter writes padding at one side only as a CONCATENATION with a constant map, in NHWC or, between two
TRANSPOSEs, in NCHW. In front of a normalisation that went into the weights the constant is no zero point, but one
value a channel (the mean pixel).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from dftiny.graph import ConcatenationOptions, Graph, Op, PadOptions, TransposeOptions
from dftiny.rewrite.edit import Wiring, first_of, merge, until_done, wiring, with_tensor


def pad_from_concatenation(graph: Graph) -> Graph:
    """CONCATENATION along H or W with one value a channel → PAD, also between a TRANSPOSE and its inverse; PAD after
    PAD with the same values → one PAD."""
    return until_done(first_of(_in_other_layout, _concatenation, _consecutive), graph)


@dataclass(frozen=True, eq=False)
class _Padding:
    """`before` and `after` each of the four dimensions, int8[channels] all around; read from `source`."""

    source: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    values: np.ndarray

    def then(self, later: _Padding) -> _Padding | None:
        """This padding and `later` around it as one; None if they pad with other values."""
        if not np.array_equal(self.values, later.values):
            return None
        before = tuple(a + b for a, b in zip(self.before, later.before, strict=True))
        after = tuple(a + b for a, b in zip(self.after, later.after, strict=True))
        return _Padding(self.source, before, after, self.values)

    def moved(self, perm: Sequence[int], source: int) -> _Padding:
        """The same padding of `source`, whose TRANSPOSE by the inverse of `perm` this one pads."""
        before, after = (tuple(side[p] for p in perm) for side in (self.before, self.after))
        return _Padding(source, before, after, self.values)


def _padding(graph: Graph, op: Op, channel: int) -> _Padding | None:
    """What `op` pads, if that is all it does, beside dimension `channel`, with one value a channel."""
    out = graph.tensors[op.outputs[0]]
    if op.kind not in ("PAD", "CONCATENATION") or len(out.shape) != 4:
        return None
    found = _of_pad(graph, op, channel) if op.kind == "PAD" else _of_concatenation(graph, op, channel)
    return (
        found
        if found is not None and not any(s[d] for s in (found.before, found.after) for d in (0, channel))
        else None
    )


def _of_pad(graph: Graph, op: Op, channel: int) -> _Padding:
    o, x = cast(PadOptions, op.options), graph.tensors[op.inputs[0]]
    zero = np.full(x.shape[channel], x.zero_point, np.int8)
    return _Padding(x.index, o.before, o.after, zero if o.values is None else np.array(o.values, np.int8))


def _of_concatenation(graph: Graph, op: Op, channel: int) -> _Padding | None:
    """The reader has seen that all parts have one quantisation."""
    axis = cast(ConcatenationOptions, op.options).axis
    parts = [graph.tensors[t] for t in op.inputs]
    moving = [i for i, t in enumerate(parts) if t.data is None]
    if len(moving) != 1 or len(parts) == 1:
        return None
    constants = [np.moveaxis(t.data, channel, -1) for t in parts if t.data is not None]
    values = constants[0].reshape(-1, constants[0].shape[-1])[0]
    if axis == channel or any((c != values).any() for c in constants):
        return None
    at = moving[0]
    sizes = [sum(t.shape[axis] for t in side) for side in (parts[:at], parts[at + 1 :])]
    before, after = (tuple(n if d == axis else 0 for d in range(4)) for n in sizes)
    return _Padding(op.inputs[at], before, after, values)


def _pad(graph: Graph, old: Sequence[Op], p: _Padding) -> Graph:
    """`old`, in order, replaced by a PAD."""
    target = graph.tensors[old[-1].outputs[0]]
    data = np.array([p.before, p.after], np.int32).T.copy()
    graph, amounts = with_tensor(graph, f"{target.name}/pad", data.shape, None, data)
    plain = bool((p.values == target.zero_point).all())
    options = PadOptions(p.before, p.after, None if plain else tuple(int(v) for v in p.values))
    return merge(graph, old, Op(0, "PAD", (p.source, amounts), (target.index,), options))


def _concatenation(graph: Graph) -> Graph | None:
    for op in graph.ops:
        if op.kind == "CONCATENATION" and (found := _padding(graph, op, channel=3)) is not None:
            return _pad(graph, (op,), found)
    return None


def _consecutive(graph: Graph) -> Graph | None:
    w = wiring(graph)
    for op in graph.ops:
        earlier = w.source(op, "PAD") if op.kind == "PAD" else None
        found = _chain(w, [earlier, op], channel=3) if earlier is not None else None
        if found is not None and earlier is not None:
            return _pad(graph, (earlier, op), found)
    return None


def _chain(w: Wiring, ops: Sequence[Op], channel: int) -> _Padding | None:
    """Several paddings around each other as one."""
    whole: _Padding | None = None
    for op in ops:
        found = _padding(w.graph, op, channel)
        whole = found if whole is None or found is None else whole.then(found)
        if whole is None:
            return None
    return whole


def _in_other_layout(graph: Graph) -> Graph | None:
    """TRANSPOSE, paddings, TRANSPOSE back."""
    w = wiring(graph)
    for last in graph.ops:
        between = _paddings_before(w, last) if last.kind == "TRANSPOSE" else []
        first = _transpose_before(w, between[0]) if between else None
        if first is None:
            continue
        one, two = (cast(TransposeOptions, o.options).perm for o in (first, last))
        found = _chain(w, between, channel=one.index(3))
        if found is not None and [one[p] for p in two] == [0, 1, 2, 3]:
            return _pad(graph, (first, *between, last), found.moved(two, first.inputs[0]))
    return None


def _paddings_before(w: Wiring, op: Op) -> list[Op]:
    """PADs and CONCATENATIONs with one moving operand, one behind the other, that only `op` reads in the end."""
    found: list[Op] = []
    t = op.inputs[0]
    while (earlier := w.writer.get(t)) is not None and w.only_reader(t) is not None:
        moving = [i for i in earlier.inputs if w.graph.tensors[i].data is None]
        if (
            earlier.kind not in ("PAD", "CONCATENATION")
            or len(moving) != 1
            or len(w.graph.tensors[t].shape) != 4
        ):
            break
        found.insert(0, earlier)
        t = moving[0]
    return found


def _transpose_before(w: Wiring, op: Op) -> Op | None:
    t = next(i for i in op.inputs if w.graph.tensors[i].data is None)
    found = w.writer.get(t)
    return found if found is not None and found.kind == "TRANSPOSE" and w.only_reader(t) is not None else None
