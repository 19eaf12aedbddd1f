"""The fewest bytes that any state of a row schedule can hold, given what is done and what is not. Called by
schedule_bound.

A state is a set of events that are done; with an event it has all that the event depends on. Held bytes are in memory
when a maker is done and a reader is not. So bytes are the capacity of a pipe from makers to readers, the done events
lie on the side of the source, the others on the side of the sink, and the cheapest state is a minimum cut: as many
bytes as a maximum flow carries (Ford and Fulkerson 1956; the flow is found by Dinic's algorithm of 1970).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dftiny.schedule_order import Held, Order, held

_UNBOUNDED = 1 << 60
_SOURCE, _SINK = 0, 1


class Holdings:
    """Everything that an order ever holds, as arrays."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.held: list[Held] = list(held(order))
        self.sizes = np.array([h.bytes for h in self.held], np.int64)
        self._made, self._made_cuts = _flat([h.makers for h in self.held])
        self._read, self._read_cuts = _flat([h.readers for h in self.held])
        self._reads = _dependencies(order, self.held)

    def _exists(self, done: np.ndarray) -> np.ndarray:
        """Whether a maker of each is among `done`."""
        return np.logical_or.reduceat(np.append(done, True)[self._made], self._made_cuts)

    def _wanted(self, left: np.ndarray) -> np.ndarray:
        """Whether a reader of each is among `left`."""
        return np.logical_or.reduceat(np.append(left, True)[self._read], self._read_cuts)

    def without_aux(self, index: int) -> np.ndarray:
        """Bytes of each, but 0 for the aux of step `index`."""
        mine = tuple(self.order.of(index))
        return np.array([0 if len(mine) > 1 and h.makers == mine else h.bytes for h in self.held], np.int64)

    def alive(self, done: np.ndarray, left: np.ndarray, size: np.ndarray) -> int:
        """Bytes held in every state that has all of `done` behind it and all of `left` before it. `size`: bytes of
        each of `held`."""
        return int(size[self._exists(done) & self._wanted(left)].sum())

    def least(self, done: np.ndarray, left: np.ndarray, size: np.ndarray) -> tuple[int, np.ndarray]:
        """The fewest bytes held in any such state, and what is done in one that holds no more. `done` must be closed:
        with an event all that it depends on; `left` likewise the other way round."""
        surely = self._exists(done) & self._wanted(left)
        maybe = self._exists(~left) & self._wanted(~done) & ~surely & (size > 0)
        network = _Network(done, left)
        for k in np.flatnonzero(maybe).tolist():
            network.pipe(self.held[k], int(size[k]))
        for event in np.flatnonzero(~(done | left) & self.order.wanted).tolist():
            for other in self._reads[event]:
                network.link(event, other)
        more = network.flow()
        state = done.copy()
        state[network.reached()] = True
        return int(size[surely].sum()) + more, state


def _flat(lists: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    cuts = np.cumsum([0, *(len(one) for one in lists)])[:-1]
    return np.array([e for one in lists for e in one], np.int64), cuts


def _dependencies(order: Order, found: Sequence[Held]) -> list[set[int]]:
    """For each event those whose bytes it reads, and for the finish of a sum all of its step."""
    reads: list[set[int]] = [set() for _ in range(order.end + 1)]
    for one in found:
        if len(one.makers) == 1 and one.makers[0] >= 0:
            for event in one.readers:
                reads[event].add(one.makers[0])
    for index, step in enumerate(order.net.steps):
        if step.sums:
            reads[order.of(index).stop].update(order.of(index))
    return reads


class _Network:
    """Nodes are the source, the sink, free events, and an end for each pipe; arcs with what they may still carry. Arc
    a leads to to[a], arc a ^ 1 leads back."""

    def __init__(self, done: np.ndarray, left: np.ndarray) -> None:
        self.node = dict.fromkeys(np.flatnonzero(done).tolist(), _SOURCE)
        self.node |= dict.fromkeys([*np.flatnonzero(left).tolist(), len(left)], _SINK)
        self.node[-1] = _SOURCE
        self.arcs: list[list[int]] = [[], []]
        self.to: list[int] = []
        self.room: list[int] = []

    def pipe(self, one: Held, size: int) -> None:
        """`size` bytes from any maker to any reader."""
        makers, readers = {self._of(e) for e in one.makers}, {self._of(e) for e in one.readers}
        start, end = self._joined(makers, _SOURCE), self._joined(readers, _SINK)
        if start != end:
            self._arc(start, end, size)
        if len(makers) > 1:
            for node in makers if start != _SOURCE else ():
                self._arc(node, start, _UNBOUNDED)
        if len(readers) > 1:
            for node in readers - {_SOURCE} if end != _SINK else ():
                self._arc(end, node, _UNBOUNDED)

    def link(self, event: int, other: int) -> None:
        """`event` done means `other` done."""
        start, end = self._of(event), self._of(other)
        if end != _SOURCE:
            self._arc(start, end, _UNBOUNDED)

    def _joined(self, nodes: set[int], strongest: int) -> int:
        """One node for any of several."""
        if strongest in nodes:
            return strongest
        return next(iter(nodes)) if len(nodes) == 1 else self._new()

    def _of(self, event: int) -> int:
        if event not in self.node:
            self.node[event] = self._new()
        return self.node[event]

    def _new(self) -> int:
        self.arcs.append([])
        return len(self.arcs) - 1

    def _arc(self, start: int, end: int, room: int) -> None:
        self.arcs[start].append(len(self.to))
        self.arcs[end].append(len(self.to) + 1)
        self.to += [end, start]
        self.room += [room, 0]

    def flow(self) -> int:
        """The most that the source can send to the sink."""
        total = 0
        while (level := self._levels())[_SINK] >= 0:
            left = [len(a) for a in self.arcs]
            while sent := self._send(level, left):
                total += sent
        return total

    def reached(self) -> list[int]:
        """Free events on the source's side of the cut, behind `flow`."""
        level = self._levels()
        return [event for event, node in self.node.items() if node > _SINK and level[node] >= 0]

    def _levels(self) -> list[int]:
        """Arcs from the source to each node, as far as the sink; −1 where no way leads."""
        level = [-1] * len(self.arcs)
        level[_SOURCE] = 0
        queue = [_SOURCE]
        for node in queue:
            if level[_SINK] >= 0:
                break
            for a in self.arcs[node]:
                if self.room[a] and level[self.to[a]] < 0:
                    level[self.to[a]] = level[node] + 1
                    queue.append(self.to[a])
        return level

    def _send(self, level: list[int], left: list[int]) -> int:
        """One more path that only goes up; `left` says how many arcs of each node have not been found dead yet."""
        path: list[int] = []
        node = _SOURCE
        while node != _SINK:
            if left[node] == 0:
                if not path:
                    return 0
                node = self.to[path.pop() ^ 1]
                left[node] -= 1
                continue
            a = self.arcs[node][left[node] - 1]
            if self.room[a] and level[self.to[a]] == level[node] + 1:
                path.append(a)
                node = self.to[a]
            else:
                left[node] -= 1
        sent = min(self.room[a] for a in path)
        for a in path:
            self.room[a] -= sent
            self.room[a ^ 1] += sent
        return sent
