"""Blocks of memory with row-wise lives → offsets. Pure; called by the planner.

Two blocks may share bytes as long as no two of their rows that are alive together do. For each pair that gives the
displacements that are forbidden, as open intervals; placing is then greedy: one block after the other at the
lowest offset that no placed block forbids, in several orders, of which the smallest result is kept (after
Pisarchyk & Lee 2020, "Efficient memory management for deep neural net inference", section 5, whose blocks
live and die whole). schedule_check.py judges the result with code of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

Interval = tuple[int, int]
Spot = tuple[int, int]  # (region number, offset)
TRIES, MORE_TRIES = 300, 1500
_Found = tuple[tuple[int, int], list[int], list[Spot]]  # (regions, bytes), order, places


@dataclass(frozen=True)
class Part:
    """A ring in a block that several share: row r of the tensors `keys` lies in place (r + phase) mod the block's places,
    and takes `row_bytes` of it, from byte `skip` on."""

    keys: tuple[str, ...]
    row_bytes: int
    phase: int
    skip: int


@dataclass(frozen=True)
class Block:
    """`len(born)` rows of `row_bytes`, row r alive in events born[r]…dies[r], both included. `over`: the block that
    this one may overwrite row by row in the event that reads it, exactly in place or lower (an elementwise
    operator's operand). `grown`: likewise, but its rows are longer, and the other's lie at their ends (plan/phases). `ring`: row r lies in place r mod ring; 0 is a place for each row. `also`: keys of blocks that
    lie on it, row on row (plan/relay). `parts`: rings that share its places (plan/phases), whose rows are its rows, one ring
    behind the other; `where` is then the place of each of them."""

    key: str
    row_bytes: int
    born: tuple[int, ...]
    dies: tuple[int, ...]
    over: str | None = None
    ring: int = 0
    also: tuple[str, ...] = ()
    grown: str | None = None
    parts: tuple[Part, ...] = ()
    where: tuple[int, ...] = ()

    @cached_property
    def places(self) -> int:
        """How many rows of memory it has."""
        return self.ring or len(self.born)

    @cached_property
    def nbytes(self) -> int:
        """Size."""
        return self.places * self.row_bytes

    @cached_property
    def times(self) -> tuple[np.ndarray, np.ndarray]:
        """`born` and `dies` as arrays int64[n]."""
        return np.array(self.born, np.int64), np.array(self.dies, np.int64)

    @cached_property
    def first(self) -> int:
        """The first event of any row."""
        return min(self.born)

    @cached_property
    def last(self) -> int:
        """The last event of any row."""
        return max(self.dies)


def rectangle(key: str, nbytes: int, first: int, last: int) -> Block:
    """A block that lives and dies whole."""
    return Block(key, nbytes, (first,), (last,))


def forbidden(a: Block, b: Block) -> list[Interval]:
    """Open intervals of offset(b) − offset(a) that put two living rows on one byte."""
    if not a.nbytes or not b.nbytes or a.last < b.first or b.last < a.first:
        return []
    if _alike(a, b):
        if b.over == a.key:
            return _in_place(a, b)
        if a.over == b.key:
            return [(-hi, -lo) for lo, hi in _in_place(b, a)]
    return _merged(_conflicts(a, b, strict=False))


def _alike(a: Block, b: Block) -> bool:
    """As many rows, row r of both in the same place; in rings the rows are also as long."""
    if len(a.born) != len(b.born) or a.places != b.places:
        return False
    return a.row_bytes == b.row_bytes or not (a.ring or b.ring)


def _conflicts(a: Block, b: Block, *, strict: bool) -> list[Interval]:
    """Intervals place by place, one for each run of places of b that meet one of a.

    `strict`: a row of b born in the very event that a row of a dies does not meet it.
    """
    (born_a, dies_a), (born_b, dies_b) = a.times, b.times
    born_a, dies_a = born_a[:, None], dies_a[:, None]
    meets = _by_place((born_b <= dies_a - int(strict)) & (born_a <= dies_b), a, b)
    edges = np.zeros((a.places, b.places + 2), np.int8)
    edges[:, 1:-1] = meets
    edges = np.diff(edges, axis=1)
    rows, first = np.nonzero(edges > 0)
    _, behind = np.nonzero(edges < 0)
    low, high = rows * a.row_bytes - behind * b.row_bytes, (rows + 1) * a.row_bytes - first * b.row_bytes
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _by_place(meets: np.ndarray, a: Block, b: Block) -> np.ndarray:
    """Rows and columns of a ring, one for each place."""
    rows, columns = meets.shape
    high, wide = a.places, b.places
    if a.where or b.where:
        found = np.zeros((high, wide), np.bool_)
        i, j = np.nonzero(meets)
        found[_places(a)[i], _places(b)[j]] = True
        return found
    if (rows, columns) == (high, wide):
        return meets
    turns = -(-rows // high), -(-columns // wide)
    padded = np.zeros((turns[0] * high, turns[1] * wide), np.bool_)
    padded[:rows, :columns] = meets
    met: np.ndarray = padded.reshape(turns[0], high, turns[1], wide).any(axis=(0, 2))
    return met


def _places(b: Block) -> np.ndarray:
    """The place of each row."""
    return np.array(b.where, np.int64) if b.where else np.arange(len(b.born)) % b.places


def _in_place(a: Block, b: Block) -> list[Interval]:
    """b is computed from a element by element, in order: what an event writes may lie on what it reads, or lower, but
    in a ring not lower, because the row behind the last place is the first."""
    higher: list[Interval] = []
    for event in set(a.dies) & set(b.born):
        i = [r % a.places for r, time in enumerate(a.dies) if time == event]
        j = [r % b.places for r, time in enumerate(b.born) if time == event]
        low, high = (
            min(i) * a.row_bytes - (max(j) + 1) * b.row_bytes,
            (max(i) + 1) * a.row_bytes - min(j) * b.row_bytes,
        )
        higher += [(max(low, 0), high), (low, 0)] if a.ring else [(max(low, 0), high)]
    return _merged([*_conflicts(a, b, strict=True), *higher])


def _merged(intervals: list[Interval]) -> list[Interval]:
    out: list[Interval] = []
    for low, high in sorted(i for i in intervals if i[0] < i[1]):
        if out and low < out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return out


class Packer:
    """Places blocks; remembers which pairs forbid what."""

    def __init__(self, blocks: Sequence[Block], align: int) -> None:
        self.blocks = list(blocks)
        self.align = align
        self._rules: list[list[tuple[int, int, int]]] = [[] for _ in blocks]
        first = np.array([b.first for b in self.blocks], np.int64)
        last = np.array([b.last for b in self.blocks], np.int64)
        for i, a in enumerate(self.blocks):
            together = (first[:i] <= a.last) & (last[:i] >= a.first)
            for j in np.flatnonzero(together).tolist():
                for lo, hi in forbidden(self.blocks[j], a):
                    self._rules[i].append((j, lo, hi))
                    self._rules[j].append((i, -hi, -lo))

    def place(
        self, order: Sequence[int], rooms: Sequence[int], known: Sequence[Spot] = (), kept: int = 0
    ) -> list[Spot] | None:
        """Greedy in the given order into regions of `rooms` bytes; None when a block fits nowhere. The first `kept` blocks
        of the order lie where `known` has them."""
        at = [[-1] * len(self.blocks) for _ in rooms]
        for i in order[:kept]:
            at[known[i][0]][i] = known[i][1]
        for i in order[kept:]:
            nbytes, rules = self.blocks[i].nbytes, self._rules[i]
            for there, room in zip(at, rooms, strict=True):
                offset = self._lowest(rules, there)
                if offset + nbytes <= room:
                    there[i] = offset
                    break
            else:
                return None
        return [next((r, o[i]) for r, o in enumerate(at) if o[i] >= 0) for i in range(len(self.blocks))]

    def _lowest(self, rules: Sequence[tuple[int, int, int]], at: Sequence[int]) -> int:
        offset = 0
        for low, high in sorted([(at[j] + lo, at[j] + hi) for j, lo, hi in rules if at[j] >= 0]):
            if low < offset < high:
                offset = -(-high // self.align) * self.align
        return offset

    def sizes(self, spots: Sequence[Spot], regions: int) -> list[int]:
        """Bytes used by region."""
        ends = [0] * regions
        for block, (region, offset) in zip(self.blocks, spots, strict=True):
            ends[region] = max(ends[region], offset + block.nbytes)
        return ends

    def best(
        self, rooms: Sequence[int], *, tries: int = TRIES, more: int = 0, wanted: int = 0
    ) -> list[Spot] | None:
        """The smallest plan found: few regions first, then few bytes; None when none fits. Repeatable.

        Starts from a few orders, then moves blocks that end at the top to the front, `tries` times. As long as there are
        more than `wanted` bytes it does so `more` times from each of the orders.
        """
        started = self._started(rooms)
        if not started:
            return None
        found = self._improved(min(started, key=lambda f: f[0]), rooms, tries, self.floor())
        for one in started if more else ():
            if found[0][1] <= wanted:
                break
            found = min(found, self._improved(one, rooms, more, wanted), key=lambda f: f[0])
        return found[2]

    def _improved(self, found: _Found, rooms: Sequence[int], tries: int, wanted: int) -> _Found:
        size, order, spots = found
        dice = random.Random(0)
        for _ in range(tries):
            if size[1] <= wanted:
                break
            changed, kept = self._varied(order, spots, dice)
            # What takes more is of no use: the first block that reaches higher ends the attempt.
            space = rooms if size[0] > 1 else [size[1] if r == spots[0][0] else 0 for r in range(len(rooms))]
            placed = self.place(changed, space, spots, kept)
            if placed is not None and (now := self._size(placed, rooms)) <= size:
                size, order, spots = now, changed, placed
        return size, order, spots

    def _started(self, rooms: Sequence[int]) -> list[_Found]:
        tried = [(order, self.place(order, rooms)) for order in self._orders()]
        return [(self._size(spots, rooms), order, spots) for order, spots in tried if spots is not None]

    def _size(self, spots: Sequence[Spot], rooms: Sequence[int]) -> tuple[int, int]:
        used = self.sizes(spots, len(rooms))
        return sum(n > 0 for n in used), sum(used)

    def _varied(
        self, order: Sequence[int], spots: Sequence[Spot], dice: random.Random
    ) -> tuple[list[int], int]:
        """One of the blocks that reach highest, or any block, goes somewhere further to the front. Also, how many blocks
        stay before it."""
        ends = [spot[1] + block.nbytes for block, spot in zip(self.blocks, spots, strict=True)]
        top = max(ends)
        high = [i for i, end in enumerate(ends) if end > top * 0.97]
        changed, kept = list(order), len(order)
        for _ in range(dice.choice((1, 1, 2))):
            i = dice.choice(high) if dice.random() < 0.7 else dice.choice(changed)
            at = changed.index(i)
            to = dice.randrange(at + 1)
            changed.insert(to, changed.pop(at))
            kept = min(kept, to)
        return changed, kept

    def floor(self) -> int:
        """Most bytes of rows alive in one event: no placement can need less."""
        return live_bytes(self.blocks)[0]

    def _orders(self) -> list[list[int]]:
        alive, start = _alive(self.blocks)

        def crowd(block: Block) -> int:
            """Most bytes alive at any time while the block is."""
            return int(alive[block.first - start : block.last + 1 - start].max())

        keys: list[Callable[[Block], tuple[int, ...]]] = [
            lambda b: (-b.nbytes, b.first),
            lambda b: (-b.nbytes, -b.first),
            lambda b: (-b.nbytes * (b.last - b.first + 1), b.first),
            lambda b: (b.first, -b.nbytes),
            lambda b: (-b.last, -b.nbytes),
            lambda b: (-crowd(b), -b.nbytes),
            lambda b: (-crowd(b), b.first),
        ]
        numbers = range(len(self.blocks))
        return [sorted(numbers, key=lambda i, k=key: (k(self.blocks[i]), i)) for key in keys]  # type: ignore[misc]


def live_bytes(blocks: Sequence[Block]) -> tuple[int, int]:
    """(most bytes of rows alive in one event, that event): no placement of this schedule can need less. A row that
    may be overwritten in the event that reads it last is not alive in that event."""
    if not blocks:
        return 0, 0
    alive, start = _alive(blocks)
    at = int(alive.argmax())
    return int(alive[at]), at + start


def _alive(blocks: Sequence[Block]) -> tuple[np.ndarray, int]:
    """Bytes of rows alive in each event, and which event the first of these is."""
    ends = _ends(blocks)
    born = np.array([t for b in blocks for t in b.born], np.int64)
    dies = np.array([t for b in blocks for t in ends[b.key]], np.int64)
    size = np.repeat([b.row_bytes for b in blocks], [len(b.born) for b in blocks])
    first, last = min(b.first for b in blocks), max(b.last for b in blocks)
    made = born <= dies  # rows that nobody makes are born behind the last event
    change = np.bincount(born[made] - first, size[made], last - first + 2)
    change -= np.bincount(dies[made] + 1 - first, size[made], len(change))
    return change.cumsum(), first


def _ends(blocks: Sequence[Block]) -> dict[str, tuple[int, ...]]:
    """When the rows of each block die, one event earlier where another block takes their bytes over."""
    ends = {b.key: b.dies for b in blocks}
    named = {b.key: b for b in blocks}
    for b in blocks:
        a = named.get(b.over or "")
        if a is not None and _alike(a, b):
            taken = set(b.born)
            ends[a.key] = tuple(max(t - (t in taken), x) for t, x in zip(a.dies, a.born, strict=True))
    return ends
