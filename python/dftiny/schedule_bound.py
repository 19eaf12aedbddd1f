"""A lower bound of activation memory over all row schedules of a net. Called by tests and reports, for comparison.

**Over what.** Every schedule of the given steps that computes each row that an output is made from once, rows and steps
in any order and interleaved in any way, with any placement. The input lies whole in memory at the start (unless a step makes it),
the output at the end. Counted are the rows of tensors; the scratch that a step names, while one of its events runs; and
its aux, from its first event to its last. A step with `in_place` may write its row over one that it reads, or as much
lower as its own is longer. Not counted: alignment, and gaps between buffers.

With steps as the operators' arithmetic allows them (schedule_steps) it is a bound over all row schedules there can be;
with the demands of kernels filled in (plan/needs.py) one over row schedules of these kernels.

**Why it is one.** Take any event e. What e depends on, directly or not, comes before e in every schedule, and what
depends on e comes after. So the events that are done when e starts are one of those sets that hold all of the first
kind, none of the second, and with an event everything it depends on. The fewest bytes alive in any of these states
(schedule_cut) must lie in memory at e in every schedule, and e's own output beside them, but for what it may take of a
row that it reads. Every schedule runs every event that an output depends on, so each of these sums is a bound; other
events are left out everywhere.

Of a step's events one is the first. If e is, no other of them is done, nor what depends on them; likewise, if e is the
last, all the others are. Nobody knows which event is the first or the last, so the smallest of these larger sums, over
the events of the step, is a bound again. This is what counts a map whole that a MEAN must have seen before anybody else
may read it, and beside it the window of its last row; and, in a net without such a barrier, the picture that must
exist in some layer when the first row of the last one is computed.

**Closer.** A step's events come in some order, and when one of them starts exactly those before it in that order are done. So
the largest of the sums along an order is a bound for the schedules that have it, and the least of these over all orders
is one for all. Orders are paths over the sets of events that are done, and the path whose largest sum is least is found from
the smallest sums on: whenever the search ends, each order still goes through one of the sets that wait, so the least of
their sums is a bound. This is what counts that the second row of a map finds the window's first three rows alive. The same
from the last event backwards. `closer_bound` does that for a few steps; it takes seconds.

**How it is found.** The sums of the bytes that are alive in all states of e are quick to have, and so are those of two
states. Where the second are no more than what is already known no cut is computed.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dftiny.schedule_cut import Holdings
from dftiny.schedule_order import Order, event_count
from dftiny.schedule_steps import CheckedNet

_MOST_CUTS, _MOST_STATES = 200, 8  # computed, and remembered
# Of a closer look: how many of the most promising lists of moments, and cuts for each.
_MOST_ORDERS, _ORDER_CUTS = 8, 120


@dataclass(frozen=True)
class Bound:
    """`bytes` must exist together when step `step` computes row `row`, or its last or first row if it is not that."""

    bytes: int
    step: int
    row: int


@dataclass(frozen=True, eq=False)
class _Moment:
    """The start of an event: what is surely done, and surely left. `least` and `most`: bounds of the fewest bytes that
    it needs."""

    step: int
    row: int
    done: np.ndarray
    left: np.ndarray
    least: int
    most: int


def lower_bound(net: CheckedNet) -> Bound:
    """The largest number of bytes that must exist together at some moment of every schedule."""
    search = _Search(net)
    for index in range(len(net.steps)):
        search.look_at(index)
    return search.refined()


def closer_bound(net: CheckedNet) -> Bound:
    """A bound that may be larger than `lower_bound`: it also looks at the orders in which a step's rows may come."""
    search = _Search(net)
    for index in range(len(net.steps)):
        search.look_at(index)
    search.refined()
    return search.closer()


