"""index.json: which images a data folder holds, and how one of them is read.

Knows nothing of how the images were made. Needs numpy and pillow only, so that `bench` can use it.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny.artifact import atomic_write, read_json, reason, write_json
from dftiny.errors import DftError

INDEX = "index.json"
# Where the images of a folder that refers to them in place lie: one absolute path. Not inside the index, whose hash
# must be the same on every machine.
ROOT = "root.txt"
SCHEMA = 1
SPLITS = ("train", "val", "test")
LABELS = ("fake", "real")
# 64 megapixels: 192 MB decoded. More is a mistake or an attack, not a photograph to be judged in tiles.
MAX_PIXELS = 64_000_000
# One to test, one to validate, one to train.
MIN_FOLDS = 3
# Kinds that are neither a plain real nor a generator's fake; each is judged on its own (data/controls.py makes them).
PROCESSED = ("blur", "denoise")
MOVED = ("resized", "offgrid")
CONTROLS = PROCESSED + MOVED
FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class ImageRow:
    """One image. `kind` is "real", a generator's name or a control's name; `source` the photograph it comes from.

    `fold` is the part of a cross-validation set that its photograph was dealt to, -1 in a set without folds.
    """

    id: str
    split: str
    source: str
    label: str
    kind: str
    seen: bool
    sharing: str
    file: str
    sha256: str
    fold: int = -1

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
    """The images of a data folder, in a fixed order, and the tile size in pixels that they were made for.

    `root` is "" when the images lie in the folder itself. Otherwise the folder refers to them in place, and in memory
    each row's `file` is an absolute path below `root`, so that `folder / row.file` is right for both.
    """

    name: str
    tile: int
    images: tuple[ImageRow, ...]
    root: str = ""

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

    @property
    def folds(self) -> int:
        """Parts of a cross-validation set; 0 in a set that has splits of its own."""
        return max((r.fold for r in self.images), default=-1) + 1

    def of_fold(self, k: int | None) -> DataIndex:
        """The set's k-th round (from 0): fold k is the test split, fold k + 1 (cyclic) validates, the others train.

        Only the test split keeps everything. Nothing of a held-out generator is left in the others; val keeps
        reals, seen fakes and processed reals in all sharing profiles, train the reals and seen fakes before
        sharing. None is the set with the splits of its own, as it is. DftError for a set without folds and for a k
        that it does not have.
        """
        if k is None:
            return self
        n = self.folds
        if n == 0:
            raise DftError(
                f"the data set {self.name!r} has no folds",
                "make a cross-validation set: dftiny data --folds 5",
            )
        if not 0 <= k < n:
            raise DftError(f"fold {k} is not in this data set", f"it has folds 0 to {n - 1}")
        rows = (_in_round(r, (r.fold - k) % n) for r in self.images)
        return replace(self, images=tuple(r for r in rows if r is not None))


def _in_round(row: ImageRow, distance: int) -> ImageRow | None:
    """`row` with its split, `distance` folds behind the one that is tested; None when that split leaves it out."""
    if distance == 0:
        return replace(row, split="test")
    if distance == 1:
        return replace(row, split="val") if row.seen or row.kind in PROCESSED else None
    return replace(row, split="train") if row.seen and row.sharing == "pre" else None


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
        root = _root_of(folder) if value.get("in_place") else ""
        rows = tuple(_row(path, root, i, v) for i, v in enumerate(value["images"]))
        index = DataIndex(str(value["name"]), int(value["tile"]), rows, root)
    except (KeyError, TypeError, ValueError) as e:
        raise DftError(
            f"{path} is not a dftiny data index ({type(e).__name__}: {e})", "build the data again"
        ) from e
    if len({r.id for r in rows}) != len(rows):
        raise DftError(f"{path} holds an image id twice", "build the data again")
    _refuse_odd_folds(path, index)
    return index


def _refuse_odd_folds(path: Path, index: DataIndex) -> None:
    """A folder has folds 0 to n - 1, n of 3 or more, for every image, or none at all; a source lies in one of them."""
    found = {r.fold for r in index.images}
    if found <= {-1}:
        return
    # The largest number alone would let one row of a damaged file ask for a million rounds.
    if found != set(range(len(found))) or len(found) < MIN_FOLDS:
        raise DftError(f"{path} has images without a fold, or a fold without images", "build the data again")
    if len({(r.source, r.fold) for r in index.images}) != len({r.source for r in index.images}):
        raise DftError(f"{path} has a photograph in two folds", "build the data again")


def _root_of(folder: Path) -> str:
    """The folder that the images of an index in place lie below. DftError when it is not there."""
    path = folder / ROOT
    try:
        root = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        why = reason(e) if isinstance(e, OSError) else "it is not text"
        raise DftError(f"cannot read {path}: {why}", "build the data again") from e
    if not Path(root).is_absolute() or not Path(root).is_dir():
        raise DftError(
            f"the images of {folder} should lie in {root or 'no folder at all'}, which is not there",
            f"mount it again, or write its new place into {path}",
        )
    return root


def _row(path: Path, root: str, number: int, value: dict[str, Any]) -> ImageRow:
    row = ImageRow(**value)
    for name in ("id", "source", "kind", "sharing", "file", "sha256"):
        if not isinstance(getattr(row, name), str):
            raise DftError(f"{path}: image {number} has no valid {name!r}", "build the data again")
    if row.split not in SPLITS or row.label not in LABELS or not isinstance(row.seen, bool):
        raise DftError(f"{path}: image {row.id} has a bad split, label or seen", "build the data again")
    if type(row.fold) is not int or row.fold < -1:
        raise DftError(f"{path}: image {row.id} has a bad fold", "build the data again")
    inside = PurePosixPath(row.file)
    if inside.is_absolute() or ".." in inside.parts:
        raise DftError(
            f"{path}: image {row.id} lies outside the data folder ({row.file})", "build the data again"
        )
    return replace(row, file=str(PurePosixPath(root, inside))) if root else row


def load_round(folder: Path, fold: int | None) -> DataIndex:
    """The round `fold` of a set with folds; with None, a set with splits of its own. DftError for one without the other."""
    index = load_index(folder)
    if fold is None and index.folds:
        # All of its images may be tested: nothing is left to train on, or a net is judged on what it was trained on.
        raise _only_folds(folder, f"say which of them is meant: --fold 0 to {index.folds - 1}")
    return index.of_fold(fold)


def load_whole(folder: Path) -> DataIndex:
    """The index of a set with splits of its own, for who takes no fold. DftError for a set with folds."""
    index = load_index(folder)
    if index.folds:
        raise _only_folds(folder, "give a data folder that was built without --folds")
    return index


def _only_folds(folder: Path, hint: str) -> DftError:
    return DftError(f"{folder} is a cross-validation set: it has folds, and no splits of its own", hint)


def save_index(folder: Path, index: DataIndex) -> None:
    """Write `folder/index.json`, and where the images lie elsewhere `folder/root.txt`."""
    value: dict[str, Any] = {"schema": SCHEMA, "name": index.name, "tile": index.tile}
    rows = [_without_default(asdict(r)) for r in index.images]
    if index.root:
        value["in_place"] = True
        for row in rows:
            row["file"] = PurePosixPath(row["file"]).relative_to(index.root).as_posix()
        with atomic_write(folder / ROOT, "w") as f:
            f.write(index.root + "\n")
    write_json(folder / INDEX, value | {"images": rows})


def _without_default(row: dict[str, Any]) -> dict[str, Any]:
    """A set without folds is written as it was before there were any: its digest stands in released models."""
    return {k: v for k, v in row.items() if (k, v) != ("fold", -1)}


def read_image(folder: Path, row: ImageRow) -> NDArray[np.uint8]:
    """Pixels of one image of the index, uint8 [H, W, 3]. DftError names a missing, damaged or changed file."""
    path = folder / row.file
    data = _bytes_of(path)
    pixels = decode_picture(data, path)
    _require_same(data, row, path)
    return pixels


def check_image(folder: Path, row: ImageRow) -> None:
    """DftError when the file is not the one, byte for byte, that the index was written with."""
    path = folder / row.file
    _require_same(_bytes_of(path), row, path)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise DftError(f"cannot read the image {path}: {reason(e)}", "build the data again") from e


def _require_same(data: bytes, row: ImageRow, path: Path) -> None:
    if hashlib.sha256(data).hexdigest() != row.sha256:
        raise DftError(f"{path} was damaged or changed after the data were built", "build the data again")


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Decode a PNG, JPEG or WebP file to uint8 [H, W, 3] RGB; alpha is dropped, 16 bit is refused.

    DftError names the file when it is missing, of another format, truncated, corrupt or above MAX_PIXELS.
    """
    return _decode(path, path)


def decode_picture(data: bytes, path: Path) -> NDArray[np.uint8]:
    """As read_picture, from the bytes of the file at `path`, for who needs the bytes as well."""
    return _decode(io.BytesIO(data), path)


def _decode(source: Path | io.BytesIO, path: Path) -> NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow only warns below twice its own limit; ours is checked below, before any pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(source, formats=FORMATS) as image:
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
            f"{path} cannot be read as an image: {why}", "it may be truncated or corrupt; replace the file"
        ) from e
