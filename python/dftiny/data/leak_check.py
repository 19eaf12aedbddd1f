"""`dftiny leaks`: every image of a data folder opened, compared with its hash, and looked for in the other splits."""

from __future__ import annotations

from pathlib import Path

from dftiny.data.index import DataIndex, load_index
from dftiny.data.leaks import NAMED, Shown, refuse_leaks
from dftiny.data.survey import Look, survey
from dftiny.errors import CheckFailed


def check_leaks(data: Path, *, jobs: int = 2) -> None:
    """Print that nothing lies in two splits (or folds). CheckFailed names up to three pairs, or damaged images."""
    index = load_index(data)
    root = Path(index.root) if index.root else data
    looks = survey(root, [r.file for r in index.images], jobs=jobs)
    _refuse_damaged(index, looks)
    # A set with folds has no splits yet, and every fold becomes each of them in turn.
    part = [f"fold {r.fold}" if index.folds else r.split for r in index.images]
    shown = [
        Shown(r.id, p, r.source, r.sha256, look.print)
        for r, p, look in zip(index.images, part, looks, strict=True)
        if look.print is not None
    ]
    refuse_leaks(shown)
    sources = len({r.source for r in index.images})
    flat = sum(not s.print.telling for s in shown)
    note = f" ({flat} too flat to be compared by their looks)" if flat else ""
    print(
        f"{data}: {len(shown)} images of {sources} sources in {', '.join(sorted(set(part)))}: no leak{note}"
    )


def _refuse_damaged(index: DataIndex, looks: list[Look]) -> None:
    bad = []
    for row, look in zip(index.images, looks, strict=True):
        fault = look.fault or ("it was changed after it was indexed" if look.sha256 != row.sha256 else "")
        if fault:
            bad.append(f"{row.id}: {fault}")
    if bad:
        more = f", and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        said = "1 image is not as it was" if len(bad) == 1 else f"{len(bad)} images are not as they were"
        raise CheckFailed(
            f"{said} indexed: {'; '.join(bad[:NAMED])}{more}",
            "build the data again",
        )
