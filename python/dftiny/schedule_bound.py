"""A lower bound of activation memory over all row schedules of a net. Called by tests and reports, for comparison.

**Over what.** Every schedule of the given steps that computes each row that an output is made from once, rows and steps
in any order and interleaved in any way, with any placement. The input lies whole in memory at the start (unless a step makes it),
the output at the end. Counted are the rows of tensors. Not counted: scratch, aux (the int32 sums of a MEAN, too: one
that sees its map whole needs none), alignment, and gaps between buffers. A step with `in_place` may write its row over
one that it reads, or as much lower as its own is longer.

**Why it is one.** Take any event e. An event that e depends on, directly or not, comes before e in every schedule; one
that depends on e comes after. So a row whose event is of the first kind and that has a reader of the second, or e
itself as one, is alive at e in every schedule. All such rows lie in different places, and e's own output lies beside
them, but for what it may take of a row that it reads. Every schedule runs every
event that an output depends on, so each of these sums is a bound; other events are left out everywhere.

Of a step's events one is the last. If e is, all its others came before it, and what those depend on; likewise all
others come behind the first. Nobody knows which event is the last or the first, so the smallest of these larger sums,
over the events of the step, is a bound again. This is what counts a map whole that a MEAN must have seen before
anybody else may read it, and beside it the window of its last row.

**Rows that replace each other.** An elementwise step with as many and as long rows as its operand needs row r of the
operand to make row r. From the birth of the one to the death of the other at least one of the two is alive: both are
counted as one row with that life. So the bound does not lose rows that may be on either side of a HARD_SWISH.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dftiny.schedule_check import CheckedOperand, CheckedStep
from dftiny.schedule_steps import CheckedNet


@dataclass(frozen=True)
class Bound:
    """`bytes` must exist together when step `step` computes row `row`, or its last or first row if it is not that."""

    bytes: int
    step: int
    row: int


def lower_bound(net: CheckedNet) -> Bound:
    """The largest sum of bytes that coexist in every schedule."""
    order = _Order(net)
    rows = _Rows(order)
    found = [bound for index in range(len(net.steps)) for bound in _of_step(order, rows, index)]
    return max(found, key=lambda b: b.bytes, default=Bound(0, 0, 0))


def _of_step(order: _Order, rows: _Rows, index: int) -> list[Bound]:
    """By a step's events as they are, by its last one, by its first one."""
    mine, new = np.flatnonzero(order.wanted & order.belongs(index)), _new_bytes(order.net, index)
    if not len(mine):
        return []
    all_before, all_after = order.before[mine].any(axis=0), order.before[:, mine].any(axis=1)
    all_before[mine] = all_after[mine] = True
    plain, last, first = [], [], []
    for event in mine.tolist():
        row = event - order.of(index).start
        before, after, others = order.before[event], order.before[:, event].copy(), all_before.copy()
        after[event], others[event] = True, False
        plain.append(Bound(rows.alive(before, after) + new[row], index, row))
        last.append(Bound(rows.alive(others, after) + new[row], index, row))
        first.append(Bound(rows.alive(before, all_after) + new[row], index, row))
    return [pick(b, key=lambda one: one.bytes) for pick, b in ((max, plain), (min, last), (min, first))]


class _Order:
    """All events, numbered step by step. `before[e, d]`: event e depends on event d, directly or not."""

    def __init__(self, net: CheckedNet) -> None:
        self.net = net
        self.maker = {s.writes: i for i, s in enumerate(net.steps)}
        self.starts = np.cumsum([0, *(_events(net, s) for s in net.steps)]).tolist()
        total = self.starts[-1]
        self.before = np.zeros((total, total), np.bool_)
        self._whole: dict[int, np.ndarray] = {}
        for index, step in enumerate(net.steps):
            for row, event in enumerate(range(*self.of(index).indices(total))):
                for operand in step.operands:
                    self._depend(event, operand, needed_rows(net, step, operand, row))
        self.wanted = np.zeros(total, np.bool_)
        for tensor in set(net.outputs) & set(self.maker):
            self.wanted |= self._closure(tensor)

    def of(self, index: int) -> slice:
        """The events of a step."""
        return slice(self.starts[index], self.starts[index + 1])

    def belongs(self, index: int) -> np.ndarray:
        """For each event: whether it is one of step `index`."""
        mine = np.zeros(self.starts[-1], np.bool_)
        mine[self.of(index)] = True
        return mine

    def made_by(self, tensor: int, row: int) -> slice:
        """The events behind which a row exists; empty for an input."""
        index = self.maker.get(tensor)
        if index is None:
            return slice(0, 0)
        mine = self.of(index)
        if self.net.steps[index].sums or mine.stop - mine.start < self.net.maps[tensor].height:
            return mine
        return slice(mine.start + row, mine.start + row + 1)

    def _depend(self, event: int, operand: CheckedOperand, rows: list[int]) -> None:
        if operand.tensor in self.maker and len(rows) == self.net.maps[operand.tensor].height:
            self.before[event] |= self._closure(operand.tensor)
            return
        for row in rows:
            made = self.made_by(operand.tensor, row)
            self.before[event] |= self.before[made].any(axis=0)
            self.before[event, made] = True

    def _closure(self, tensor: int) -> np.ndarray:
        """Everything that the whole of a tensor depends on."""
        if tensor not in self._whole:
            mine = self.of(self.maker[tensor])
            self._whole[tensor] = self.before[mine].any(axis=0)
            self._whole[tensor][mine] = True
        return self._whole[tensor]


