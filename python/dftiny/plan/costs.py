"""What a lane costs in instructions beside the work that every choice has in common. Called by segments.py.

Figures of the Cortex-M7 kernels, as their tests count them; only differences between choices matter here.
"""

from __future__ import annotations

from typing import cast

from dftiny.graph import DepthwiseOptions, Graph, macs
from dftiny.kernels.rows import RowCall
from dftiny.plan.lanes import Lane

# What an event costs beside its kernel's work, and one weight widened once a block, in instructions.
_EVENT = 120
_WIDEN = 1.3
_FLASH = 1e-6  # what a byte of int16 weights, which are read where they lie, is worth, in instructions a MAC of the net
_PLANE = 6  # the padding of a plane
# What a convolution's event and a block of it cost beyond that, and two output channels a block.
_CONV_EVENT, _CONV_BLOCK, _CONV_PAIR = 150, 200, 41
# A place in a tile where there is no pixel, by product and by output channel; a window that is gathered, by pixel, row, byte.
_CONV_PRODUCT, _CONV_OUTPUT, _CONV_TILE = 0.6875, 4.3, 4
_CONV_WINDOW, _CONV_WINDOW_ROW, _CONV_WINDOW_BYTE = 55, 14, 2.2
_TILED = ("dft_conv_rows", "dft_conv_map_rows")
# What a window that is a vector costs beyond its products in full tiles.
_VECTOR_EVENT, _VECTOR_OUTPUT, _VECTOR_PRODUCT = 250, 14, 0.22
# Depthwise 3x3. Per MAC by (horizontal stride, output rows an event), and per channel and event.
_DEPTHWISE = {(1, 2): 1.60, (1, 1): 2.0, (2, 2): 2.24, (2, 1): 2.63}
_DEPTHWISE_CHANNEL = 58
_PLANES = {1: 1.32, 2: 1.50}  # by horizontal stride
_PLANES_CHANNEL = 52


def lane_cost(graph: Graph, lane: Lane) -> float:
    """Instructions of a lane by its choice."""
    if lane.call is None:
        return _EVENT
    events = -(-lane.events_h // lane.rows)
    cost = float(_EVENT * events)
    if lane.step.op.kind == "CONV_2D":
        cost += _convolution(graph, lane, lane.call, events)
    if lane.step.op.kind == "DEPTHWISE_CONV_2D":
        cost += _depthwise(graph, lane, lane.call, events)
    return cost


def _convolution(graph: Graph, lane: Lane, call: RowCall, events: int) -> float:
    weights = graph.tensors[lane.step.op.inputs[1]]
    if call.function == "dft_matvec_window_rows":
        return events * (
            _VECTOR_EVENT + _VECTOR_OUTPUT * weights.shape[0] + _VECTOR_PRODUCT * weights.elements
        )
    block = _CONV_PAIR * weights.shape[0] / 2 + _CONV_BLOCK
    block += 0.0 if call.wide_bytes else _WIDEN * weights.elements
    cost = (block * _blocks(graph, lane, call) + _CONV_EVENT) * events
    if call.wide_bytes:
        cost += _FLASH * weights.elements * sum(macs(graph, op) for op in graph.ops)
    if call.function in _TILED:
        cost += _tiles(graph, lane, call)
    if dict(call.fields).get("out_columns"):
        cost += _PLANE * weights.shape[0] * lane.events_h
    return cost


def _tiles(graph: Graph, lane: Lane, call: RowCall) -> float:
    """Places in tiles where there is no pixel, and windows gathered one by one."""
    shape, weights = graph.tensors[lane.step.writes].shape, graph.tensors[lane.step.op.inputs[1]]
    rows, width = (1, shape[1] * shape[2]) if lane.flat else (shape[1], shape[2])
    places = -(-width // _CONV_TILE) * _CONV_TILE
    products = weights.elements // weights.shape[0]
    empty = rows * (places - width) * weights.shape[0] * (_CONV_PRODUCT * products + _CONV_OUTPUT)
    fields = dict(call.fields)
    kernel_h, kernel_w, depth = (cast(int, fields[name]) for name in ("kernel_h", "kernel_w", "group_in"))
    window = _CONV_WINDOW + kernel_h * (_CONV_WINDOW_ROW + _CONV_WINDOW_BYTE * kernel_w * depth)
    if "row" in fields:
        return empty + width * window
    whole = (fields["inner_x0"], fields["inner_x1"]) == (0, fields["out_w"])
    return empty + (0.0 if whole else rows * min(places, 2 * _CONV_TILE) * window)


def _blocks(graph: Graph, lane: Lane, call: RowCall) -> int:
    """How often an event of a convolution widens its weights."""
    block = dict(call.fields).get("block")
    shape = graph.tensors[lane.step.writes].shape
    width = shape[2] * (shape[1] if lane.flat else 1)
    return -(-width // block) if isinstance(block, int) and block else 1


def _depthwise(graph: Graph, lane: Lane, call: RowCall, events: int) -> float:
    op, channels = lane.step.op, graph.tensors[lane.step.op.outputs[0]].shape[3]
    stride = cast(DepthwiseOptions, op.options).stride_w
    if call.function == "dft_depthwise_planes_rows":
        each, overhead = _PLANES[stride], float(_PLANES_CHANNEL * events)
    elif call.function == "dft_depthwise_rows":
        each, overhead = _DEPTHWISE[stride, lane.rows], _DEPTHWISE_CHANNEL * events
    else:
        return 0.0  # there is no other choice
    return each * macs(graph, op) + overhead * channels
