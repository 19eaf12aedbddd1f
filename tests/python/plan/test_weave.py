"""Two maps that lie row by row in turns (plan/weave): which, and how long a record lives. That whole plans with woven
maps are valid, smaller and give the same bits is tested on a net that has them (nets/test_public_nets_int8)."""

from __future__ import annotations

from dftiny.plan.lanes import Shape
from dftiny.plan.pack import Block
from dftiny.plan.weave import key_of, pair_of, woven


def test_the_two_largest_maps_of_equal_height() -> None:
    maps = {1: Shape(8, 100), 2: Shape(8, 300), 3: Shape(4, 900), 4: Shape(8, 200), 5: Shape(1, 9000)}
    assert pair_of(maps) == (2, 4)
    assert pair_of({1: Shape(8, 1), 2: Shape(4, 1)}) is None
    assert pair_of({}) is None


def test_a_record_lives_while_one_of_its_rows_does() -> None:
    a, b = Block("t1", 10, (0, 4), (5, 9)), Block("t2", 6, (2, 3), (4, 12))
    other = Block("s0", 7, (0,), (1,))
    (kept, record) = woven([a, other, b], [(1, 2)])
    assert kept is other
    assert record == Block(key_of((1, 2)), 16, (0, 3), (5, 12))
