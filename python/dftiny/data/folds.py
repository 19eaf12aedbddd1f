"""Dealing photographs into the folds of a cross-validation set. Called by the demo builder.

By photograph, never by crop: two crops of one photograph never lie in two folds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from dftiny.data.photos import Photo

CROPS = 4
OVERLAP = 0.3


def deal(photos: Sequence[Photo], crops: Mapping[str, int], folds: int) -> dict[str, int]:
    """The fold of every photograph id that gave crops: those with most crops first, each to the smallest fold.

    `crops` is the number of crops by photograph id. No two folds differ by more than the crops of one photograph.
    Among equally small folds, one with few photographs of the same package: a package looks alike.
    """
    order = sorted((p for p in photos if crops.get(p.id)), key=lambda p: (-crops[p.id], p.package, p.id))
    size = [0] * folds
    of_package: Counter[tuple[str, int]] = Counter()
    dealt = {}
    for photo in order:
        k = min(range(folds), key=lambda i: (size[i], of_package[photo.package, i], i))
        size[k] += crops[photo.id]
        of_package[photo.package, k] += 1
        dealt[photo.id] = k
    return dealt
