"""For every rewrite and step that can be left out, one small net on which it does something. Used by test_switches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from small_net import ZERO, SmallNet


def padding_by_concatenation() -> SmallNet:
    net = SmallNet()
    net.join((net.constant(np.full((1, 1, 5, 4), ZERO)), net.at), 1)
    net.conv(3, kernel=3)
    return net


def groups_of_one_channel() -> SmallNet:
    net = SmallNet()
    net.conv(8, kernel=3, groups=4)
    return net


def shifts_and_maxima() -> SmallNet:
    """One branch of MicroNet's activation: map and shuffled map, weighed by vectors made from the map's mean."""
    net = SmallNet((1, 3, 5, 6))
    x = net.conv(8)
    shuffled = net.gather(net.rng.permutation(8), source=x)
    net.at = x
    net.mean((1, 2), keep=True)
    mean, vectors = net.at, []
    for _ in range(2):
        net.at = mean
        vectors.append(net.conv(8))
    first, second = net.scaled(x, vectors[0], (0.06, 11)), net.scaled(vectors[1], shuffled, (0.02, -30))
    net.pair("SUB", first, second, (0.05, -9))
    return net


def turned_and_turned_back() -> SmallNet:
    net = SmallNet()
    net.transpose((0, 3, 1, 2))
    net.transpose((0, 2, 3, 1))
    net.conv(3)
    return net


def arithmetic_with_a_constant() -> SmallNet:
    net = SmallNet()
    net.pair("MUL", net.at, net.constant(np.array(90), (0.01, 0)))
    net.conv(3)
    return net


def narrow_pixels() -> SmallNet:
    net = SmallNet((1, 6, 8, 3))
    net.conv(3)
    return net


def a_branch_without_end() -> SmallNet:
    net = SmallNet()
    first = net.conv(4)
    net.pair("ADD", first, first)
    net.at = first
    net.conv(3)
    return net


def a_pad_before_a_window() -> SmallNet:
    net = SmallNet()
    net.pad((0, 1, 1, 0), (0, 1, 1, 0))
    net.conv(3, kernel=3)
    return net


def a_curve_behind_a_convolution() -> SmallNet:
    net = SmallNet()
    net.conv(5, kernel=3)
    net.go("HARD_SWISH", (net.at,), net.shape(), (0.035, -90))
    return net


NETS: dict[str, Callable[[], SmallNet]] = {
    "pad_from_concatenation": padding_by_concatenation,
    "depthwise_from_grouped": groups_of_one_channel,
    "shift_max": shifts_and_maxima,
    "layout": turned_and_turned_back,
    "table_from_constants": arithmetic_with_a_constant,
    "join_pixels": narrow_pixels,
    "dead": a_branch_without_end,
    "pad_into_window": a_pad_before_a_window,
    "table_behind_operator": a_curve_behind_a_convolution,
}
