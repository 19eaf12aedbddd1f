"""The running verdict, the numpy twin of firmware/src/verdict.c: the same integers, the same answers.

Called by detect on the host engine, and by fit.py for many photographs at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dftiny.verdict.model import FAKE, NONE, REAL, UNDECIDED, VerdictModel

_LOW, _HIGH = -(2**31), 2**31 - 1
_SEEN_MAX = 2**32 - 1


def judge(model: VerdictModel, tiles: int, seen: int, evidence: int) -> int:
    """NONE, REAL, FAKE or UNDECIDED for the sum `evidence` of `seen` tiles of a photograph that has `tiles`."""
    if seen == 0:
        return NONE
    if seen >= min(tiles, model.tiles_max):
        at = min(seen, model.tiles_max) - 1
        if evidence >= model.last_real[at]:
            return REAL
        return FAKE if evidence <= model.last_fake[at] else UNDECIDED
    at = seen - 1
    if evidence >= model.real_from[at]:
        return REAL
    if evidence <= model.fake_to[at]:
        return FAKE
    return UNDECIDED if model.between_from[at] <= evidence <= model.between_to[at] else NONE


@dataclass(frozen=True)
class Running:
    """The state of one photograph; `decision` is kept once it is not NONE. Made by `begin`, moved on by `add`."""

    model: VerdictModel
    tiles: int
    seen: int
    evidence: int
    decision: int

    def add(self, output: int) -> Running:
        """One more tile, by the network's int8 output."""
        if self.decision != NONE:
            return self
        total = self.evidence + int(self.model.evidence[output + 128])
        total = min(max(total, _LOW), _HIGH)
        seen = min(self.seen + 1, _SEEN_MAX)
        return Running(self.model, self.tiles, seen, total, judge(self.model, self.tiles, seen, total))


def begin(model: VerdictModel, tiles: int, seen: int = 0, evidence: int = 0) -> Running:
    """A photograph of `tiles` tiles, of which `seen` gave `evidence` already."""
    return Running(model, tiles, seen, evidence, judge(model, tiles, seen, evidence))


@dataclass(frozen=True)
class Outcome:
    """How a photograph ended: decision, tiles it took, sum of their evidence."""

    decision: int
    seen: int
    evidence: int


def follow(model: VerdictModel, outputs: NDArray[np.int8], tiles: int | None = None) -> Outcome:
    """Show int8 outputs [n] one after the other until the verdict stops; `tiles` (default n) is what was promised."""
    state = begin(model, len(outputs) if tiles is None else tiles)
    for output in outputs.tolist():
        if state.decision != NONE:
            break
        state = state.add(output)
    return Outcome(state.decision, state.seen, state.evidence)
