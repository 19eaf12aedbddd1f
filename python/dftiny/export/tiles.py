"""Calibration, golden and synthetic tiles: uint8 [n, H, W, 3], always pixels, never normalised."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dftiny.data.index import INDEX, SUFFIXES, load_whole, read_image, read_picture
from dftiny.data.tiles import tiles as cut
from dftiny.errors import DftError

MAX_TILES_AN_IMAGE = 4


def load_tiles(source: Path, size: tuple[int, int] | None, limit: int) -> np.ndarray:
    """At most `limit` tiles, evenly taken from `source`: a data folder (its training split), a folder of images,
    an image, or an .npz with the array "tiles". `size` is (H, W), or None to take what an .npz holds.

    DftError names the source when it holds no tile of that size.
    """
    if source.suffix == ".npz":
        found = _npz(source)
    elif size is not None and size[0] != size[1]:
        raise DftError(
            f"the model takes {size[0]}×{size[1]} tiles, which dftiny does not cut from images",
            "give an .npz",
        )
    elif size is None and not (source / INDEX).is_file():
        raise DftError(
            f"the model leaves its input size open, and {source} does not say it", "give an .npz of tiles"
        )
    else:
        found = _from_images(source, None if size is None else size[0], limit)
    if size is not None and found.shape[1:3] != size:
        raise DftError(
            f"{source} holds tiles of {found.shape[1]}×{found.shape[2]} pixels, the model takes {size[0]}×{size[1]}"
        )
    return spread(found, limit)


def spread(tiles: np.ndarray, limit: int) -> np.ndarray:
    """At most `limit` of them, evenly over the whole."""
    if len(tiles) <= limit:
        return tiles
    chosen: np.ndarray = tiles[np.linspace(0, len(tiles) - 1, limit).round().astype(int)]
    return chosen


def _npz(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as archive:
            tiles: np.ndarray = archive["tiles"]
    except OSError as e:
        raise DftError(f"cannot read tiles from {path}: {e.strerror or e}") from e
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as e:
        raise DftError(f'{path} is not an .npz with an array "tiles"') from e
    if tiles.dtype != np.uint8 or tiles.ndim != 4 or tiles.shape[3] != 3 or not tiles.size:
        raise DftError(f"{path} holds {tiles.dtype} {list(tiles.shape)}, not uint8 tiles [n, H, W, 3]")
    return tiles


def _from_images(source: Path, tile: int | None, limit: int) -> np.ndarray:
    if (source / INDEX).is_file():
        index = load_whole(source)
        tile = tile or index.tile
        rows = index.select(split="train")
        # The limit spreads over the images; each gives a few tiles, so that sharing and kinds are all there.
        chosen = [rows[i] for i in _even(len(rows), limit)]
        pictures = ((str(source / r.file), read_image(source, r)) for r in chosen)
    else:
        files = _pictures(source)
        pictures = ((str(f), read_picture(f)) for f in [files[i] for i in _even(len(files), limit)])
    assert tile is not None
    found = list(_cut(pictures, tile))
    if not found:
        raise DftError(f"{source} holds no image of at least {tile}×{tile} pixels")
    return np.concatenate(found)


def _even(n: int, limit: int) -> Sequence[int]:
    return [] if n == 0 else np.unique(np.linspace(0, n - 1, min(n, limit)).round().astype(int)).tolist()


def _pictures(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise DftError(
            f"there is nothing at {source}", "give a data folder, a folder of images or an .npz of tiles"
        )
    return sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)


def _cut(pictures: Iterator[tuple[str, np.ndarray]], tile: int) -> Iterator[np.ndarray]:
    for _, image in pictures:
        if image.shape[0] >= tile and image.shape[1] >= tile:
            yield spread(cut(image, tile), MAX_TILES_AN_IMAGE)


def with_extremes(tiles: np.ndarray) -> np.ndarray:
    """The tiles and one more that holds pixel values 0 and 255, so that calibration sees the whole range and
    the int8 input is exactly pixel − 128."""
    extreme = tiles[:1].copy()
    extreme[0, 0, 0] = 0
    extreme[0, -1, -1] = 255
    return np.concatenate([tiles, extreme])


# What synthetic() makes, in its order.
SYNTHETIC = ("black", "white", "checkerboard", "stripes", "noise", "noise of black and white")


def synthetic(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Tiles on which arithmetic goes to its limits: black, white, checkerboard, stripes, noise of two kinds."""
    rng = np.random.default_rng(seed)
    tiles = np.zeros((len(SYNTHETIC), *size, 3), np.uint8)
    tiles[1] = 255
    tiles[2] = np.where(np.indices(size).sum(0) % 2, 255, 0)[..., None]
    tiles[3] = np.where(np.indices(size)[1] // 4 % 2, 255, 0)[..., None]
    tiles[4] = rng.integers(0, 256, (*size, 3))
    tiles[5] = rng.choice([0, 255], (*size, 3))
    return tiles
