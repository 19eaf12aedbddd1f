"""The lower bound of row schedules: never above the best of all schedules of tiny nets, and mostly equal to it."""

from __future__ import annotations

import heapq
from pathlib import Path

import pytest
from row_nets import Maker, events, random_net, reads, writes

from dftiny.graph import load
from dftiny.schedule_bound import Bound, lower_bound
from dftiny.schedule_steps import CheckedNet, checked_net
from dftiny.steps import steps

Done = tuple[int, ...]
MODELS = Path(__file__).resolve().parents[3] / "models"


class Exhaustive:
    """Every interleaving of the steps' events, the least memory over all of them: a shortest path where the length of
    a path is its largest step."""

    def __init__(self, net: CheckedNet) -> None:
        self.net = net
        self.heights = [events(net, s) for s in net.steps]
        self.readers: dict[tuple[int, int], set[tuple[int, int]]] = {}
        self.born: dict[tuple[int, int], tuple[int, int]] = {}
        for i, step in enumerate(net.steps):
            for j in range(self.heights[i]):
                for row in reads(net, step, j):
                    self.readers.setdefault(row, set()).add((i, j))
                for row in writes(net, step, j):
                    self.born[row] = (i, j)

    def is_alive(self, row: tuple[int, int], done: Done) -> bool:
        if row in self.born and self.born[row][1] >= done[self.born[row][0]]:
            return False
        return row[0] in self.net.outputs or any(j >= done[i] for i, j in self.readers.get(row, ()))

    def bytes_of(self, rows: list[tuple[int, int]]) -> int:
        return sum(self.net.maps[t].row_bytes for t, _ in rows)

    def next(self, index: int, done: Done) -> tuple[Done, int] | None:
        """The state behind the next event of a step, and the memory that it needs; None if it cannot run yet."""
        step, row = self.net.steps[index], done[index]
        if row == self.heights[index]:
            return None
        sources = reads(self.net, step, row)
        if not all(r not in self.born or self.born[r][1] < done[self.born[r][0]] for r in sources):
            return None
        after = (*done[:index], row + 1, *done[index + 1 :])
        rows = [(t, r) for t, m in self.net.maps.items() for r in range(m.height)]
        alive, new = (
            self.bytes_of([r for r in rows if self.is_alive(r, done)]),
            self.bytes_of(writes(self.net, step, row)),
        )
        free = [r for r in sources if step.in_place and not self.is_alive(r, after)]
        saved = max([self.bytes_of([r]) for r in free], default=0)
        return after, alive + max(0, new - saved)

    def least(self) -> int:
        start, end = (0,) * len(self.heights), tuple(self.heights)
        queue, seen = [(0, start)], set()
        while queue:
            peak, done = heapq.heappop(queue)
            if done == end:
                return peak
            if done in seen:
                continue
            seen.add(done)
            for index in range(len(done)):
                if (found := self.next(index, done)) is not None:
                    heapq.heappush(queue, (max(peak, found[1]), found[0]))
        raise AssertionError("no schedule at all")


def test_never_above_the_best_schedule_and_mostly_equal() -> None:
    equal, total, states = 0, 300, 0
    for seed in range(total):
        net = random_net(seed, steps=2 + seed % 3, height=2 + seed % 4)
        least, bound = Exhaustive(net).least(), lower_bound(net)
        assert 0 < bound.bytes <= least, (seed, bound, least)
        equal += bound.bytes == least
        states += len(net.steps)
    assert equal >= total * 0.85, equal
    assert states > 2 * total


def test_a_gated_map_exists_whole_beside_the_window_of_its_last_row() -> None:
    """Written out: 6 rows of 40 bytes; the last one is made of 3 rows of 24 bytes, of which row 7 is padding."""
    maker = Maker(0, height=12, row_bytes=4)
    maker.window(kernel=1, stride=1, pad=0, row_bytes=24)
    maker.window(kernel=3, stride=2, pad=1, row_bytes=40)
    maker.pointwise()
    maker.gate()
    maker.window(kernel=1, stride=1, pad=0, row_bytes=8)
    net = maker.net()
    assert net.maps[2].height == 6
    assert lower_bound(net) == Bound(6 * 40 + 3 * 24, step=1, row=5)


def test_a_residual_waits_behind_a_gated_map() -> None:
    """The map that is added again later lies whole beside the gated one, and so do the two last rows of the window."""
    maker = Maker(0, height=8, row_bytes=4)
    maker.window(kernel=1, stride=1, pad=0, row_bytes=20)
    waiting = maker.last
    maker.window(kernel=1, stride=1, pad=0, row_bytes=28)
    maker.window(kernel=3, stride=1, pad=1, row_bytes=28)
    maker.gate()
    maker.window(kernel=1, stride=1, pad=0, row_bytes=20)
    maker.residual()
    net = maker.net()
    assert waiting in [o.tensor for o in net.steps[-1].operands]
    assert lower_bound(net) == Bound(8 * 20 + 7 * 28 + 2 * 28 + 28, step=2, row=6)


def test_whole_steps_need_all_of_both_sides() -> None:
    maker = Maker(0, height=4, row_bytes=8)
    maker.transpose()
    assert lower_bound(maker.net()) == Bound(64, step=0, row=0)


@pytest.mark.parametrize("model", sorted(MODELS.glob("*/model.tflite")), ids=lambda p: p.parent.name)
def test_released_models(model: Path) -> None:
    """At least the input and one row behind it; at most what lies there when every step is computed whole."""
    net = checked_net(steps(load(model)))
    first = net.steps[0]
    apart = max(
        net.maps[s.writes].bytes + sum(net.maps[o.tensor].bytes for o in s.operands) for s in net.steps
    )
    bound = lower_bound(net)
    assert net.maps[net.inputs[0]].bytes + net.maps[first.writes].row_bytes <= bound.bytes
    assert bound.bytes < sum(m.bytes for m in net.maps.values())
    assert bound.bytes < 2 * apart
