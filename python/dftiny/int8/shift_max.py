"""SHIFT_MAX, which only rewrites make: each branch is the little graph of MUL, MUL and ADD or SUB that it was
made from, and is computed, to the bit, as that graph. The row kernel takes its parameters from it too."""

from __future__ import annotations

import numpy as np

from dftiny.graph import (
    AddOptions,
    Graph,
    MulOptions,
    Op,
    Quant,
    ShiftBranch,
    ShiftMaxOptions,
    SubOptions,
    Tensor,
)
from dftiny.int8 import arith


def branch_graph(graph: Graph, op: Op, branch: int) -> Graph:
    """Branch `branch` of a SHIFT_MAX as a graph of three operators (MUL, MUL, then ADD or SUB) over the tensors
    (map, coefficients, coefficients, product, product, sum). Their quantisations count, their shapes do not."""
    assert isinstance(op.options, ShiftMaxOptions)
    b = op.options.branches[branch]
    x, *coefficients = (graph.tensors[t] for t in (op.inputs[0], *op.inputs[1 + 2 * branch : 3 + 2 * branch]))
    shape = graph.tensors[op.outputs[0]].shape
    inner = [(t.scale, t.zero_point) for t in (*b.terms, b)]
    made = tuple(
        Tensor(3 + i, f"inner {i}", shape, np.dtype(np.int8), _quant(*q), None) for i, q in enumerate(inner)
    )
    first, second = (MulOptions(t.activation) for t in b.terms)
    ops = (Op(0, "MUL", (0, 1), (3,), first), Op(1, "MUL", (0, 2), (4,), second), _sum(b))
    return Graph(graph.name, (x, *coefficients, *made), ops, (0,), (5,))


def _sum(b: ShiftBranch) -> Op:
    options = AddOptions(b.activation) if b.kind == "ADD" else SubOptions(b.activation)
    return Op(2, b.kind, (3, 4), (5,), options)


def _quant(scale: float, zero_point: int) -> Quant:
    return Quant(np.array([scale], np.float32), np.array([zero_point], np.int64), 0)


def shift_max(graph: Graph, op: Op, x: np.ndarray, coefficients: list[np.ndarray]) -> np.ndarray:
    """SHIFT_MAX: x int8[n, 1, H, W, C] and vectors int8[n, 1, 1, 1, K] → int8[n, 1, H, W, K]."""
    assert isinstance(op.options, ShiftMaxOptions)
    results = []
    for i, b in enumerate(op.options.branches):
        inner = branch_graph(graph, op, i)
        factors = coefficients[2 * i : 2 * i + 2]
        products = [
            arith.mul(inner, inner.ops[k], x[..., list(t.indices)], factors[k]) for k, t in enumerate(b.terms)
        ]
        results.append(arith.add_or_sub(inner, inner.ops[2], *products))
    return results[0] if len(results) == 1 else np.maximum(*results)
