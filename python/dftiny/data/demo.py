"""The demo data set: photographs to crops, fakes, shared copies and controls, in one data folder.

Each photograph is one job of a worker process and depends on its own name alone, so the result is the same
for any number of workers.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dftiny.artifact import new_folder, sha256_file, tool_versions, write_manifest
from dftiny.data import attribution, controls, sharing
from dftiny.data import folds as fold_rules
from dftiny.data.index import (
    INDEX,
    MIN_FOLDS,
    MOVED,
    PROCESSED,
    DataIndex,
    ImageRow,
    read_picture,
    save_index,
)
from dftiny.data.leaks import Print, Shown, print_of, refuse_leaks
from dftiny.data.photos import Crop, Photo, crops, demo_packages, demo_photos, folder_photos, seed_of
from dftiny.data.workers import in_processes
from dftiny.errors import DftError

if TYPE_CHECKING:
    from dftiny.data.generators import Faker

TILE_PX = 128
# The test split before sharing is what an emulator has to get through: 3 crops of 16 tiles, 6 images each.
CROPS = {"train": 6, "val": 4, "test": 3}
# Crops to learn from may share more of their area than crops that are counted as separate images.
OVERLAP = {"train": 0.6, "val": 0.3, "test": 0.3}
# zlib's Z_HUFFMAN_ONLY: on filtered photographs three times faster than the default and no larger.
PNG_STRATEGY = 2


@dataclass(frozen=True)
class Job:
    """What one photograph is to give: up to `crops` crops, and with `shared_controls` processed reals in every profile."""

    photo: Photo
    folder: Path
    strength: str
    crops: int
    overlap: float
    shared_controls: bool


@dataclass(frozen=True)
class Made:
    """What one photograph gave: rows, its file's hash and its print; or `skipped`, one line that says why not."""

    photo: Photo
    rows: tuple[ImageRow, ...] = ()
    sha256: str = ""
    print: Print | None = None
    skipped: str = ""


@dataclass(frozen=True)
class DataSummary:
    """What was built: images by split, photographs used, one line for each photograph skipped, manifest digest."""

    folder: Path
    images: dict[str, int]
    photographs: int
    skipped: tuple[str, ...]
    digest: str

    def text(self) -> str:
        """The lines that `dftiny data` prints."""
        counts = ", ".join(f"{n} {split}" for split, n in self.images.items())
        lines = [
            f"{self.folder}: {sum(self.images.values())} images ({counts}) of {self.photographs} photographs"
        ]
        if self.skipped:
            lines += [f"{len(self.skipped)} photographs skipped:", *(f"  {line}" for line in self.skipped)]
        return "\n".join(lines)


def build_demo(
    out: Path,
    *,
    photos: Path | None = None,
    strength: str = "strong",
    jobs: int = 2,
    folds: int = 0,
    only: tuple[str, ...] = (),
) -> DataSummary:
    """Build the demo set in `out`, with a progress bar, print what is in it and return it.

    `photos` is a folder of the user's own photographs instead of the Debian packages' (needs 5 or more).
    With `folds` it is a cross-validation set (DataIndex.of_fold): every photograph gives all that a test needs.
    `only` keeps the photographs of those ids (for tests). A photograph that is absent, unreadable or too
    smooth is named, counted and skipped. DftError when no photograph is left for a split, CheckFailed when two
    photographs of different splits are the same picture.
    """
    if folds and folds < MIN_FOLDS:
        raise DftError(
            f"{folds} folds are too few: one tests, one validates, the others train", "--folds 5 is usual"
        )
    absent: list[str] = []
    if photos is None:
        sources, absent = demo_photos()
    else:
        sources = folder_photos(photos)
    sources = [p for p in sources if not only or p.id in only]
    with new_folder(out, stage="data") as folder:
        (folder / "images").mkdir()
        made = _run_jobs([_job(p, folder, strength, folds) for p in sources], jobs)
        rows = [row for m in made for row in m.rows]
        skipped = absent + [m.skipped for m in made if m.skipped]
        if folds:
            rows = _dealt(rows, sources, folds, skipped)
        elif not only:
            _refuse_empty(rows, skipped)
        refuse_alike(made, rows)
        used_ids = {r.source for r in rows}
        used = [p for p in sources if p.id in used_ids]
        summary = _finish(out, folder, rows, skipped, strength, used)
    print(summary.text())
    return summary


