"""pad_from_concatenation, depthwise_from_grouped and join_pixels: exact where they apply, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from exact import applied, kinds
from small_net import ZERO, SmallNet

from dftiny.graph import ConvOptions, DepthwiseOptions, PadOptions, total_macs
from dftiny.steps import steps

PADS = "pad_from_concatenation"
DEPTHWISE = "depthwise_from_grouped"


def border(net: SmallNet, axis: int, n: int, values: np.ndarray | int, channel: int = 3) -> int:
    """A constant map of `n` rows or columns along `axis`, one value a channel."""
    shape = list(net.shape())
    shape[axis] = n
    per_channel = np.broadcast_to(values, shape[channel])
    return net.constant(np.broadcast_to(np.moveaxis(per_channel.reshape(1, 1, 1, -1), 3, channel), shape))


def test_concatenations_with_the_zero_point_become_one_pad_in_the_window() -> None:
    net = SmallNet()
    net.join((border(net, 1, 1, ZERO), net.at, border(net, 1, 2, ZERO)), 1)
    net.join((net.at, border(net, 2, 1, ZERO)), 2)
    net.conv(3, kernel=3)
    after = applied(PADS, net)
    assert kinds(after) == ["PAD", "CONV_2D"]
    assert after.ops[0].options == PadOptions((0, 1, 0, 0), (0, 2, 1, 0), None)
    assert after.ops[0].absorbed == (0,) and after.ops[0].index == 1
    assert [s.pad for s in steps(after).steps] == [(1, 2, 0, 1)]


def test_one_value_a_channel_is_a_pad_that_stays_in_front_of_the_window() -> None:
    net = SmallNet()
    mean_pixel = np.array([-24, -12, -4, 100])
    net.join((net.at, border(net, 2, 1, mean_pixel)), 2)
    net.join((border(net, 1, 1, mean_pixel), net.at), 1)
    net.depthwise()
    after = applied(PADS, net)
    assert kinds(after) == ["PAD", "DEPTHWISE_CONV_2D"]
    assert after.ops[0].options == PadOptions((0, 1, 0, 0), (0, 0, 1, 0), (-24, -12, -4, 100))
    assert [s.pad for s in steps(after).steps] == [(0, 0, 0, 0), (0, 0, 0, 0)]


@pytest.mark.parametrize("values", [ZERO, np.array([1, 2, 3, 4])])
def test_padding_between_transposes(values: np.ndarray | int) -> None:
    net = SmallNet()
    net.transpose((0, 3, 1, 2))
    net.join((border(net, 2, 2, values, channel=1), net.at), 2)
    net.join((net.at, border(net, 3, 1, values, channel=1)), 3)
    net.transpose((0, 2, 3, 1))
    net.conv(3, kernel=2)
    after = applied(PADS, net)
    assert kinds(after) == ["PAD", "CONV_2D"]
    options = after.ops[0].options
    assert isinstance(options, PadOptions)
    assert (options.before, options.after) == ((0, 2, 0, 0), (0, 0, 1, 0))
    assert (options.values is None) == (np.ndim(values) == 0)


def test_pads_in_a_row() -> None:
    net = SmallNet()
    net.pad((0, 1, 0, 0), (0, 0, 2, 0))
    net.pad((0, 1, 1, 0), (0, 0, 0, 0))
    net.conv(3, kernel=3)
    after = applied(PADS, net)
    assert kinds(after) == ["PAD", "CONV_2D"]
    assert after.ops[0].options == PadOptions((0, 2, 1, 0), (0, 0, 2, 0))


def uneven_constant(net: SmallNet) -> None:
    data = np.full((1, 1, 5, 4), ZERO)
    data[0, 0, 2, 1] += 1
    net.join((net.constant(data), net.at), 1)


def two_maps(net: SmallNet) -> None:
    net.join((border(net, 1, 1, ZERO), net.at, net.at), 1)


def along_channels(net: SmallNet) -> None:
    net.join((net.at, border(net, 3, 2, ZERO, channel=1)), 3)


def pads_of_other_values(net: SmallNet) -> None:
    net.join((net.at, border(net, 1, 1, 50)), 1)
    net.pad((0, 0, 1, 0), (0, 0, 0, 0))


def first_pad_read_twice(net: SmallNet) -> None:
    net.pad((0, 1, 0, 0), (0, 0, 0, 0))
    first = net.at
    net.pad((0, 1, 0, 0), (0, 0, 0, 0))
    net.go(
        "MAX_POOL_2D",
        (net.at,),
        net.shape(first),
        net.quant(),
        FilterHeight=2,
        FilterWidth=1,
        StrideH=1,
        StrideW=1,
        Padding=1,
    )
    net.pair("ADD", net.at, first, (0.1, 0))


def transposes_that_do_not_cancel(net: SmallNet) -> None:
    net.transpose((0, 3, 1, 2))
    net.pad((0, 0, 1, 0), (0, 0, 0, 0))
    net.transpose((0, 3, 2, 1))


@pytest.mark.parametrize(
    ("build", "left"),
    [
        (uneven_constant, ["CONCATENATION"]),
        (two_maps, ["CONCATENATION"]),
        (along_channels, ["CONCATENATION"]),
        (pads_of_other_values, ["PAD", "PAD"]),
        (first_pad_read_twice, ["PAD", "PAD", "MAX_POOL_2D", "ADD"]),
        (transposes_that_do_not_cancel, ["TRANSPOSE", "PAD", "TRANSPOSE"]),
    ],
)
def test_what_is_no_padding_stays(build, left: list[str]) -> None:
    net = SmallNet()
    build(net)
    assert kinds(applied(PADS, net)) == left


@pytest.mark.parametrize("multiplier", [1, 2, 3])
@pytest.mark.parametrize("single", [False, True])
def test_groups_of_one_channel_are_depthwise(multiplier: int, single: bool) -> None:
    net = SmallNet()
    net.conv(4 * multiplier, kernel=3, groups=4, padding="SAME", single=single)
    after = applied(DEPTHWISE, net)
    assert kinds(after) == ["DEPTHWISE_CONV_2D"]
    options = after.ops[0].options
    assert isinstance(options, DepthwiseOptions) and options.multiplier == multiplier
    weights = after.tensors[after.ops[0].inputs[1]]
    assert weights.shape == (1, 3, 3, 4 * multiplier)


@pytest.mark.parametrize(("channels", "groups"), [(4, 2), (4, 1), (1, 1)])
def test_other_groups_stay(channels: int, groups: int) -> None:
    net = SmallNet((1, 6, 5, channels))
    net.conv(4, kernel=3, groups=groups)
    assert kinds(applied(DEPTHWISE, net)) == ["CONV_2D"]


@pytest.mark.parametrize(("channels", "n"), [(3, 4), (1, 4), (2, 2), (6, 2)])
@pytest.mark.parametrize("single", [False, True])
def test_pixels_are_joined(channels: int, n: int, single: bool) -> None:
    net = SmallNet((1, 6, 8, channels))
    net.conv(3, single=single)
    after = applied("join_pixels", net)
    assert kinds(after) == ["RESHAPE", "CONV_2D", "RESHAPE"]
    assert isinstance(after.ops[1].options, ConvOptions) and after.ops[1].options.joined == n
    assert after.tensors[after.ops[1].inputs[1]].shape == (3 * n, 1, 1, channels * n)
    assert total_macs(after) == 6 * 8 * 3 * channels
    assert len(steps(after).steps) == 1


def test_pixels_are_joined_under_a_tall_window() -> None:
    net = SmallNet((1, 6, 8, 3))
    net.pad((0, 1, 0, 0), (0, 1, 0, 0))
    net.conv(3, kernel=(3, 1))
    assert kinds(applied("join_pixels", net)) == ["PAD", "RESHAPE", "CONV_2D", "RESHAPE"]


@pytest.mark.parametrize(
    ("shape", "out", "kernel"),
    [((1, 6, 7, 3), 3, 1), ((1, 6, 8, 4), 3, 1), ((1, 6, 8, 3), 8, 1), ((1, 6, 8, 3), 3, (1, 3))],
)
def test_pixels_that_stay_apart(shape: tuple[int, ...], out: int, kernel: int | tuple[int, int]) -> None:
    """An odd width, channels that are quads already, many outputs, a window of several columns."""
    net = SmallNet(shape)
    net.conv(out, kernel=kernel)
    assert kinds(applied("join_pixels", net)) == ["CONV_2D"]
