"""Memory that the planner is lent and places in it, as plans name them. Imported from dftiny.plan."""

from __future__ import annotations

from dataclasses import dataclass


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
    """Tensor `tensor` in `region`: row r at offset + (r mod slots) · pitch. Alive in events first…last. `pitch` is more
    than `row_bytes` where its rows lie in turns with another tensor's (plan/weave)."""

    tensor: int
    region: str
    offset: int
    row_bytes: int
    slots: int
    first: int
    last: int
    pitch: int

    @property
    def bytes(self) -> int:
        """Bytes that it takes, without what lies between its rows."""
        return self.row_bytes * self.slots
