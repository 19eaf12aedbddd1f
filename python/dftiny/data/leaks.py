"""Leaks between splits: one source, one file or nearly one picture on both sides. Called by the builders and `dftiny leaks`.

Near-duplicates are found by a difference hash of the luminance (64 bits, at most 4 of them different), looked up by
parts instead of in pairs, and confirmed on a small thumbnail, because aligned faces have like hashes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dftiny.errors import CheckFailed

# 8 rows of 9 cells: 64 comparisons of neighbours.
ROWS, COLUMNS = 8, 9
CELL_PX = 8
MAX_BITS = 4
# Four flipped bits leave one of five parts untouched (pigeonhole).
PARTS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))
# A cell's step to its neighbour must be that large, in grey levels, for its bit to say something ...
STEP = 1.0
# ... and so many of the 64 bits must: a sky or a blank page has the hash of nothing.
MIN_STEPS = 32
THUMB = (16, 18)
MIN_CORRELATION = 0.97
NAMED = 3
POPCOUNT = np.array([bin(i).count("1") for i in range(256)], dtype=np.uint8)

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Print:
    """What near-duplicates are found by: 64 bits, and a thumbnail uint8 [16 * 18]. `telling` is false for flat images."""

    bits: int
    thumb: bytes
    telling: bool


@dataclass(frozen=True)
class Shown(Generic[Key]):
    """One image of a check: what it is called, which part it lies in, its source, its file's SHA-256, its print."""

    name: str
    part: Key
    source: str
    sha256: str
    print: Print


def print_of(pixels: NDArray[np.uint8]) -> Print:
    """The print of uint8 [H, W, 3]; the same picture re-compressed or resized has nearly the same."""
    from PIL import Image

    size = (COLUMNS * CELL_PX, ROWS * CELL_PX)
    # Averaged twice: cells of whole grey levels would tie.
    small = np.asarray(Image.fromarray(pixels).convert("L").resize(size, Image.Resampling.BOX), np.float32)
    cells = small.reshape(ROWS, CELL_PX, COLUMNS, CELL_PX).mean((1, 3))
    steps = np.diff(cells, axis=1)
    bits = int.from_bytes(np.packbits(steps > 0).tobytes(), "big")
    rows, columns = THUMB
    thumb = small.reshape(rows, -1, columns, size[0] // columns).mean((1, 3))
    return Print(
        bits, thumb.round().astype(np.uint8).tobytes(), int((np.abs(steps) >= STEP).sum()) >= MIN_STEPS
    )


def refuse_leaks(shown: Sequence[Shown[Key]]) -> None:
    """CheckFailed that names up to three pairs when something lies in two parts; parts are splits or folds."""
    files = (pair for pair in _same(shown, "sha256") if pair[0].source != pair[1].source)
    pairs = [*_same(shown, "source"), *files, *near_duplicates(shown)]
    if not pairs:
        return
    lines = "; ".join(f"{a.name} ({a.part}) and {b.name} ({b.part}): {why}" for a, b, why in pairs[:NAMED])
    more = f", and {len(pairs) - NAMED} more" if len(pairs) > NAMED else ""
    raise CheckFailed(
        f"the data leak between splits: {lines}{more}",
        "take one of each pair out, or put both into one split",
    )


Pair = tuple["Shown[Key]", "Shown[Key]", str]
WHY = {"source": "the same source", "sha256": "the same file"}


def _same(shown: Sequence[Shown[Key]], what: str) -> Iterator[Pair[Key]]:
    """A pair for each value of `what` that lies in more than one part."""
    first: dict[str, Shown[Key]] = {}
    told = set()
    for image in shown:
        value = getattr(image, what)
        other = first.setdefault(value, image)
        if other.part != image.part and value not in told:
            told.add(value)
            yield other, image, WHY[what]


def near_duplicates(shown: Sequence[Shown[Key]], most: int = 1000) -> list[Pair[Key]]:
    """Pairs of nearly the same picture in different parts, of different sources and files, at most `most` of them.

    Flat images are left out. Time grows with the images and with how alike they are, not with their square.
    """
    told = [i for i in shown if i.print.telling]
    bits = np.array([i.print.bits for i in told], dtype=np.uint64)
    parts = {p: n for n, p in enumerate(dict.fromkeys(i.part for i in told))}
    part = np.array([parts[i.part] for i in told], dtype=np.int64)
    found: dict[tuple[int, int], Pair[Key]] = {}
    for a, b in _alike(bits, part):
        one, other = told[a], told[b]
        if (a, b) in found or one.source == other.source or one.sha256 == other.sha256:
            continue
        if correlation(one.print, other.print) >= MIN_CORRELATION:
            found[a, b] = (one, other, "nearly the same picture")
            if len(found) >= most:
                break
    return [found[k] for k in sorted(found)]


def _alike(bits: NDArray[np.uint64], part: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Index pairs a < b of different parts whose hashes differ in MAX_BITS bits or fewer; a pair may come twice."""
    for first, width in PARTS:
        keys = (bits >> np.uint64(first)) & np.uint64((1 << width) - 1)
        order = np.argsort(keys, kind="stable")
        edges = np.flatnonzero(np.diff(keys[order])) + 1
        for bucket in np.split(order, edges):
            for n, a in enumerate(bucket[:-1]):
                others = bucket[n + 1 :]
                close = (distance(bits[a], bits[others]) <= MAX_BITS) & (part[others] != part[a])
                yield from ((int(a), int(b)) for b in others[close])


def distance(a: np.uint64, b: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Hamming distances of hash `a` to hashes `b` [n]."""
    different = np.ascontiguousarray(np.bitwise_xor(a, b)).view(np.uint8).reshape(-1, 8)
    return np.asarray(POPCOUNT[different].sum(1), dtype=np.int64)


def correlation(a: Print, b: Print) -> float:
    """Pearson's r of two thumbnails: brightness and contrast do not count."""
    x, y = (np.frombuffer(p.thumb, np.uint8).astype(np.float64) for p in (a, b))
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / norm if norm else 0.0
