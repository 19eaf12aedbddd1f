"""table_from_constants, layout and dead: exact where they apply, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from exact import applied, kinds
from small_net import SmallNet

from dftiny.graph import TableOptions, TransposeOptions

TABLES, LAYOUT = "table_from_constants", "layout"


@pytest.mark.parametrize("kind", ["MUL", "ADD", "SUB", "MAXIMUM", "MINIMUM"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1, 4)])
def test_a_constant_makes_a_table(kind: str, first: bool, shape: tuple[int, ...]) -> None:
    net = SmallNet()
    same = kind in ("MAXIMUM", "MINIMUM")
    c = net.constant(np.full(shape, 100 if kind == "MINIMUM" else 21), net.quant() if same else (0.03, -4))
    net.pair(kind, *((c, net.at) if first else (net.at, c)), net.quant() if same else (0.08, 6))
    after = applied(TABLES, net)
    assert kinds(after) == ["TABLE"]
    assert isinstance(after.ops[0].options, TableOptions) and len(after.ops[0].options.values) == 256


def test_a_chain_is_one_table() -> None:
    net = SmallNet()
    net.pair("MUL", net.at, net.constant(np.array(90), (0.01, 0)))
    net.go("RELU", (net.at,), net.shape(), (0.03, -100))
    net.pair("ADD", net.constant(np.array(-70), (0.01, 0)), net.at, (0.04, -90))
    net.go("HARD_SWISH", (net.at,), net.shape(), (0.035, -90))
    after = applied(TABLES, net)
    assert kinds(after) == ["TABLE"]
    assert (after.ops[0].index, after.ops[0].absorbed) == (3, (0, 1, 2))


def different_values(net: SmallNet) -> None:
    net.pair("MUL", net.at, net.constant(np.array([1, 2, 3, 4]), (0.3, 0)))


def wider_constant(net: SmallNet) -> None:
    net.mean((1, 2), keep=True)
    net.pair("ADD", net.at, net.constant(np.full((1, 3, 2, 4), 7)))


def between_read_twice(net: SmallNet) -> None:
    first = net.go("RELU", (net.at,), net.shape(), (0.05, -10))
    net.go("RELU", (net.at,), net.shape(), (0.04, -20))
    net.pair("SUB", first, net.at)


@pytest.mark.parametrize(
    ("build", "left"),
    [
        (different_values, ["MUL"]),
        (wider_constant, ["MEAN", "ADD"]),
        (between_read_twice, ["RELU", "RELU", "SUB"]),
    ],
)
def test_what_is_no_function_of_one_value_stays(build, left: list[str]) -> None:
    net = SmallNet()
    build(net)
    assert kinds(applied(TABLES, net)) == left


def test_transposes_and_reshapes_cancel() -> None:
    net = SmallNet()
    net.transpose((0, 3, 1, 2))
    net.transpose((0, 2, 3, 1))
    net.reshape((1, 30, 4))
    net.reshape((1, 6, 5, 4))
    net.conv(3)
    assert kinds(applied(LAYOUT, net)) == ["CONV_2D"]


def test_transposes_that_do_not_cancel_become_one() -> None:
    net = SmallNet()
    net.transpose((0, 3, 1, 2))
    net.transpose((0, 2, 1, 3))
    after = applied(LAYOUT, net)
    assert kinds(after) == ["TRANSPOSE"] and after.ops[0].options == TransposeOptions((0, 1, 3, 2))


def test_a_transpose_of_a_vector_is_a_view() -> None:
    net = SmallNet()
    net.mean((1, 2), keep=True)
    net.transpose((0, 3, 1, 2))
    net.fully_connected_input = net.reshape((1, 4))  # type: ignore[attr-defined]
    net.fully_connected(5)
    assert kinds(applied(LAYOUT, net)) == ["MEAN", "RESHAPE", "FULLY_CONNECTED"]


def test_mean_of_nchw() -> None:
    net = SmallNet()
    net.transpose((0, 3, 1, 2))
    net.mean((2, 3), keep=False)
    net.fully_connected(5)
    after = applied(LAYOUT, net)
    assert kinds(after) == ["MEAN", "FULLY_CONNECTED"]
    assert after.ops[0].options.axes == (1, 2)


def test_mean_whose_result_would_be_in_another_order_stays() -> None:
    net = SmallNet()
    net.transpose((0, 3, 2, 1))
    net.mean((2,), keep=False)
    assert kinds(applied(LAYOUT, net)) == ["TRANSPOSE", "MEAN"]


def test_shuffle_by_reshape_goes_into_the_weights() -> None:
    net = SmallNet()
    net.reshape((6, 5, 2, 2))
    net.transpose((0, 1, 3, 2))
    net.reshape((1, 6, 5, 4))
    net.conv(3)
    after = applied(LAYOUT, net)
    assert kinds(after) == ["CONV_2D"] and after.ops[0].absorbed == (0, 1, 2)


def test_reshape_and_transpose_across_pixels_stay() -> None:
    net = SmallNet((1, 6, 4, 4))
    net.reshape((6, 2, 2, 4))
    net.transpose((0, 2, 1, 3))
    net.reshape((1, 6, 4, 4))
    net.conv(3)
    assert kinds(applied(LAYOUT, net)) == ["RESHAPE", "TRANSPOSE", "RESHAPE", "CONV_2D"]


@pytest.mark.parametrize("indices", [[2, 0, 3, 1], [0, 0, 1], [3]])
def test_gather_behind_a_convolution(indices: list[int]) -> None:
    net = SmallNet()
    net.conv(4, kernel=2)
    net.gather(indices)
    assert kinds(applied(LAYOUT, net)) == ["CONV_2D"]


def test_gather_behind_a_matrix_product() -> None:
    net = SmallNet()
    net.mean((1, 2), keep=False)
    net.fully_connected(6)
    net.gather([5, 0, 2, 2], axis=1)
    assert kinds(applied(LAYOUT, net)) == ["MEAN", "FULLY_CONNECTED"]


def test_gather_within_groups_goes_into_both_neighbours() -> None:
    net = SmallNet()
    net.conv(6, groups=2)
    net.gather([2, 0, 1, 5, 4, 3])
    assert kinds(applied(LAYOUT, net)) == ["CONV_2D"]
    net = SmallNet()
    net.gather([1, 0, 3, 2])
    net.conv(6, groups=2)
    assert kinds(applied(LAYOUT, net)) == ["CONV_2D"]


def test_gather_of_a_depthwise_multiplier_stays_with_its_channel() -> None:
    net = SmallNet()
    net.depthwise(2)
    net.gather([1, 0, 2, 3, 5, 4, 6, 7])
    assert kinds(applied(LAYOUT, net)) == ["DEPTHWISE_CONV_2D"]
    net = SmallNet()
    net.depthwise(2)
    net.gather([1, 2, 4, 7])
    after = applied(LAYOUT, net)
    assert kinds(after) == ["DEPTHWISE_CONV_2D"] and after.ops[0].options.multiplier == 1


def test_gather_passes_padding_and_depthwise_to_the_convolution() -> None:
    net = SmallNet()
    net.gather([2, 0, 3, 1])
    net.pad((0, 1, 0, 0), (0, 0, 1, 0))
    net.depthwise(2)
    net.conv(5)
    assert kinds(applied(LAYOUT, net)) == ["PAD", "DEPTHWISE_CONV_2D", "CONV_2D"]


def test_gather_passes_depthwise_to_the_next_gather() -> None:
    net = SmallNet()
    net.gather([2, 0, 3, 1])
    net.depthwise(2)
    net.gather([0, 4, 1, 5, 2, 6, 3, 7])
    net.conv(4, groups=2)
    assert kinds(applied(LAYOUT, net)) == ["DEPTHWISE_CONV_2D", "GATHER", "CONV_2D"]


def test_gathers_in_a_row_that_cancel() -> None:
    net = SmallNet()
    net.gather([2, 0, 3, 1])
    net.gather([1, 3, 0, 2])
    net.pair("ADD", net.at, net.at)
    assert kinds(applied(LAYOUT, net)) == ["ADD"]


def test_halves_of_a_shuffled_map_are_picked_from_the_map_before() -> None:
    net = SmallNet()
    net.gather([2, 0, 3, 1])
    net.pair("ADD", *net.halves())
    after = applied(LAYOUT, net)
    assert kinds(after) == ["GATHER", "GATHER", "ADD"]
    assert [after.tensors[op.inputs[1]].data.tolist() for op in after.ops[:2]] == [[2, 0], [3, 1]]
    assert [op.inputs[0] for op in after.ops[:2]] == [*after.inputs, *after.inputs]


def test_a_part_of_a_half_is_picked_from_the_map_before_the_half() -> None:
    net = SmallNet()
    first, net.at = net.halves()
    net.gather([1, 0, 1])
    net.gather([2, 1])
    net.pair("ADD", first, net.at)
    after = applied(LAYOUT, net)
    assert kinds(after) == ["GATHER", "GATHER", "ADD"]
    assert after.tensors[after.ops[1].inputs[1]].data.tolist() == [3, 2]


def test_a_map_of_which_rows_or_columns_are_cut_off_too_is_not_picked() -> None:
    for begin, size in (((0, 1, 0, 0), (1, 5, 5, 2)), ((0, 0, 2, 1), (1, 6, 3, 2))):
        net = SmallNet()
        net.cut(begin, size)
        net.conv(3)
        assert kinds(applied(LAYOUT, net)) == ["SLICE", "CONV_2D"]


def test_parts_of_one_split_that_are_not_equally_long_stay() -> None:
    """The self-test tells operators by their number and knows one length of rows of each."""
    net = SmallNet()
    shapes = [(*net.shape()[:3], n) for n in (1, 3)]
    parts = [net.model.act(shape, *net.quant()) for shape in shapes]
    net.model.op("SPLIT_V", (net.at, net.ints([1, 3]), net.ints([3])), parts, NumSplits=2)
    net.join(parts[::-1], 3)
    assert kinds(applied(LAYOUT, net)) == ["SPLIT_V", "SPLIT_V", "CONCATENATION"]


def test_a_shuffle_that_somebody_else_reads_stays() -> None:
    net = SmallNet()
    shuffle = net.gather([2, 0, 3, 1])
    parts = net.halves()
    net.join([*parts, shuffle], 3)
    assert kinds(applied(LAYOUT, net)) == ["GATHER", "GATHER", "GATHER", "CONCATENATION"]


def two_readers(net: SmallNet) -> None:
    first = net.conv(4)
    net.gather([2, 0, 3, 1])
    net.pair("ADD", net.at, first)


def across_groups(net: SmallNet) -> None:
    net.conv(4, groups=2)
    net.gather([0, 2, 1, 3])
    net.conv(4, groups=2)


def repeated_for_the_consumer(net: SmallNet) -> None:
    net.gather([0, 0, 1, 2])
    net.conv(4)


def along_width(net: SmallNet) -> None:
    net.conv(4)
    net.gather([4, 3, 1, 0], axis=2)
    net.conv(3)


def nobody_takes_it(net: SmallNet) -> None:
    net.gather([2, 0, 3, 1])
    net.depthwise()
    net.conv(4, groups=2)


@pytest.mark.parametrize(
    ("build", "left"),
    [
        (two_readers, ["CONV_2D", "GATHER", "ADD"]),
        (across_groups, ["CONV_2D", "GATHER", "CONV_2D"]),
        (repeated_for_the_consumer, ["GATHER", "CONV_2D"]),
        (along_width, ["CONV_2D", "GATHER", "CONV_2D"]),
        (nobody_takes_it, ["GATHER", "DEPTHWISE_CONV_2D", "CONV_2D"]),
    ],
)
def test_gathers_that_stay(build, left: list[str]) -> None:
    net = SmallNet()
    build(net)
    assert kinds(applied(LAYOUT, net)) == left


def test_dead_operators_go() -> None:
    net = SmallNet()
    first = net.conv(4)
    net.gather([1, 0, 2, 3])
    net.pair("ADD", net.at, net.at)
    net.at = first
    net.conv(3)
    assert kinds(applied("dead", net)) == ["CONV_2D", "CONV_2D"]