def _job(photo: Photo, folder: Path, strength: str, folds: int) -> Job:
    if folds:
        # Every photograph is tested in one round, so it gives all that a test needs; of_fold leaves out the rest.
        whole = replace(photo, split="test")
        return Job(whole, folder, strength, fold_rules.CROPS, fold_rules.OVERLAP, shared_controls=True)
    return Job(photo, folder, strength, CROPS[photo.split], OVERLAP[photo.split], shared_controls=False)


def _dealt(rows: list[ImageRow], photos: list[Photo], folds: int, skipped: list[str]) -> list[ImageRow]:
    crops_of = Counter(r.source for r in rows if r.kind == "real" and r.sharing == sharing.PRE)
    if len(crops_of) < folds:
        raise DftError(
            f"{len(crops_of)} usable photographs cannot be dealt into {folds} folds{_first(skipped)}",
            "give more or sharper photographs, or ask for fewer folds",
        )
    fold_of = fold_rules.deal(photos, crops_of, folds)
    return [replace(r, fold=fold_of[r.source]) for r in rows]


def _first(skipped: list[str]) -> str:
    return f" ({len(skipped)} skipped, the first: {skipped[0]})" if skipped else ""


def _refuse_empty(rows: list[ImageRow], skipped: list[str]) -> None:
    for split in CROPS:
        if not any(r.split == split for r in rows):
            raise DftError(
                f"no usable photograph is left for the {split} split{_first(skipped)}",
                "give more or sharper photographs",
            )


def _finish(
    out: Path, folder: Path, rows: list[ImageRow], skipped: list[str], strength: str, used: list[Photo]
) -> DataSummary:
    from dftiny.data.generators import GENERATORS, WEIGHTS, load_faker

    gains = {k: load_faker(k, strength).gain for k in GENERATORS}
    index = DataIndex("demo", TILE_PX, tuple(rows))
    save_index(folder, index)
    (folder / "ATTRIBUTION.md").write_text(attribution.attribution(used, demo_packages()), encoding="utf-8")
    (folder / "card.md").write_text(attribution.card(index, skipped, strength, gains), encoding="utf-8")
    counts = _counts(index)
    rules = {"crops": fold_rules.CROPS, "folds": index.folds} if index.folds else {"crops": CROPS}
    manifest = write_manifest(
        folder,
        "data",
        # The images are covered by their hashes inside index.json: verifying 400 MB at every stage would cost seconds.
        files=[INDEX, "ATTRIBUTION.md", "card.md"],
        config={"strength": strength, **rules, "tile": TILE_PX, "photographs": [p.id for p in used]},
        metrics={"images": counts, "photographs": len(used), "skipped": len(skipped)},
        parents={"generators": hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()},
        tools=tool_versions("numpy", "pillow", "torch"),
    )
    return DataSummary(out, counts, len(used), tuple(skipped), manifest.digest)


def _counts(index: DataIndex) -> dict[str, int]:
    """Images by split, or by fold where there are folds."""
    if index.folds:
        return {f"fold {k}": sum(r.fold == k for r in index.images) for k in range(index.folds)}
    return {s: sum(r.split == s for r in index.images) for s in CROPS}


def _run_jobs(jobs: list[Job], workers: int) -> list[Made]:
    # Test photographs make five times the images of a training one: they go first, or one worker ends alone.
    order = sorted(jobs, key=lambda j: ("test", "val", "train").index(j.photo.split))
    results = in_processes(photo_job, order, workers=workers, unit="photographs", start=_start_worker)
    of_photo = {job.photo.id: made for job, made in zip(order, results, strict=True)}
    return [of_photo[j.photo.id] for j in jobs]


