"""index.json: which images a data folder holds, and how one of them is read.

Knows nothing of how the images were made. Needs numpy and pillow only, so that `bench` can use it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny.artifact import read_json, reason, sha256_file, write_json
from dftiny.errors import DftError

INDEX = "index.json"
SCHEMA = 1
SPLITS = ("train", "val", "test")
LABELS = ("fake", "real")
# 64 megapixels: 192 MB decoded. More is a mistake or an attack, not a photograph to be judged in tiles.
MAX_PIXELS = 64_000_000
# Kinds that are neither a plain real nor a generator's fake; each is judged on its own (data/controls.py makes them).
PROCESSED = ("blur", "denoise")
MOVED = ("resized", "offgrid")
CONTROLS = PROCESSED + MOVED
FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class ImageRow:
    """One image. `kind` is "real", a generator's name or a control's name; `source` the photograph it comes from."""

    id: str
    split: str
    source: str
    label: str
    kind: str
    seen: bool
    sharing: str
    file: str
    sha256: str

    @property
    def target(self) -> int:
        """1 for real, the positive class; 0 for fake."""
        return int(self.label == "real")

    @property
    def is_control(self) -> bool:
        """Whether it is a control, neither a plain real nor a generator's fake."""
        return self.kind in CONTROLS


@dataclass(frozen=True)
class DataIndex:
    """The images of a data folder, in a fixed order, and the tile size in pixels that they were made for."""

    name: str
    tile: int
    images: tuple[ImageRow, ...]

    def select(
        self, split: str | None = None, sharing: str | None = None, kinds: Iterable[str] | None = None
    ) -> list[ImageRow]:
        """Rows of that split, sharing profile and those kinds, in index order; None means all."""
        wanted = None if kinds is None else set(kinds)
        return [
            r
            for r in self.images
            if (split is None or r.split == split)
            and (sharing is None or r.sharing == sharing)
            and (wanted is None or r.kind in wanted)
        ]

    def held_out(self) -> list[ImageRow]:
        """What boards and stages are compared on: the test images before sharing, without the controls."""
        return [r for r in self.select("test", "pre") if not r.is_control]


def load_index(folder: Path) -> DataIndex:
    """Read `folder/index.json`. DftError names the file and the row that is wrong."""
    path = folder / INDEX
    if not folder.is_dir() or not path.is_file():
        raise DftError(
            f"{folder} is not a data folder (no {INDEX})", "make one with: dftiny data --out " + str(folder)
        )
    value = read_json(path, "data index")
    try:
        if value["schema"] != SCHEMA:
            raise DftError(
                f"{path} has schema {value['schema']}, this dftiny reads {SCHEMA}", "build the data again"
            )
        rows = tuple(_row(path, i, v) for i, v in enumerate(value["images"]))
        index = DataIndex(str(value["name"]), int(value["tile"]), rows)
    except (KeyError, TypeError, ValueError) as e:
        raise DftError(
            f"{path} is not a dftiny data index ({type(e).__name__}: {e})", "build the data again"
        ) from e
    if len({r.id for r in rows}) != len(rows):
        raise DftError(f"{path} holds an image id twice", "build the data again")
    return index


def _row(path: Path, number: int, value: dict[str, Any]) -> ImageRow:
    row = ImageRow(**value)
    for name in ("id", "source", "kind", "sharing", "file", "sha256"):
        if not isinstance(getattr(row, name), str):
            raise DftError(f"{path}: image {number} has no valid {name!r}", "build the data again")
    if row.split not in SPLITS or row.label not in LABELS or not isinstance(row.seen, bool):
        raise DftError(f"{path}: image {row.id} has a bad split, label or seen", "build the data again")
    inside = PurePosixPath(row.file)
    if inside.is_absolute() or ".." in inside.parts:
        raise DftError(
            f"{path}: image {row.id} lies outside the data folder ({row.file})", "build the data again"
        )
    return row


def save_index(folder: Path, index: DataIndex) -> None:
    """Write `folder/index.json`."""
    rows = [asdict(r) for r in index.images]
    write_json(folder / INDEX, {"schema": SCHEMA, "name": index.name, "tile": index.tile, "images": rows})


def read_image(folder: Path, row: ImageRow) -> NDArray[np.uint8]:
    """Pixels of one image of the index, uint8 [H, W, 3]. DftError names a missing, damaged or changed file."""
    pixels = read_picture(folder / row.file)
    check_image(folder, row)
    return pixels


def check_image(folder: Path, row: ImageRow) -> None:
    """DftError when the file is not the one, byte for byte, that the index was written with."""
    path = folder / row.file
    try:
        same = sha256_file(path) == row.sha256
    except OSError as e:
        raise DftError(f"cannot read the image {path}: {reason(e)}", "build the data again") from e
    if not same:
        raise DftError(f"{path} was damaged or changed after the data were built", "build the data again")


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Decode a PNG, JPEG or WebP file to uint8 [H, W, 3] RGB; alpha is dropped, 16 bit is refused.

    DftError names the file when it is missing, of another format, truncated, corrupt or above MAX_PIXELS.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow only warns below twice its own limit; ours is checked below, before any pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DftError(
                        f"{path} has {image.width}x{image.height} pixels, more than {MAX_PIXELS // 1_000_000} million",
                        "crop it first (do not resize it)",
                    )
                if image.mode.startswith(("I", "F")):
                    raise DftError(
                        f"{path} has more than 8 bits a channel ({image.mode})", "convert it to 8-bit RGB"
                    )
                return np.array(image.convert("RGB"), dtype=np.uint8)
    except UnidentifiedImageError as e:
        raise DftError(
            f"{path} is not a PNG, JPEG or WebP image, or it is damaged", "replace the file"
        ) from e
    except Image.DecompressionBombError as e:
        raise DftError(f"{path} is too large to decode", "crop it first (do not resize it)") from e
    except (OSError, SyntaxError, ValueError, EOFError) as e:
        why = reason(e) if isinstance(e, OSError) else str(e)
        raise DftError(
            f"cannot read the image {path}: {why}", "it may be truncated or corrupt; replace the file"
        ) from e
