"""dft_depthwise_planes_rows and convolutions that write planes, against the oracle: both twins, as test_depthwise_rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from conv_layers import Layer as Convolution
from conv_layers import random_layer as random_convolution
from row_harness import GARBAGE as HARNESS_GARBAGE
from row_harness import Case, Event, Harness
from test_depthwise_rows import Layer, case_and_result, graph_of

from dftiny.graph import macs
from dftiny.kernels.conv_rows import may_write_planes
from dftiny.kernels.depthwise_rows import planes_for
from dftiny.kernels.rows import Choice, Planes
from dftiny.plan.lanes import LaneMaker, Shape
from dftiny.plan.stream import can_reverse
from dftiny.steps import steps

GARBAGE = 77


def in_planes(x: np.ndarray, planes: Planes, first: int) -> np.ndarray:
    """Rows `first` … `first` + 3 of int8[H, W, C] as the ring that holds them, int8[bytes]; rows outside of the map and
    what nobody may depend on are garbage."""
    h, w, c = x.shape
    ring = np.full((c, planes.columns, 4), GARBAGE, "<i2")
    for y in range(max(first, 0), min(first + 4, h)):
        at = (y + planes.top) % 4
        ring[:, : planes.left, at] = planes.zero
        ring[:, planes.left : planes.left + w, at] = x[y].T
        ring[:, planes.left + w, at] = planes.zero
    return ring.reshape(-1).view(np.int8)


@dataclass(frozen=True, eq=False)
class PlanesCase(Case):
    """The operand's rows are rings, one for each event."""

    def _event(self, row: int, rows: int) -> Event:
        seen = super()._event(row, rows)
        number = row // self.lane.rows
        return replace(seen, window=tuple(number if y >= 0 else -1 for y in seen.window))


def planes_case(layer: Layer, seed: int) -> tuple[Case, np.ndarray]:
    """The layer over planes, and what the oracle says."""
    case, want = case_and_result(layer, seed)
    graph = graph_of(layer, seed)
    maker = LaneMaker(steps(graph))
    planes = planes_for(graph, maker.prepared.steps[0])
    assert planes is not None
    lane = maker.lane(0, Choice(rows=layer.rows, planes=planes))
    assert lane.call is not None
    assert lane.call.function == "dft_depthwise_planes_rows"
    assert lane.rows == (2 if layer.stride == (1, 1) else 1)
    x = case.operands[0].reshape(layer.size)
    firsts = [lane.window.first(row) for row in range(0, lane.events_h, lane.rows)]
    return PlanesCase(lane, (np.stack([in_planes(x, planes, y) for y in firsts]),)), want


