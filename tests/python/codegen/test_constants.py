"""What a PhiNet's constants may take beyond weights and biases: 6 bytes an output channel, and its tables of pointwise
functions. Counted without a compiler, as the budget does; tools/counts measures the same in a linked image."""

from __future__ import annotations

import pytest

from dftiny import graph
from dftiny.budget import region_specs
from dftiny.counting.engine import TABLE_ENTRIES
from dftiny.counting.measure import CHANNEL_BYTES, output_channels, weight_bytes
from dftiny.kernels.count import distinct_constants, model_code
from dftiny.models import released
from dftiny.plan import Plan, plan
from dftiny.target import load_target

METHOD_BYTES = 36  # dft_depthwise_method: constants that lie with the kernels


@pytest.fixture(scope="module")
def phinet() -> Plan:
    data = (dict(released())["phinet_h743_128.demo"] / "model.tflite").read_bytes()
    return plan(graph.load(data, name="phinet_h743"), region_specs(load_target("stm32h743")))


def _fields(made: Plan, name: str) -> list[object]:
    calls = [lane.call for lane in made.lanes if lane.call is not None]
    return [value for call in calls for field, value in call.fields if field == name]


def test_the_released_phinet_keeps_to_six_bytes_a_channel(phinet: Plan) -> None:
    found = phinet.prepared.graph
    methods = {m for m in _fields(phinet, "method") if m}
    assert methods, "depthwise convolutions have methods"
    taken = model_code(phinet).const.total + METHOD_BYTES * len(methods) - weight_bytes(found)
    tables = [c for c in distinct_constants(phinet).values() if len(c.values) == TABLE_ENTRIES]
    pointwise = sum(c.nbytes for c in tables if c.role == "tables")
    assert output_channels(found) == 9095
    assert 50_000 < taken <= CHANNEL_BYTES * 9095 + pointwise


def test_layers_of_equal_shifts_share_their_lists_of_code(phinet: Plan) -> None:
    lists = [c for c in distinct_constants(phinet).values() if c.code]
    users = sum(len([1 for _, c in lane.call.pointers if c.code]) for lane in phinet.lanes if lane.call)
    assert 0 < len(lists) < users
    assert all(c.nbytes == 4 * len(c.code) for c in lists)
    assert {c.ctype for c in lists} == {"dft_conv_code", "dft_depthwise_tile"}
