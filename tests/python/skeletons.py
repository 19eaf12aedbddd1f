"""Models without their weights: what TFLM's arena depends on, as JSON. Made by tools/tflm_arena, read by tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from dftiny.graph import Graph, Op, Quant, Tensor

_DTYPES = ("int8", "int32", "int64")


def skeleton(graph: Graph) -> dict[str, Any]:
    """Shapes, types, number of scales and whether it is constant, a tensor; kind, inputs and outputs, an operator."""
    return {
        "tensors": [
            [
                list(t.shape),
                _DTYPES.index(t.dtype.name),
                len(t.quant.scale) if t.quant else 0,
                int(t.data is not None),
            ]
            for t in graph.tensors
        ],
        "ops": [[op.kind, list(op.inputs), list(op.outputs)] for op in graph.operators],
        "folded": [op.index for op in graph.folded],
        "edges": [list(graph.inputs), list(graph.outputs)],
    }


def from_skeleton(name: str, value: dict[str, Any]) -> Graph:
    """A graph whose constants are all zero and whose options are absent: good for its arena, for nothing else."""
    tensors = tuple(_tensor(i, *t) for i, t in enumerate(value["tensors"]))
    ops = tuple(Op(i, k, tuple(a), tuple(b), None) for i, (k, a, b) in enumerate(value["ops"]))
    folded = tuple(ops[i] for i in value["folded"])
    inputs, outputs = value["edges"]
    run = tuple(op for op in ops if op not in folded)
    return Graph(name, tensors, run, tuple(inputs), tuple(outputs), folded)


def _tensor(index: int, shape: list[int], dtype: int, scales: int, constant: int) -> Tensor:
    kind = np.dtype(_DTYPES[dtype])
    quant = Quant(np.ones(scales, np.float32), np.zeros(scales, np.int64), 0) if scales else None
    data = np.broadcast_to(np.zeros((), kind), shape) if constant else None
    return Tensor(index, f"t{index}", tuple(shape), kind, quant, data)
