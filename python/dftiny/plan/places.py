"""Where blocks and the tensors in them lie: regions, places, and a tensor's rows. Called by the planner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dftiny.graph import Graph
from dftiny.plan.lanes import shape_of
from dftiny.plan.pack import Block
from dftiny.plan.weave import Pair, key_of


@dataclass(frozen=True)
class RegionSpec:
    """Memory that may hold activations; `align` is a power of two. `tight`: it has no wait states, and takes what
    gains most by that once there is a plan for the others (plan/tight)."""

    name: str
    bytes: int
    align: int = 32
    tight: bool = False


@dataclass(frozen=True)
class Spot:
    """A place in a region."""

    region: str
    offset: int


@dataclass(frozen=True)
class Placement:
    """Tensor `tensor` in `region`: row r at offset + ((r + phase) mod slots) · pitch. Alive in events first…last. `pitch` is
    more than `row_bytes` where its rows lie in turns with another tensor's (plan/weave), or in the places of a ring that
    holds longer ones as well (plan/phases)."""

    tensor: int
    region: str
    offset: int
    row_bytes: int
    slots: int
    first: int
    last: int
    pitch: int
    phase: int = 0

    @property
    def bytes(self) -> int:
        """Bytes that it takes, without what lies between its rows."""
        return self.row_bytes * self.slots


def placements(
    graph: Graph, blocks: Sequence[Block], pairs: Sequence[Pair], at: Mapping[str, Spot]
) -> dict[int, Placement]:
    """Where each tensor that has memory of its own lies. `pairs`: maps whose rows lie in turns."""
    found: dict[int, Placement] = {}
    woven = {key_of(pair): pair for pair in pairs}
    for block in blocks:
        if block.parts:
            found |= _parts(block, at[block.key])
        elif block.key in woven:
            found |= _woven(graph, block, woven[block.key], at[block.key])
        elif block.key.startswith("t"):
            found |= {
                int(key[1:]): _of(block, int(key[1:]), at[block.key]) for key in (block.key, *block.also)
            }
    return found


def _of(block: Block, tensor: int, spot: Spot) -> Placement:
    size, slots = block.row_bytes, block.places
    return Placement(tensor, spot.region, spot.offset, size, slots, block.first, block.last, size)


def _woven(graph: Graph, block: Block, pair: Pair, spot: Spot) -> dict[int, Placement]:
    """Two maps whose rows lie in turns."""
    found, offset = {}, spot.offset
    for t in pair:
        row_bytes = shape_of(graph.tensors[t]).row_bytes
        found[t] = replace(_of(block, t, spot), offset=offset, row_bytes=row_bytes)
        offset += row_bytes
    return found


def _parts(block: Block, spot: Spot) -> dict[int, Placement]:
    """The tensors of rings that share their places."""
    return {
        int(key[1:]): replace(
            _of(block, int(key[1:]), spot),
            offset=spot.offset + part.skip,
            row_bytes=part.row_bytes,
            phase=part.phase,
        )
        for part in block.parts
        for key in part.keys
    }
