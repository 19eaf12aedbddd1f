"""What the verdict that is exported saves on large images: one table for every sharing condition, three outcomes.

Beside study.savings(), whose bounds know the condition and decide between two sides. Called by tools/verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dftiny.data.sharing import PRE, PROFILES
from dftiny.verdict.fit import final
from dftiny.verdict.model import FAKE, REAL, UNDECIDED, VerdictModel
from dftiny.verdict.order import offered
from dftiny.verdict.running import follow
from dftiny.verdict.study import Large, interval


@dataclass(frozen=True)
class Exported:
    """The exported verdict in one condition: `images`, part of them that end as they end with all tiles and its 95 %
    interval by photograph, mean tiles, part called real or fake, and part called so wrongly."""

    condition: str
    images: int
    agreement: float
    interval: tuple[float, float]
    tiles: float
    offered: float
    decided: float
    wrong: float


def exported(model: VerdictModel, images: Sequence[Large], scale: float, zero_point: int) -> list[Exported]:
    """`images` through the chip's integers, in the chip's order; `scale` and `zero_point` are those of the net's int8 output."""
    rows = []
    for condition in (PRE, *PROFILES):
        of_it = [i for i in images if i.condition == condition]
        ends = [_end(model, i, scale, zero_point) for i in of_it]
        same = np.array([e.decision == e.late for e in ends])
        wrong = [e.decision == (FAKE if i.real else REAL) for e, i in zip(ends, of_it, strict=True)]
        rows.append(
            Exported(
                condition, len(of_it), float(same.mean()), interval(same, [i.source for i in of_it]),
                float(np.mean([e.seen for e in ends])), float(np.mean([e.offered for e in ends])),
                float(np.mean([e.decision != UNDECIDED for e in ends])), float(np.mean(wrong)),
            )
        )  # fmt: skip
    return rows


@dataclass(frozen=True)
class _End:
    """Of one image: its decision and after how many of the `offered` tiles, and what all of them say."""

    decision: int
    late: int
    seen: int
    offered: int


def _end(model: VerdictModel, image: Large, scale: float, zero_point: int) -> _End:
    side = round(len(image.logits) ** 0.5)
    order = offered(side, side, image.textures, model.tiles_max)
    outputs = np.rint(image.logits[order] / scale + zero_point).astype(np.int8)
    early = follow(model, outputs)
    return _End(early.decision, final(model, outputs), early.seen, len(order))


def exported_text(rows: Sequence[Exported]) -> str:
    """A table: times fewer tiles than are offered, and what the verdicts are."""
    head = f"{'condition':<22}{'images':>7}{'agreement':>11}{'95 %':>15}{'tiles':>7}{'of':>6}{'x fewer':>9}{'decided':>9}{'wrong':>7}"
    lines = ["the exported verdict: the sharing is not known to it, and it may end undecided", head]
    lines += [
        f"{r.condition:<22}{r.images:>7}{r.agreement:>11.3f}{r.interval[0]:>8.3f}–{r.interval[1]:.3f} {r.tiles:>7.1f}{r.offered:>6.1f}"
        f"{r.offered / r.tiles:>9.1f}{r.decided:>9.3f}{r.wrong:>7.3f}"
        for r in rows
    ]
    return "\n".join(lines)
