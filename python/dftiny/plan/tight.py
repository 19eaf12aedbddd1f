"""Which blocks of a packed plan lie in memory without wait states. Pure; called by the planner once it has a plan.

A plan that fits there wholly goes there as it is. Of a larger one its blocks that are touched most often for their size
go (widened activations, rings, sums), as many as leave the bytes of all regions together what they were: the others
must then do with so much less. What an event computes does not change, so neither do instructions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from dftiny.plan.lanes import Lane
from dftiny.plan.pack import Block, Packer, Spot, live_bytes
from dftiny.plan.stream import Event

NAME = "tight_memory"  # what `--without` calls it
_ALIGN = 32  # of the bytes that a region lends
_LEAST = 0.1  # of all bytes that are touched: for less nobody should have to lend a second region
_CROWD = 6  # blocks at the peak of which some are moved, in every combination
KEPT_BYTES = 4096  # that one region lends at least, undivided: the self-test runs its layers there (vectors)
_TRIED = 3  # of the choices, packed in earnest
_SPARE = 1 << 16  # bytes that packing may start with too many
_TRIES = 100  # of packing each half


def tightened(
    packer: Packer, spots: Sequence[Spot], ends: Sequence[int], room: int, touches: Mapping[str, int]
) -> list[Spot]:
    """`spots` of the blocks of `packer` with region 0 of `room` bytes put before the regions, of which `ends` bytes are
    used; `touches`: bytes of each block, by key, that are read and written in one inference. Region 0 stays empty where
    nothing can go there for nothing."""
    stays = [(region + 1, offset) for region, offset in spots]
    if sum(n > 0 for n in ends) != 1:
        return stays  # too large for one region: every byte counts
    total = sum(ends)
    if total <= room:
        return [(0, offset) for _, offset in spots]
    used = next(r for r, n in enumerate(ends) if n)
    for hot, size in _splits(packer.blocks, total, room, touches):
        found = _packed(packer, hot, size, _up(total) - size)
        if found is not None:
            return [(0, offset) if tight else (used + 1, offset) for tight, offset in found]
    return stays


def touched_bytes(lanes: Iterable[Lane], events: Sequence[Event], blocks: Sequence[Block]) -> dict[str, int]:
    """Bytes read and written of every block in one inference, by key: an estimate that only ranks them."""
    times: dict[int, int] = {}
    for event in events:
        times[event.lane] = times.get(event.lane, 0) + 1
    found: dict[str, int] = {}

    def touch(key: str, nbytes: int) -> None:
        found[key] = found.get(key, 0) + nbytes

    for lane in lanes:
        touch(f"t{lane.writes}", lane.shape.nbytes)
        for operand in lane.operands:
            again = lane.window.kernel / lane.window.stride if operand.need == "window" else 1.0
            touch(f"t{operand.tensor}", int(operand.shape.nbytes * again))
        # Both are written and read in every event.
        touch(f"s{lane.index}", 2 * lane.scratch_bytes * times.get(lane.index, 1))
        touch(f"a{lane.index}", 2 * lane.aux_bytes * times.get(lane.index, 1))
    return {b.key: sum(found.get(key, 0) for key in (*b.key.split("+"), *b.also)) for b in blocks}


def _splits(
    blocks: Sequence[Block], total: int, room: int, touches: Mapping[str, int]
) -> list[tuple[frozenset[str], int]]:
    """What may go, as (keys, bytes), those with most touches first. Where all memory is taken, what goes must be exactly
    as large as what it makes room for: some of the blocks alive then, all of them at that size, decide the size."""
    time, least = live_bytes(blocks)[1], _LEAST * sum(touches.values())
    first, last = min(b.first for b in blocks), max(b.last for b in blocks)
    alive = {b.key: _alive(b, first, last) for b in blocks}
    ranked = sorted(blocks, key=lambda b: (-touches[b.key] / max(b.nbytes, 1), b.key))
    crowd = [b for b in ranked if alive[b.key][time - first]][:_CROWD]
    found = []
    for n in range(1, len(crowd) + 1):
        for seeds in combinations(crowd, n):
            size = _up(sum(b.nbytes for b in seeds))
            if size <= min(room, total) and max(size, total - size) >= KEPT_BYTES:
                hot = _filled(seeds, ranked, alive, size)
                rest = [_alone(b, hot, wanted=False) for b in blocks if b.key not in hot]
                gained = sum(touches[key] for key in hot)
                if gained >= least and live_bytes(rest)[0] <= _up(total) - size:
                    found.append((hot, size))
    found.sort(key=lambda f: (-sum(touches[key] for key in f[0]), f[1]))
    return found[:_TRIED]


def _filled(
    seeds: Sequence[Block], ranked: Sequence[Block], alive: Mapping[str, np.ndarray], size: int
) -> frozenset[str]:
    """Keys of `seeds`, and of those behind them that leave no more than `size` bytes alive at any time."""
    taken = np.zeros_like(next(iter(alive.values())))
    hot: set[str] = set()
    for b in (*seeds, *ranked):
        if b.key not in hot and b.nbytes <= size and int((taken + alive[b.key]).max()) <= size:
            taken += alive[b.key]
            hot.add(b.key)
    return frozenset(hot)


def _packed(packer: Packer, hot: frozenset[str], size: int, rest: int) -> list[tuple[bool, int]] | None:
    """(is hot, offset) of every block, hot ones in `size` bytes, the others in `rest`; None when that cannot be."""
    places: dict[str, int] = {}
    for wanted, room in ((True, size), (False, rest)):
        mine = [_alone(b, hot, wanted) for b in packer.blocks if (b.key in hot) == wanted]
        half = Packer(mine, packer.align)
        found = half.best([room + _SPARE], tries=_TRIES, wanted=room)
        if found is None or half.sizes(found, 1)[0] > room:
            return None
        places |= {b.key: offset for b, (_, offset) in zip(mine, found, strict=True)}
    return [(b.key in hot, places[b.key]) for b in packer.blocks]


def _alone(block: Block, hot: frozenset[str], wanted: bool) -> Block:
    """`block` without the one that it may overwrite, where that lies in the other region."""
    return block if block.over is None or (block.over in hot) == wanted else replace(block, over=None)


def _alive(block: Block, first: int, last: int) -> np.ndarray:
    """Bytes of `block` alive in events first…last."""
    change = np.zeros(last - first + 2, np.int64)
    np.add.at(change, np.array(block.born) - first, block.row_bytes)
    np.add.at(change, np.array(block.dies) - first + 1, -block.row_bytes)
    alive: np.ndarray = change.cumsum()[:-1]
    return alive


def _up(nbytes: int) -> int:
    return -(-nbytes // _ALIGN) * _ALIGN
