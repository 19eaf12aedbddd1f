"""MicroNet's Dynamic Shift-Max, as a converter writes it, becomes one operator.

max over branches of (c1 · x[i1] ± c2 · x[i2]), where i are channel shuffles and c vectors computed from the map's
mean: GATHERs, MULs, ADDs or SUBs and a MAXIMUM over maps that only they read. The small net that gives the
coefficients stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from dftiny.graph import (
    Activation,
    AddOptions,
    GatherOptions,
    Graph,
    MulOptions,
    Op,
    ShiftBranch,
    ShiftMaxOptions,
    ShiftTerm,
    SubOptions,
)
from dftiny.rewrite.edit import Wiring, merge, until_done, wiring


def shift_max(graph: Graph) -> Graph:
    """Sums or differences of two scaled shuffles of one map, or the maximum of two such → SHIFT_MAX."""
    return until_done(_one, graph)


@dataclass(frozen=True)
class _Term:
    """A product found: `ops` are the MUL and, where nobody outside can read it, the GATHER."""

    source: int
    coefficients: int
    term: ShiftTerm
    ops: tuple[Op, ...]


@dataclass(frozen=True)
class _Branch:
    """A sum found."""

    source: int
    coefficients: tuple[int, int]
    branch: ShiftBranch
    ops: tuple[Op, ...]


def _one(graph: Graph) -> Graph | None:
    w = wiring(graph)
    for op in graph.ops:  # a MAXIMUM first: its branches alone would hide it
        if op.kind == "MAXIMUM" and (made := _maximum(w, op)) is not None:
            return made
    for op in graph.ops:
        if (b := _branch(w, op)) is not None:
            return _fused(w, (b,), b.ops)
    return None


def _maximum(w: Wiring, op: Op) -> Graph | None:
    branches = []
    for t in op.inputs:
        root = w.writer.get(t)
        found = _branch(w, root) if root is not None and w.only_reader(t) is not None else None
        if found is not None:
            branches.append(found)
    if len(branches) != 2 or branches[0].source != branches[1].source:
        return None
    return _fused(w, tuple(branches), (op, *branches[0].ops, *branches[1].ops))


def _fused(w: Wiring, branches: tuple[_Branch, ...], ops: tuple[Op, ...]) -> Graph:
    """The operators of all branches as one, `ops` with the last one first; a GATHER that others read too stays."""
    members = {o.outputs for o in ops}
    gone = [o for o in ops if o.kind != "GATHER" or _all_within(w, o, members)]
    inputs = (branches[0].source, *(c for b in branches for c in b.coefficients))
    options = ShiftMaxOptions(tuple(b.branch for b in branches))
    return merge(w.graph, gone, Op(0, "SHIFT_MAX", inputs, ops[0].outputs, options))


def _all_within(w: Wiring, op: Op, members: set[tuple[int, ...]]) -> bool:
    target = op.outputs[0]
    return target not in w.graph.outputs and all(r.outputs in members for r in w.readers[target])


def _branch(w: Wiring, op: Op) -> _Branch | None:
    if op.kind not in ("ADD", "SUB"):
        return None
    first, second = (_term(w, t) for t in op.inputs)
    if first is None or second is None or first.source != second.source:
        return None
    out = w.graph.tensors[op.outputs[0]]
    if any(w.graph.tensors[t].shape != out.shape for t in op.inputs):
        return None
    activation: Activation = cast("AddOptions | SubOptions", op.options).activation
    kind = cast('Literal["ADD", "SUB"]', op.kind)
    branch = ShiftBranch(kind, (first.term, second.term), out.scale, out.zero_point, activation)
    coefficients = (first.coefficients, second.coefficients)
    return _Branch(first.source, coefficients, branch, (op, *first.ops, *second.ops))


def _term(w: Wiring, product: int) -> _Term | None:
    """The product that `product` holds: a map times a vector, the map gathered along its channels or not."""
    op = w.writer.get(product)
    if op is None or op.kind != "MUL" or w.only_reader(product) is None:
        return None
    for x, c in (op.inputs, op.inputs[::-1]):
        if _is_map(w.graph, x, product) and _is_vector(w.graph, c, x):
            return _scaled(w, op, x, c)
    return None


def _is_map(graph: Graph, x: int, product: int) -> bool:
    t = graph.tensors[x]
    return (
        t.data is None
        and len(t.shape) == 4
        and t.shape == graph.tensors[product].shape
        and t.shape[1:3] != (1, 1)
    )


def _is_vector(graph: Graph, c: int, x: int) -> bool:
    t = graph.tensors[c]
    return t.data is None and t.shape == (1, 1, 1, graph.tensors[x].shape[3])


def _scaled(w: Wiring, op: Op, x: int, c: int) -> _Term:
    out, gather = w.graph.tensors[op.outputs[0]], w.writer.get(x)
    activation = cast(MulOptions, op.options).activation
    indices: tuple[int, ...] = tuple(range(w.graph.tensors[x].shape[3]))
    ops: tuple[Op, ...] = (op,)
    if gather is not None and gather.kind == "GATHER" and cast(GatherOptions, gather.options).axis == 3:
        data = w.graph.tensors[gather.inputs[1]].data
        assert data is not None
        indices, ops, x = tuple(int(i) for i in data), (op, gather), gather.inputs[0]
    return _Term(x, c, ShiftTerm(indices, out.scale, out.zero_point, activation), ops)
