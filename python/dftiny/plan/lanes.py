"""Steps as lanes: what each operator needs, row by row, and what it gives. Called by the planner and the generator.

A lane is one step of the graph with its kernel: a row kernel that computes a few output rows an event, or, where
there is none, whole-tensor calls that run in one event. Rows of a tensor [1, H, W, C] are its H rows; every other
tensor has one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from dftiny.graph import ConvOptions, DepthwiseOptions, Graph, PadOptions, PoolOptions, Tensor
from dftiny.int8 import padding_before
from dftiny.kernels.calls import Call, same_pad, step_calls
from dftiny.kernels.conv_rows import may_be_flat, may_write_planes
from dftiny.kernels.depthwise_rows import planes_for
from dftiny.kernels.row_makers import flat_call, row_call
from dftiny.kernels.rows import Choice, Planes, RowCall
from dftiny.plan.input_rows import KIND as INPUT_ROWS
from dftiny.plan.input_rows import input_call
from dftiny.steps import Step, Steps

Need = Literal["window", "row", "all"]
FAST = Choice()
_PLANES_RING = 4


@dataclass(frozen=True)
class Shape:
    """A tensor as rows: how many, and bytes of each. `ring`: it is a ring of that many rows that lie among one
    another, so that their memory cannot be told apart; 0 elsewhere."""

    rows: int
    row_bytes: int
    ring: int = 0

    @property
    def nbytes(self) -> int:
        """All of it."""
        return self.rows * self.row_bytes


def shape_of(t: Tensor) -> Shape:
    """Rows of an int8 tensor."""
    if len(t.shape) == 4 and t.shape[0] == 1:
        return Shape(t.shape[1], t.shape[2] * t.shape[3])
    return Shape(1, t.nbytes)


def _laid_out(t: Tensor, planes: Planes | None) -> Shape:
    """Rows of an int8 tensor that may be one of planes."""
    shape = shape_of(t)
    return shape if planes is None else Shape(shape.rows, planes.row_bytes(t.shape[3]), _PLANES_RING)


@dataclass(frozen=True)
class Window:
    """Vertical window of an output row: rows row·stride − pad + k·dilation, k < kernel."""

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    pad: int = 0

    def first(self, row: int) -> int:
        """First input row of output row `row`; may be negative."""
        return row * self.stride - self.pad

    def last(self, row: int) -> int:
        """Last input row of output row `row`; may lie behind the map."""
        return row * self.stride - self.pad + (self.kernel - 1) * self.dilation


ONE_ROW = Window()


@dataclass(frozen=True)
class Operand:
    """An activation that a lane reads: the buffer it lies in, its rows as this lane sees them, and which it needs.
    `recast`: the lane sees other rows than those the buffer was written in, so the buffer must be whole."""

    tensor: int
    shape: Shape
    need: Need
    recast: bool


@dataclass(frozen=True, eq=False)
class Lane:
    """One step with its kernel. `events_h` is how many rows its events count: output rows, or the input rows that
    a MEAN takes up one by one (`accumulates`). `flat`: the map is taken as one row. `leap`: behind row r comes row r + leap,
    and behind the last of these the first row that is left (plan/leaps)."""

    index: int
    step: Step
    operands: tuple[Operand, ...]
    shape: Shape
    window: Window
    rows: int
    events_h: int
    accumulates: bool
    call: RowCall | None
    whole: tuple[Call, ...]
    flat: bool = False
    leap: int = 1

    @property
    def writes(self) -> int:
        """The buffer of its output."""
        return self.step.writes

    @property
    def scratch_bytes(self) -> int:
        """Bytes that are lost between events."""
        return self.call.scratch_bytes if self.call else 0

    @property
    def aux_bytes(self) -> int:
        """Bytes kept from its first event to its last."""
        return self.call.aux_bytes if self.call else 0

    def needed(self, operand: Operand, first: int, rows: int) -> int:
        """Rows of `operand` that must exist before `rows` rows from `first` can be computed."""
        if operand.need == "all":
            return operand.shape.rows
        if operand.need == "row":
            return min(first + rows, operand.shape.rows)
        return max(0, min(self.window.last(first + rows - 1) + 1, operand.shape.rows))

    def unneeded(self, operand: Operand, first: int) -> int:
        """Rows of `operand` that nobody here needs any more when the next row to compute is `first`."""
        if first >= self.events_h:
            return operand.shape.rows
        if operand.need == "all":
            return 0
        return max(0, self.window.first(first)) if operand.need == "window" else first


class LaneMaker:
    """Makes the lanes of a graph in their variants and remembers them."""

    def __init__(self, prepared: Steps) -> None:
        self.prepared = prepared
        self._made: dict[tuple[int, Choice, bool], Lane] = {}
        self._planes: dict[int, Planes | None] = {}

    def __len__(self) -> int:
        return len(self.prepared.steps)

    def planes(self, index: int) -> Planes | None:
        """How step `index`, a convolution, may lay out its rows for step `index` + 1, the depthwise convolution that alone
        reads them; None where it may not."""
        if index not in self._planes:
            self._planes[index] = _planes(self.prepared, index)
        return self._planes[index]

    def lane(self, index: int, choice: Choice = FAST, *, flat: bool = False) -> Lane:
        """Lane `index` with a choice; `flat` asks for the whole map as one row (1x1 convolutions)."""
        key = (index, choice, flat)
        if key not in self._made:
            self._made[key] = _lane(self.prepared, index, choice, flat)
        return self._made[key]

    @cached_property
    def lanes(self) -> tuple[Lane, ...]:
        """All lanes as the kernels like them best."""
        return tuple(self.lane(i) for i in range(len(self)))


def _planes(prepared: Steps, index: int) -> Planes | None:
    graph, steps = prepared.graph, prepared.steps
    if not 0 <= index < len(steps) - 1 or not may_write_planes(graph, steps[index]):
        return None
    tensor = steps[index].writes
    readers = [i for i, step in enumerate(steps) if tensor in step.reads]
    if readers != [index + 1] or tensor == prepared.views[graph.outputs[0]]:
        return None
    planes = planes_for(graph, steps[index + 1])
    made = None if planes is None else row_call(graph, steps[index], Choice(planes=planes))
    return planes if made is not None and made.function == "dft_conv_rows" else None


def _lane(prepared: Steps, index: int, choice: Choice, flat: bool) -> Lane:
    graph, step = prepared.graph, prepared.steps[index]
    if step.op.kind == INPUT_ROWS:
        return _input_lane(graph, step, index)
    flat = flat and can_be_flat(graph, step)
    call = flat_call(graph, step, choice) if flat else row_call(graph, step, choice)
    flat = flat and call is not None
    writes = choice.planes if step.op.kind == "CONV_2D" else None
    shape = _laid_out(graph.tensors[step.writes], writes)
    if flat:
        shape = Shape(1, shape.nbytes)
    accumulates = call is not None and step.op.kind == "MEAN"
    operands = tuple(_operands(prepared, step, call, flat))
    if choice.planes is not None and step.op.kind == "DEPTHWISE_CONV_2D":
        operands = (replace(operands[0], shape=_laid_out(graph.tensors[step.sources[0]], choice.planes)),)
    rows = shape.rows if call is None else min(call.rows, shape.rows)
    return Lane(
        index=index,
        step=step,
        operands=operands,
        shape=shape,
        window=ONE_ROW if flat else _window(graph, step),
        rows=rows,
        events_h=operands[0].shape.rows if accumulates else shape.rows,
        accumulates=accumulates,
        call=call,
        whole=() if call is not None else tuple(step_calls(graph, step)),
        flat=flat,
    )


def _input_lane(graph: Graph, step: Step, index: int) -> Lane:
    shape = shape_of(graph.tensors[step.writes])
    call = input_call(shape.row_bytes)
    return Lane(index, step, (), shape, Window(kernel=0), 1, shape.rows, False, call, ())


def can_be_flat(graph: Graph, step: Step) -> bool:
    """A convolution that may, or a Shift-Max: its rows may be taken as one."""
    return step.op.kind == "SHIFT_MAX" or (step.op.kind == "CONV_2D" and may_be_flat(graph, step))


def _operands(prepared: Steps, step: Step, call: RowCall | None, flat: bool) -> Sequence[Operand]:
    graph = prepared.graph
    out = shape_of(graph.tensors[step.writes])
    found = []
    for k, (source, buffer) in enumerate(zip(step.sources, step.reads, strict=True)):
        seen, owned = shape_of(graph.tensors[source]), shape_of(graph.tensors[buffer])
        if flat:
            found.append(Operand(buffer, Shape(1, seen.nbytes), "all", owned.rows > 1))
            continue
        need: Need = "row"
        if call is None or (seen.rows == 1 and (out.rows > 1 or k > 0)):
            need = "all"
        elif k == 0 and step.op.kind in _WINDOWED:
            need = "window"
        found.append(Operand(buffer, seen, need, seen != owned))
    return found


_WINDOWED = ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "PAD", "PADV2")


def _window(graph: Graph, step: Step) -> Window:
    op = step.op
    match op.options:
        case ConvOptions() | DepthwiseOptions() as o:
            kernel = graph.tensors[op.inputs[1]].shape[1]
            pad = step.pad[0] if o.padding == "VALID" else padding_before(graph, op)[0]
            return Window(kernel, o.stride_h, o.dilation_h, pad)
        case PoolOptions() as o:
            rows = shape_of(graph.tensors[step.sources[0]]).rows, shape_of(graph.tensors[op.outputs[0]]).rows
            pad = same_pad(*rows, o.filter_h, o.stride_h) if o.padding == "SAME" else 0
            return Window(o.filter_h, o.stride_h, 1, pad)
        case PadOptions() as o if len(o.before) == 4:
            return Window(1, 1, 1, o.before[1])
        case _:
            return ONE_ROW
