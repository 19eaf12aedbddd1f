"""Rings that hand their rows on (plan/relay): which are joined, and into how many places. Whole plans with such rings
are executed by the checker (schedule/test_plans) and by the engine (nets/test_woven_net)."""

from __future__ import annotations

from dataclasses import replace

from dftiny.plan.pack import Block
from dftiny.plan.relay import relayed

# Rows come every 10 events; each of a is read last when that of b is made 15 events later, each of b 20 events on.
A = Block("t1", 8, tuple(range(0, 80, 10)), tuple(range(15, 95, 10)), ring=2)
B = Block("t2", 8, A.dies, tuple(t + 20 for t in A.dies), over="t1", ring=3)
OTHER = Block("s7", 100, (0,), (90,))


def test_a_chain_has_the_places_of_its_fullest_moment() -> None:
    """A row is alive for 35 events in all: four rows at once, not two and three."""
    c = Block("t3", 8, B.dies, tuple(t + 5 for t in B.dies), over="t2", ring=2)
    assert relayed([A, OTHER, B]) == [replace(A, dies=B.dies, ring=4, also=("t2",)), OTHER]
    assert relayed([A, B, OTHER, c]) == [replace(A, dies=c.dies, ring=5, also=("t2", "t3")), OTHER]


def test_from_the_last_row_to_the_first_it_is_the_same() -> None:
    a = replace(A, born=A.born[::-1], dies=A.dies[::-1])
    b = replace(B, born=B.born[::-1], dies=B.dies[::-1])
    assert relayed([a, b]) == [replace(a, dies=b.dies, ring=4, also=("t2",))]


def test_rings_that_hand_nothing_on_stay_apart() -> None:
    still_read = replace(A, dies=(*A.dies[:3], A.dies[3] + 1, *A.dies[4:]))
    for a, b in (
        (still_read, B),
        (A, replace(B, over=None)),
        (A, replace(B, over="t9")),
        (A, replace(B, row_bytes=4)),
        (A, replace(B, ring=0)),
        (replace(A, ring=0), B),
        (A, replace(B, ring=2)),  # as many places as apart: nothing to be had
    ):
        assert relayed([a, b]) == [a, b]
