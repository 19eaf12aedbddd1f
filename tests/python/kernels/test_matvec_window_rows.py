"""Convolutions of one pixel a row (a series in time, say): the rows of a window as one vector, on both twins against the oracle
with ==, and what they cost on the M7 beside tiles of four pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pytest
from conv_layers import Layer
from random_graphs import Builder
from row_harness import Harness

from dftiny.graph import ConvOptions, macs, window_out
from dftiny.kernels.rows import Choice
from dftiny.steps import steps

FUNCTION = "dft_matvec_window_rows"


@dataclass(frozen=True)
class Column:
    """`height` × `width` × `depth` → `outputs` channels of one column; `zero` of the input is what lies outside."""

    height: int
    depth: int
    outputs: int
    kernel: tuple[int, int] = (3, 1)
    width: int = 1
    stride: int = 1
    dilation: int = 1
    padding: Literal["SAME", "VALID"] = "SAME"
    table: bool = False
    least: int = -127

    def layer(self) -> Layer:
        """With random weights no less than `least`."""
        rng = np.random.default_rng(2)
        b = Builder(2, (1, self.height, self.width, self.depth), live=False)
        taps = self.kernel[0] * self.kernel[1] * self.depth
        filters = rng.integers(-127, 128, (self.outputs, *self.kernel, self.depth)).astype(np.int8)
        filters[0, 0, 0, 0] = self.least
        scales = (0.01 * 2 ** rng.normal(0, 0.5, self.outputs)).astype(np.float32)
        bias = rng.integers(-3000, 3000, self.outputs).astype(np.int32)
        inputs = b.x, b.tensor(filters.shape, scales, 0, filters, 0), b.tensor(bias.shape, None, 0, bias)
        extents = [(k - 1) * d + 1 for k, d in zip(self.kernel, (self.dilation, 1), strict=True)]
        rows = window_out(self.height, extents[0], self.stride, self.padding)
        columns = window_out(self.width, extents[1], self.stride, self.padding)
        assert columns == 1
        out = b.tensor((1, rows, 1, self.outputs), 70 * 70 * np.sqrt(taps) * 0.01 * b.scale / 50, 3)
        options = ConvOptions(self.stride, self.stride, self.dilation, 1, self.padding, "NONE", 1)
        b.op("CONV_2D", inputs, out, options)
        graph = b.graph()
        step = steps(graph).steps[0]
        if self.table:
            step = replace(step, table=rng.permutation(np.arange(-128, 128)).astype(np.int8))
        x = rng.integers(-128, 128, graph.input.shape).astype(np.int8)
        return Layer(graph, step, Choice(), False, x)


COLUMNS = [
    Column(12, 16, 16, dilation=2),
    Column(9, 16, 12, kernel=(2, 1), padding="VALID", table=True),
    Column(11, 5, 7),  # vectors and channels that are no fours
    Column(10, 3, 9, kernel=(5, 1), dilation=3),  # more rows outside of the map than inside
    Column(13, 6, 4, kernel=(4, 1), stride=2, table=True),
    Column(8, 4, 8, kernel=(3, 3), width=3, padding="VALID"),  # whole rows
    Column(8, 4, 8, kernel=(3, 2), width=3, stride=2, padding="VALID"),  # their first columns
    Column(7, 8, 5, kernel=(1, 4), width=4, padding="VALID"),
    Column(20, 2, 3, kernel=(16, 1), padding="VALID"),
]


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_columns_equal_the_oracle(harness: Harness, column: Column) -> None:
    layer = column.layer()
    call = layer.case().call
    assert call.function == FUNCTION
    assert call.scratch_bytes == 8 * -(-column.kernel[0] * column.kernel[1] * column.depth // 4)
    assert layer.instructions(harness) > 0
    assert len(np.unique(layer.expected(layer.case()))) > 5


def test_others_stay_tiles_of_four_pixels(harness: Harness) -> None:
    """A weight of −128 does not fit a word of two channels, padding beside the map is no part of its rows, and two channels are
    too few for four at once."""
    others = [Column(6, 8, 8, least=-128), Column(6, 8, 8, kernel=(3, 3)), Column(6, 8, 2)]
    for column in others:
        layer = column.layer()
        assert layer.case().call.function == "dft_conv_rows"
        assert layer.instructions(harness) > 0


# Reached with gcc 12.2; each may grow by 2 %. Tiles of four pixels, of which three are computed in vain, took 6.01 and 4.19.
@pytest.mark.parametrize(
    ("column", "reached"), [(Column(64, 16, 16), 1.571), (Column(64, 32, 32), 1.201)], ids=["16", "32"]
)
def test_instructions_a_product(harness: Harness, column: Column, reached: float) -> None:
    layer = column.layer()
    got = layer.instructions(harness) / macs(layer.graph, layer.step.op)
    print(f"{column} {got:.3f} instructions a product")
    assert 0.6 < got <= reached * 1.02
