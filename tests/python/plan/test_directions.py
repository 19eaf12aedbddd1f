"""Where packing fails by little, segments that stream are tried upwards: each by itself, then all of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from test_leaps import window

from dftiny import plan as planner
from dftiny.plan import RegionSpec
from dftiny.plan.parts import Segment

SEVERAL, ALONE = (window(0, 1), window(1, 1)), (window(0, 1),)
# Three segments that stream, of which the first is turned already; between them one lane by itself, upwards.
CUTS = [
    Segment(0, 2, lanes, (), 0, 0.0, reverse=reverse)
    for lanes, reverse in ((SEVERAL, True), (ALONE, True), (SEVERAL, False), (SEVERAL, False))
]
UP, DOWN, STAYS = True, False, True


@pytest.mark.parametrize(
    "best", [[DOWN, STAYS, UP, DOWN], [DOWN, STAYS, DOWN, UP], [UP, STAYS, UP, UP], [UP, STAYS, DOWN, DOWN]]
)
def test_each_is_tried_upwards_and_all_together(best: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """One way of turning them is packed into what is wanted, every other into more."""
    tried: list[list[bool]] = []

    def pack(_prepared: Any, _cutter: Any, cuts: list[Segment], *_: Any, **__: Any) -> Any:
        tried.append([s.reverse for s in cuts])
        return SimpleNamespace(total=90 if tried[-1] == best else 110)

    monkeypatch.setattr(planner, "_pack", pack)
    found = cast(Any, SimpleNamespace(timeline=SimpleNamespace(cuts=CUTS, limit=100), total=100))
    regions = [RegionSpec("axi", 1 << 20)]
    assert planner._tried_longer(cast(Any, None), cast(Any, None), found, regions, 90).total == 90
    assert tried[-1] == best, "nothing is tried behind what is good enough"
