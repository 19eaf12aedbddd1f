"""Reading images and the index: right pixels, and one sentence with the file's name for everything damaged."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dftiny.data.index import DataIndex, ImageRow, load_index, read_image, read_picture, save_index
from dftiny.errors import DftError


def _row(**changes: object) -> ImageRow:
    fields: dict[str, object] = {
        "id": "a.0.real", "split": "test", "source": "a", "label": "real", "kind": "real",
        "seen": True, "sharing": "pre", "file": "images/a.png", "sha256": "0" * 64,
    }  # fmt: skip
    return ImageRow(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (64, 48, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_lossless_formats_come_back_equal(tmp_path: Path, pixels: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(path, lossless=True)
    assert np.array_equal(read_picture(path), pixels)


def test_jpeg_grey_alpha_and_palette_become_rgb(tmp_path: Path, pixels: np.ndarray) -> None:
    image = Image.fromarray(pixels)
    for mode, name in (("RGB", "a.jpg"), ("L", "b.png"), ("RGBA", "c.png"), ("P", "d.png")):
        image.convert(mode).save(tmp_path / name)
        assert read_picture(tmp_path / name).shape == (64, 48, 3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.3, 0.9])
def test_truncated_file_is_named(tmp_path: Path, pixels: np.ndarray, suffix: str, part: float) -> None:
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(pixels).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(DftError, match=r"cut\."):
        read_picture(path)


def test_text_missing_and_foreign_format_are_named(tmp_path: Path, pixels: np.ndarray) -> None:
    (tmp_path / "text.png").write_text("not an image")
    Image.fromarray(pixels).save(tmp_path / "a.bmp")
    for name in ("text.png", "absent.png", "a.bmp"):
        with pytest.raises(DftError, match=name):
            read_picture(tmp_path / name)


def test_sixteen_bit_and_huge_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DftError, match=r"deep\.png has more than 8 bits"):
        read_picture(tmp_path / "deep.png")
    Image.new("1", (10_000, 10_000)).save(tmp_path / "huge.png")
    with pytest.raises(DftError, match=r"huge\.png"):
        read_picture(tmp_path / "huge.png")


def test_flipped_bytes_never_escape_as_another_error(tmp_path: Path, pixels: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    for suffix in ("png", "jpg", "webp"):
        path = tmp_path / f"flip.{suffix}"
        Image.fromarray(pixels).save(path)
        good = path.read_bytes()
        for _ in range(60):
            bad = bytearray(good)
            for place in rng.integers(0, len(bad), 3):
                bad[place] ^= int(rng.integers(1, 256))
            path.write_bytes(bad)
            # Damage either still decodes or is a DftError; any other exception fails the test.
            with contextlib.suppress(DftError):
                assert read_picture(path).dtype == np.uint8


def test_index_round_trip_and_selection(tmp_path: Path, pixels: np.ndarray) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images/a.png")
    sha = hashlib.sha256((tmp_path / "images/a.png").read_bytes()).hexdigest()
    rows = (
        _row(sha256=sha),
        _row(id="a.0.tconv", label="fake", kind="tconv"),
        _row(id="b", split="train", sharing="telegram-like"),
    )
    save_index(tmp_path, DataIndex("demo", 128, rows))
    index = load_index(tmp_path)
    assert index == DataIndex("demo", 128, rows)
    assert [r.id for r in index.select(split="test")] == ["a.0.real", "a.0.tconv"]
    assert [r.id for r in index.select(kinds=["tconv"])] == ["a.0.tconv"]
    assert [r.id for r in index.select(sharing="telegram-like")] == ["b"]
    assert [r.target for r in rows] == [1, 0, 1]
    assert np.array_equal(read_image(tmp_path, rows[0]), pixels)
    with pytest.raises(DftError, match=r"a\.png was damaged or changed"):
        read_image(tmp_path, rows[1])


@pytest.mark.parametrize(
    "change",
    [{"split": "holdout"}, {"label": "maybe"}, {"file": "../../etc/passwd"}, {"file": "/etc/passwd"}, {"seen": "yes"},
     {"id": 3}, {"extra": 1}],
)  # fmt: skip
def test_bad_rows_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    row = _row().__dict__ | change
    (tmp_path / "index.json").write_text(json.dumps({"schema": 1, "name": "x", "tile": 128, "images": [row]}))
    with pytest.raises(DftError, match=r"index\.json"):
        load_index(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"schema": 2}', '{"schema": 1, "images": [1]}'])
def test_bad_index_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(DftError, match=r"index\.json"):
        load_index(tmp_path)


def test_folder_without_index_and_doubled_ids(tmp_path: Path) -> None:
    with pytest.raises(DftError, match="dftiny data"):
        load_index(tmp_path)
    save_index(tmp_path, DataIndex("demo", 128, (_row(), _row())))
    with pytest.raises(DftError, match="twice"):
        load_index(tmp_path)
