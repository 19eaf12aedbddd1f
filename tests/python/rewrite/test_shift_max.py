"""shift_max: one operator for MicroNet's Dynamic Shift-Max, exact, and only where nobody looks inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from exact import applied, kinds
from small_net import SmallNet

from dftiny.graph import ShiftMaxOptions, total_macs

NAME = "shift_max"
OUT = (0.05, -9)


def coefficients(net: SmallNet, x: int, n: int) -> list[int]:
    """n vectors computed from the map's mean."""
    net.at = x
    net.mean((1, 2), keep=True)
    mean = net.at
    found = []
    for _ in range(n):
        net.at = mean
        found.append(net.conv(net.shape(x)[3]))
    return found


def branch(net: SmallNet, maps: Sequence[int], vectors: Sequence[int], kind: str = "SUB") -> int:
    first = net.scaled(maps[0], vectors[0], (0.06, 11))
    second = net.scaled(vectors[1], maps[1], (0.02, -30))
    return net.pair(kind, first, second, OUT)


def test_two_branches() -> None:
    net = SmallNet((1, 3, 5, 6))
    x = net.conv(8)
    left, right = (net.gather(net.rng.permutation(8), source=x) for _ in range(2))
    c = coefficients(net, x, 4)
    one = branch(net, (left, right), c[:2])
    two = branch(net, (left, right), c[2:], "ADD")
    net.pair("MAXIMUM", one, two, OUT)
    after = applied(NAME, net)
    assert kinds(after) == ["CONV_2D", "MEAN", *["CONV_2D"] * 4, "SHIFT_MAX"]
    op = after.ops[-1]
    assert op.inputs == (x, *c)
    assert isinstance(op.options, ShiftMaxOptions)
    assert [b.kind for b in op.options.branches] == ["SUB", "ADD"]
    assert total_macs(after) == sum(1 for _ in range(4)) * 3 * 5 * 8 + total_macs_of_rest(after)


def total_macs_of_rest(g) -> int:
    from dftiny.graph import macs

    return sum(macs(g, op) for op in g.ops if op.kind != "SHIFT_MAX")


def test_one_branch_with_the_map_as_it_is() -> None:
    net = SmallNet((1, 3, 5, 6))
    x = net.conv(8)
    shifted = net.gather([0, 0, 7, 3, 1, 2, 4, 5], source=x)
    branch(net, (x, shifted), coefficients(net, x, 2))
    after = applied(NAME, net)
    assert kinds(after)[-1] == "SHIFT_MAX" and "GATHER" not in kinds(after)
    assert after.ops[-1].options.branches[0].terms[0].indices == tuple(range(8))


def test_a_gather_that_others_read_stays() -> None:
    net = SmallNet((1, 3, 5, 6))
    x = net.conv(8)
    shifted = net.gather(net.shuffled(8), source=x)
    y = branch(net, (x, shifted), coefficients(net, x, 2))
    net.pair("ADD", y, shifted)
    after = applied(NAME, net)
    assert [k for k in kinds(after) if k in ("GATHER", "SHIFT_MAX", "MUL")] == ["GATHER", "SHIFT_MAX"]


def test_branches_of_two_maps_are_two_operators() -> None:
    net = SmallNet((1, 3, 5, 6))
    x = net.conv(8)
    other = net.conv(8)
    c = coefficients(net, x, 4)
    one = branch(net, (x, x), c[:2])
    two = branch(net, (other, other), c[2:])
    net.pair("MAXIMUM", one, two, OUT)
    assert kinds(applied(NAME, net))[-3:] == ["SHIFT_MAX", "SHIFT_MAX", "MAXIMUM"]


def product_read_twice(net: SmallNet, x: int, c: list[int]) -> None:
    first, second = net.scaled(x, c[0]), net.scaled(x, c[1])
    y = net.pair("SUB", first, second)
    net.pair("ADD", y, first)


def two_maps(net: SmallNet, x: int, c: list[int]) -> None:
    net.at = x
    branch(net, (x, net.conv(8)), c)


def whole_maps_as_factors(net: SmallNet, x: int, c: list[int]) -> None:
    net.at = x
    factor = net.conv(8)
    net.pair("SUB", net.scaled(x, factor), net.scaled(x, c[1]))


def gathered_along_width(net: SmallNet, x: int, c: list[int]) -> None:
    branch(net, (x, net.gather([4, 3, 2, 1, 0], axis=2, source=x)), c)


@pytest.mark.parametrize("build", [product_read_twice, two_maps, whole_maps_as_factors, gathered_along_width])
def test_what_is_no_shift_max_stays(build) -> None:
    net = SmallNet((1, 3, 5, 6))
    x = net.conv(8)
    build(net, x, coefficients(net, x, 2))
    assert "SHIFT_MAX" not in kinds(applied(NAME, net))


def test_vectors_are_left_alone() -> None:
    net = SmallNet((1, 3, 5, 6))
    x = net.conv(8)
    c = coefficients(net, x, 4)
    branch(net, c[:2], c[2:])
    assert "SHIFT_MAX" not in kinds(applied(NAME, net))


def test_values_are_alive() -> None:
    """The other tests compare something: each branch wins somewhere and nothing saturates throughout."""
    from dftiny import graph, int8

    net = SmallNet((1, 3, 5, 6))
    x = net.conv(8)
    c = coefficients(net, x, 4)
    one, two = branch(net, (x, x), c[:2]), branch(net, (x, x), c[2:])
    net.pair("MAXIMUM", one, two, OUT)
    g = graph.load(net.model.bytes())
    values = int8.run_all(g, np.random.default_rng(0).integers(-128, 128, (4, 3, 5, 6)).astype(np.int8))
    assert (values[one] > values[two]).any() and (values[one] < values[two]).any()
    assert np.abs(values[g.outputs[0]].astype(int)).max(initial=0) > 20
