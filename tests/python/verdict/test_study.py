"""The study of tiles saved, on made-up images whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dftiny.data.sharing import PROFILES
from dftiny.verdict.exported import exported, exported_text
from dftiny.verdict.fit import Bounds, Line, tables
from dftiny.verdict.study import (
    ORDERS,
    PRE,
    Large,
    Outcomes,
    Round,
    cautious,
    ordered,
    outcomes_text,
    savings,
    savings_text,
)

NEVER = np.full(64, 2**31 - 1, np.int32)


def images(rng: np.random.Generator, sources: int, tiles: int) -> list[Large]:
    """Real at +3 and fake at -3 on average, tiles 2 around an image's mean; the more textured the further out."""
    out = []
    for s in range(sources):
        for real in (True, False):
            for condition in (PRE, *PROFILES):
                textures = rng.uniform(1, 9, tiles).astype(np.float32)
                logits = (3.0 if real else -3.0) + rng.normal() + 2 * rng.normal(size=tiles)
                out.append(Large(f"p{s}", real, condition, logits, textures))
    return out


def test_every_condition_and_order_is_judged_and_saves_tiles() -> None:
    rng = np.random.default_rng(0)
    found = savings([Round(images(rng, 12, 16), images(rng, 40, 64))])
    assert [(r.condition, r.order) for r in found] == [(c, o) for c in (PRE, *PROFILES) for o in ORDERS]
    for r in found:
        assert r.images == 80
        assert r.agreement >= 0.97
        assert r.interval[0] <= r.agreement <= r.interval[1]
        assert 1 <= r.tiles < 32
        assert 1 <= r.fixed <= 64
        assert r.tiles < r.chosen <= 64
        assert r.chosen_agreement >= 0.97
    assert len(savings_text(found).splitlines()) == 14
    less = savings([Round(images(rng, 12, 16), images(rng, 40, 64))], wished=0.9)
    assert {r.wished for r in less} == {0.9}
    assert sum(r.tiles for r in less) < sum(r.tiles for r in found)
    assert sum(r.chosen for r in less) < sum(r.chosen for r in found)
    assert sum(r.agreement for r in less) <= sum(r.agreement for r in found)


def test_the_exported_verdict_stops_early_and_ends_as_all_tiles_do() -> None:
    found = images(np.random.default_rng(2), 40, 64)
    found[0].textures[:10] = 0.0  # flat: not offered
    model = tables(Line(1.0, 0.0, 8.0), Bounds(1.0, -1.0, 2.0, 2.5), 0.1, 0, 64)
    rows = exported(model, found, 0.1, 0)
    assert [r.condition for r in rows] == [PRE, *PROFILES]
    for r in rows:
        assert r.images == 80
        assert r.agreement >= 0.95
        assert r.tiles < 32 < r.offered
        assert r.decided > 0.8
        assert r.wrong < 0.05
    assert rows[0].offered == 64 - 10 / 80
    assert len(exported_text(rows).splitlines()) == 6
    late = exported(replace(model, real_from=NEVER, fake_to=-NEVER, between_from=NEVER), found, 0.1, 0)
    assert all(r.tiles == r.offered and r.agreement == 1 for r in late)


def test_orders_show_every_tile_once_and_texture_first_begins_with_the_most() -> None:
    image = images(np.random.default_rng(1), 1, 64)[0]
    for order in ORDERS:
        shown = ordered(image, order, np.random.default_rng(0))
        assert sorted(shown) == sorted(image.logits)
    assert (
        ordered(image, "texture first", np.random.default_rng(0))[0] == image.logits[image.textures.argmax()]
    )


def test_rounds_are_pooled_each_with_its_own_threshold() -> None:
    rng = np.random.default_rng(2)
    one = Round(images(rng, 12, 16), images(rng, 20, 64))
    # Another net whose logits lie 40 higher: a threshold of both together would call everything of it real.
    other = Round(
        *([replace(i, logits=i.logits + 40.0) for i in part] for part in (one.validation, one.test))
    )
    alone, both = savings([one]), savings([one, other])
    for a, b in zip(alone, both, strict=True):
        assert b.images == 2 * a.images
        assert abs(b.agreement - a.agreement) < 0.03
        assert abs(b.tiles - a.tiles) < 3.0


def moved(condition: str, wrong: int, label: str = "real") -> Outcomes:
    """27 copies of which `wrong` were called confidently and wrongly."""
    return Outcomes(condition, label, 27, 10, wrong, 17 - wrong, 0, 5.0, 9.0, None)


def test_more_than_one_in_twenty_confident_and_wrong_fails() -> None:
    fine = [
        moved("resized", 1),
        moved("resized", 1, "fake"),
        moved("offgrid", 0),
        moved("offgrid", 2, "fake"),
    ]
    assert cautious(fine)
    assert "resized: 2 of 54 verdicts confident and wrong, 3.7 %" in outcomes_text(fine)
    assert not cautious([*fine[:3], moved("offgrid", 3, "fake")])  # 3 of 54 are 5.6 %
    assert not cautious([replace(fine[0], wrong=2), *fine[1:]])
    assert not cautious(fine[:2])  # copies off the grid were not looked at
    assert cautious(fine[:2], ["resized"])
    assert not cautious([replace(fine[0], wrong=2), *fine[1:]], ["resized"])
    assert "offgrid" not in outcomes_text(fine[:2])
    assert not cautious([])
