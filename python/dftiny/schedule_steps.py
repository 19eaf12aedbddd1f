"""The steps of a graph as plain numbers, for the checker and the lower bound of row schedules.

Derived from the operators' options alone and not from the planner or its kernels, so that a mistake there does not
repeat here. Every operator is taken row by row where its arithmetic allows that, whether or not a kernel can do it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from dftiny.graph import ConvOptions, DepthwiseOptions, Graph, MeanOptions, PadOptions, PoolOptions
from dftiny.int8 import padding_before
from dftiny.schedule_check import CheckedOperand, CheckedStep, Need
from dftiny.steps import POINTWISE, Step, Steps

_ELEMENTWISE = {"ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SHIFT_MAX", *POINTWISE}
_BY_CHANNEL = {"GATHER", "CONCATENATION"}  # along the last of four dimensions: an output row needs that row


@dataclass(frozen=True)
class CheckedMap:
    """A tensor as rows."""

    height: int
    row_bytes: int

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.height * self.row_bytes


@dataclass(frozen=True)
class CheckedNet:
    """Steps in the model's order, the tensors they read and write, and which of these come and go."""

    steps: tuple[CheckedStep, ...]
    maps: Mapping[int, CheckedMap]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def checked_net(prepared: Steps) -> CheckedNet:
    """What `prepared` computes, as numbers."""
    graph, views = prepared.graph, prepared.views
    inputs, outputs = tuple(views[t] for t in graph.inputs), tuple(views[t] for t in graph.outputs)
    used = {*inputs, *outputs}
    for step in prepared.steps:
        used |= {step.writes, *step.reads}
    maps = {t: _map(graph, t) for t in sorted(used)}
    made = {step.writes for step in prepared.steps}  # an input handed over row by row is made by a step
    given = tuple(t for t in inputs if t not in made)
    return CheckedNet(tuple(_step(graph, s) for s in prepared.steps), maps, given, outputs)


def _map(graph: Graph, tensor: int) -> CheckedMap:
    """Four dimensions are rows; every other tensor is one row."""
    t = graph.tensors[tensor]
    if len(t.shape) != 4:
        return CheckedMap(1, t.nbytes)
    return CheckedMap(t.shape[1], t.nbytes // t.shape[1])


def _step(graph: Graph, step: Step) -> CheckedStep:
    name = f"operator {step.op.index}, {step.op.kind}"
    window = _window(graph, step)
    sums = _sums_a_map(graph, step)
    same_row = _rows_of_the_same_index(graph, step)
    need: Need = "window" if window is not None else "row" if sums or same_row else "all"
    operands = []
    for source, buffer in zip(step.sources, step.reads, strict=True):
        recast = _map(graph, source) != _map(graph, buffer)  # a view with other rows than those in memory
        operands.append(CheckedOperand(buffer, "all" if recast else need))
    if sums:
        return CheckedStep(name, tuple(operands), step.writes, sums=_map(graph, step.sources[0]).height)
    if window is None:
        whole = bool(operands) and not same_row
        joined = same_row and step.op.kind == "CONCATENATION"  # pixel by pixel, each longer than before
        in_place = step.op.kind in _ELEMENTWISE or joined
        return CheckedStep(name, tuple(operands), step.writes, in_place=in_place, whole=whole)
    pixelwise = step.op.kind == "CONV_2D" and _is_one_by_one(graph, step)
    return CheckedStep(name, tuple(operands), step.writes, *window, in_place=pixelwise)


def _rows_of_the_same_index(graph: Graph, step: Step) -> bool:
    if step.op.kind in _ELEMENTWISE:
        return True
    if step.op.kind not in _BY_CHANNEL:
        return False
    axis = getattr(step.op.options, "axis")  # noqa: B009 - both options have it
    return len(graph.tensors[step.writes].shape) == 4 and axis % 4 == 3


def _sums_a_map(graph: Graph, step: Step) -> bool:
    if step.op.kind != "MEAN" or len(graph.tensors[step.sources[0]].shape) != 4:
        return False
    return cast(MeanOptions, step.op.options).axes == (1, 2)


def _window(graph: Graph, step: Step) -> tuple[int, int, int, int] | None:
    """Kernel, stride, dilation and rows of padding above; None for an operator without a window."""
    op = step.op
    match op.options:
        case ConvOptions() | DepthwiseOptions() as o:
            pad = step.pad[0] + padding_before(graph, op)[0]
            return graph.tensors[op.inputs[1]].shape[1], o.stride_h, o.dilation_h, pad
        case PoolOptions() as o:
            height, out = _map(graph, step.sources[0]).height, _map(graph, step.writes).height
            missing = max(0, (out - 1) * o.stride_h + o.filter_h - height) if o.padding == "SAME" else 0
            return o.filter_h, o.stride_h, 1, missing // 2
        case PadOptions() as o if len(o.before) == 4 and not o.before[0]:
            return 1, 1, 1, o.before[1]
    return None


def _is_one_by_one(graph: Graph, step: Step) -> bool:
    o = cast(ConvOptions, step.op.options)
    kernel = graph.tensors[step.op.inputs[1]].shape[1:3]
    return kernel == (1, 1) and (o.stride_h, o.stride_w) == (1, 1) and not any(step.pad)
