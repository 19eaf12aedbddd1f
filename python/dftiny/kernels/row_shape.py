"""A tensor as the row engine sees it, and the function that a row kernel may have to apply behind its own.

Used by the makers of row kernels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dftiny import int8
from dftiny.graph import Activation, Graph, Tensor
from dftiny.kernels.calls import Const
from dftiny.steps import Step

Pointers = tuple[tuple[str, Const], ...]


@dataclass(frozen=True)
class RowShape:
    """`rows` rows of `width` pixels with `channels` channels."""

    rows: int
    width: int
    channels: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.width * self.channels


def row_shape(t: Tensor) -> RowShape:
    """[1, H, W, C] has H rows; every other tensor is one row, its last dimension the channels."""
    if len(t.shape) == 4 and t.shape[0] == 1:
        return RowShape(*t.shape[1:])
    channels = t.shape[-1] if t.shape else 1
    return RowShape(1, math.prod(t.shape[:-1]), channels)


def table_const(table: np.ndarray) -> Const:
    """A table in the order −128…127."""
    return Const("int8_t", "tables", table)


def fused_table(graph: Graph, step: Step) -> Pointers:
    """The member `table` of a kernel that clamps to int8 alone: its activation where that is narrower, then the
    function fused behind the step; nothing where there is neither."""
    op = step.op
    activation: Activation = getattr(op.options, "activation", "NONE")
    low, high = int8.activation_range(activation, graph.tensors[op.outputs[0]])
    if (low, high) == (-128, 127) and step.table is None:
        return ()
    clamped = np.clip(np.arange(-128, 128), low, high)
    table = clamped if step.table is None else step.table[clamped + 128]
    return (("table", table_const(table)),)
