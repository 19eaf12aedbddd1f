"""Row kernels as numbers: what one operator needs when it is computed row by row.

A maker takes a graph and a step and says which C function computes its rows, with which constants, how many rows
an event gives and how much memory it wants beside them; or None, when no row kernel can run the step: then the
operator is computed whole by the kernels of calls.py. Twin: firmware/kernels/dft_rows.h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dftiny.graph import Graph
from dftiny.kernels.calls import Const, Fields
from dftiny.steps import Step


@dataclass(frozen=True)
class Planes:
    """Rows of a tensor as its one reader, a depthwise convolution, likes them: a ring of four, of which each channel has a
    plane of int16. A row has `columns`: `left` of the zero point `zero`, the row, `zero`; a column of a channel holds
    its four rows, the map's first one in place `top` (dft_depthwise_planes_rows.h)."""

    columns: int
    left: int
    top: int
    zero: int

    def row_bytes(self, channels: int) -> int:
        """Bytes of a row."""
        return 2 * self.columns * channels


@dataclass(frozen=True)
class Choice:
    """What the planner may choose for one step; 0 leaves it to the kernel.

    `rows`: output rows an event. `block`: pixels widened at once (less is less scratch). `wide`: int16 weights in
    flash, no widening at run time. `planes`: how a convolution lays out its output, or a depthwise convolution finds its
    operand; None is pixel by pixel.
    """

    rows: int = 0
    block: int = 0
    wide: bool = False
    planes: Planes | None = None


@dataclass(frozen=True, eq=False)
class RowCall:
    """`function(&params, event)` computes `rows` output rows an event. `scratch_bytes` are lost between events,
    `aux_bytes` kept from the first row to the last. `in_place`: element i of the output depends on element i of the
    first operand alone and is written after it was read, so the output may lie exactly on that operand, or lower.
    `grows`: a row is longer than the first operand's, which may lie at its end.
    `symbols`: further functions that the constants point to. `wide_bytes`: constant bytes beyond int8 weights."""

    function: str
    struct: str
    fields: Fields
    pointers: tuple[tuple[str, Const], ...]
    scratch_bytes: int = 0
    aux_bytes: int = 0
    rows: int = 1
    in_place: bool = False
    grows: bool = False
    symbols: tuple[str, ...] = ()
    wide_bytes: int = 0


RowMaker = Callable[[Graph, Step, Choice], "RowCall | None"]
