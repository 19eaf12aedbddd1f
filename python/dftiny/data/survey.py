"""Every image of a data set opened once: is it whole, what is its hash, what does it look like? On several processes.

Called by the builder of own data and by `dftiny leaks`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dftiny.artifact import reason
from dftiny.data.index import decode_picture
from dftiny.data.leaks import Print, print_of
from dftiny.data.workers import in_processes
from dftiny.errors import DftError

# Images one job of a worker opens, one after the other: enough that handing them over costs nothing, few enough that
# nobody waits for them after Ctrl-C.
JOB_IMAGES = 8
# More than 64 million pixels take uncompressed. With it a worker holds 256 MB of file, 256 MB in pillow, 192 MB of pixels.
MAX_FILE_BYTES = 256 << 20


@dataclass(frozen=True)
class Look:
    """What one image is: its file's SHA-256, its print, its sides. With `fault` set it is to be skipped."""

    file: str
    sha256: str
    print: Print | None
    width: int
    height: int
    fault: str = ""


def survey(root: Path, files: Sequence[str], *, jobs: int, inside: bool = True) -> list[Look]:
    """A look at each of `files`, paths below `root`, in their order, with a bar.

    With `inside` a link that leads out of `root` is a fault. Never an error for a bad image: its `fault` says why.
    """
    parts = [(root, tuple(files[i : i + JOB_IMAGES]), inside) for i in range(0, len(files), JOB_IMAGES)]
    looks = in_processes(_look_at, parts, workers=jobs, unit="images opened", weight=lambda p: len(p[1]))
    return [look for part in looks for look in part]


def _look_at(part: tuple[Path, tuple[str, ...], bool]) -> list[Look]:
    root, files, inside = part
    return [_look(root, file, inside) for file in files]


def _look(root: Path, file: str, inside: bool) -> Look:
    try:
        data = _read(root, file, inside)
        pixels = decode_picture(data, root / file)
    except DftError as e:
        return Look(
            file, "", None, 0, 0, e.cause.replace(f"{root / file} ", "").replace(str(root / file), "it")
        )
    height, width = pixels.shape[:2]
    return Look(file, hashlib.sha256(data).hexdigest(), print_of(pixels), width, height)


def _read(root: Path, file: str, inside: bool) -> bytes:
    path = root / file
    try:
        file.encode("utf-8")
        if inside and not path.resolve().is_relative_to(root.resolve()):
            raise DftError("it is a link that leads out of the folder")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DftError(f"it has more than {MAX_FILE_BYTES >> 20} MB")
        return path.read_bytes()
    except UnicodeEncodeError as e:
        raise DftError("its name is not UTF-8") from e
    except OSError as e:
        raise DftError(f"it cannot be read: {reason(e)}") from e
