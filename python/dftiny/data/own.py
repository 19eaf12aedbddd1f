"""Data sets that exist already: TrueFace's tree, or two folders of images, as a data folder that refers to them in place.

Opens every image once, names what it skips, splits by picture, refuses leaks. Called by `dftiny data`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dftiny.artifact import new_folder, tool_versions, write_manifest
from dftiny.data.index import INDEX, SPLITS, DataIndex, ImageRow, save_index
from dftiny.data.leaks import Shown, refuse_leaks
from dftiny.data.photos import seed_of
from dftiny.data.sharing import PRE
from dftiny.data.survey import Look, survey
from dftiny.data.trees import Found, Tree
from dftiny.errors import DftError

TILE_PX = 128
# Of every hundred sources; the rest trains.
TEST_PERCENT, VAL_PERCENT = 20, 10
PRINTED = 20


@dataclass(frozen=True)
class OwnSummary:
    """What was indexed: images by split and sharing, one line for each image or folder skipped, manifest digest."""

    folder: Path
    images: dict[str, dict[str, int]]
    skipped: tuple[str, ...]
    digest: str

    def text(self) -> str:
        """The lines that `dftiny data` prints."""
        total = sum(n for of in self.images.values() for n in of.values())
        lines = [f"{self.folder}: {total} images, in place"]
        for split, of in self.images.items():
            lines.append(f"  {split}: " + ", ".join(f"{n} {sharing}" for sharing, n in of.items()))
        if self.skipped:
            lines += [f"{len(self.skipped)} skipped:", *(f"  {line}" for line in self.skipped[:PRINTED])]
        if len(self.skipped) > PRINTED:
            lines.append(f"  and {len(self.skipped) - PRINTED} more (card.md names all)")
        return "\n".join(lines)


def build_own(out: Path, tree: Tree, *, held_out: Sequence[str] = (), jobs: int = 2) -> OwnSummary:
    """Index the images of `tree` in the data folder `out`, print what is in it and return it.

    `held_out` names generators (or the first part of their names) that only the test split may have. Corrupt images
    and those below one tile are named, counted and skipped. DftError when a split has no real or no fake image,
    CheckFailed when a source, a file or nearly one picture lies in two splits.
    """
    with new_folder(out, stage="data") as folder:
        looks = survey(tree.root, [i.file for i in tree.images], jobs=jobs)
        good, skipped = _sound(tree, looks)
        rows = _rows(good, held_out)
        _refuse_one_sided(rows)
        prints = {look.file: look for _, look in good}
        refuse_leaks([_shown(r, prints[r.file]) for r in rows])
        summary = _finish(out, folder, tree, rows, skipped)
    print(summary.text())
    return summary


def _shown(row: ImageRow, look: Look) -> Shown[str]:
    assert look.print is not None
    return Shown(row.file, row.split, row.source, row.sha256, look.print)


def _sound(tree: Tree, looks: Sequence[Look]) -> tuple[list[tuple[Found, Look]], list[str]]:
    """The images to be indexed, and a line for each that is not."""
    skipped = [f"{folder}/: {n} image{'s' * (n != 1)} outside the layout" for folder, n in tree.outside]
    good = []
    for image, look in zip(tree.images, looks, strict=True):
        small = min(look.width, look.height) < TILE_PX
        fault = look.fault or (f"{look.width}x{look.height} is below one tile of {TILE_PX}" if small else "")
        if fault:
            skipped.append(f"{image.file.encode('utf-8', 'backslashreplace').decode()}: {fault}")
        else:
            good.append((image, look))
    return good, skipped


def _rows(good: Sequence[tuple[Found, Look]], held_out: Sequence[str]) -> list[ImageRow]:
    images = [image for image, _ in good]
    held = _held_out(images, held_out)
    splits = splits_of(images)
    kept = [(i, look) for i, look in good if splits[i.file] == "test" or i.kind not in held]
    kept.sort(key=lambda pair: pair[0].sharing != PRE)  # what was not shared comes first, in tables as well
    trained = {i.kind for i, _ in kept if splits[i.file] == "train"}
    return [
        ImageRow(
            i.file,
            splits[i.file],
            i.source,
            i.label,
            i.kind,
            i.kind in trained,
            i.sharing,
            i.file,
            look.sha256,
        )
        for i, look in kept
    ]


def _held_out(images: Iterable[Found], names: Sequence[str]) -> set[str]:
    kinds = {i.kind for i in images if i.label == "fake"}
    held = {k for k in kinds if k in names or k.split("/")[0] in names}
    for name in names:
        if not any(name in (k, k.split("/")[0]) for k in held):
            raise DftError(
                f"there is no generator {name!r} in these data", f"found: {', '.join(sorted(kinds))}"
            )
    return held


def splits_of(images: Sequence[Found]) -> dict[str, str]:
    """The split of each image by its file: its own folders' where there are any, else by source.

    By source, 20 % test and 10 % validate, chosen by a hash of the source among those that are there before sharing
    and after every platform (so that a test compares the same pictures); all others train. DftError when some images
    lie in folders named train, val or test and others do not.
    """
    own = {i.own_split for i in images}
    if len(own - {""}) > 1:
        if "" in own:
            stray = next(i.file for i in images if not i.own_split)
            raise DftError(
                f"some images lie in train, val or test folders, others do not ({stray})",
                "put all of them into such folders, or none",
            )
        splits = {i.file: i.own_split for i in images}
        train = [i for i in images if i.own_split == "train"]
        return splits if "val" in own else splits | _drawn(train, ("val",))
    return _drawn(images, ("test", "val"))


def _drawn(images: Sequence[Found], wanted: tuple[str, ...]) -> dict[str, str]:
    sharings = {i.sharing for i in images}
    of_source: dict[str, list[Found]] = defaultdict(list)
    for image in images:
        of_source[image.source].append(image)
    complete = {s: copies for s, copies in of_source.items() if {c.sharing for c in copies} == sharings}
    split_of: dict[str, str] = {}
    for sources in _strata(complete):
        order = sorted(sources, key=lambda s: seed_of("split", s))
        drawn = [split for split in wanted for _ in range(_part(len(order), split))]
        split_of |= dict(zip(order, drawn, strict=False))
    return {i.file: split_of.get(i.source, "train") for i in images}


def _strata(of_source: Mapping[str, Sequence[Found]]) -> list[list[str]]:
    """The sources by what they are, real or of which generator, so that each split has its part of all.

    Where sources of one generator are too few to be split, those of a label are taken together.
    """
    strata: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for source, copies in of_source.items():
        strata[tuple(sorted({c.kind.split("/")[0] for c in copies}))].append(source)
    few: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for sources in strata.values():
        if len(sources) < len(SPLITS):
            for source in sources:
                few[tuple(sorted({c.label for c in of_source[source]}))].append(source)
    return [s for s in strata.values() if len(s) >= len(SPLITS)] + list(few.values())


def _part(sources: int, split: str) -> int:
    """How many of `sources` a split gets: at least one, where one is left to train."""
    percent = {"test": TEST_PERCENT, "val": VAL_PERCENT}[split]
    return max(1, round(sources * percent / 100)) if sources >= len(SPLITS) else 0


def _refuse_one_sided(rows: Sequence[ImageRow]) -> None:
    for split in SPLITS:
        for label in ("real", "fake"):
            if not any(r.split == split and r.label == label and r.sharing == PRE for r in rows):
                raise DftError(
                    f"no {label} image before sharing is left for the {split} split",
                    "give more images; of every three sources of a label one tests and one validates",
                )


def _finish(out: Path, folder: Path, tree: Tree, rows: list[ImageRow], skipped: list[str]) -> OwnSummary:
    placed = [ImageRow(**(vars(r) | {"file": (tree.root / r.file).as_posix()})) for r in rows]
    save_index(folder, DataIndex(tree.name, TILE_PX, tuple(placed), tree.root.as_posix()))
    (folder / "card.md").write_text(_card(tree, rows, skipped), encoding="utf-8")
    counts = {s: dict(sorted(Counter(r.sharing for r in rows if r.split == s).items())) for s in SPLITS}
    manifest = write_manifest(
        folder,
        "data",
        files=[INDEX, "card.md"],
        config={"layout": tree.name, "tile": TILE_PX, "split_percent": [TEST_PERCENT, VAL_PERCENT]},
        metrics={"images": counts, "skipped": len(skipped)},
        tools=tool_versions("numpy", "pillow"),
    )
    return OwnSummary(out, counts, tuple(skipped), manifest.digest)


def _card(tree: Tree, rows: Sequence[ImageRow], skipped: Sequence[str]) -> str:
    counts = Counter((r.split, r.sharing, r.kind) for r in rows)
    table = "\n".join(f"| {s} | {h} | {k} | {n} |" for (s, h, k), n in sorted(counts.items()))
    unseen = sorted({r.kind for r in rows if not r.seen})
    return f"""# Data set {tree.name}

The images lie where they were ({INDEX} names each by its path below the folder in root.txt, with its SHA-256); none was
copied or changed. Whose they are, and what may be done with them, only their owner can say.

## Rules
- Split by picture: all copies of one, before and after sharing, lie in one split. The data set's own train, val and test
  folders count where it has them; else {TEST_PERCENT} % test and {VAL_PERCENT} % validate, by a hash of the picture's name, among the pictures
  that are there before sharing and after every platform.
- No file, no source and nearly no picture (difference hash, then a thumbnail's correlation) lies in two splits: checked.
- Generators in the test split only: {", ".join(unseen) or "none"}.

## What is in it
| split | sharing | kind | images |
|---|---|---|---|
{table}

Skipped: {len(skipped)}.
{"".join(f"- {line}{chr(10)}" for line in skipped)}"""
