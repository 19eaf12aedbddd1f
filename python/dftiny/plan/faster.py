"""Faster lanes where a segment has memory left: a cut gives all lanes of a segment the same choice, as lean as its fullest
moment demands, but most lanes are far from that moment. Called by the planner's search for cuts (segments).

Lane by lane, the one that would save most instructions first, a cheaper choice is taken if the segment still stays
within what the largest segment takes, so that the plan as a whole needs no more than before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from dftiny.plan.lanes import Lane
from dftiny.plan.parts import Cut, Segment

_LEAST_SAVED = 200.0  # instructions that are worth a try
_FULL = 0.999  # of the largest segment: blocks of several segments must be packed together afterwards


class Making(Protocol):
    """What the search for cuts offers: other choices for a lane with their instructions, and a segment of given lanes
    within a limit."""

    def choices(self, index: int, segment: Segment) -> Iterator[tuple[float, Lane]]: ...

    def made_of(
        self, first: Cut, end: Cut, lanes: tuple[Lane, ...], cost: float, limit: int
    ) -> Segment | None: ...


def faster(making: Making, segments: Sequence[Segment]) -> list[Segment]:
    """`segments` with faster lanes; none takes more bytes than the largest did."""
    limit = int(max(s.peak for s in segments) * _FULL)
    out: list[Segment] = []
    for s in segments:
        woven = bool(out) and out[-1].woven is not None
        first, end = Cut(s.first, woven), Cut(s.end, s.woven is not None)
        out.append(_faster(making, first, end, s, max(limit, s.peak)) if len(s.lanes) > 1 else s)
    return out


def _faster(making: Making, first: Cut, end: Cut, segment: Segment, limit: int) -> Segment:
    better = [
        (saved, lane)
        for index in range(segment.first, segment.end)
        for saved, lane in making.choices(index, segment)
        if saved >= _LEAST_SAVED
    ]
    done: set[int] = set()
    for saved, lane in sorted(better, key=lambda b: -b[0]):
        if lane.index in done:
            continue
        lanes = tuple(lane if one.index == lane.index else one for one in segment.lanes)
        found = making.made_of(first, end, lanes, segment.cost - saved, limit)
        if found is not None:
            segment = replace(found, woven=segment.woven)
            done.add(lane.index)
    return segment
