"""Rings that share their places, each beginning its round at another one (its phase). Called by segments and the planner.

A ring needs places for its fullest moment. Where convolutions with windows run one behind the other, each ring is full
in the events of one of them and has a place free in those of the others, but the free place wanders: row r takes the place
that row r - places had. In one ring of S places for several tensors, row r of each in place (r + phase) mod S, a row of
one tensor takes the place of a row of another that died just before. To kernels nothing changes; the engine adds the phase.

Which rows of two tensors live at one time depends, but for the first and last rounds, on the difference of their numbers alone.
So the differences that occur are those that places may not have: phases are found by trying, the fewest places first, and
rings are joined two groups at a time, those first that save most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dftiny.plan.pack import Block, Part

# What DFT_PHASED takes (dft_run.h): places and phases, bytes of a region, and regions.
MOST_PLACES, PHASED_BYTES, PHASED_REGIONS = 31, 2 << 20, 8
_MOST_TRIES = 3000
_ROW_ALIGN = 4


@dataclass(frozen=True)
class _Group:
    """Rings with their phases among `places`, each of which holds the longest of their rows."""

    rings: tuple[Block, ...]
    phases: tuple[int, ...]
    places: int

    @property
    def row_bytes(self) -> int:
        return max(b.row_bytes for b in self.rings)

    @property
    def nbytes(self) -> int:
        return self.places * self.row_bytes


def phased(blocks: Sequence[Block]) -> list[Block]:
    """`blocks` with one for each group of rings that take fewer bytes together, behind the others."""
    rings = [b for b in blocks if b.ring > 1]
    if len(rings) < 2:
        return list(blocks)
    search = _Search(rings)
    groups = search.groups()
    joined = [g for g in groups if len(g.rings) > 1]
    gone = {b.key for g in joined for b in g.rings}
    return [b for b in blocks if b.key not in gone] + [_block(g) for g in joined]


class _Search:
    """Which rows meet, and the best groups."""

    def __init__(self, rings: Sequence[Block]) -> None:
        self.rings = rings
        self._apart = {(a.key, b.key): _differences(a, b) for a in rings for b in rings}

    def groups(self) -> list[_Group]:
        """Two groups become one as long as that saves bytes, the pair that saves most first."""
        groups = [_Group((b,), (0,), b.places) for b in self.rings]
        known: dict[tuple[tuple[Block, ...], tuple[Block, ...]], _Group | None] = {}
        while True:
            best: tuple[int, int, int, _Group] | None = None
            for i, a in enumerate(groups):
                for j in range(i):
                    key = (groups[j].rings, a.rings)
                    if key not in known:
                        known[key] = self._together(groups[j], a)
                    found = known[key]
                    saved = 0 if found is None else a.nbytes + groups[j].nbytes - found.nbytes
                    if found is not None and saved > (best[0] if best else 0):
                        best = (saved, i, j, found)
            if best is None:
                return groups
            _, i, j, found = best
            groups = [g for k, g in enumerate(groups) if k not in (i, j)] + [found]

    def _together(self, a: _Group, b: _Group) -> _Group | None:
        """All of their rings in the fewest places, or None where that takes as many bytes as two groups."""
        rings = (*a.rings, *b.rings)
        longest = max(a.row_bytes, b.row_bytes)
        if (a.row_bytes - b.row_bytes) % _ROW_ALIGN:
            return None
        least = max(a.places, b.places, _most_alive(rings))
        most = min(MOST_PLACES, (a.nbytes + b.nbytes - 1) // longest)
        for places in range(least, most + 1):
            phases = self._phases(rings, places) if self._fit(rings, places) else None
            if phases is not None:
                return _Group(rings, phases, places)
        return None

    def _fit(self, rings: Sequence[Block], places: int) -> bool:
        """No ring meets itself, as rows that are computed far apart would."""
        return not any(d and d % places == 0 for b in rings for d in self._apart[b.key, b.key])

    def _phases(self, rings: Sequence[Block], places: int) -> tuple[int, ...] | None:
        """A phase for each ring so that no two living rows meet; None where none are found."""
        wrong = {
            (i, j): {d % places for d in self._apart[rings[i].key, rings[j].key]}
            for j in range(len(rings))
            for i in range(j)
        }
        phases, tries = [0], 0
        nxt = 0
        while len(phases) < len(rings):
            j, tries = len(phases), tries + 1
            fits = (
                c
                for c in range(nxt, places)
                if all((c - phases[i]) % places not in wrong[i, j] for i in range(j))
            )
            chosen = next(fits, None) if tries <= _MOST_TRIES else None
            if chosen is not None:
                phases.append(chosen)
                nxt = 0
                continue
            nxt = phases.pop() + 1
            if not phases or tries > _MOST_TRIES:
                return None
        return tuple(phases)


def _differences(a: Block, b: Block) -> set[int]:
    """x - y for all rows x of a and y of b that live at one time. A row of one that is written over the row of the
    other that it is made from does not meet it."""
    (born_a, dies_a), (born_b, dies_b) = a.times, b.times
    meets = (born_b <= dies_a[:, None]) & (born_a[:, None] <= dies_b)
    meets &= ~_handed_on(a, b) & ~_handed_on(b, a).T
    x, y = np.nonzero(meets)
    return set((x - y).tolist())


def _handed_on(a: Block, b: Block) -> np.ndarray:
    """Row r of a and row r of b, where the event that writes the second is the last that reads the first and may write
    over it. Rows end where their place does: one that is longer begins lower."""
    names = (a.key, *a.also)
    longer = b.row_bytes - a.row_bytes
    may = (b.over in names and longer == 0) or (b.grown in names and longer >= 0)
    found: np.ndarray = np.eye(len(a.born), len(b.born), dtype=np.bool_) & may
    found &= a.times[1][:, None] == b.times[0]
    return found


def _most_alive(rings: Sequence[Block]) -> int:
    """Most rows that live at one time, those that are handed on until the event before."""
    end = max(b.last for b in rings) + 3
    change = np.zeros(end, np.int64)
    for a in rings:
        born, ends = a.times
        given = [_handed_on(a, b).any(axis=1) for b in rings if b.over or b.grown]
        ends = ends - np.any(given, axis=0) if given else ends
        made = born <= ends
        np.add.at(change, born[made] + 1, 1)
        np.add.at(change, ends[made] + 2, -1)
    return int(change.cumsum().max())


def _block(group: _Group) -> Block:
    """The rings of a group as one block. A row that is handed on gives its place away with the event that does so."""
    rings, phases, row_bytes = group.rings, group.phases, group.row_bytes
    born: list[int] = []
    dies: list[int] = []
    where: list[int] = []
    for a, phase in zip(rings, phases, strict=True):
        same = [b for b, other in zip(rings, phases, strict=True) if b is not a and other == phase]
        given = sum((_handed_on(a, b).any(axis=1) for b in same), np.zeros(len(a.born), np.int64))
        born += a.born
        dies += (a.times[1] - given).tolist()
        where += [(r + phase) % group.places for r in range(len(a.born))]
    parts = tuple(
        Part((b.key, *b.also), b.row_bytes, phase, row_bytes - b.row_bytes)
        for b, phase in zip(rings, phases, strict=True)
    )
    key = "+".join(b.key for b in rings)
    return Block(key, row_bytes, tuple(born), tuple(dies), ring=group.places, parts=parts, where=tuple(where))
