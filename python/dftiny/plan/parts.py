"""What a plan is cut into: cuts, and segments between them. Data only; used by segments, faster and the planner."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dftiny.plan.lanes import Lane
from dftiny.plan.stream import Event, stream
from dftiny.plan.weave import Pair

# As they are; with places that keep their roles (plan/steady); sharing their places (plan/phases).
Rings = Literal["plain", "steady", "phased"]


@dataclass(frozen=True)
class Cut:
    """In front of lane `position`; `woven`: two of the maps that lie there share their rows' room in turns."""

    position: int
    woven: bool = False


@dataclass(frozen=True)
class Segment:
    """Lanes first…end−1 run interleaved; `peak` bytes at most, `cost` extra instructions."""

    first: int
    end: int
    lanes: tuple[Lane, ...]
    events: tuple[Event, ...]
    peak: int
    cost: float
    reverse: bool = False
    woven: Pair | None = None  # of the tensors that cross its end
    rings: Rings = "plain"

    def turned(self) -> Segment:
        """The same segment from the last rows to the first, or the other way round."""
        turn = not self.reverse
        return replace(self, events=tuple(stream(self.lanes, reverse=turn)), reverse=turn)
