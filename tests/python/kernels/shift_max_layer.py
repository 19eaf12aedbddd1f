"""One SHIFT_MAX as a lane for the harness of row kernels, made from numbers. For tests only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from row_harness import Case

from dftiny import int8
from dftiny.graph import Graph, Op, Quant, ShiftBranch, ShiftMaxOptions, Tensor
from dftiny.plan.lanes import LaneMaker
from dftiny.steps import NO_PAD, Step, Steps


@dataclass(frozen=True, eq=False)
class Layer:
    """A graph of one SHIFT_MAX, a map int8[H, W, C] and vectors int8[terms, n]."""

    graph: Graph
    x: np.ndarray
    vectors: np.ndarray

    def case(self, *, flat: bool = False) -> Case:
        """For the harness; `flat`: the whole map as one row."""
        op = self.graph.ops[0]
        step = Step(op, op.inputs, op.inputs, op.outputs[0], NO_PAD)
        views = {t.index: t.index for t in self.graph.tensors}
        lane = LaneMaker(Steps(self.graph, (step,), views)).lane(0, flat=flat)
        rows = self.x.reshape(1 if flat else len(self.x), -1)
        return Case(lane, (rows, *(v.reshape(1, -1) for v in self.vectors)))

    def oracle(self) -> np.ndarray:
        """int8[H, W · n]."""
        vectors = [v.reshape(1, 1, 1, 1, -1) for v in self.vectors]
        y = int8.shift_max(self.graph, self.graph.ops[0], self.x[None, None], vectors)
        return y.reshape(len(self.x), -1)


def quant(scale: float, zero_point: int) -> Quant:
    return Quant(np.array([scale], np.float32), np.array([zero_point], np.int64), 0)


def layer(
    x: np.ndarray, x_quant: Quant, vectors: np.ndarray, quants: list[Quant], branches: tuple[ShiftBranch, ...]
) -> Layer:
    """`vectors` int8[terms, n] with their quantisations."""
    n = vectors.shape[1]
    shapes = [(1, *x.shape), *[(1, 1, 1, n)] * len(vectors), (1, *x.shape[:2], n)]
    out = quant(branches[0].scale, branches[0].zero_point)
    tensors = tuple(
        Tensor(i, f"t{i}", s, np.dtype(np.int8), q, None)
        for i, (s, q) in enumerate(zip(shapes, [x_quant, *quants, out], strict=True))
    )
    reads = tuple(range(1 + len(vectors)))
    op = Op(0, "SHIFT_MAX", reads, (len(tensors) - 1,), ShiftMaxOptions(branches))
    return Layer(Graph("one", tensors, (op,), (0,), op.outputs), x, vectors)
