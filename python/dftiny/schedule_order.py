"""Which event of a row schedule must come before which, and what each leaves in memory. Called by schedule_bound.

An event computes one row of a step, or all of them where the step computes all at once. A step that sums up a map
has one event a row of the map, and behind them a finish, which costs nothing and stands for its output being there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dftiny.schedule_check import CheckedOperand, CheckedStep
from dftiny.schedule_steps import CheckedNet

GIVEN = -1  # the maker of what lies in memory at the start


class Order:
    """All events, numbered step by step. `before[e, d]`: event e depends on event d, directly or not. The last number
    is the end of the schedule, which reads the outputs and of which nobody asks what comes before it."""

    def __init__(self, net: CheckedNet) -> None:
        self.net = net
        self.maker = {s.writes: i for i, s in enumerate(net.steps)}
        self._counts = [event_count(net, s) for s in net.steps]
        numbers = [n + bool(s.sums) for n, s in zip(self._counts, net.steps, strict=True)]
        self._starts = np.cumsum([0, *numbers]).tolist()
        self.end = self._starts[-1]
        self.before = np.zeros((self.end, self.end), np.bool_)
        self._whole: dict[int, np.ndarray] = {}
        self._depend()
        self.wanted = np.zeros(self.end, np.bool_)
        for tensor in set(net.outputs) & set(self.maker):
            self.wanted |= self._closure(tensor)

    def of(self, index: int) -> range:
        """The events of a step, without its finish."""
        return range(self._starts[index], self._starts[index] + self._counts[index])

    def maker_of(self, tensor: int, row: int) -> int:
        """The event behind which a row exists."""
        index = self.maker.get(tensor)
        if index is None:
            return GIVEN
        mine = self.of(index)
        if self.net.steps[index].sums:
            return mine.stop
        return mine.start if len(mine) < self.net.maps[tensor].height else mine.start + row

    def _depend(self) -> None:
        for index, step in enumerate(self.net.steps):
            mine = self.of(index)
            for row, event in enumerate(mine):
                for operand in step.operands:
                    self._depend_on(event, operand, needed_rows(self.net, step, operand, row))
            if step.sums:
                self.before[mine.stop] = self.before[mine.start : mine.stop].any(axis=0)
                self.before[mine.stop, mine.start : mine.stop] = True

    def _depend_on(self, event: int, operand: CheckedOperand, rows: list[int]) -> None:
        if operand.tensor not in self.maker:
            return
        if len(rows) == self.net.maps[operand.tensor].height:
            self.before[event] |= self._closure(operand.tensor)
            return
        for row in rows:
            made = self.maker_of(operand.tensor, row)
            self.before[event] |= self.before[made]
            self.before[event, made] = True

    def _closure(self, tensor: int) -> np.ndarray:
        """Everything that the whole of a tensor depends on."""
        if tensor not in self._whole:
            makers = sorted({self.maker_of(tensor, r) for r in range(self.net.maps[tensor].height)})
            self._whole[tensor] = self.before[makers].any(axis=0)
            self._whole[tensor][makers] = True
        return self._whole[tensor]


@dataclass(frozen=True)
class Held:
    """Bytes that exist from the first of `makers` until the last of `readers` is done. `makers` are one event, or
    GIVEN, but for aux, which all events of its step make and read."""

    bytes: int
    makers: tuple[int, ...]
    readers: tuple[int, ...]


def held(order: Order) -> Iterator[Held]:
    """Rows of tensors, those that live and die together as one, and aux. Rows that no wanted event reads are left
    out, and so are rows that nobody makes."""
    net, readers = order.net, _readers(order)
    sizes: dict[tuple[int, tuple[int, ...]], int] = {}
    for tensor, shape in net.maps.items():
        if tensor not in order.maker and tensor not in net.inputs:
            continue
        late = [order.end] if tensor in net.outputs else []
        for row in range(shape.height):
            events = (*readers.get((tensor, row), []), *late)
            if events:
                key = (order.maker_of(tensor, row), events)
                sizes[key] = sizes.get(key, 0) + shape.row_bytes
    for (made, events), size in sizes.items():
        yield Held(size, (made,), events)
    for index, step in enumerate(net.steps):
        if step.aux is not None and order.wanted[order.of(index)[0]]:
            mine = tuple(order.of(index))
            yield Held(step.aux.bytes, mine, mine)


def _readers(order: Order) -> dict[tuple[int, int], list[int]]:
    found: dict[tuple[int, int], list[int]] = {}
    for index, step in enumerate(order.net.steps):
        for row, event in enumerate(order.of(index)):
            for operand in step.operands if order.wanted[event] else ():
                for r in needed_rows(order.net, step, operand, row):
                    found.setdefault((operand.tensor, r), []).append(event)
    return found


def event_count(net: CheckedNet, step: CheckedStep) -> int:
    """How many events a step has if each gives one row, or all where the step computes all at once."""
    return step.sums or (1 if step.whole else net.maps[step.writes].height)


def needed_rows(net: CheckedNet, step: CheckedStep, operand: CheckedOperand, row: int) -> list[int]:
    """Rows of `operand` that event `row` reads; none where the window leaves the map."""
    height = net.maps[operand.tensor].height
    if operand.need == "all" or (operand.need == "row" and height == 1):
        return list(range(height))
    if operand.need == "row":
        return [row]
    top = row * step.stride - step.pad
    return [r for r in range(top, top + step.kernel * step.dilation, step.dilation) if 0 <= r < height]
