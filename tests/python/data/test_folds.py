"""Folds: dealt by photograph and alike in size; a round keeps nothing in train and val that only a test may see."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dftiny.data.demo import build_demo
from dftiny.data.folds import deal
from dftiny.data.index import (
    CONTROLS,
    MOVED,
    PROCESSED,
    DataIndex,
    ImageRow,
    load_index,
    load_round,
    load_whole,
    save_index,
)
from dftiny.data.photos import Photo
from dftiny.data.sharing import PROFILES
from dftiny.errors import DftError
from dftiny.models import released_model

FOLDS = 3
SHARINGS = {"pre", *PROFILES}


def _photo(number: int, package: str = "") -> Photo:
    return Photo(f"p{number:02d}", Path(f"{number}.jpg"), "train", package, "", "", False)


def _row(fold: int, source: str, **changes: object) -> ImageRow:
    fields: dict[str, object] = {
        "id": f"{source}.real", "split": "test", "source": source, "label": "real", "kind": "real",
        "seen": True, "sharing": "pre", "file": "images/a.png", "sha256": "0" * 64, "fold": fold,
    }  # fmt: skip
    return ImageRow(**(fields | changes))  # type: ignore[arg-type]


def test_folds_are_alike_in_crops_and_packages() -> None:
    rng = np.random.default_rng(3)
    photos = [_photo(i, "ab"[i % 2]) for i in range(43)]
    crops = {p.id: int(rng.integers(0, 5)) for p in photos}
    dealt = deal(photos, crops, 5)
    assert dealt == deal(photos[::-1], crops, 5)
    assert dealt.keys() == {i for i, n in crops.items() if n}
    sizes = [sum(crops[i] for i in dealt if dealt[i] == k) for k in range(5)]
    assert max(sizes) - min(sizes) <= 1


def test_a_package_is_spread_over_the_folds() -> None:
    photos = [_photo(i, "a" if i < 10 else "b") for i in range(20)]
    dealt = deal(photos, {p.id: 4 for p in photos}, 5)
    assert set(Counter((p.package, dealt[p.id]) for p in photos).values()) == {2}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folds of four synthetic photographs, one of which is too smooth."""
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")
    photos = tmp_path_factory.mktemp("photos")
    for i in range(5):
        rng = np.random.default_rng(i)
        coarse = Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).resize((700, 700))
        grain = rng.normal(0, 12 if i else 0.1, (700, 700, 1))
        Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).save(
            photos / f"{i}.png"
        )
    out = tmp_path_factory.mktemp("built") / "folds"
    summary = build_demo(out, photos=photos, folds=FOLDS, jobs=1)
    assert [line.split(":")[0] for line in summary.skipped] == ["0000-0"]
    assert list(summary.images) == ["fold 0", "fold 1", "fold 2"]
    return out


@pytest.mark.slow
def test_each_round_tests_everything_and_learns_from_nothing_held_out(built: Path) -> None:
    index = load_index(built)
    assert index.folds == FOLDS
    for k in range(FOLDS):
        turn = index.of_fold(k)
        _check_round(index, turn, k)
        assert turn == index.of_fold(k)


def _check_round(index: DataIndex, turn: DataIndex, k: int) -> None:
    fold_of = {r.source: r.fold for r in index.images}
    sources = {s: {r.source for r in turn.select(s)} for s in ("train", "val", "test")}
    assert {s: {fold_of[i] for i in ids} for s, ids in sources.items()} == {
        "test": {k},
        "val": {(k + 1) % FOLDS},
        "train": {(k + 2) % FOLDS},
    }
    assert {r.id for r in turn.select("test")} == {r.id for r in index.images if r.fold == k}
    seen = {"real", "tconv", "nearest", "style"}
    assert {(r.kind, r.sharing) for r in turn.select("train")} == {(kind, "pre") for kind in seen}
    kept = seen | set(PROCESSED)
    assert {(r.kind, r.sharing) for r in turn.select("val")} == {(x, s) for x in kept for s in SHARINGS}
    every = {"real", "tconv", "nearest", "style", "pixshuf", "bilinear", *PROCESSED}
    found = {(r.kind, r.sharing) for r in turn.select("test")}
    assert found == {(x, s) for x in every for s in SHARINGS} | {(m, "pre") for m in MOVED}


