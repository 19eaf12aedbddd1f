"""Two maps whose rows lie in turns: row r of both in one record, so that both follow the rows that die for them.

An operator's input dies row by row; its output may follow it through the same memory. Where two outputs are made
of one dying input and both must lie whole, one behind the other, the second finds its first rows still occupied.
As records of one row of each they follow it together. To kernels nothing changes: they see rows, and the engine
finds these by a distance that need not be their length. Called by segments and the planner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dftiny.plan.lanes import Lane, Shape
from dftiny.plan.pack import Block

Pair = tuple[int, int]


def key_of(pair: Pair) -> str:
    """The name of their block."""
    return f"t{pair[0]}+t{pair[1]}"


def pair_of(maps: Mapping[int, Shape]) -> Pair | None:
    """The two largest maps of equal height, or None."""
    by_size = sorted((t for t, s in maps.items() if s.rows > 1), key=lambda t: (-maps[t].nbytes, t))
    for i, a in enumerate(by_size):
        for b in by_size[i + 1 :]:
            if maps[a].rows == maps[b].rows:
                return a, b
    return None


def may_weave(pair: Pair, lanes: Sequence[Lane], through: frozenset[int]) -> bool:
    """Do these lanes take both tensors row by row, as they were made? `through`: tensors that only pass by."""
    if any(t in through for t in pair):
        return False
    for lane in lanes:
        recast = any(o.tensor in pair and (o.recast or o.shape.rows == 1) for o in lane.operands)
        touches = lane.writes in pair or any(t in pair for t in lane.step.reads)
        if touches and (recast or lane.flat or lane.call is None):
            return False
    return True


def woven(blocks: Iterable[Block], pairs: Iterable[Pair]) -> list[Block]:
    """`blocks` with one block a pair instead of two: a record lives while one of its rows does."""
    found = {b.key: b for b in blocks}
    for pair in pairs:
        a, b = (found[f"t{t}"] for t in pair)
        assert not a.ring and not b.ring and len(a.born) == len(b.born), "maps that cross a cut lie whole"
        born = tuple(map(min, a.born, b.born))
        dies = tuple(map(max, a.dies, b.dies))
        del found[a.key], found[b.key]
        found[key_of(pair)] = Block(key_of(pair), a.row_bytes + b.row_bytes, born, dies)
    return list(found.values())
