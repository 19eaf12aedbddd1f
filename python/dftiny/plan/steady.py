"""Rings whose places keep their roles: as many places as a multiple of the stride with which their rows are read.

A window that goes on by two rows needs one row of the two longer than the other. In a ring of three places that row's
place wanders; in one of four it is always an even one, so that the odd ones are free at the same moments of every round and
other rings, scratch and sums lie there. A place more a ring, fewer bytes in all where several rings run side by side.
Tried where a plan would otherwise be too large. Called by segments and the planner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dftiny.plan.lanes import Lane
from dftiny.plan.pack import Block


def steady(blocks: Sequence[Block], lanes: Sequence[Lane]) -> list[Block]:
    """`blocks` with every ring that a lane reads by windows rounded up to the stride, unless that is all of its rows."""
    stride: dict[str, int] = {}
    for lane in lanes:
        for operand in lane.operands if lane.call is not None else ():
            if operand.need == "window":
                key = f"t{operand.tensor}"
                stride[key] = max(stride.get(key, 1), lane.window.stride)
    return [_rounded(b, max(stride.get(key, 1) for key in (b.key, *b.also))) for b in blocks]


def _rounded(b: Block, stride: int) -> Block:
    ring = -(-b.ring // stride) * stride
    return replace(b, ring=ring) if b.ring > 1 and ring < len(b.born) else b
