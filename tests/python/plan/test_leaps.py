"""Rows far apart one after the other (plan/leaps): where that is possible, in which order they come, how few of them wait.
That whole plans with such segments give the same bits is tested on nets that have them (schedule/test_leaps_net)."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import pytest

from dftiny.kernels.rows import RowCall
from dftiny.plan.lanes import Lane, Operand, Shape, Window
from dftiny.plan.leaps import leap_of
from dftiny.plan.stream import lives, slots_of, stream

CALL = RowCall("f", "s", (), ())


def window(index: int, dilation: int, rows: int = 20, taps: int = 3, pad: int | None = None) -> Lane:
    """A lane that makes tensor index + 1 of tensor `index`; causal unless `pad` says otherwise."""
    w = Window(taps, 1, dilation, (taps - 1) * dilation if pad is None else pad)
    shape = Shape(rows, 8)
    step = SimpleNamespace(writes=index + 1)
    return Lane(
        index, step, (Operand(index, shape, "window", False),), shape, w, 1, rows, False, CALL, ()  # type: ignore[arg-type]
    )  # fmt: skip


def sum_of(index: int, *tensors: int, rows: int = 20) -> Lane:
    """A lane that makes tensor index + 1 of rows of others."""
    one = window(index, 1, rows, taps=1)
    return replace(one, operands=tuple(Operand(t, Shape(rows, 8), "row", False) for t in tensors))


def test_windows_that_are_alike_dilated_may_leap() -> None:
    assert leap_of([window(0, 8), window(1, 8), sum_of(2, 0, 2)]) == 8
    assert leap_of([window(0, 4), window(1, 1, taps=1)]) == 4
    assert leap_of([window(0, 4, pad=4), window(1, 4, pad=0)]) == 4


def test_others_may_not() -> None:
    pair = [window(0, 4), window(1, 4)]
    assert leap_of(pair) == 4
    wide = replace(pair[1], window=replace(pair[1].window, stride=2))
    vector = replace(pair[1], operands=(*pair[1].operands, Operand(9, Shape(1, 8), "all", False)))
    others = {
        "one lane": pair[:1],
        "not dilated": [window(0, 1), window(1, 1)],
        "otherwise dilated": [pair[0], window(1, 8)],
        "also not dilated": [pair[0], window(1, 1)],
        "padding between": [pair[0], window(1, 4, pad=6)],
        "strides": [pair[0], wide],
        "another height": [pair[0], window(1, 4, rows=16)],
        "two rows an event": [pair[0], replace(pair[1], rows=2)],
        "collected rows": [pair[0], replace(pair[1], accumulates=True)],
        "aux": [pair[0], replace(pair[1], call=replace(CALL, aux_bytes=8))],
        "rows from the caller": [replace(pair[0], operands=()), pair[1]],
        "whole": [pair[0], replace(pair[1], call=None)],
        "recast": [pair[0], replace(pair[1], operands=(replace(pair[1].operands[0], recast=True),))],
        "all of what is made here": [pair[0], replace(pair[1], operands=(replace(pair[1].operands[0], need="all"),))],
    }  # fmt: skip
    assert {why: leap_of(lanes) for why, lanes in others.items()} == dict.fromkeys(others, 1)
    assert leap_of([pair[0], vector]) == 4  # something small from elsewhere is in nobody's way


@pytest.mark.parametrize(("rows", "reverse"), list(product((3, 16, 20, 23), (False, True))))
def test_rows_come_far_apart_and_few_wait(rows: int, reverse: bool) -> None:
    """Every row once, by remainders of 8; the same order that the engine counts (dft_run.c, leapt)."""
    lanes = [
        replace(lane, leap=8) for lane in (window(0, 8, rows), window(1, 8, rows), sum_of(2, 0, 2, rows=rows))
    ]
    events = stream(lanes, reverse=reverse)
    expected = [r for first in range(min(8, rows)) for r in range(first, rows, 8)]
    expected = [rows - 1 - r for r in expected] if reverse else expected
    assert [[e.row for e in events if e.lane == n] for n in range(3)] == [expected] * 3
    found = lives(dict(enumerate(lanes)), events, [0], [3], dict.fromkeys(range(4), rows))
    assert found[1].slots == (3 if rows > 8 else 1)  # one after the other: up to 17
    assert found[2].slots == 1
    made = {(n, row): time for time, e in enumerate(events) for n, row in [(e.lane, e.row)]}
    for row, tap in product(range(rows), (16, 8, 0)):
        if row >= tap:
            assert made[0, row - tap] < made[1, row] < made[2, row]
            assert found[1].born[row - tap] < made[1, row] <= found[1].dies[row - tap]


def test_places_that_two_living_rows_would_share_are_not_enough() -> None:
    """Rows two apart are alive together: two places would put both into one, three do."""
    born = (0, 6, 1, 7, 2, 8, 3, 9)
    assert slots_of(born, [t + 1 for t in born]) == 3
    assert slots_of(born, list(born)) == 1
    assert slots_of(born, [99] * 8) == 8