@pytest.mark.slow
def test_nothing_is_judged_on_all_folds_at_once(built: Path, tmp_path: Path) -> None:
    """It would be judged on what it was trained on."""
    from dftiny.evaluate import evaluate

    with pytest.raises(DftError, match="cross-validation set"):
        evaluate(released_model(), built, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_crop_gives_all_that_the_card_says(built: Path) -> None:
    index = load_index(built)
    crop = index.images[0].id.removesuffix(".real")
    rows = [r for r in index.images if r.id.startswith(crop + ".")]
    assert len(rows) == 6 * 4 + 2 * 4 + 4
    assert sum(r.is_control for r in rows) == 12
    moved = Counter((r.kind, r.label) for r in rows if r.kind in MOVED)
    assert moved == {(m, label): 1 for m in MOVED for label in ("real", "fake")}
    assert {r.label for r in rows if r.kind in PROCESSED} == {"real"}
    assert "Dealt into 3 folds by photograph" in (built / "card.md").read_text()


def test_a_set_without_folds_and_a_fold_that_is_not_there(tmp_path: Path) -> None:
    plain = DataIndex("demo", 128, (_row(-1, "a"),))
    with pytest.raises(DftError, match="'demo' has no folds"):
        plain.of_fold(0)
    folds = DataIndex("demo", 128, tuple(_row(k, "abc"[k]) for k in range(3)))
    for k in (-1, 3):
        with pytest.raises(DftError, match=f"fold {k} is not"):
            folds.of_fold(k)
    save_index(tmp_path, folds)
    assert load_index(tmp_path) == folds
    assert load_round(tmp_path, 1) == folds.of_fold(1)
    with pytest.raises(DftError, match=r"no splits of its own.*--fold 0 to 2"):
        load_round(tmp_path, None)
    with pytest.raises(DftError, match=r"no splits of its own.*without --folds"):
        load_whole(tmp_path)
    save_index(tmp_path, plain)
    assert load_round(tmp_path, None) == load_whole(tmp_path) == plain


def test_a_set_without_folds_is_written_without_the_key(tmp_path: Path) -> None:
    save_index(tmp_path, DataIndex("demo", 128, (_row(-1, "a"),)))
    assert "fold" not in json.loads((tmp_path / "index.json").read_text())["images"][0]


@pytest.mark.parametrize(
    "folds", [(0, 1, 5), (0, 1, 1), (0, 1, -1), (0, 1, 2, "2"), (0, 1, -2), (0, 1, True)]
)
def test_odd_folds_are_refused(tmp_path: Path, folds: tuple[object, ...]) -> None:
    rows = [_row(0, f"{i}").__dict__ | {"fold": f} for i, f in enumerate(folds)]
    (tmp_path / "index.json").write_text(json.dumps({"schema": 1, "name": "x", "tile": 128, "images": rows}))
    with pytest.raises(DftError, match="fold"):
        load_index(tmp_path)


def test_a_photograph_in_two_folds_is_refused(tmp_path: Path) -> None:
    rows = (*(_row(k, "abc"[k]) for k in range(3)), _row(1, "a", id="a.blur", kind=CONTROLS[0], seen=False))
    save_index(tmp_path, DataIndex("demo", 128, rows))
    with pytest.raises(DftError, match="two folds"):
        load_index(tmp_path)


def test_more_folds_than_photographs(tmp_path: Path) -> None:
    for i in range(5):
        Image.fromarray(np.full((700, 700, 3), 9 * i, np.uint8)).save(tmp_path / f"{i}.png")
    with pytest.raises(DftError, match=r"0 usable photographs cannot be dealt into 3 folds \(5 skipped"):
        build_demo(tmp_path / "out", photos=tmp_path, folds=3, jobs=1)
    with pytest.raises(DftError, match="2 folds are too few"):
        build_demo(tmp_path / "out", photos=tmp_path, folds=2)
    assert not (tmp_path / "out").exists()
