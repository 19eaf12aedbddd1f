"""An independent check of a row schedule: execute it byte by byte and see whether anything was lost.

Every byte of memory remembers which row of which tensor lies there. Events run in their order: what one reads must
still be there, what it writes must not lie on what it still has to read. Called by the planner's tests and by whoever
wants proof of a schedule; shares no code with the planner, and takes plain numbers only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Need = Literal["window", "row", "all"]
_ROW_ALIGN, _SPOT_ALIGN = 4, 8  # bytes; of a tensor, and of scratch and aux (dft_rows.h)
_NOTHING, _GARBAGE = -1, -2
_ROW_BITS = 20  # a value is tensor << 20 | row; aux values are negative, below _GARBAGE
_MOST_PROBLEMS = 50


@dataclass(frozen=True)
class CheckedOperand:
    """A tensor that a step reads. For output row j, "window" is rows j·stride − pad + k·dilation, k < kernel, that
    lie in the map; "row" is row j, or row 0 of a tensor that has only one; "all" is every row."""

    tensor: int
    need: Need


@dataclass(frozen=True)
class CheckedSpot:
    """Bytes of a region that are no tensor: a step's scratch or aux."""

    region: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class CheckedStep:
    """One operator. Its events count output rows; those of a step that `sums` count that many rows of its first operand,
    and its one output row comes with the last of them. `rows`: how many rows an event has, fewer only at an end of the
    map; 0 is any number. `in_place`: it takes its rows from top to bottom, and of each its bytes from first to last,
    so an output row may lie on the row of its first operand that it is made from, or lower. `whole`: one event gives all
    its rows."""

    name: str
    operands: tuple[CheckedOperand, ...]
    writes: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    pad: int = 0
    rows: int = 0
    in_place: bool = False
    sums: int = 0
    whole: bool = False
    scratch: CheckedSpot | None = None
    aux: CheckedSpot | None = None


@dataclass(frozen=True)
class CheckedBuffer:
    """Where a tensor of `height` rows lies: row r at offset + ((r + phase) % slots)·pitch of its region (pitch 0: row_bytes).
    `among`: of every 2·slots bytes row r has two, from 2·(r % slots) on."""

    tensor: int
    region: str
    offset: int
    row_bytes: int
    height: int
    slots: int
    pitch: int = 0
    among: bool = False
    phase: int = 0

    def row(self, number: int) -> tuple[int, int]:
        """First byte of a row and the first byte behind it; of one that lies among others, of them all."""
        if self.among:
            return self.offset, self.offset + self.slots * self.row_bytes
        first = self.offset + (number + self.phase) % self.slots * (self.pitch or self.row_bytes)
        return first, first + self.row_bytes


@dataclass(frozen=True)
class CheckedEvent:
    """`rows` rows of step `step` (its place in the list of steps), from row `first`."""

    step: int
    first: int
    rows: int


