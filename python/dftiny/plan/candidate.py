"""A segment that may be chosen: how many bytes its blocks take, as far as anybody asked. Made by segments.

Packing takes long, so that it is tried only where the bytes alive leave hope, and longer only where a result is near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from dftiny.plan.lanes import Lane
from dftiny.plan.pack import Block, Packer, live_bytes
from dftiny.plan.parts import Rings, Segment
from dftiny.plan.rings import with_rings
from dftiny.plan.stream import Event
from dftiny.plan.weave import Pair

ALIGN = 8
_MORE_TRIES, _HARD_TRIES, _ALMOST = 60, 300, 1.15
_MOST_TRIES, _NEARLY = 1200, 1.04
_LOOSE = 1.10


@dataclass(frozen=True, eq=False)
class Candidate:
    """A segment of which it is not known yet how well its blocks can be packed, but at least `floor` bytes."""

    first: int
    end: int
    lanes: tuple[Lane, ...]
    events: tuple[Event, ...]
    blocks: Sequence[Block]
    kept: int
    cost: float
    woven: Pair | None
    found: dict[tuple[int, Rings], int] = field(default_factory=dict)  # (tries, kind of rings) → bytes

    @cached_property
    def floor(self) -> int:
        """Most bytes alive at once."""
        return live_bytes(self.blocks)[0] + self.kept

    @cached_property
    def _packer(self) -> Packer:
        return Packer(self.blocks, ALIGN)

    @cached_property
    def _steady(self) -> Packer | None:
        """With rings whose places keep their roles (plan/steady); None where they do anyway."""
        return self._with_rings("steady")

    @cached_property
    def _phased(self) -> Packer | None:
        """With rings that share their places (plan/phases); None where none do."""
        return self._with_rings("phased")

    def _with_rings(self, rings: Rings) -> Packer | None:
        blocks = with_rings(self.blocks, self.lanes, rings)
        return Packer(blocks, ALIGN) if blocks != list(self.blocks) else None

    def _bytes(self, tries: int, pressed: int) -> int:
        """The fewest bytes found with this many tries or any number that was tried before. Where that is far above the bytes
        alive and memory is `pressed`, rings become steady as well, and share their places where it is pressed hard."""
        self._try(self._packer, (tries, "plain"))
        if pressed > 1:
            self._try(self._phased, (tries, "phased"))
        if pressed and tries and min(self.found.values()) > self.floor * _LOOSE:
            self._try(self._steady, (tries, "steady"))
        return min(self.found.values())

    def _try(self, packer: Packer | None, key: tuple[int, Rings]) -> None:
        if packer is not None and key not in self.found:
            spots = packer.best([1 << 40], tries=key[0])
            assert spots is not None
            self.found[key] = packer.sizes(spots, 1)[0] + self.kept

    def least(self, enough: int, limit: int, *, pressed: int) -> int:
        """The fewest bytes that it is packed into, tried only as long as that is more than `enough` and may become
        less than `limit`; some number that is no less than `limit` otherwise."""
        if self.floor >= limit:
            return limit
        found = self._bytes(0, pressed)
        for tries in (_MORE_TRIES, _HARD_TRIES) if pressed > 1 else (_MORE_TRIES,):
            if enough < found <= limit * _ALMOST:
                found = self._bytes(tries, pressed)
        return found

    def within(self, limit: int, *, pressed: int) -> Segment | None:
        """Packed into `limit` bytes; None where that is not managed. Blocks that almost fit are tried longer, and much longer
        where memory is `pressed`."""
        if self.floor > limit:
            return None
        # What was tried once counts whatever limit is asked for later, or smallest_peak() would promise too much.
        stages = ((0, _ALMOST), (_MORE_TRIES, _ALMOST), (_MOST_TRIES, _NEARLY))
        for tries, near in stages if pressed else stages[:2]:
            if self.found and min(self.found.values()) > limit * near:
                break
            if self._bytes(tries, pressed) <= limit:
                return self._segment()
        return None

    def _segment(self) -> Segment:
        """As it is packed best."""
        (_, rings), peak = min(self.found.items(), key=lambda f: f[1])
        return Segment(
            self.first,
            self.end,
            self.lanes,
            self.events,
            peak,
            self.cost,
            woven=self.woven,
            rings=rings,
        )
