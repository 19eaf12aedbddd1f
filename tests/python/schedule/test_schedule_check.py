"""The checker of row schedules: it accepts schedules that compute the right bytes, and refuses every one that does not.
What is right is decided by running schedules on real bytes (simulator.py)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from row_nets import Maker, random_net
from simulator import Simulator, Wrong, expected, naive

from dftiny.schedule_check import CheckedEvent, CheckedSchedule, CheckedSpot, check
from dftiny.schedule_steps import CheckedNet

SEEDS = range(90)
Mutation = Callable[[CheckedSchedule, random.Random], CheckedSchedule]


def case(seed: int) -> tuple[CheckedNet, CheckedSchedule]:
    net = random_net(seed, steps=3 + seed % 4, height=3 + seed % 5)
    return net, naive(net, rings=seed % 3 != 0)


def is_right(net: CheckedNet, schedule: CheckedSchedule) -> bool:
    try:
        return Simulator(net, schedule).run() == expected(net, schedule)
    except Wrong:
        return False


def test_schedules_that_compute_the_right_bytes_are_accepted() -> None:
    rings = in_place = 0
    for seed in SEEDS:
        net, schedule = case(seed)
        assert is_right(net, schedule), seed
        assert check(schedule) == [], seed
        rings += any(b.slots < b.height for b in schedule.buffers)
        in_place += any(s.in_place for s in schedule.steps)
    assert rings >= 20 and in_place >= 40, (rings, in_place)


def lower(s: CheckedSchedule, dice: random.Random) -> CheckedSchedule:
    k = dice.randrange(len(s.buffers))
    moved = replace(s.buffers[k], offset=s.buffers[k].offset - 4)
    return replace(s, buffers=(*s.buffers[:k], moved, *s.buffers[k + 1 :]))


def one_slot_less(s: CheckedSchedule, dice: random.Random) -> CheckedSchedule:
    k = dice.choice([k for k, b in enumerate(s.buffers) if b.slots > 1])
    small = replace(s.buffers[k], slots=s.buffers[k].slots - 1)
    return replace(s, buffers=(*s.buffers[:k], small, *s.buffers[k + 1 :]))


def swapped(s: CheckedSchedule, dice: random.Random) -> CheckedSchedule:
    events = list(s.events)
    k = dice.randrange(len(events) - 1)
    events[k], events[k + 1] = events[k + 1], events[k]
    return replace(s, events=tuple(events))


def dropped(s: CheckedSchedule, dice: random.Random) -> CheckedSchedule:
    k = dice.randrange(len(s.events))
    return replace(s, events=s.events[:k] + s.events[k + 1 :])


def delayed(s: CheckedSchedule, dice: random.Random) -> CheckedSchedule:
    events = list(s.events)
    event = events.pop(dice.randrange(len(events)))
    events.insert(dice.randrange(len(events) + 1), event)
    return replace(s, events=tuple(events))


def another_row(s: CheckedSchedule, dice: random.Random) -> CheckedSchedule:
    k = dice.choice([k for k, e in enumerate(s.events) if not s.steps[e.step].whole])
    wrong = replace(s.events[k], first=s.events[k].first + dice.choice([-1, 1]))
    return replace(s, events=(*s.events[:k], wrong, *s.events[k + 1 :]))


def scratch_elsewhere(s: CheckedSchedule, dice: random.Random) -> CheckedSchedule:
    k = dice.choice([k for k, step in enumerate(s.steps) if step.scratch])
    spot = CheckedSpot("ram", dice.randrange(0, s.regions["ram"] - 7, 8), 8)
    return replace(s, steps=(*s.steps[:k], replace(s.steps[k], scratch=spot), *s.steps[k + 1 :]))


def aux_elsewhere(s: CheckedSchedule, dice: random.Random) -> CheckedSchedule:
    k = dice.choice([k for k, step in enumerate(s.steps) if step.aux])
    spot = CheckedSpot("ram", dice.randrange(0, s.regions["ram"] - 15, 8), 16)
    return replace(s, steps=(*s.steps[:k], replace(s.steps[k], aux=spot), *s.steps[k + 1 :]))


def over_another(s: CheckedSchedule, dice: random.Random) -> CheckedSchedule:
    a, b = dice.sample(range(len(s.buffers)), 2)
    offset = min(s.buffers[b].offset, s.regions["ram"] - s.buffers[a].row_bytes * s.buffers[a].slots)
    moved = replace(s.buffers[a], offset=offset)
    return replace(s, buffers=(*s.buffers[:a], moved, *s.buffers[a + 1 :]))


MUTATIONS: list[Mutation] = [
    lower,
    one_slot_less,
    swapped,
    dropped,
    delayed,
    another_row,
    scratch_elsewhere,
    aux_elsewhere,
    over_another,
]


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda m: m.__name__)
def test_what_computes_wrong_bytes_is_refused(mutate: Mutation) -> None:
    wrong = 0
    for seed in SEEDS:
        net, schedule = case(seed)
        dice = random.Random(seed)
        for _ in range(5):
            mutant = mutate(schedule, dice)
            if not is_right(net, mutant):
                wrong += 1
                assert check(mutant), (seed, mutant)
    assert wrong >= 40, wrong


def small() -> tuple[CheckedNet, CheckedSchedule]:
    """input (4 rows of 8) → window 3 → in-place point → gate by the mean."""
    maker = Maker(0, height=4, row_bytes=8)
    maker.window(kernel=3, stride=1, pad=1, row_bytes=8)
    maker.pointwise()
    maker.gate()
    net = maker.net()
    return net, naive(net, rings=False)


def test_each_fault_has_its_sentence() -> None:
    _, good = small()
    assert check(good) == []
    first, second = good.buffers[0], good.buffers[1]
    lone = [e for e in good.events if e.step == 0]

    def with_buffer(**numbers: int) -> CheckedSchedule:
        return replace(good, buffers=(first, replace(second, **numbers), *good.buffers[2:]))  # type: ignore[arg-type]

    def said(schedule: CheckedSchedule, text: str) -> bool:
        return any(text in sentence for sentence in check(schedule))

    assert said(with_buffer(offset=second.offset + 2), "tensor 1 is not aligned to 4")
    assert said(with_buffer(offset=-4), "tensor 1 lies outside region ram")
    assert said(with_buffer(slots=5), "tensor 1 has 5 slots")
    assert said(
        with_buffer(offset=first.offset), "writes row 0 of its output over row 0 of tensor 0, which it reads"
    )
    assert said(replace(good, buffers=good.buffers[1:]), "tensor 0 has no place")
    assert said(replace(good, events=good.events[1:]), "rows [0] are never computed")
    assert said(replace(good, events=(*good.events, lone[0])), "computes a row again")
    assert said(replace(good, events=(lone[1], lone[0], *good.events[2:])), "not computed in their order")
    assert said(
        replace(good, events=(CheckedEvent(1, 0, 1), *good.events)),
        "reads row 0 of tensor 1, which is not there",
    )
    assert said(replace(good, events=(replace(lone[0], rows=9),)), "has 9 rows of 4")
    skipped = (lone[0], lone[2], lone[1], lone[3])
    assert said(
        replace(good, events=skipped), "event 1 (window 1, row 2): its rows are not computed in their order"
    )
    assert said(replace(good, events=(CheckedEvent(9, 0, 1),)), "names a step that does not exist")
    assert said(replace(good, buffers=(*good.buffers, first)), "a tensor has two places")
    assert said(with_buffer(height=3, slots=3), "reads row 3 of tensor 1, which is not there")
    assert said(replace(good, outputs=(0, 1)), "at the end row 0 of output 1 is not there")
    assert said(replace(good, inputs=(0, 3)), "is an input that a step writes")


def test_scratch_and_aux_have_their_sentences() -> None:
    _, good = small()
    step, source = good.steps[0], good.buffers[0]
    assert step.aux is not None and step.scratch is not None

    def said(text: str, **spots: CheckedSpot) -> bool:
        changed = replace(good, steps=(replace(step, **spots), *good.steps[1:]))  # type: ignore[arg-type]
        return any(text in sentence for sentence in check(changed))

    assert said("scratch of window 1 is not aligned to 8", scratch=replace(step.scratch, offset=4))
    assert said("aux of window 1 is not aligned to 8", aux=replace(step.aux, offset=step.aux.offset + 4))
    assert said("its scratch lies on row 0 of tensor 0", scratch=CheckedSpot("ram", source.offset, 8))
    assert said("or on another row that it writes", scratch=CheckedSpot("ram", good.buffers[1].offset, 8))
    assert said("overwrites its own aux bytes", scratch=CheckedSpot("ram", step.aux.offset, 8))
    assert said("reads row 3 of tensor 0, which is not there", aux=CheckedSpot("ram", source.offset + 16, 16))
    assert said("overwrites its own aux bytes", aux=CheckedSpot("ram", good.buffers[1].offset, 16))
    mean = good.steps[2]
    assert mean.sums and mean.scratch is not None
    assert said("overwritten since the last event", aux=CheckedSpot("ram", mean.scratch.offset, 16))


@pytest.mark.parametrize(
    ("offset", "in_place", "overwrites"),
    [
        (16, True, False),
        (12, True, False),
        (20, True, True),
        (16, False, True),
        (12, False, True),
        (40, False, False),
    ],
)
def test_in_place_must_be_declared_and_may_lie_lower_but_not_higher(
    offset: int, in_place: bool, overwrites: bool
) -> None:
    """The operand lies at 16, three rows of 8 bytes."""
    maker = Maker(0, height=3, row_bytes=8)
    maker.pointwise()
    good = naive(maker.net(), rings=False)
    step = replace(good.steps[0], in_place=in_place, scratch=None, aux=None, rows=0)
    source, target = (replace(b, offset=n) for b, n in zip(good.buffers, (16, offset), strict=True))
    for events in ([(0, 1), (1, 1), (2, 1)], [(0, 3)]):
        run = tuple(CheckedEvent(0, first, rows) for first, rows in events)
        changed = replace(good, steps=(step,), buffers=(source, target), regions={"ram": 64}, events=run)
        problems = check(changed)
        assert bool(problems) == overwrites
        assert any("over row" in text for text in problems) == overwrites


@pytest.mark.parametrize(
    ("row_bytes", "offset", "overwrites"), [(12, 4, False), (12, 8, True), (4, 16, False), (4, 20, True)]
)
def test_in_place_with_longer_or_shorter_rows(row_bytes: int, offset: int, overwrites: bool) -> None:
    """The operand lies at 16, three rows of 8 bytes, a pixelwise step writes three rows: neither the start of a row
    nor its end may lie higher than what has been read."""
    maker = Maker(0, height=3, row_bytes=8)
    maker.window(kernel=1, stride=1, pad=0, row_bytes=row_bytes)
    good = naive(maker.net(), rings=False)
    step = replace(good.steps[0], in_place=True, scratch=None, aux=None)
    source, target = (replace(b, offset=n) for b, n in zip(good.buffers, (16, offset), strict=True))
    problems = check(replace(good, steps=(step,), buffers=(source, target), regions={"ram": 64}))
    assert bool(problems) == overwrites
    assert any("over row" in text for text in problems) == overwrites


def test_neither_windows_nor_second_operands_can_be_overwritten() -> None:
    maker = Maker(0, height=4, row_bytes=8)
    maker.window(kernel=3, stride=1, pad=0, row_bytes=8)
    good = naive(maker.net(), rings=False)
    buffers = (good.buffers[0], replace(good.buffers[1], offset=good.buffers[0].offset))
    over = replace(good, steps=(replace(good.steps[0], in_place=True),), buffers=buffers)
    assert any("writes row 0 of its output over row 0 of tensor 0" in text for text in check(over))

    _, good = small()
    gate = good.steps[3]
    turned = replace(gate, operands=gate.operands[::-1])
    problems = check(replace(good, steps=(*good.steps[:3], turned)))
    assert any("writes row 0 of its output over row 0 of tensor 2" in text for text in problems)


def test_rows_may_be_computed_again_only_if_allowed() -> None:
    """The window's map twice: where nothing keeps aux between its rows, and nothing lies over it."""
    maker = Maker(0, height=4, row_bytes=8)
    maker.window(kernel=3, stride=1, pad=1, row_bytes=8)
    maker.window(kernel=3, stride=1, pad=1, row_bytes=8)
    good = naive(maker.net(), rings=False)
    twice = replace(good, events=(*[CheckedEvent(0, r, 1) for r in range(4)], *good.events))
    assert any("computes a row again" in text for text in check(twice))
    assert check(replace(twice, recompute=True)) == []
    half = replace(good, events=(*[CheckedEvent(0, r, 1) for r in range(2)], *good.events), recompute=True)
    assert any("not computed in their order" in text for text in check(half))


