"""Any picture file as the pixels a detector may look at, or one sentence why not.

Pixels stay as they are stored: a rotation by EXIF would move the 8-px grid that traces lie on, so only the heat map is
turned. Called by detect.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dftiny.artifact import reason
from dftiny.data.index import FORMATS, MAX_PIXELS
from dftiny.errors import DftError

EXIF_ORIENTATION = 0x0112
LARGEST_SIDE = 30_000  # pixels: a strip of them would pass MAX_PIXELS and still be no photograph
# WebP container specification (RFC 9649, section 2): "RIFF", size, "WEBP"; a frame's data lie behind 16 bytes.
_RIFF_BYTES, _FRAME_BYTES = 12, 16
_CHUNKS_MAX = 64
_PNG_DEPTH_AT = 24


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels uint8 [H, W, 3] as stored; `orientation` is EXIF's 1…8 (1: upright); `lossy` by the file's format; `notes`
    say what was done to the file to get there."""

    path: Path
    pixels: NDArray[np.uint8]
    orientation: int
    lossy: bool
    notes: tuple[str, ...]


def open_picture(path: Path) -> Picture:
    """Decode a PNG, JPEG or WebP file. DftError with the file's name for anything else, damaged or too large."""
    from PIL import Image, UnidentifiedImageError

    if not path.exists():
        raise DftError(f"{path} does not exist", "check the name")
    if path.is_dir():
        raise DftError(f"{path} is a folder", "give the pictures in it: dftiny detect FOLDER/*.jpg")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata says so on stderr; the pixels are what counts
            with Image.open(path, formats=FORMATS) as image:
                _refuse_huge(path, image.width, image.height)
                return _decoded(path, image)
    except UnidentifiedImageError as e:
        raise DftError(
            f"{path} is not a PNG, JPEG or WebP picture, or it is damaged", "give another file"
        ) from e
    except Image.DecompressionBombError as e:
        raise DftError(f"{path} is too large to decode", "crop it first (do not resize it)") from e
    except MemoryError as e:
        raise DftError(f"{path} does not fit into memory", "crop it first (do not resize it)") from e
    except (OSError, SyntaxError, ValueError, EOFError) as e:
        why = reason(e) if isinstance(e, OSError) else str(e)
        raise DftError(f"cannot read the picture {path}: {why}", "it may be truncated or corrupt") from e


def _refuse_huge(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS or max(width, height) > LARGEST_SIDE:
        raise DftError(
            f"{path} has {width}x{height} pixels, more than {MAX_PIXELS // 1_000_000} million or {LARGEST_SIDE} a side",
            "crop it first (do not resize it)",
        )


def _decoded(path: Path, image: object) -> Picture:
    from PIL import Image

    assert isinstance(image, Image.Image)
    notes = []
    if (frames := int(getattr(image, "n_frames", 1))) > 1:
        notes.append(f"animated: only the first of {frames} frames was looked at")
    lossy = image.format == "JPEG" or (image.format == "WEBP" and not _lossless_webp(path))
    orientation = int(image.getexif().get(EXIF_ORIENTATION, 1))
    if _deep(path):  # Pillow keeps the upper byte of coloured ones and does not say so
        notes.append("16 bits a channel: the upper 8 were looked at")
    pixels, how = _rgb(image)
    return Picture(path, pixels, orientation if 1 <= orientation <= 8 else 1, lossy, (*notes, *how))


def _deep(path: Path) -> bool:
    """Whether it is a PNG of 16 bits a channel, by its header's bit depth (PNG specification, 11.2.2)."""
    with path.open("rb") as f:
        head = f.read(_PNG_DEPTH_AT + 1)
    return head.startswith(b"\x89PNG") and head[_PNG_DEPTH_AT:] == b"\x10"


def _rgb(image: object) -> tuple[NDArray[np.uint8], list[str]]:
    """uint8 [H, W, 3] of a Pillow image, and what that took."""
    from PIL import Image

    assert isinstance(image, Image.Image)
    mode = image.mode
    if mode.startswith(("I", "F")):
        # PNG has 16-bit grey only; its upper byte is what an 8-bit copy would hold.
        upper = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(upper[:, :, None], 3, axis=2), ["grey"]
    notes = []
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        notes.append("transparency was left out")
        image = image.convert("RGBA")
    if mode in ("CMYK", "YCCK"):
        notes.append("CMYK, converted without a colour profile")
    if mode in ("L", "LA", "1"):
        notes.append("grey")
    if mode in ("P", "PA"):
        notes.append("a palette of at most 256 colours")
    return np.array(image.convert("RGB"), dtype=np.uint8), notes


def _lossless_webp(path: Path) -> bool:
    """Whether the first picture of a WebP file is VP8L: its RIFF chunks are walked, a frame's (ANMF) from the inside."""
    with path.open("rb") as f:
        f.seek(_RIFF_BYTES)
        for _ in range(_CHUNKS_MAX):
            head = f.read(8)
            kind, size = head[:4], int.from_bytes(head[4:], "little")
            if kind in (b"VP8L", b"VP8 ") or len(head) < 8:
                return kind == b"VP8L"
            f.seek(_FRAME_BYTES if kind == b"ANMF" else size + size % 2, 1)
    return False


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] turned and mirrored as EXIF's orientation 1…8 asks, for looking at."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
