"""Rings that hand their rows on: an operator that writes in place over a row that nobody else reads again.

Row r of a residual's input becomes row r of the sum, which becomes row r of the next sum: each tensor has only a few
rows alive, and they lie next to each other in the same order of rows. As rings of their own each needs places for its
fullest moment; as one ring the chain needs places for all of them together at their fullest moment, which is less.
To kernels and the engine nothing changes: the tensors of a chain have the same offset and the same number of slots.
Called by segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dftiny.plan.pack import Block
from dftiny.plan.stream import slots_of


def relayed(blocks: Sequence[Block]) -> list[Block]:
    """`blocks` with one ring for each chain of rings; the others as they are, in the same order."""
    found = {b.key: b for b in blocks}
    on = {b.key: b.key for b in blocks}  # which block a block lies on by now
    for b in blocks:
        first = found.get(on.get(b.over or "", ""))
        joined = None if first is None else _joined(first, found[b.key])
        if joined is not None:
            del found[b.key]
            found[joined.key] = joined
            on |= dict.fromkeys((b.key, *b.also), joined.key)
    return list(found.values())


def _joined(a: Block, b: Block) -> Block | None:
    """One ring for both; None where row r of b does not take the place of row r of a in the event that reads it last,
    or where that takes as many places as two rings."""
    if not a.ring or not b.ring or a.row_bytes != b.row_bytes or a.dies != b.born:
        return None
    ring = slots_of(a.born, b.dies)
    if ring >= min(len(a.born), a.ring + b.ring):
        return None
    return replace(a, dies=b.dies, ring=ring, also=(*a.also, b.key, *b.also))