def refuse_alike(made: list[Made], rows: list[ImageRow]) -> None:
    """Photographs are compared, not their crops: two crops of one scene seldom lie at the same place."""
    part = {r.source: f"fold {r.fold}" if r.fold >= 0 else r.split for r in rows}
    refuse_leaks(
        [
            Shown(m.photo.path.name, part[m.photo.id], m.photo.id, m.sha256, m.print)
            for m in made
            if m.print is not None and m.photo.id in part
        ]
    )


def _start_worker() -> None:
    import torch

    torch.set_num_threads(1)


def photo_job(job: Job) -> Made:
    """All images of one photograph, written under its folder's images/."""
    from dftiny.data.generators import GENERATORS, SEEN, load_faker

    photo = job.photo
    try:
        source = read_picture(photo.path)
        found = crops(photo, job.crops, job.overlap, source)
    except DftError as e:
        return Made(photo, skipped=f"{photo.id}: {e.cause}")
    if not found:
        return Made(photo, skipped=f"{photo.id}: no crop with enough texture")
    kinds = GENERATORS if photo.split == "test" else SEEN
    fakers = [load_faker(kind, job.strength) for kind in kinds]
    rows = [row for number, crop in enumerate(found) for row in _crop_rows(job, crop, number, fakers)]
    return Made(photo, tuple(rows), sha256_file(photo.path), print_of(source))


def _crop_rows(job: Job, crop: Crop, number: int, fakers: list[Faker]) -> Iterator[ImageRow]:
    photo = job.photo

    from dftiny.data.generators import SEEN

    def row(kind: str, label: str, data: bytes, *, of: str = "", profile: str = sharing.PRE) -> ImageRow:
        name = ".".join(x for x in (crop.id, kind, of, "" if profile == sharing.PRE else profile) if x)
        file = f"images/{name}.{'png' if profile == sharing.PRE else 'jpg'}"
        (job.folder / file).write_bytes(data)
        seen = kind == "real" or kind in SEEN
        return ImageRow(
            name, photo.split, photo.id, label, kind, seen, profile, file, hashlib.sha256(data).hexdigest()
        )

    images = {"real": crop.pixels} | {f.kind: f.fake(crop.pixels, crop.id) for f in fakers}
    for kind, pixels in images.items():
        yield row(kind, _label(kind), png(pixels))
    if photo.split != "test":
        return
    for profile in sharing.PROFILES:
        for kind, pixels in images.items():
            yield row(
                kind, _label(kind), sharing.share(pixels, profile, f"{crop.id}.{kind}"), profile=profile
            )
    yield from _control_rows(job, crop, images, fakers[_which(job, number) % len(fakers)].kind, row)


def _control_rows(
    job: Job, crop: Crop, images: dict[str, NDArray[np.uint8]], fake: str, row: Callable[..., ImageRow]
) -> Iterator[ImageRow]:
    """The controls of a crop: processed reals, then copies of the real and of the one `fake` off the 8-px grid."""
    for kind in PROCESSED:
        pixels = controls.control(crop.pixels, kind)
        yield row(kind, "real", png(pixels))
        for profile in sharing.PROFILES if job.shared_controls else ():
            data = sharing.share(pixels, profile, f"{crop.id}.{kind}")
            yield row(kind, "real", data, profile=profile)
    for kind in MOVED:
        for of in ("real", fake):
            yield row(kind, _label(of), png(controls.control(images[of], kind)), of=of)


def _which(job: Job, number: int) -> int:
    """Which fake of a crop the controls copy: four crops of a photograph alone would never reach the fifth generator."""
    return number + (seed_of("moved", job.photo.id) if job.shared_controls else 0)


def _label(kind: str) -> str:
    return "real" if kind == "real" else "fake"


def png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG bytes of uint8 [H, W, 3], the same for the same pixels and the same zlib."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_type=PNG_STRATEGY, compress_level=1)
    return buffer.getvalue()