def test_rows_that_nothing_needs_need_not_be_computed() -> None:
    """Of five rows a stride of two reads the first, third and fifth; a row above them needs no more."""
    maker = Maker(0, height=5, row_bytes=8)
    maker.pointwise()
    maker.pointwise()
    maker.window(kernel=1, stride=2, pad=0, row_bytes=8)
    good = naive(maker.net(), rings=False)
    good = replace(good, steps=tuple(replace(s, aux=None) for s in good.steps))
    assert check(good) == []
    few = tuple(e for e in good.events if e.step == 2 or e.first % 2 == 0)
    assert len(few) == 9
    assert check(replace(good, events=few)) == []
    fewer = tuple(e for e in few if (e.step, e.first) != (0, 2))
    assert any("point 1: rows [2] are never computed" in text for text in check(replace(good, events=fewer)))


def test_events_have_as_many_rows_as_the_kernel() -> None:
    maker = Maker(0, height=5, row_bytes=8)
    maker.window(kernel=1, stride=1, pad=0, row_bytes=8)
    net = maker.net()
    one = naive(net, rings=False)
    pairs = (CheckedEvent(0, 0, 2), CheckedEvent(0, 2, 2), CheckedEvent(0, 4, 1))
    two = replace(one, steps=(replace(one.steps[0], rows=2, aux=None),), events=pairs)
    assert check(two) == []
    upwards = (CheckedEvent(0, 3, 2), CheckedEvent(0, 1, 2), CheckedEvent(0, 0, 1))
    assert check(replace(two, events=upwards)) == []
    for wrong in (one.events, (CheckedEvent(0, 0, 3), CheckedEvent(0, 3, 2))):
        assert any("where the kernel computes 2" in text for text in check(replace(two, events=wrong)))