class _Search:
    """Alternatives: lists of moments of which one must come, so that the smallest of each list is a bound."""

    def __init__(self, net: CheckedNet) -> None:
        self.net = net
        self.order = Order(net)
        self.holdings = Holdings(self.order)
        self.best = Bound(0, 0, 0)
        self.alternatives: list[list[_Moment]] = []
        self.ends: list[tuple[list[_Moment], bool]] = []  # those of last events, and (False) of first ones
        self.cuts = 0
        self.states: list[np.ndarray] = []

    def look_at(self, index: int) -> None:
        """All moments of a step."""
        mine = self._mine(index)
        if not mine:
            return
        self.alternatives += [[moment] for moment in self._moments(index, mine, [], [])]
        if len(mine) > 1:
            lasts = list(self._moments(index, mine, mine, []))
            firsts = list(self._moments(index, mine, [], mine))
            self.alternatives += [lasts, firsts]
            self.ends += [(lasts, True), (firsts, False)]

    def _mine(self, index: int) -> list[int]:
        """Events of a step that anybody wants."""
        return [e for e in self.order.of(index) if self.order.wanted[e]]

    def _moments(self, index: int, mine: list[int], done: list[int], left: list[int]) -> Iterator[_Moment]:
        """One for each of `mine`, with all the others of `done` before it and all the others of `left` behind."""
        before = self.order.before
        all_done, all_left = before[done].any(axis=0), before[:, left].any(axis=1)
        all_done[done] = all_left[left] = True
        new, size = self._new_bytes(index), self.holdings.without_aux(index)
        for event in mine:
            is_done, is_left = before[event] | all_done, before[:, event] | all_left
            is_done[event], is_left[event] = False, True
            alive = self.holdings.alive
            least = alive(is_done, is_left, size)
            most = min(alive(is_done, ~is_done, size), alive(~is_left, is_left, size))
            row = event - self.order.of(index).start
            yield _Moment(index, row, is_done, is_left, least + new, most + new)

    def refined(self) -> Bound:
        """Cuts where they may raise the bound, the most promising first."""
        for found in self.alternatives:
            self._raise(min(found, key=lambda m: m.least))
        for found in sorted(self.alternatives, key=lambda f: -min(m.most for m in f)):
            if self.cuts >= _MOST_CUTS:
                break
            self._cut(found)
        return self.best

    def closer(self) -> Bound:
        """The orders of the steps whose first or last event may need most."""
        promising = sorted(self.ends, key=lambda end: -min(m.most for m in end[0]))
        for found, from_last in promising[:_MOST_ORDERS]:
            bound = self._over_orders(found[0].step, from_last)
            if bound.bytes > self.best.bytes:
                self.best = bound
        return self.best

    def _over_orders(self, index: int, from_last: bool) -> Bound:
        """The least over all orders of a step's events of the largest sum along them, as far as cuts allow."""
        mine, begin = self._mine(index), self.order.of(index).start
        waiting: list[tuple[int, int, tuple[int, ...]]] = [(0, 0, ())]
        seen: dict[tuple[int, ...], int] = {}
        cuts = 0
        while True:
            most, row, behind = heapq.heappop(waiting)
            rest = [e for e in mine if e not in behind]
            if not rest or cuts + len(rest) > _ORDER_CUTS:
                return Bound(most, index, row)
            done, left = (rest, list(behind)) if from_last else (list(behind), rest)
            cuts += len(rest)
            for moment in self._moments(index, rest, done, left):
                needed = self._needed(moment) if moment.most > most else most
                key = tuple(sorted((*behind, begin + moment.row)))
                value = (needed, moment.row) if needed > most else (most, row)
                if value[0] < seen.get(key, 1 << 60):
                    seen[key] = value[0]
                    heapq.heappush(waiting, (*value, key))

    def _cut(self, found: list[_Moment]) -> None:
        smallest: Bound | None = None
        for moment in sorted(found, key=lambda m: m.most):
            if smallest is not None and moment.least >= smallest.bytes:
                continue
            if moment.most <= self.best.bytes or self._seen_to_be_low(moment):
                return
            needed = self._needed(moment)
            if needed <= self.best.bytes:
                return
            if smallest is None or needed < smallest.bytes:
                smallest = Bound(needed, moment.step, moment.row)
        if smallest is not None:
            self.best = smallest

    def _needed(self, moment: _Moment) -> int:
        """The fewest bytes at a moment."""
        self.cuts += 1
        size = self.holdings.without_aux(moment.step)
        alive, state = self.holdings.least(moment.done, moment.left, size)
        self.states = [state, *self.states[: _MOST_STATES - 1]]
        return alive + self._new_bytes(moment.step)

    def _seen_to_be_low(self, moment: _Moment) -> bool:
        """Whether a state that was cheap at another moment, made fit for this one, has no more bytes than the bound."""
        size = self.holdings.without_aux(moment.step)
        for state in self.states:
            done = (state | moment.done) & ~moment.left
            if self.holdings.alive(done, ~done, size) + self._new_bytes(moment.step) <= self.best.bytes:
                return True
        return False

    def _raise(self, moment: _Moment) -> None:
        if moment.least > self.best.bytes:
            self.best = Bound(moment.least, moment.step, moment.row)

    def _new_bytes(self, index: int) -> int:
        """Bytes that an event of a step adds to what is alive when it starts."""
        net, step = self.net, self.net.steps[index]
        count, out = event_count(net, step), net.maps[step.writes]
        own = sum(spot.bytes for spot in (step.scratch, step.aux) if spot is not None)
        if step.sums:
            return own if count > 1 else own + out.bytes
        added = out.bytes if count == 1 else out.row_bytes
        if step.in_place and step.kernel == 1:
            read = [net.maps[o.tensor] for o in step.operands]
            added = max(0, added - max(m.bytes if count == 1 else m.row_bytes for m in read))
        return added + own
