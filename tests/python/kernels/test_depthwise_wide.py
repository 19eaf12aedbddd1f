"""dft_depthwise_wide_rows, windows five or seven columns wide, against the oracle: both twins, as test_depthwise_rows."""

from __future__ import annotations

import numpy as np
import pytest
from row_harness import Harness
from test_depthwise_rows import Layer, case_and_result, graph_of

from dftiny.graph import macs

FUNCTION = "dft_depthwise_wide_rows"
LAYERS = [
    Layer((9, 9, 8), kernel=(5, 5), table=True),
    Layer((9, 10, 6), kernel=(5, 5), linear=False),
    Layer((8, 7, 5), kernel=(7, 7), activation="RELU6"),
    Layer((3, 3, 8), kernel=(7, 7), table=True),
    Layer((2, 1, 3), kernel=(5, 5)),
    Layer((4, 2, 9), kernel=(7, 7), linear=False),
    Layer((9, 30, 7), kernel=(5, 5), stride=(2, 2), linear=False),
    Layer((10, 12, 4), kernel=(7, 7), stride=(2, 2), table=True),
    Layer((9, 17, 8), kernel=(7, 7), stride=(2, 2)),
    Layer((7, 11, 12), kernel=(5, 5), stride=(1, 2), table=True),
    Layer((9, 14, 4), kernel=(2, 5), padding="VALID"),
    Layer((9, 9, 4), kernel=(3, 7), stride=(2, 1)),
    Layer((8, 9, 5), kernel=(5, 5), pad=(2, 3, 1, 4), padding="VALID", table=True),
    Layer((12, 9, 6), kernel=(7, 7), pad=(6, 6, 3, 3), padding="VALID", linear=False),
    Layer((6, 6, 12), kernel=(5, 5), spread=300.0),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_both_twins_equal_the_oracle(harness: Harness, layer: Layer) -> None:
    case, want = case_and_result(layer, 7)
    assert case.call.function == FUNCTION
    np.testing.assert_array_equal(harness.host(case)[0], want)
    np.testing.assert_array_equal(harness.arm(case)[0], want)


@pytest.mark.parametrize(
    "layer",
    [
        Layer((6, 8, 4), kernel=(5, 6)),
        Layer((6, 8, 4), kernel=(5, 5), multiplier=2),
        Layer((6, 8, 4), kernel=(7, 7), stride=(1, 3)),
        Layer((6, 8, 4), kernel=(1, 5)),
    ],
    ids=str,
)
def test_other_windows_have_other_kernels(layer: Layer) -> None:
    assert case_and_result(layer, 7)[0].call.function != FUNCTION


# Instructions a MAC, all events of the layer counted: what was reached and 2 %.
REACHED = [
    (Layer((8, 16, 16), kernel=(5, 5), table=True), 2.44),
    (Layer((12, 24, 32), kernel=(7, 7), linear=False), 1.72),
    (Layer((12, 24, 32), kernel=(5, 5), stride=(2, 2), linear=False), 3.11),
    (Layer((12, 24, 32), kernel=(7, 7), stride=(2, 2), linear=False), 2.14),
    (Layer((3, 3, 64), kernel=(7, 7), linear=False), 3.33),
]


@pytest.mark.parametrize(("layer", "limit"), REACHED, ids=str)
def test_few_instructions(harness: Harness, layer: Layer, limit: float) -> None:
    case, want = case_and_result(layer, 1)
    got, instructions = harness.arm(case)
    np.testing.assert_array_equal(got, want)
    per_mac = instructions / macs(graph_of(layer, 1), case.lane.step.op)
    print(f"{layer.size} {layer.kernel} stride {layer.stride}: {per_mac:.3f}")
    assert 0.9 * limit < per_mac <= limit
