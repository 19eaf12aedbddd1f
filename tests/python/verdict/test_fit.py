"""Bounds fitted on made-up validation data whose truth is known, verdict.json and back, and the bundle's part of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dftiny.artifact import read_json, write_json
from dftiny.errors import DftError
from dftiny.verdict.file import COMPRESSED, LOSSLESS, VerdictFile, load_verdict, save_verdict
from dftiny.verdict.fit import (
    MISTAKES,
    Bounds,
    Line,
    Shown,
    agrees,
    final,
    fit_bounds,
    fit_line,
    fit_width,
    stops,
    tables,
)
from dftiny.verdict.model import FAKE, REAL, UNDECIDED
from dftiny.verdict.running import follow


def photos(rng: np.random.Generator, apart: float, sources: int = 30, tiles: int = 16) -> list[Shown]:
    """Images of `sources` photographs in two conditions: an image's mean varies by 1, its tiles by 2 around that."""
    out = []
    for s in range(sources):
        for real in (True, False):
            for condition, gap in (("pre", apart), ("shared", apart / 2)):
                centre = (gap if real else -gap) + rng.normal()
                out.append(Shown(f"p{s}", real, condition, centre + 2 * rng.normal(size=tiles)))
    return out


TRAIN, TEST = photos(np.random.default_rng(1), 3.0), photos(np.random.default_rng(2), 3.0, sources=400)


def test_few_images_of_new_photographs_are_called_wrongly() -> None:
    line = fit_line(TRAIN)
    real, fake, _ = fit_bounds(TRAIN, line)
    for condition in ("pre", "shared"):
        group = [p for p in TEST if p.condition == condition]
        means = [float(line.of(p.logits).mean()) for p in group]
        wrong = [m <= fake if p.real else m >= real for p, m in zip(group, means, strict=True)]
        assert np.mean(wrong) <= 2 * MISTAKES
        # The harder condition sets the bounds: without mistakes there they would be wider than asked for.
        assert condition == "pre" or np.mean(wrong) > 0
    decided = [not fake < float(line.of(p.logits).mean()) < real for p in TEST if p.condition == "pre"]
    assert np.mean(decided) > 0.5


def test_a_margin_is_kept_from_what_the_other_photographs_did() -> None:
    """Two photographs whose fakes differ: bounds made of the one alone would call the other wrongly."""
    rng = np.random.default_rng(0)
    few = [
        Shown(source, real, "pre", np.full(16, centre) + 0.3 * rng.normal(size=16))
        for source, shift in (("a", 0.0), ("b", 1.2))
        for real, centre in ((True, 4.0), (False, -2.0 + shift))
    ]
    line = fit_line(few)
    real, _, _ = fit_bounds(few, line)
    highest = max(float(line.of(p.logits).mean()) for p in few if not p.real)
    assert real > highest + 0.5 * line.slope


def test_stopping_early_agrees_with_the_end_on_new_images() -> None:
    line = fit_line(TRAIN)
    sd = float(np.mean([line.of(p.logits).std() for p in TRAIN]))
    width = fit_width(TRAIN, line, sd)
    values = [line.of(p.logits) for p in TEST]
    assert 0 < width * sd < 10
    everybody = ["all"] * len(values)
    assert agrees(values, everybody, width * sd) > 0.99
    assert agrees(values, everybody, 0.2 * width * sd) < 0.97
    # The worst photograph counts, and one whose tiles all say the same agrees at any width.
    alike = [*values, np.ones(16)]
    assert agrees(alike, [*everybody, "one"], 0.2 * width * sd) < 0.97
    seen = [stops(v, np.array([0.0]), width * sd)[0][0] for v in values]
    assert np.mean(seen) < 12


def test_stopping_is_at_the_first_tile_far_enough_and_at_the_last_at_the_latest() -> None:
    seen, side = stops(np.array([0.1, 0.1, 5.0, 5.0]), np.array([0.0, -9.0, 1.0]), 4.0)
    assert seen.tolist() == [3, 1, 4]
    assert side.tolist() == [True, True, True]


def test_tables_say_what_the_bounds_say() -> None:
    line, bounds = Line(1.0, 0.0, 10.0), Bounds(real=2.0, fake=-2.0, tile_sd=1.0, width=2.0)
    model = tables(line, bounds, 0.1, 0, 64)
    full = {
        m: final(model, np.full(64, round(m * 10), np.int8)) for m in (-2.1, -2.0, -1.9, 0.0, 1.9, 2.0, 2.1)
    }
    assert full == {
        -2.1: FAKE,
        -2.0: FAKE,
        -1.9: UNDECIDED,
        0.0: UNDECIDED,
        1.9: UNDECIDED,
        2.0: REAL,
        2.1: REAL,
    }
    # One tile of one says less than sixteen of sixteen.
    assert final(model, np.array([21], np.int8)) == UNDECIDED
    assert final(model, np.array([40], np.int8)) == REAL
    early = {m: follow(model, np.full(64, round(m * 10), np.int8)).seen for m in (12.0, 3.0, 2.5, 0.0)}
    assert early[12.0] == 1
    assert early[12.0] < early[3.0] < early[2.5] < 64
    assert early[0.0] < 3


def test_an_upside_down_or_one_sided_model_is_refused() -> None:
    with pytest.raises(DftError, match="do not tell"):
        fit_line([replace(p, real=not p.real) for p in TRAIN])
    with pytest.raises(DftError, match="real and fake"):
        fit_line([p for p in TRAIN if p.real])


def made() -> VerdictFile:
    return VerdictFile(
        trained_on="tests",
        tile=128,
        tiles_max=8,
        line=Line(0.7, -0.5, 6.0),
        bounds=Bounds(2.0, -2.5, 1.1, 3.0),
        probability={LOSSLESS: (2.0, -0.5), COMPRESSED: (0.5, 0.0)},
        ranges={"grid": (1.0, 1.1)},
        confirms=(LOSSLESS,),
        validation={},
    )


def test_verdict_json_and_back(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    save_verdict(path, made())
    assert load_verdict(path) == made()
    assert load_verdict(path).model(0.065, 8).as_json() == made().model(0.065, 8).as_json()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 2),
        ("tiles_max", 0),
        ("tiles_max", 1_000_000),
        ("line", {"slope": -1.0, "offset": 0.0, "limit": 6.0}),
        ("line", {"slope": 1.0}),
        ("bounds", {"real": -1.0, "fake": 1.0, "tile_sd": 1.0, "width": 1.0}),
        ("probability", {"lossless": [1.0, 2.0]}),
        ("ranges", {"grid": [1.0]}),
        ("validation", 3),
    ],
)
def test_a_broken_verdict_json_is_one_sentence(field: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    save_verdict(path, made())
    write_json(path, read_json(path) | {field: value})
    with pytest.raises(DftError) as caught:
        load_verdict(path)
    assert str(path) in str(caught.value)


def test_probability_grows_with_evidence_and_never_is_certain() -> None:
    file = made()
    p = [file.p_real(LOSSLESS, m) for m in (-1e9, -1.0, 0.25, 1.0, 1e9)]
    assert p == sorted(p)
    assert p[2] == pytest.approx(0.5)
    assert 0 < p[0] < 1e-9
    assert p[-1] < 1
