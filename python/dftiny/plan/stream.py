"""Which rows are computed in which order: lanes of a segment → events. Pure; called by the planner.

A segment is a run of consecutive lanes. Its last lane asks for its rows one after the other, each lane asks the
ones before it for just the rows that its window wants, and lanes that only collect (a MEAN) take every row as soon
as it is there: so a tensor inside a segment never has more rows alive than its readers force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from dftiny.plan.lanes import Lane, Operand
from dftiny.plan.leaps import short_map


@dataclass(frozen=True)
class Event:
    """`rows` rows from `row` of lane `lane` (its index in the graph's steps)."""

    lane: int
    row: int
    rows: int


class _Segment:
    """The state of a segment being scheduled: lanes by position, rows done, rows that exist."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = lanes
        self.done = [0] * len(lanes)
        self.rows: dict[int, int] = {}
        self.maker: dict[int, int] = {}
        self.events: list[Event] = []
        for position, lane in enumerate(lanes):
            self.maker[lane.writes] = position
            self.rows[lane.writes] = 0
        read = {o.tensor for lane in lanes for o in lane.operands}
        self.sinks = [p for p, lane in enumerate(lanes) if lane.writes not in read]
        # Collectors of internal tensors run as soon as they can: they only set rows free. So do lanes that the last
        # one does not need: what they give lies whole sooner or later.
        needed = self._needed_by(self.sinks[-1])
        self.eager = [
            p
            for p, lane in enumerate(lanes)
            if (lane.accumulates or p not in needed)
            and lane.operands
            and lane.operands[0].tensor in self.maker
        ]

    def _needed_by(self, sink: int) -> set[int]:
        """Positions of a lane and of all lanes that it takes rows from, directly or not."""
        needed = {sink}
        for position in range(sink, -1, -1):
            if position in needed:
                tensors = [o.tensor for o in self.lanes[position].operands]
                needed |= {self.maker[t] for t in tensors if t in self.maker}
        return needed

    def finished(self, position: int) -> bool:
        return self.done[position] >= self.lanes[position].events_h

    def lacking(self, position: int) -> int | None:
        """Position of a lane that must run before the next event of `position` can; None when it can run."""
        lane = self.lanes[position]
        first = self.done[position]
        rows = min(lane.rows, lane.events_h - first)
        for operand in lane.operands:
            have = self.rows.get(operand.tensor)
            if have is None:
                continue
            if operand.recast:
                maker = self.maker[operand.tensor]
                if not self.finished(maker):
                    return maker
            elif have < lane.needed(operand, first, rows):
                return self.maker[operand.tensor]
        return None

    def run(self, position: int) -> None:
        lane = self.lanes[position]
        first = self.done[position]
        rows = min(lane.rows, lane.events_h - first)
        if lane.call is None:
            rows = lane.events_h
        self.events.append(Event(lane.index, first, rows))
        self.done[position] = first + rows
        if not lane.accumulates:
            self.rows[lane.writes] = first + rows
        elif self.finished(position):
            self.rows[lane.writes] = 1

    def advance(self, sink: int) -> None:
        """One event on the way to the next row of `sink`."""
        position = sink
        while (missing := self.lacking(position)) is not None:
            position = missing
        self.run(position)
        for p in self.eager:
            while not self.finished(p) and self.lacking(p) is None:
                self.run(p)


def can_reverse(lanes: Sequence[Lane]) -> bool:
    """From the last row to the first: not where rows are collected, handed in, or all there is; nor where the rows of two
    begin with an odd one, which no window over planes does."""
    odd = any(lane.operands and lane.operands[0].shape.ring and lane.events_h % lane.rows for lane in lanes)
    fit = all(not lane.aux_bytes and lane.operands and lane.call for lane in lanes)
    return fit and not odd and any(lane.events_h > lane.rows for lane in lanes)


def mirrored(lane: Lane) -> Lane:
    """The lane with its rows, and those of its operands, counted from the end."""
    w = lane.window
    if not lane.operands or lane.operands[0].need != "window":
        return lane
    pad = w.last(lane.events_h - 1) - (lane.operands[0].shape.rows - 1)
    return replace(lane, window=replace(w, pad=pad))


def stream(lanes: Sequence[Lane], *, reverse: bool = False) -> list[Event]:
    """The events of one segment, in order; tensors from outside count as whole. `reverse`: last rows first, so that
    outputs chase their inputs upwards in memory instead of downwards."""
    if reverse:
        height = {lane.index: lane.events_h for lane in lanes}
        events = stream([mirrored(lane) for lane in lanes])
        return [Event(e.lane, height[e.lane] - e.row - e.rows, e.rows) for e in events]
    if lanes[0].leap > 1:
        return _leaping(lanes)
    segment = _Segment(lanes)
    for sink in [segment.sinks[-1], *segment.sinks[:-1]]:
        while not segment.finished(sink):
            segment.advance(sink)
    return segment.events


def _leaping(lanes: Sequence[Lane]) -> list[Event]:
    """One short map after the other."""
    leap, height = lanes[0].leap, lanes[0].events_h
    return [
        Event(e.lane, remainder + leap * e.row, e.rows)
        for remainder in range(min(leap, height))
        for e in stream([short_map(lane, remainder) for lane in lanes])
    ]


@dataclass(frozen=True)
class Life:
    """One tensor through a list of events: for each row the event that writes it (−1: before all) and the last one
    that reads it, and how many rows are alive at most (`slots`)."""

    born: tuple[int, ...]
    dies: tuple[int, ...]
    slots: int


def lives(
    lanes: Mapping[int, Lane],
    events: Sequence[Event],
    inputs: Iterable[int],
    outputs: Iterable[int],
    rows: Mapping[int, int],
) -> dict[int, Life]:
    """The lives of all tensors that `events` write or read, row by row as `rows` says (by tensor).

    `inputs` exist before, `outputs` must survive the end. Positions in `events` are the time.
    """
    before = set(inputs)
    touched = {lane.writes for lane in lanes.values()}
    touched |= {o.tensor for lane in lanes.values() for o in lane.operands}
    born = {t: [-1 if t in before else len(events)] * rows[t] for t in touched}
    dies = {t: [-1] * rows[t] for t in touched}
    for time, event in enumerate(events):
        lane = lanes[event.lane]
        for r in _written(lane, event, rows[lane.writes]):
            born[lane.writes][r] = min(born[lane.writes][r], time)
            dies[lane.writes][r] = time
        for operand in lane.operands:
            dead = dies[operand.tensor]
            for r in _read(lane, event, operand, len(dead)):
                dead[r] = time
    for t in outputs:
        if t in dies:
            dies[t] = [len(events)] * rows[t]
    return {t: Life(tuple(b), tuple(dies[t]), slots_of(b, dies[t])) for t, b in born.items()}


def _written(lane: Lane, event: Event, rows: int) -> range:
    """Rows of the output, as its buffer counts them, that the event may write."""
    if lane.accumulates or lane.shape.rows != rows:
        return range(rows)
    return range(event.row, event.row + event.rows)


def _read(lane: Lane, event: Event, operand: Operand, rows: int) -> range:
    """Rows of the operand, as its buffer counts them, that the event may read; where rows lie apart, only those that have a
    tap."""
    if operand.recast or operand.need == "all" or operand.shape.rows != rows:
        return range(rows)
    if lane.leap > 1 and operand.need == "window":
        w = lane.window
        return range(rows)[
            max(w.first(event.row), event.row % lane.leap) : w.last(event.row) + 1 : w.dilation
        ]
    last = lane.needed(operand, event.row, event.rows)
    return range(min(lane.unneeded(operand, event.row), last), last)


def slots_of(born: Sequence[int], dies: Sequence[int]) -> int:
    """Most rows alive at once in a ring: from the oldest living row to the newest. Where rows come in another order than up or
    down, the fewest places in which no two rows that are alive together meet."""
    if born[0] > born[-1]:
        born, dies = born[::-1], dies[::-1]
    if any(a > b for a, b in pairwise(born)):
        return _fewest_places(np.array(born), np.maximum(born, dies))
    oldest, most = 0, 1
    for r, time in enumerate(born):
        while oldest < r and max(dies[oldest], born[oldest]) < time:
            oldest += 1
        most = max(most, r - oldest + 1)
    return most


def _fewest_places(born: np.ndarray, ends: np.ndarray) -> int:
    """Of rows r that live from born[r] to ends[r] and lie in place r mod places."""
    for places in range(1, len(born)):
        rows = np.lexsort((born, np.arange(len(born)) % places))
        same = np.diff(rows % places) == 0
        if (born[rows][1:] > ends[rows][:-1])[same].all():
            return places
    return len(born)
