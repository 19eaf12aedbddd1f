"""Graphs are values: a pass looks at the wiring of one and makes the next with an operator or two replaced.

Tensors keep their indices for ever (new ones are appended), so that a tensor of the rewritten graph can be
compared with the same tensor of the original. For the passes of dftiny.rewrite only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dftiny.graph import Graph, Op, Quant, Tensor

# Rewrites one place of a graph; None where there is none left.
Rule = Callable[[Graph], "Graph | None"]


@dataclass(frozen=True, eq=False)
class Wiring:
    """Who writes and who reads each tensor."""

    graph: Graph
    writer: dict[int, Op]
    readers: dict[int, tuple[Op, ...]]

    def only_reader(self, tensor: int) -> Op | None:
        """The one operator that reads `tensor`, once; None if there are more or it leaves the graph."""
        found = self.readers.get(tensor, ())
        return found[0] if len(found) == 1 and tensor not in self.graph.outputs else None

    def source(self, op: Op, kind: str) -> Op | None:
        """The operator of `kind` that writes the first input of `op`, if `op` alone reads it."""
        found = self.writer.get(op.inputs[0])
        alone = found is not None and self.only_reader(op.inputs[0]) is not None
        return found if found is not None and alone and found.kind == kind else None


def wiring(graph: Graph) -> Wiring:
    """The wiring of `graph`; an operator that reads a tensor twice counts twice."""
    readers: dict[int, list[Op]] = {}
    for op in graph.ops:
        for t in op.inputs:
            readers.setdefault(t, []).append(op)
    writer = {t: op for op in graph.ops for t in op.outputs}
    return Wiring(graph, writer, {t: tuple(r) for t, r in readers.items()})


def until_done(rule: Rule, graph: Graph) -> Graph:
    """Apply `rule` until it finds nothing."""
    while (after := rule(graph)) is not None:
        graph = after
    return graph


def first_of(*rules: Rule) -> Rule:
    """The first of several rules that finds a place."""

    def rule(graph: Graph) -> Graph | None:
        return next((after for r in rules if (after := r(graph)) is not None), None)

    return rule


def with_tensor(
    graph: Graph, name: str, shape: Iterable[int], quant: Quant | None, data: np.ndarray | None = None
) -> tuple[Graph, int]:
    """`graph` with one more tensor, a constant if it has `data` and else int8, and that tensor's index."""
    index = len(graph.tensors)
    dtype = np.dtype(np.int8) if data is None else data.dtype
    tensor = Tensor(index, name, tuple(shape), dtype, quant, data)
    return replace(graph, tensors=(*graph.tensors, tensor)), index


def with_constant(graph: Graph, like: int, data: np.ndarray, quant: Quant | None) -> tuple[Graph, int]:
    """`graph` with a constant made from constant `like`."""
    return with_tensor(graph, graph.tensors[like].name, data.shape, quant, data)


def merge(
    graph: Graph, old: Iterable[Op], new: Op, *, before: Sequence[Op] = (), after: Sequence[Op] = ()
) -> Graph:
    """Put `new` where the last of the operators `old` stands, and take these away. `before` and `after` are views
    that go with it, under the same number."""
    gone = {op.outputs[0] for op in old}
    members = [op for op in graph.ops if op.outputs[0] in gone]
    last = members[-1]
    still = {op.index for op in graph.ops if op.outputs[0] not in gone}  # other outputs of the same operator
    stands_for = {i for op in members for i in (op.index, *op.absorbed)} - still
    merged = replace(new, index=last.index, absorbed=tuple(sorted(stands_for - {last.index})))
    views = ([replace(v, index=last.index) for v in side] for side in (before, after))
    first, behind = views
    ops: list[Op] = []
    for op in graph.ops:
        if op is last:
            ops += [*first, merged, *behind]
        elif op.outputs[0] not in gone:
            ops.append(op)
    return replace(graph, ops=tuple(ops))


def bypass(graph: Graph, op: Op, source: int) -> Graph:
    """Take `op` away; those that read its output read `source` instead, and the first of them absorbs it. Where
    the output leaves the graph or nobody reads it, there is nothing to take away."""
    target = op.outputs[0]
    assert target not in graph.outputs
    ops: list[Op] = []
    gone = {op.index, *op.absorbed}
    for o in graph.ops:
        if o is op:
            continue
        if target in o.inputs:
            inputs = tuple(source if t == target else t for t in o.inputs)
            stands_for = {*o.absorbed, *gone} - {o.index}
            o, gone = replace(o, inputs=inputs, absorbed=tuple(sorted(stands_for))), set()  # noqa: PLW2901
        ops.append(o)
    return replace(graph, ops=tuple(ops))
