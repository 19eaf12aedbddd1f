"""Rings whose places keep their roles (plan/steady): which are rounded up, and that a place whose rows come and go lets other
blocks in. That whole plans with such rings give the same bits is tested on a net that has them (schedule/test_steady_net)."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from dftiny.plan.lanes import Lane, Window
from dftiny.plan.pack import Block, Packer, forbidden
from dftiny.plan.steady import steady

RING = Block("t1", 8, tuple(range(9)), tuple(range(2, 11)), ring=3)


def reader(stride: int, need: str = "window") -> Lane:
    """A lane that reads tensor 1 by windows, as far as steady() looks at it."""
    operand = SimpleNamespace(tensor=1, need=need)
    return cast(Lane, SimpleNamespace(operands=(operand,), window=Window(3, stride), call="a kernel"))


@pytest.mark.parametrize(("stride", "ring"), [(1, 3), (2, 4), (3, 3), (4, 4), (5, 5)])
def test_places_are_a_multiple_of_the_largest_stride(stride: int, ring: int) -> None:
    other = Block("s0", 5, (0,), (1,))
    assert steady([RING, other], [reader(1), reader(stride)]) == [replace(RING, ring=ring), other]
    joined = replace(RING, key="t0", also=("t1",))  # another tensor's rows lie in the same ring
    assert steady([joined], [reader(stride)]) == [replace(joined, ring=ring)]


def test_others_stay() -> None:
    for block in (
        replace(RING, ring=0),
        replace(RING, ring=1),
        replace(RING, ring=8),
        replace(RING, key="t2"),
    ):
        assert steady([block], [reader(2)]) == [block]
    assert steady([RING], [reader(2, "row")]) == [RING]


def test_free_places_of_a_ring_let_others_in() -> None:
    """Four places of 8; rows in even ones live on, those in odd ones are dead when the other block lives: it may lie in an
    odd place, between two that it must not meet, and the two take no more than the ring alone."""
    born = tuple(10 * r for r in range(8))
    ring = Block("t1", 8, born, tuple(t + (25 if r % 2 == 0 else 2) for r, t in enumerate(born)), ring=4)
    other = Block("t2", 8, (15, 35, 55, 75), (18, 38, 58, 78), ring=1)
    assert forbidden(ring, other) == [(-8, 8), (8, 24)]
    packer = Packer([ring, other], 8)
    spots = packer.best([1 << 20])
    assert spots is not None and packer.sizes(spots, 1) == [32]
