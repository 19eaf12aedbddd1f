"""The lower bound of row schedules: never above the best of all schedules of tiny nets, and mostly equal to it."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from row_nets import INPUT, Maker, events, random_net, reads, writes

from dftiny.graph import load
from dftiny.schedule_bound import Bound, closer_bound, lower_bound
from dftiny.schedule_check import CheckedSpot
from dftiny.schedule_steps import CheckedNet, checked_net
from dftiny.steps import steps

MODELS = Path(__file__).resolve().parents[3] / "models"


class Exhaustive:
    """Every order of all events that the outputs need, the least memory over all of them: a shortest path over sets of events that are done
    (bits of an int), where the length of a path is its largest step."""

    def __init__(self, net: CheckedNet) -> None:
        self.net = net
        self.events = [(i, j) for i, s in enumerate(net.steps) for j in range(events(net, s))]
        self.born: dict[tuple[int, int], int] = dict.fromkeys(
            [(INPUT, r) for r in range(net.maps[INPUT].height)], 0
        )
        self.readers: dict[tuple[int, int], int] = {}
        for bit, (i, j) in enumerate(self.events):
            step = net.steps[i]
            for row in reads(net, step, j):
                self.readers[row] = self.readers.get(row, 0) | 1 << bit
            for row in [(step.writes, 0)] if step.sums else writes(net, step, j):
                self.born[row] = self.born.get(row, 0) | 1 << bit
        self.wanted = 0
        for output in net.outputs:
            for r in range(net.maps[output].height):
                self.want(self.born[output, r])

    def want(self, bits: int) -> None:
        """These events, and all whose rows they read."""
        for bit in range(len(self.events)):
            if bits & ~self.wanted & 1 << bit:
                self.wanted |= 1 << bit
                step = self.net.steps[self.events[bit][0]]
                for row in reads(self.net, step, self.events[bit][1]):
                    self.want(self.born[row])

    def exists(self, row: tuple[int, int], done: int) -> bool:
        return self.born[row] & done == self.born[row]

    def is_alive(self, row: tuple[int, int], done: int) -> bool:
        wanted = row[0] in self.net.outputs or self.readers.get(row, 0) & self.wanted & ~done
        return bool(wanted) and self.exists(row, done)

    def bytes_of(self, rows: Iterable[tuple[int, int]]) -> int:
        return sum(self.net.maps[t].row_bytes for t, _ in rows)

    def added(self, bit: int, done: int) -> int | None:
        """Bytes that an event needs beside what is alive; None if it cannot run yet."""
        step = self.net.steps[self.events[bit][0]]
        sources = reads(self.net, step, self.events[bit][1])
        if not all(self.exists(r, done) for r in sources):
            return None
        after = done | 1 << bit
        new = self.bytes_of(r for r in self.born if self.exists(r, after) and not self.exists(r, done))
        free = [r for r in sources if step.in_place and not self.is_alive(r, after)]
        return max(0, new - max([self.bytes_of([r]) for r in free], default=0)) + self.own(bit, done)

    def own(self, bit: int, done: int) -> int:
        """Scratch of the step that runs, and all aux that is in use."""
        index = self.events[bit][0]
        scratch = self.net.steps[index].scratch
        total = 0 if scratch is None else scratch.bytes
        for i, step in enumerate(self.net.steps):
            mine = sum(1 << b for b, (k, _) in enumerate(self.events) if k == i)
            in_use = i == index or 0 < done & mine < mine
            total += step.aux.bytes if step.aux is not None and in_use else 0
        return total

    def least(self) -> int:
        queue, seen = [(0, 0)], set()
        while queue:
            peak, done = heapq.heappop(queue)
            if done == self.wanted:
                return peak
            if done in seen:
                continue
            seen.add(done)
            alive = self.bytes_of(r for r in self.born if self.is_alive(r, done))
            for bit in range(len(self.events)):
                if self.wanted & ~done & 1 << bit and (more := self.added(bit, done)) is not None:
                    heapq.heappush(queue, (max(peak, alive + more), done | 1 << bit))
        raise AssertionError("no schedule at all")


def tiny_nets() -> list[CheckedNet]:
    """Of two to four steps and at most eleven events."""
    made = [random_net(seed, steps=2 + seed % 3, height=2 + seed % 3) for seed in range(400)]
    return [net for net in made if sum(events(net, s) for s in net.steps) <= 11]


def with_spots(net: CheckedNet, seed: int) -> CheckedNet:
    """Some steps want scratch and some aux."""
    dice = random.Random(seed)
    sizes = [0, 0, 8, 16, 40]
    steps = []
    for step in net.steps:
        spots = [CheckedSpot("", 0, n) if n else None for n in (dice.choice(sizes), dice.choice(sizes))]
        steps.append(replace(step, scratch=spots[0], aux=spots[1]))
    return replace(net, steps=tuple(steps))


@pytest.mark.parametrize("spots", [False, True], ids=["rows alone", "with scratch and aux"])
def test_never_above_the_best_schedule_and_mostly_equal(spots: bool) -> None:
    nets = tiny_nets()
    if spots:
        nets = [with_spots(net, k) for k, net in enumerate(nets)]
        assert sum(any(s.aux for s in net.steps) and any(s.scratch for s in net.steps) for net in nets) >= 100
    equal = 0
    for k, net in enumerate(nets):
        least, bound = Exhaustive(net).least(), lower_bound(net)
        assert 0 < bound.bytes <= least, (k, bound, least)
        equal += bound.bytes == least
    assert len(nets) >= 200
    assert sum(any(s.sums for s in net.steps) for net in nets) >= 20
    assert equal >= 0.85 * len(nets), (equal, len(nets))


def random_chain(seed: int) -> CheckedNet:
    """Windows one behind the other: where orders of rows matter most."""
    dice = random.Random(seed)
    maker = Maker(seed, height=dice.randint(3, 5), row_bytes=4 * dice.randint(1, 6))
    for _ in range(2):
        maker.window(kernel=3, stride=dice.choice([1, 1, 2]), pad=1, row_bytes=4 * dice.randint(1, 6))
    return maker.net()


def test_the_closer_bound_is_never_above_the_best_schedule_and_often_closer() -> None:
    nets = [*tiny_nets()[::2], *(random_chain(seed) for seed in range(60))]
    closer = equal = 0
    for k, net in enumerate(nets):
        least, bound, near = Exhaustive(net).least(), lower_bound(net), closer_bound(net)
        assert bound.bytes <= near.bytes <= least, (k, bound, near, least)
        closer += near.bytes > bound.bytes
        equal += near.bytes == least
    assert closer >= 5, closer
    assert equal >= 0.9 * len(nets), (equal, len(nets))


def test_a_gated_map_exists_whole_beside_the_window_of_its_last_row() -> None:
    """Written out: 6 rows of 40 bytes. The last one to be made is best the top one, made of 2 rows of 24 bytes."""
    maker = Maker(0, height=12, row_bytes=4)
    maker.window(kernel=1, stride=1, pad=0, row_bytes=24)
    maker.window(kernel=3, stride=2, pad=1, row_bytes=40)
    maker.pointwise()
    maker.gate()
    maker.window(kernel=1, stride=1, pad=0, row_bytes=8)
    net = maker.net()
    assert net.maps[2].height == 6
    assert lower_bound(net) == Bound(6 * 40 + 2 * 24, step=1, row=0)


def test_a_residual_waits_behind_a_gated_map() -> None:
    """The map that is added again later lies whole beside the gated one, and so do two rows of its window."""
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
    assert lower_bound(net) == Bound(8 * 20 + 7 * 28 + 2 * 28 + 28, step=2, row=0)


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
