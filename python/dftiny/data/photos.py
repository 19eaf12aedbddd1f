"""The source photographs: the list of the demo set, a user's own folder, and crops with enough texture.

A photograph is first shrunk, or its JPEG history would give "real" away; crops are cut after that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny.data.index import SUFFIXES, read_picture
from dftiny.errors import DftError
from dftiny.spec import SPEC_DIR, read_toml

CROP_PX = 512
SHRINK = (0.5, 0.78)
MIN_TEXTURE = 3.0
# Random places tried for one wanted crop before a photograph counts as exhausted.
TRIES_PER_CROP = 8


@dataclass(frozen=True)
class Photo:
    """One source photograph. `shippable` is true for CC0 and CC-BY only."""

    id: str
    path: Path
    split: str
    package: str
    licence: str
    author: str
    shippable: bool


@dataclass(frozen=True)
class Crop:
    """A shrunk crop, uint8 [512, 512, 3]; `shrink` is the factor, `texture` its mean |Laplacian|."""

    id: str
    pixels: NDArray[np.uint8]
    shrink: float
    texture: float


def seed_of(*parts: object) -> int:
    """A 64-bit seed from names: equal names give equal seeds on every machine."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:8], "little")


def _table() -> list[dict[str, Any]]:
    packages: list[dict[str, Any]] = read_toml(SPEC_DIR / "demo_photos.toml", "list of photographs")[
        "package"
    ]
    return packages


def demo_packages() -> dict[str, Path]:
    """Debian packages of the demo photographs, and where each keeps its copyright file."""
    return {p["name"]: Path(p["copyright"]) for p in _table()}


def demo_photos() -> tuple[list[Photo], list[str]]:
    """The installed photographs of the demo set, and one line for each that is not installed.

    DftError with the command to run when none is installed.
    """
    photos, absent = [], []
    for package in _table():
        for row in package["photos"]:
            path = Path(package["folder"]) / row["file"]
            if path.is_file():
                fields = {k: row[k] for k in ("id", "split", "licence", "author", "shippable")}
                photos.append(Photo(path=path, package=package["name"], **fields))
            else:
                absent.append(f"{path}: not installed (package {package['name']})")
    if not photos:
        names = " ".join(demo_packages())
        raise DftError(
            "the demo photographs are not installed", f"sudo apt-get install {names}, or give --photos DIR"
        )
    return photos, absent


def folder_photos(folder: Path) -> list[Photo]:
    """A user's own photographs, sorted by name; of every five the fourth is val and the fifth test."""
    if not folder.is_dir():
        raise DftError(f"{folder} is not a folder of photographs", "give the folder that holds them")
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES)
    if len(paths) < 5:
        raise DftError(
            f"{folder} holds {len(paths)} photographs", "at least 5 are needed for train, val and test"
        )
    splits = ("train", "train", "train", "val", "test")
    photos = []
    for i, path in enumerate(paths):
        # The running number keeps ids unique when two sub-folders hold the same file name.
        name = "".join(c if c.isalnum() else "-" for c in path.stem.lower())[:40]
        photos.append(Photo(f"{i:04d}-{name}", path, splits[i % 5], "", "unknown (yours)", "", False))
    return photos


def texture(pixels: NDArray[np.uint8]) -> float:
    """Mean absolute 4-neighbour Laplacian of the luminance (ITU-R BT.601), in grey levels."""
    grey = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    inner = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(np.abs(inner).mean())


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Shared area of two boxes (x0, y0, x1, y1) as a part of the smaller one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))


def crops(
    photo: Photo, wanted: int, overlap: float = 0.3, source: NDArray[np.uint8] | None = None
) -> list[Crop]:
    """Up to `wanted` crops of `photo` at random places and shrink factors, each with texture >= MIN_TEXTURE.

    Two crops share at most the part `overlap` of the smaller one's area. Random by the photograph's id alone.
    `source` is the photograph's pixels, where they were read already. DftError names one that cannot be read.
    """
    from PIL import Image

    if source is None:
        source = read_picture(photo.path)
    height, width = source.shape[:2]
    smallest = max(SHRINK[0], CROP_PX / min(height, width))
    if smallest > SHRINK[1]:
        raise DftError(
            f"{photo.path} is too small ({width}x{height}): {CROP_PX} px must remain after shrinking"
        )
    rng = np.random.default_rng(seed_of("crops", photo.id))
    image = Image.fromarray(source)
    found: list[Crop] = []
    boxes: list[tuple[float, float, float, float]] = []
    for _ in range(wanted * TRIES_PER_CROP):
        shrink = float(rng.uniform(smallest, SHRINK[1]))
        side = CROP_PX / shrink
        x, y = float(rng.uniform(0, width - side)), float(rng.uniform(0, height - side))
        box = (x, y, min(x + side, width), min(y + side, height))
        if any(_overlap(box, other) > overlap for other in boxes):
            continue
        pixels = np.asarray(image.resize((CROP_PX, CROP_PX), Image.Resampling.LANCZOS, box=box))
        detail = texture(pixels)
        if detail >= MIN_TEXTURE:
            boxes.append(box)
            found.append(Crop(f"{photo.id}.{len(found)}", pixels, shrink, detail))
            if len(found) == wanted:
                break
    return found
