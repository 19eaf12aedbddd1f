"""A lower bound of activation memory over all row schedules of a net. Called by tests and reports, for comparison.

**Over what.** Every schedule of the given steps that computes each row of each tensor once, the rows of one tensor from
top to bottom (a kernel's aux and a ring of rows want that order), the steps interleaved in any way, with any placement.
The input lies whole in memory at the start, the output at the end. Counted are the rows of tensors. Not counted: scratch, aux (the int32 sums of a MEAN, too: one that sees its map whole needs
none), alignment, and gaps between buffers. A step may write a row in place if `in_place` says so: over its first
operand, or as much lower as its rows are longer.

**Why it is one.** Take any event e. An event that e depends on, directly or not, comes before e in every schedule;
one that depends on e comes after. So at e every step has done at least the rows that e depends on and at most those
that do not depend on e. A row that is done in the first case and has a reader that is not done in the second is
alive at e in every schedule. The bytes of all such rows lie in different places, and e's own output row lies beside
them, but for what it may take of a row it reads. Since every schedule runs every event, the largest of these sums
is a bound.

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
    """`bytes` must exist together when row `row` of step `step` is computed."""

    bytes: int
    step: int
    row: int


def lower_bound(net: CheckedNet) -> Bound:
    """The largest sum of bytes that coexist in every schedule."""
    order = _Order(net)
    chains = _chains(net)
    best = Bound(0, 0, 0)
    for index in range(len(net.steps)):
        live = sum((_live(order, chain, index) for chain in chains), np.zeros(order.heights[index], np.int64))
        live = live + _new_bytes(net, index)
        row = int(live.argmax())
        if live[row] > best.bytes:
            best = Bound(int(live[row]), index, row)
    return best


class _Order:
    """Which events must come before and after which. `before[s][j, u]` is how many rows of step u event (s, j) depends
    on, itself included; `most(u, s)[j]` how many rows of u can be done when (s, j) starts."""

    def __init__(self, net: CheckedNet) -> None:
        self.net = net
        self.maker = {s.writes: i for i, s in enumerate(net.steps)}
        self.heights = [_events(net, s) for s in net.steps]
        self.before: list[np.ndarray] = []
        for index, height in enumerate(self.heights):
            self.before.append(np.zeros((height, len(net.steps)), np.int64))
            for row in range(height):
                self._close(index, row)

    def _close(self, index: int, row: int) -> None:
        """Before an event: the one above it, and the lowest row of each operand that it needs."""
        known, step = self.before[index], self.net.steps[index]
        if row:
            known[row] = known[row - 1]
        for operand in step.operands:
            last = max(needed_rows(self.net, step, operand, row), default=-1)
            maker = self.maker.get(operand.tensor)
            if maker is not None and last >= 0:
                event = (
                    last
                    if self.heights[maker] == self.net.maps[operand.tensor].height
                    else self.heights[maker] - 1
                )
                np.maximum(known[row], self.before[maker][event], out=known[row])
        known[row, index] = row + 1

    def most(self, step: int, at: int) -> np.ndarray:
        """For each event of step `at`: rows of `step` that do not depend on it."""
        return np.searchsorted(self.before[step][:, at], np.arange(self.heights[at]), side="right")

    def last_reader(self, index: int, operand: CheckedOperand) -> np.ndarray:
        """For each row of `operand`: the last event of step `index` that reads it, −1 if none does."""
        last = np.full(self.net.maps[operand.tensor].height, -1, np.int64)
        for row in range(self.heights[index]):
            last[needed_rows(self.net, self.net.steps[index], operand, row)] = row
        return last


def _events(net: CheckedNet, step: CheckedStep) -> int:
    """How many events a step has if each gives one row: one if it needs whole operands and gives a whole tensor."""
    if step.sums:
        return net.maps[step.operands[0].tensor].height
    return 1 if is_whole(net, step) else net.maps[step.writes].height


def is_whole(net: CheckedNet, step: CheckedStep) -> bool:
    """The step gives all its rows at once."""
    return net.maps[step.writes].height == 1 or all(o.need == "all" for o in step.operands)


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


def _live(order: _Order, chain: tuple[int, ...], at: int) -> np.ndarray:
    """Bytes of `chain` that are alive when each event of step `at` starts."""
    net, shape = order.net, order.net.maps[chain[0]]
    born = _born(order, chain[0], at)
    if set(chain) & set(net.outputs):
        return born * shape.row_bytes
    needed = np.zeros((order.heights[at], shape.height), np.bool_)
    for index, step in enumerate(net.steps):
        for operand in step.operands:
            if operand.tensor in chain:
                needed |= order.last_reader(index, operand) >= order.most(index, at)[:, None]
    exists = np.arange(shape.height) < born[:, None]
    rows: np.ndarray = np.count_nonzero(needed & exists, axis=1)
    return rows * shape.row_bytes


def _born(order: _Order, tensor: int, at: int) -> np.ndarray:
    """Rows of `tensor` that must exist when each event of step `at` starts; its own row is counted apart."""
    maker, height = order.maker.get(tensor), order.net.maps[tensor].height
    if maker is None:
        return np.full(order.heights[at], height if tensor in order.net.inputs else 0, np.int64)
    done: np.ndarray = order.before[at][:, maker] - (maker == at)
    return np.where(done == order.heights[maker], height, done * (height == order.heights[maker]))


def _new_bytes(net: CheckedNet, index: int) -> np.ndarray:
    """Bytes that each event of a step adds to what is alive when it starts."""
    step = net.steps[index]
    height, out = _events(net, step), net.maps[step.writes]
    if step.sums:
        return np.array([0] * (height - 1) + [out.bytes], np.int64)
    added = out.bytes if height == 1 else out.row_bytes
    if step.in_place and step.kernel == 1:
        read = [net.maps[o.tensor] for o in step.operands]
        added = max(0, added - max(m.bytes if height == 1 else m.row_bytes for m in read))
    return np.full(height, added, np.int64)