class _Rows:
    """Every row of every chain: its bytes, the events behind which it exists, and those that read it."""

    def __init__(self, order: _Order) -> None:
        self.order = order
        net = order.net
        self.readers = _readers(order)
        end = order.starts[-1]  # stands for the end of the schedule, which reads the outputs
        sizes, born, read = [], [], []
        for chain in _chains(net):
            for row in range(net.maps[chain[0]].height):
                made = order.made_by(chain[0], row)
                known = made.stop > made.start or chain[0] in net.inputs
                late = [end] if set(chain) & set(net.outputs) else []
                events = [e for t in chain for e in self.readers.get((t, row), [])] + late
                if known and events:
                    sizes.append(net.maps[chain[0]].row_bytes)
                    born.append(made)
                    read.append(events)
        self.sizes = np.array(sizes, np.int64)
        self.born_last = np.array([m.stop - 1 for m in born], np.int64)
        self.born_many = [(k, m) for k, m in enumerate(born) if m.stop - m.start > 1]
        self.is_input = np.array([m.stop == m.start for m in born], np.bool_)
        self.flat = np.array([e for events in read for e in events], np.int64)
        self.cuts = np.cumsum([0, *(len(events) for events in read)])[:-1]

    def alive(self, before: np.ndarray, after: np.ndarray) -> int:
        """Bytes of rows that surely exist when all of `before` is done, and are read by some of `after`."""
        exists = self.is_input | before[self.born_last]
        for k, made in self.born_many:
            exists[k] = before[made].all()
        wanted = np.logical_or.reduceat(np.append(after, True)[self.flat], self.cuts)
        return int(self.sizes[exists & wanted].sum())


def _readers(order: _Order) -> dict[tuple[int, int], list[int]]:
    found: dict[tuple[int, int], list[int]] = {}
    for index, step in enumerate(order.net.steps):
        mine = order.of(index)
        for row in np.flatnonzero(order.wanted[mine]).tolist():
            for operand in step.operands:
                for r in needed_rows(order.net, step, operand, row):
                    found.setdefault((operand.tensor, r), []).append(mine.start + row)
    return found


def _events(net: CheckedNet, step: CheckedStep) -> int:
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


def _chains(net: CheckedNet) -> list[tuple[int, ...]]:
    """Tensors whose rows replace each other, first to last; each tensor in one chain, which goes on with the last
    elementwise step that can replace its rows."""
    after: dict[int, int] = {}
    for step in net.steps:
        first = step.operands[0] if step.operands else None
        if (
            first is None
            or not step.in_place
            or first.need != "row"
            or net.maps[first.tensor] != net.maps[step.writes]
        ):
            continue
        after[first.tensor] = step.writes
    chains = []
    for tensor in sorted(set(net.maps) - set(after.values())):
        members = [tensor]
        while members[-1] in after:
            members.append(after[members[-1]])
        chains.append(tuple(members))
    return chains


def _new_bytes(net: CheckedNet, index: int) -> list[int]:
    """Bytes that each event of a step adds to what is alive when it starts."""
    step = net.steps[index]
    count, out = _events(net, step), net.maps[step.writes]
    if step.sums:
        return [0] * count if count > 1 else [out.bytes]
    added = out.bytes if count == 1 else out.row_bytes
    if step.in_place and step.kernel == 1:
        read = [net.maps[o.tensor] for o in step.operands]
        added = max(0, added - max(m.bytes if count == 1 else m.row_bytes for m in read))
    return [added] * count
