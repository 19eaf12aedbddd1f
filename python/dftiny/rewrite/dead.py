"""Operators that nothing reads go. Their tensors keep their places, since a tensor's index is its name."""

from __future__ import annotations

from dataclasses import replace

from dftiny.graph import Graph, Op


def dead(graph: Graph) -> Graph:
    """Only operators that the output needs."""
    needed = set(graph.outputs)
    kept: list[Op] = []
    for op in reversed(graph.ops):
        if op.outputs[0] in needed:
            kept.append(op)
            needed.update(op.inputs)
    return replace(graph, ops=tuple(reversed(kept)))
