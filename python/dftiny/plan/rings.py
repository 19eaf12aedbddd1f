"""The rings of a segment as its cutting wants them: one step behind blocks_of. Called by candidate and the planner."""

from __future__ import annotations

from collections.abc import Sequence

from dftiny.plan.lanes import Lane
from dftiny.plan.pack import Block
from dftiny.plan.parts import Rings
from dftiny.plan.phases import phased
from dftiny.plan.steady import steady


def with_rings(blocks: Sequence[Block], lanes: Sequence[Lane], rings: Rings) -> list[Block]:
    """`blocks` of these lanes with rings of that kind."""
    if rings == "steady":
        return steady(blocks, lanes)
    return phased(blocks) if rings == "phased" else list(blocks)
