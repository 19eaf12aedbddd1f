"""Whose picture, real or fake, shared where: read from the names of folders and files, for data sets that exist already.

Two layouts: TrueFace's tree, and any pair of folders. No image is opened here. Called by the builder of own data.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dftiny.data.index import CONTROLS, SUFFIXES
from dftiny.data.sharing import PRE
from dftiny.errors import DftError

# What TrueFace's own copies and the programs published around it call their folders; case never matters.
PRE_SOCIAL = re.compile(r"(trueface[_-]?)?pre[_-]?social")
POST_SOCIAL = re.compile(r"(trueface[_-]?)?post[_-]?social")
REAL = ("real", "0_real")
FAKE = ("fake", "1_fake")
SPLIT_NAMES = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
# seed0042.png is 000042_FB.jpg once it was shared: the number is the picture.
SHARED_SUFFIX = re.compile(r"_(fb|tl|tg|tw|wa)$")
NUMBER = re.compile(r"(?:seed)?(\d+)")
EXPECTED = "TrueFace_PreSocial/{Real,Fake}/… and TrueFace_PostSocial/<platform>/{Real,Fake}/…"


@dataclass(frozen=True)
class Found:
    """One image file below a root: `file` is its path from there. `own_split` is "" where no folder names one.

    `source` is the picture's identity: all copies of it have one, shared or not.
    """

    file: str
    label: str
    kind: str
    sharing: str
    source: str
    own_split: str


@dataclass(frozen=True)
class Tree:
    """All images found below `root`, sorted by file; `outside` counts images in folders that say nothing, by folder."""

    name: str
    root: Path
    images: tuple[Found, ...]
    outside: tuple[tuple[str, int], ...]


def trueface(root: Path) -> Tree:
    """TrueFace's tree, its train/val/test folders anywhere above, or none. DftError says what was expected and found.

    Source: the layout that Boato et al., "TrueFace: a dataset for the detection of synthetic face images from social
    networks" (IJCB 2022) is distributed in, with the spellings that occur: 0_Real and 1_Fake, StyleGAN1.
    """
    root = root.resolve()
    files = _images_below(root)
    found, outside = [], Counter[str]()
    for file in files:
        image = _trueface_image(PurePosixPath(file))
        if image is None:
            outside[str(PurePosixPath(file).parent)] += 1
        else:
            found.append(image)
    pre = {i.label for i in found if i.sharing == PRE}
    if pre != {"real", "fake"}:
        raise DftError(
            f"{root} is not a TrueFace tree: expected {EXPECTED}, found {_seen_folders(files, root)}",
            "for two folders of images: dftiny data --real DIR --fake DIR",
        )
    return Tree("trueface", root, tuple(found), tuple(sorted(outside.items())))


def two_folders(real: Path, fake: Path) -> Tree:
    """Any two folders; sub-folders of `fake` name kinds. DftError when one is empty or lies inside the other.

    real/a/7.png and fake/gan/a/7.png count as one source: where fakes are made of the reals, that keeps them in one
    split, and where they are not it costs nothing.
    """
    real, fake = real.resolve(), fake.resolve()
    if real.is_relative_to(fake) or fake.is_relative_to(real):
        raise DftError(f"{real} and {fake} lie one inside the other", "give two separate folders")
    root = Path(os.path.commonpath([real, fake]))
    found = []
    for folder, label in ((real, "real"), (fake, "fake")):
        files = _images_below(folder)
        if not files:
            raise DftError(
                f"{folder} holds no PNG, JPEG or WebP image", f"--{label} wants a folder of images"
            )
        above = folder.relative_to(root)
        found += [_plain_image(PurePosixPath(f), PurePosixPath(above), label) for f in files]
    return Tree("own", root, tuple(sorted(found, key=lambda i: i.file)), ())


def _images_below(folder: Path) -> list[str]:
    """Paths of the image files below `folder`, from there, sorted; links to folders are not followed."""
    if not folder.is_dir():
        raise DftError(f"{folder} is not a folder", "give the folder that holds the images")
    paths = []
    for at, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = [f for f in folders if not f.startswith(".")]
        # macOS leaves ._0001.png beside 0001.png on foreign disks: not an image.
        hits = [n for n in names if n.lower().endswith(SUFFIXES) and not n.startswith(".")]
        paths += [Path(at, n).relative_to(folder).as_posix() for n in hits]
    return sorted(paths)


def _unreadable(error: OSError) -> None:
    raise DftError(f"cannot read the folder {error.filename}: {error.strerror}") from error


def _own_split(parts: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The split that a folder names, and the other folders."""
    splits = [SPLIT_NAMES[p.lower()] for p in parts if p.lower() in SPLIT_NAMES]
    rest = tuple(p for p in parts if p.lower() not in SPLIT_NAMES)
    return (splits[0] if splits else ""), rest


def _trueface_image(path: PurePosixPath) -> Found | None:
    split, parts = _own_split(path.parts[:-1])
    lower = [p.lower() for p in parts]
    for i, name in enumerate(lower):
        if PRE_SOCIAL.fullmatch(name):
            sharing, at = PRE, i + 1
        elif POST_SOCIAL.fullmatch(name) and i + 1 < len(lower):
            sharing, at = lower[i + 1], i + 2
        else:
            continue
        label = _label(lower[at]) if at < len(lower) else ""
        if not label:
            return None
        below = [re.sub(r"(?i)^stylegan1$", "StyleGAN", p) for p in parts[at + 1 :]]
        # Pictures of one seed at two truncations show one face: the generator and the number are the source.
        group = below[0] if below else label
        kind = "real" if label == "real" else _kind(below)
        return Found(str(path), label, kind, sharing, f"{group}/{_picture(path.stem)}", split)
    return None


def _plain_image(path: PurePosixPath, above: PurePosixPath, label: str) -> Found:
    split, parts = _own_split(path.parts[:-1])
    kind, below = ("real", parts) if label == "real" else (_kind(parts[:1]), parts[1:])
    source = "/".join([*below, path.stem])
    return Found(str(above / path), label, kind, PRE, source, split)


def _label(folder: str) -> str:
    return "real" if folder in REAL else "fake" if folder in FAKE else ""


def _kind(below: list[str] | tuple[str, ...]) -> str:
    """A generator's name from its folders; never one that means a real image or a control elsewhere."""
    kind = "/".join(below) or "fake"
    return f"fake/{kind}" if kind in ("real", *CONTROLS) else kind


def _picture(stem: str) -> str:
    """The picture that a file of TrueFace shows, whatever platform named the copy."""
    name = SHARED_SUFFIX.sub("", stem.lower())
    number = NUMBER.fullmatch(name)
    return str(int(number[1])) if number else name


def _seen_folders(files: list[str], root: Path) -> str:
    tops = sorted({str(PurePosixPath(*PurePosixPath(f).parts[:-1][:3])) for f in files})
    if not tops:
        here = sorted(p.name + "/" for p in _folders_of(root))
        return "no image" + (f" (folders {', '.join(here[:4])})" if here else "")
    return ", ".join(t + "/" for t in tops[:4]) + (f" and {len(tops) - 4} more" if len(tops) > 4 else "")


def _folders_of(root: Path) -> Iterator[Path]:
    return (p for p in root.iterdir() if p.is_dir())
