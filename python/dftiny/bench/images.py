"""Which tiles bench streams: a data folder's test images, a folder of images by class, or the bundle's golden tiles.

Loads late, one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny.artifact import read_manifest
from dftiny.bench.model import Model
from dftiny.data.index import INDEX, SUFFIXES, ImageRow, check_image, load_index, read_image, read_picture
from dftiny.data.tiles import tile_grid, tiles
from dftiny.errors import DftError


@dataclass(frozen=True)
class Item:
    """One image. `load` gives its int8 tiles [tiles, H, W, C] and its pixels uint8 [H, W, 3] (None: no photograph)."""

    id: str
    tiles: int
    row: ImageRow | None
    load: Callable[[], tuple[NDArray[np.int8], NDArray[np.uint8] | None]]


@dataclass(frozen=True)
class Work:
    """All images of one run, and where they come from, as it stands in bench.json."""

    items: tuple[Item, ...]
    source: dict[str, Any]

    @property
    def tiles(self) -> int:
        """Tiles of all images."""
        return sum(i.tiles for i in self.items)


def golden_work(model: Model, limit: int | None = None) -> Work:
    """The bundle's golden tiles, each an image of one tile."""
    inputs, _ = model.bundle.golden()
    items = [Item(f"golden-{i}", 1, None, _one_tile(inputs[i : i + 1])) for i in range(len(inputs))]
    return Work(tuple(items[:limit]), {"name": "golden tiles", "simulated": False})


def _one_tile(tile: NDArray[np.int8]) -> Callable[[], tuple[NDArray[np.int8], None]]:
    return lambda: (tile, None)


def data_work(
    model: Model,
    folder: Path,
    *,
    limit: int | None = None,
) -> Work:
    """The held-out images of a data folder, without controls; DftError when none is there. With `limit`, real and fake
    take turns. A folder without an index, but with subfolders named like the model's classes, is taken as it is."""
    if not (folder / INDEX).is_file() and any((folder / c).is_dir() for c in model.bundle.classes):
        return _class_work(model, folder, limit)
    index = load_index(folder)
    rows = index.held_out()
    if not rows:
        raise DftError(f"{folder} has no test images before sharing", "build the data again")
    source = {
        "name": index.name,
        "digest": read_manifest(folder, "data", verify=False).digest,
        "split": "test",
        "sharings": ["pre"],
        # Every data set that this version can make has simulated fakes; a page made from it must say so.
        "simulated": True,
    }
    tile = model.bundle.tile
    chosen = _limited(rows, limit)
    for row in chosen:  # said now, not an hour into the run
        check_image(folder, row)
    return Work(tuple(_item(model, folder, r, tile, partial(read_image, folder, r)) for r in chosen), source)


def _class_work(model: Model, folder: Path, limit: int | None) -> Work:
    """Images of subfolders named like the classes, file by file; with `limit`, the classes take turns."""
    by_class = [
        [
            _class_row(folder, path, name)
            for path in sorted((folder / name).rglob("*"))
            if path.suffix.lower() in SUFFIXES
        ]
        for name in model.bundle.classes
    ]
    rows = [r for turn in zip_longest(*by_class) for r in turn if r is not None][:limit]
    if not rows:
        classes = ", ".join(model.bundle.classes)
        raise DftError(
            f"{folder} has no images in its folders {classes}", "put PNG, JPEG or WebP files there"
        )
    source = {"name": folder.name, "sharings": ["pre"], "simulated": False}
    tile = model.bundle.tile
    return Work(
        tuple(_item(model, folder, r, tile, partial(read_picture, folder / r.file)) for r in rows), source
    )


def _class_row(folder: Path, path: Path, name: str) -> ImageRow:
    file = path.relative_to(folder).as_posix()
    return ImageRow(file, "test", file, name, name, True, "pre", file, "")


def _limited(rows: Sequence[ImageRow], limit: int | None) -> list[ImageRow]:
    """At most `limit` rows, spread over the whole list, as many real as fake where there are enough."""
    if limit is None or limit >= len(rows):
        return list(rows)
    real, fake = [r for r in rows if r.target], [r for r in rows if not r.target]
    few, many = sorted((real, fake), key=len)
    n = min(len(few), limit // 2)
    picked = {r.id for part, k in ((few, n), (many, limit - n)) for r in _spread(part, k)}
    return [r for r in rows if r.id in picked]


def _spread(rows: Sequence[ImageRow], n: int) -> list[ImageRow]:
    return [rows[i * len(rows) // n] for i in range(n)]


def _item(
    model: Model, folder: Path, row: ImageRow, tile: int, read: Callable[[], NDArray[np.uint8]]
) -> Item:
    def load() -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
        pixels = read()
        return model.to_int8(tiles(pixels, tile)), pixels

    width, height = _size(folder / row.file)
    rows, columns = tile_grid(height, width, tile)
    if not rows * columns:
        raise DftError(
            f"{folder / row.file} has {width}x{height} pixels, the model takes tiles of {tile}x{tile}",
            "give data with larger images",
        )
    return Item(row.id, rows * columns, row, load)


def _size(path: Path) -> tuple[int, int]:
    """Width and height from the file's header alone, so that the work is known before anything is decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            width, height = image.size
            return int(width), int(height)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as e:
        raise DftError(
            f"cannot read the image {path}", "it may be missing or corrupt; build the data again"
        ) from e