@dataclass(frozen=True)
class CheckedSchedule:
    """What `check` takes. `regions`: name → bytes. `inputs` lie whole in memory at the start; `outputs` must lie
    whole in memory at the end. Every row that an output is made from must be computed once; with `recompute` it may be
    more than once."""

    steps: tuple[CheckedStep, ...]
    buffers: tuple[CheckedBuffer, ...]
    regions: Mapping[str, int]
    events: tuple[CheckedEvent, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    recompute: bool = False


_Span = tuple[str, int, int]  # region, first byte, byte behind the last


def check(schedule: CheckedSchedule) -> list[str]:
    """What is wrong with `schedule`, as sentences; empty when it is valid."""
    problems = _places(schedule) + _references(schedule)
    if problems:
        return problems
    memory = _Memory(schedule)
    for tensor in schedule.inputs:
        for row in range(memory.buffers[tensor].height):
            memory.write(tensor, row)
    for number, event in enumerate(schedule.events):
        _Run(memory, number, event).run()
        if len(memory.problems) >= _MOST_PROBLEMS:
            return [*memory.problems, "and so on: the check stopped here"]
    _complete(memory)
    return memory.problems


def _places(schedule: CheckedSchedule) -> list[str]:
    """Everything lies inside its region, aligned; every tensor once."""
    problems: list[str] = []

    def place(name: str, span: _Span, align: int) -> None:
        region, first, end = span
        if region not in schedule.regions or first < 0 or end < first or end > schedule.regions[region]:
            problems.append(f"{name} lies outside region {region}")
        if first % align:
            problems.append(f"{name} is not aligned to {align}")

    for b in schedule.buffers:
        last = max(b.row(r)[1] for r in range(b.slots))
        place(f"tensor {b.tensor}", (b.region, b.offset, last), _ROW_ALIGN)
        if b.pitch < 0 or 0 < b.pitch < b.row_bytes:
            problems.append(f"rows of tensor {b.tensor} lie over one another")
        if not 1 <= b.slots <= b.height or b.row_bytes < 1 or b.height >= 1 << _ROW_BITS:
            problems.append(
                f"tensor {b.tensor} has {b.slots} slots of {b.row_bytes} bytes for {b.height} rows"
            )
    for step in schedule.steps:
        for what, spot in (("scratch", step.scratch), ("aux", step.aux)):
            if spot is not None:
                place(
                    f"{what} of {step.name}",
                    (spot.region, spot.offset, spot.offset + spot.bytes),
                    _SPOT_ALIGN,
                )
    if len({b.tensor for b in schedule.buffers}) != len(schedule.buffers):
        problems.append("a tensor has two places")
    return problems


def _references(schedule: CheckedSchedule) -> list[str]:
    """Steps, tensors and inputs that are named exist; a tensor is written by one step, and no input is."""
    placed = {b.tensor for b in schedule.buffers}
    written = [s.writes for s in schedule.steps]
    read = [o.tensor for s in schedule.steps for o in s.operands]
    problems = [
        f"tensor {t} has no place"
        for t in sorted({*written, *read, *schedule.inputs, *schedule.outputs} - placed)
    ]
    if len(set(written)) != len(written) or set(written) & set(schedule.inputs):
        problems.append("a tensor is written by two steps, or is an input that a step writes")
    if any(not 0 <= e.step < len(schedule.steps) for e in schedule.events):
        problems.append("an event names a step that does not exist")
    return problems


class _Memory:
    """Regions as arrays of values, and what has been computed so far."""

    def __init__(self, schedule: CheckedSchedule) -> None:
        self.schedule = schedule
        self.buffers = {b.tensor: b for b in schedule.buffers}
        self.bytes = {name: np.full(n, _NOTHING, np.int64) for name, n in schedule.regions.items()}
        self.done = [np.zeros(self.event_rows(s), np.int64) for s in schedule.steps]
        self.problems: list[str] = []

    def event_rows(self, step: CheckedStep) -> int:
        """How many rows the events of a step count."""
        return step.sums or self.buffers[step.writes].height

    def span(self, tensor: int, row: int) -> _Span:
        b = self.buffers[tensor]
        return b.region, *b.row(row)

    def fill(self, span: _Span, value: int) -> None:
        region, first, end = span
        self.bytes[region][first:end] = value

    def holds(self, span: _Span, value: int) -> bool:
        region, first, end = span
        return bool((self.bytes[region][first:end] == value).all())

    def write(self, tensor: int, row: int) -> None:
        for part in self.parts(tensor, row):
            part[:] = tensor << _ROW_BITS | row

    def whole(self, tensor: int, row: int) -> bool:
        return all(bool((part == tensor << _ROW_BITS | row).all()) for part in self.parts(tensor, row))

    def parts(self, tensor: int, row: int) -> list[np.ndarray]:
        """The bytes of a row."""
        region, first, end = self.span(tensor, row)
        b = self.buffers[tensor]
        if not b.among:
            return [self.bytes[region][first:end]]
        first += 2 * (row % b.slots)
        return [self.bytes[region][first + k : end : 2 * b.slots] for k in range(2)]

    def reads(self, step: CheckedStep, events: range) -> list[tuple[int, int]]:
        """(tensor, row) of everything that these rows of a step are made from."""
        found: dict[tuple[int, int], None] = {}
        for operand in step.operands:
            height = self.buffers[operand.tensor].height
            rows: Sequence[int] = range(height)
            if operand.need == "row" and height > 1:
                rows = events
            elif operand.need == "window":
                top = [j * step.stride - step.pad for j in events]
                taps = {t + k * step.dilation for t in top for k in range(step.kernel)}
                rows = sorted(r for r in taps if 0 <= r < height)
            found.update(((operand.tensor, r), None) for r in rows)
        return list(found)


class _Run:
    """One event."""

    def __init__(self, memory: _Memory, number: int, event: CheckedEvent) -> None:
        self.memory, self.event = memory, event
        self.step = memory.schedule.steps[event.step]
        self.where = f"event {number} ({self.step.name}, row {event.first})"
        self.height = memory.event_rows(self.step)
        self.done = memory.done[event.step]
        self.aux_value = _GARBAGE - 1 - event.step
        self.range = range(event.first, event.first + event.rows)

    def say(self, text: str) -> None:
        self.memory.problems.append(f"{self.where}: {text}")

    def run(self) -> None:
        """Read, write, and look whether both were undisturbed."""
        if not self._in_turn():
            return
        self._open_aux()
        reads = self.memory.reads(self.step, self.range)
        self._must_hold(reads, "reads row {1} of tensor {0}, which is not there")
        self._use_scratch()
        self._must_hold(reads, "its scratch lies on row {1} of tensor {0}, which it reads")
        writes = self._writes()
        self._must_not_overwrite(reads, writes)
        for tensor, row in writes:
            self.memory.write(tensor, row)
        self._use_scratch()
        self._must_hold(writes, "row {1} of tensor {0} lies on its scratch, or on another row that it writes")
        self._close_aux()
        self.done[self.range.start : self.range.stop] += 1

    def _in_turn(self) -> bool:
        """The rows exist, are as many as an event has, are new, and follow the last ones where the step keeps aux."""
        first, end = self.range.start, self.range.stop
        if first < 0 or end <= first or end > self.height:
            self.say(f"has {self.event.rows} rows of {self.height}")
            return False
        if self.step.whole and self.event.rows != self.height:
            self.say("gives a part of what the step computes at once")
        at_an_end = self.event.rows < self.step.rows and (first == 0 or end == self.height)
        if self.step.rows and self.event.rows != self.step.rows and not at_an_end:
            self.say(f"has {self.event.rows} rows where the kernel computes {self.step.rows}")
        if self.done[first:end].any() and not self.memory.schedule.recompute:
            self.say("computes a row again")
        if self.step.aux is not None or self.step.sums:
            turn = self.done[0] + (first == 0)
            if (self.done != np.where(np.arange(self.height) < first, turn, turn - 1)).any():
                self.say("its rows are not computed in their order")
        return True

    def _writes(self) -> list[tuple[int, int]]:
        if not self.step.sums:
            return [(self.step.writes, row) for row in self.range]
        return [(self.step.writes, 0)] if self.range.stop == self.height else []

    def _must_hold(self, rows: Sequence[tuple[int, int]], text: str) -> None:
        for tensor, row in rows:
            if row >= self.memory.buffers[tensor].height or not self.memory.whole(tensor, row):
                self.say(text.format(tensor, row))

    def _must_not_overwrite(
        self, reads: Sequence[tuple[int, int]], writes: Sequence[tuple[int, int]]
    ) -> None:
        for target, out in writes:
            for tensor, row in reads:
                a, b = self.memory.span(target, out), self.memory.span(tensor, row)
                if (
                    a[0] == b[0]
                    and a[1] < b[2]
                    and b[1] < a[2]
                    and not self._may_overwrite(tensor, row, out, a, b)
                ):
                    self.say(
                        f"writes row {out} of its output over row {row} of tensor {tensor}, which it reads"
                    )

    def _may_overwrite(self, tensor: int, row: int, out: int, target: _Span, source: _Span) -> bool:
        """Rows go from top to bottom: one above has been read. In the row itself every output byte must come to lie
        on bytes already read: at the row's start and, where output rows are longer, at its end as well."""
        if not self.step.in_place or self.step.kernel > 1 or tensor != self.step.operands[0].tensor:
            return False
        own = (out * self.step.stride - self.step.pad) if self.step.operands[0].need == "window" else out
        return row < own or (row == own and target[1] <= source[1] and target[2] <= source[2])

    def _use_scratch(self) -> None:
        if (s := self.step.scratch) is not None:
            self.memory.fill((s.region, s.offset, s.offset + s.bytes), _GARBAGE)

    def _open_aux(self) -> None:
        if (s := self.step.aux) is None:
            return
        span = (s.region, s.offset, s.offset + s.bytes)
        if self.range.start == 0:
            self.memory.fill(span, self.aux_value)
        elif not self.memory.holds(span, self.aux_value):
            self.say("its aux bytes were overwritten since the last event")

    def _close_aux(self) -> None:
        s = self.step.aux
        if s is not None and not self.memory.holds((s.region, s.offset, s.offset + s.bytes), self.aux_value):
            self.say("overwrites its own aux bytes")


def _complete(memory: _Memory) -> None:
    """Every row that an output is made from was computed, and the outputs lie there."""
    wanted = {(t, r) for t in memory.schedule.outputs for r in range(memory.buffers[t].height)}
    for step, done in reversed(list(zip(memory.schedule.steps, memory.done, strict=True))):
        rows = [r for r in range(len(done)) if (step.writes, 0 if step.sums else r) in wanted]
        for row in rows:
            wanted.update(memory.reads(step, range(row, row + 1)))
        if missing := [r for r in rows if not done[r]]:
            memory.problems.append(f"{step.name}: rows {missing} are never computed")
    for tensor in memory.schedule.outputs:
        for row in range(memory.buffers[tensor].height):
            if not memory.whole(tensor, row):
                memory.problems.append(f"at the end row {row} of output {tensor} is not there")