LAYERS = [
    Layer((7, 9, 5)),
    Layer((8, 8, 8), table=True),
    Layer((6, 5, 4), linear=False, activation="RELU"),
    Layer((5, 2, 3), table=True),
    Layer((4, 3, 9), linear=False),
    Layer((4, 5, 1), activation="RELU6"),
    Layer((9, 6, 6), table=True),
    Layer((6, 8, 5), padding="VALID", table=True),
    Layer((9, 10, 7), padding="VALID", linear=False),
    Layer((7, 8, 6), pad=(1, 0, 0, 1), padding="VALID", table=True),
    Layer((5, 7, 4), pad=(2, 2, 1, 0), padding="VALID"),
    Layer((8, 8, 8), stride=(2, 2), table=True),
    Layer((9, 7, 5), stride=(2, 2), linear=False),
    Layer((8, 13, 9), stride=(2, 2), pad=(1, 1, 1, 1), padding="VALID", table=True),
    Layer((8, 11, 3), stride=(2, 2), pad=(0, 1, 0, 1), padding="VALID"),
    Layer((9, 9, 4), stride=(2, 2), padding="VALID"),
    Layer((10, 12, 4), stride=(2, 2), linear=False),
    Layer((6, 6, 12), spread=20.0, table=True),
    Layer((6, 8, 12), spread=20.0, stride=(2, 2)),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_both_twins_equal_the_oracle(harness: Harness, layer: Layer) -> None:
    case, want = planes_case(layer, 7)
    np.testing.assert_array_equal(harness.host(case)[0], want)
    np.testing.assert_array_equal(harness.arm(case)[0], want)


@pytest.mark.parametrize(
    "layer",
    [
        Layer((6, 8, 4), kernel=(5, 5)),
        Layer((6, 8, 4), multiplier=2),
        Layer((6, 8, 4), stride=(2, 1)),
        Layer((6, 8, 4), pad=(1, 1, 2, 1), padding="VALID"),
        Layer((6, 8, 4), pad=(1, 1, 1, 3), padding="VALID"),
        Layer((6, 1, 4)),
        Layer((3, 8, 4)),
    ],
    ids=str,
)
def test_other_layers_want_no_planes(layer: Layer) -> None:
    graph = graph_of(layer, 7)
    assert planes_for(graph, LaneMaker(steps(graph)).prepared.steps[0]) is None


@pytest.mark.parametrize(("height", "may"), [(8, True), (9, False)])
def test_events_of_two_rows_begin_with_an_even_one(height: int, may: bool) -> None:
    """From the last row to the first they would not, where the number of rows is odd."""
    case, _ = planes_case(Layer((height, 6, 4)), 3)
    assert can_reverse([case.lane]) is may


# Instructions a MAC, all events of the layer counted: what was reached and 2 %.
REACHED = [
    (Layer((16, 64, 8), linear=False), 1.44),
    (Layer((16, 64, 8), table=True), 1.69),
    (Layer((16, 64, 8), stride=(2, 2), linear=False), 1.87),
    (Layer((16, 64, 8), stride=(2, 2), table=True), 2.12),
    (Layer((8, 16, 32), linear=False), 1.66),
]


@pytest.mark.parametrize(("layer", "limit"), REACHED, ids=str)
def test_few_instructions(harness: Harness, layer: Layer, limit: float) -> None:
    case, want = planes_case(layer, 1)
    got, instructions = harness.arm(case)
    np.testing.assert_array_equal(got, want)
    per_mac = instructions / macs(graph_of(layer, 1), case.lane.step.op)
    print(f"{layer.size} stride {layer.stride} rows {layer.rows}: {per_mac:.3f}")
    assert 0.9 * limit < per_mac <= limit


@pytest.mark.parametrize("seed", range(8))
def test_convolutions_write_planes(harness: Harness, seed: int) -> None:
    """Every row to a ring of its own, of which it writes no other place."""
    layer, rng = wide_convolution(seed), np.random.default_rng(seed)
    width, left, top = layer.graph.tensors[layer.step.writes].shape[2], seed % 2, seed % 3
    planes = Planes(left + width + 1 + seed % 3, left, top, int(rng.integers(-128, 128)))
    plain = layer.case()
    want = layer.expected(plain).reshape(plain.lane.shape.rows, width, -1)
    case = replace(layer, choice=replace(layer.choice, planes=planes)).case()
    shape = case.lane.shape
    ring = Shape(shape.rows, shape.ring * shape.row_bytes)
    case = replace(case, lane=replace(case.lane, shape=ring))
    for got in (*harness.host(case), harness.arm(case)[0]):
        for y, row in enumerate(np.ascontiguousarray(got).view("<i2")):
            columns = row.reshape(-1, planes.columns, 4)[:, : left + width + 1]
            one = in_planes(want[y : y + 1], replace(planes, top=0), 0).view("<i2")
            expected = one.reshape(-1, planes.columns, 4)[:, : left + width + 1]
            at = (y + top) % 4
            np.testing.assert_array_equal(columns[:, :, at], expected[:, :, 0])
            others = np.delete(columns, at, axis=2).view(np.uint8)
            assert (others == HARNESS_GARBAGE).all()


def wide_convolution(seed: int) -> Convolution:
    """A random convolution by rows that may write planes."""
    for other in range(seed * 50, seed * 50 + 50):
        layer = random_convolution(other)
        call = layer.case().call
        if not layer.flat and call.function == "dft_conv_rows" and may_write_planes(layer.graph, layer.step):
            return layer
    raise AssertionError("no convolution of whole tiles among 50")
