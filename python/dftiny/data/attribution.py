"""ATTRIBUTION.md and card.md of a data folder: whose photographs these are, and what the set is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dftiny.data import controls, generators, photos, sharing
from dftiny.data.index import PROCESSED, SPLITS, DataIndex
from dftiny.data.photos import Photo
from dftiny.errors import DftError


def attribution(used: Iterable[Photo], copyright_files: dict[str, Path]) -> str:
    """Markdown: every photograph used with author and licence, then each package's own copyright file, verbatim."""
    by_package: dict[str, list[Photo]] = {}
    for photo in used:
        by_package.setdefault(photo.package, []).append(photo)
    parts = [
        "# Attribution",
        "The images of this folder were made from the photographs below: shrunk, cropped, and for the fakes changed",
        "by simulated generators. They were installed on this machine and are not distributed with dftiny.",
    ]
    for package, members in by_package.items():
        parts.append(f"\n## {package or 'your own photographs'}\n")
        for p in members:
            by = f" by {p.author}" if p.author else ""
            parts.append(f"- {p.path.name} ({p.id}){by}: {p.licence}")
        if package in copyright_files:
            text = _read(copyright_files[package])
            parts.append(
                f"\nThe copyright file of the Debian package {package}:\n\n```text\n{text.rstrip()}\n```"
            )
    return "\n".join(parts) + "\n"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as e:
        raise DftError(
            f"cannot read the copyright file {path}: {e.strerror}", "install its package again"
        ) from e


@dataclass(frozen=True)
class _Words:
    """What the card of a set with splits says otherwise than that of a set with folds."""

    part: str
    photographs: str
    rule: str
    held_out: str
    shared: str
    controls: str


def _split_words(index: DataIndex) -> _Words:
    sources = {s: len({r.source for r in index.images if r.split == s}) for s in SPLITS}
    return _Words(
        "split",
        f"{sources['train']} photographs to train, {sources['val']} to validate, {sources['test']} to test",
        "Split by photograph, never by crop.",
        "in the test split only",
        " of the test split",
        ", test split only",
    )


def _fold_words(index: DataIndex) -> _Words:
    n = index.folds
    return _Words(
        "fold",
        f"{len({r.source for r in index.images})} photographs, each tested in one of {n} rounds",
        f"Dealt into {n} folds by photograph, never by crop, so that folds are alike in crops. In round k fold k tests, "
        f"the next one validates, the others train.\n"
        f"- The simulated generators were trained on the default set's training photographs, whatever the round: it is\n"
        f"  the detector that never sees a photograph it is tested on.",
        "in what a round tests only",
        "",
        f" ({', '.join(PROCESSED)} after each sharing profile, too)",
    )


def _table(index: DataIndex) -> str:
    counts = Counter(
        (
            str(r.fold) if index.folds else r.split,
            "pre" if r.sharing == sharing.PRE else "shared",
            r.kind,
        )
        for r in index.images
    )
    return "\n".join(f"| {s} | {h} | {k} | {n} |" for (s, h, k), n in sorted(counts.items()))


def card(index: DataIndex, skipped: Sequence[str], strength: str, gains: dict[str, float]) -> str:
    """Markdown: the rules the set was made by (fixed before any result), its counts, and what it is not."""
    words = _fold_words(index) if index.folds else _split_words(index)
    table = _table(index)
    strong = (
        f"fake = real + gain x (G(real) - real), the gain bringing a generator's mean PSNR on training crops to "
        f"{generators.TARGET_DB:g} dB within {generators.GAIN_RANGE[0]}..{generators.GAIN_RANGE[1]}; then a fake nearer "
        f"than {generators.FLOOR_DB:g} dB to its original is amplified, by at most {generators.FLOOR_MAX_GAIN:g}"
    )
    weak = "half the gain of the strong set, and no floor"
    gain_text = ", ".join(f"{k} {v:.2f}" for k, v in gains.items())
    profiles = "; ".join(
        f"{p.name}: longest side {p.max_px} px, JPEG quality {p.quality[0]}-{p.quality[1]}, 4:2:0"
        + (", progressive" if p.progressive else "")
        for p in sharing.PROFILES.values()
    )
    return f"""# Demo data set

## What it is not
- It is hardly ever a face: landscapes, plants, buildings and the like, from Debian's wallpaper packages or your own folder.
- The fakes come from no real generator. Small auto-encoders add the traces of five ways of up-sampling to a photograph.
- It says nothing about TrueFace, about any face data set, or about any published deepfake. A detector that does well
  here has shown that the whole chain works, not that it finds fakes in the world.
- It is small: {words.photographs}. Read every figure with its interval.
- The sharing profiles imitate; no platform was used.

## Rules, fixed before any result was looked at
- {words.rule}
- Every photograph is shrunk first (Lanczos, x{photos.SHRINK[0]}-{photos.SHRINK[1]}), else its JPEG history would give it away; then {photos.CROP_PX}x{photos.CROP_PX}
  crops at random places, seeded by the photograph's name, with mean |Laplacian| of at least {photos.MIN_TEXTURE:g} grey levels.
- Generators {", ".join(generators.SEEN)} are for training; {", ".join(generators.HELD_OUT)} are held out and occur {words.held_out}.
- Strength "{strength}": {strong if strength == "strong" else weak}. Gains: {gain_text}.
- All images are lossless PNG except the shared copies{words.shared}, which are the JPEG files themselves.
- Sharing: {profiles}. A crop of {photos.CROP_PX} px is below every limit, so here sharing is JPEG alone.
- Controls{words.controls}: blur (sigma {controls.BLUR_SIGMA_PX:g} px) and denoise (3x3 median) of real images, labelled real;
  resized (x{controls.RESIZE}) and offgrid (cut {controls.OFFSET_PX[0]} rows and {controls.OFFSET_PX[1]} columns) copies of a real image and of one fake.
  Where shrinking or cutting leaves less than a whole tile, that part is not judged.

## What is in it
| {words.part} | sharing | kind | images |
|---|---|---|---|
{table}

Photographs skipped: {len(skipped)}.
{"".join(f"- {line}{chr(10)}" for line in skipped)}"""
