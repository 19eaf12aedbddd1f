"""Where calibration tiles come from, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dftiny.artifact import sha256_file
from dftiny.data.index import DataIndex, ImageRow, save_index
from dftiny.errors import DftError
from dftiny.export import tiles


def test_npz_images_and_data_folder_give_tiles_of_the_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "t.npz", tiles=rng.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8))
    assert tiles.load_tiles(tmp_path / "t.npz", (32, 32), 8).shape == (8, 32, 32, 3)
    rows = []
    for i, split in enumerate(("train", "train", "test")):
        name = f"{i}.png"
        Image.fromarray(rng.integers(0, 256, (70, 100, 3), dtype=np.uint8)).save(tmp_path / name)
        sha = sha256_file(tmp_path / name)
        rows.append(ImageRow(str(i), split, str(i), "real", "real", True, "pre", name, sha))
    assert tiles.load_tiles(tmp_path, (32, 32), 100).shape == (12, 32, 32, 3)
    save_index(tmp_path, DataIndex("x", 64, tuple(rows)))
    # The training split only: two images of one 64-px tile each.
    assert tiles.load_tiles(tmp_path, (64, 64), 100).shape == (2, 64, 64, 3)
    assert tiles.load_tiles(tmp_path, None, 100).shape == (2, 64, 64, 3)
    save_index(
        tmp_path, DataIndex("x", 64, tuple(replace(r, split="test", fold=i) for i, r in enumerate(rows)))
    )
    with pytest.raises(DftError, match=r"no splits of its own.*without --folds"):
        tiles.load_tiles(tmp_path, (64, 64), 100)


def test_the_extreme_tile_brings_the_whole_range() -> None:
    grey = np.full((3, 16, 16, 3), 100, np.uint8)
    more = tiles.with_extremes(grey)
    assert (len(more), more.min(), more.max()) == (4, 0, 255)
    assert np.array_equal(more[:3], grey)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: np.savez(p, other=np.zeros(3)), 'no.*|array "tiles"'),
        (lambda p: p.write_bytes(b"no zip"), 'array "tiles"'),
        (lambda p: np.savez(p, tiles=np.zeros((2, 8, 8, 3), np.float32)), "not uint8 tiles"),
        (lambda p: np.savez(p, tiles=np.zeros((2, 8, 8, 3), np.uint8)), "tiles of 8×8 pixels"),
    ],
)
def test_refuses_what_are_no_tiles(tmp_path: Path, make, words: str) -> None:
    path = tmp_path / "t.npz"
    make(path)
    with pytest.raises(DftError, match=words):
        tiles.load_tiles(path, (32, 32), 8)


def test_names_missing_and_too_small_sources(tmp_path: Path) -> None:
    with pytest.raises(DftError, match="nothing at"):
        tiles.load_tiles(tmp_path / "absent", (32, 32), 8)
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(DftError, match="no image of at least 32×32"):
        tiles.load_tiles(tmp_path, (32, 32), 8)
