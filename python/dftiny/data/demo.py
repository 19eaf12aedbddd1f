"""The demo data set: photographs to crops, fakes, shared copies and controls, in one data folder.

Each photograph is one job of a worker process and depends on its own name alone, so the result is the same
for any number of workers.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dftiny.artifact import new_folder, tool_versions, write_manifest
from dftiny.data import attribution, controls, sharing
from dftiny.data.index import INDEX, MOVED, PROCESSED, DataIndex, ImageRow, save_index
from dftiny.data.photos import Crop, Photo, crops, demo_packages, demo_photos, folder_photos
from dftiny.errors import CheckFailed, DftError

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
    only: tuple[str, ...] = (),
) -> DataSummary:
    """Build the demo set in `out`, with a progress bar, print what is in it and return it.

    `photos` is a folder of the user's own photographs instead of the Debian packages' (needs 5 or more).
    `only` keeps the photographs of those ids (for tests). A photograph that is absent, unreadable or too
    smooth is named, counted and skipped. DftError when no photograph is left for a split.
    """
    absent: list[str] = []
    if photos is None:
        sources, absent = demo_photos()
    else:
        sources = folder_photos(photos)
    sources = [p for p in sources if not only or p.id in only]
    with new_folder(out, stage="data") as folder:
        (folder / "images").mkdir()
        rows, skipped = _run_jobs(sources, folder, strength, jobs)
        skipped = absent + skipped
        if not only:
            _refuse_empty(rows, skipped)
        used_ids = {r.source for r in rows}
        used = [p for p in sources if p.id in used_ids]
        summary = _finish(out, folder, rows, skipped, strength, used)
    print(summary.text())
    return summary


def _refuse_empty(rows: list[ImageRow], skipped: list[str]) -> None:
    for split in CROPS:
        if not any(r.split == split for r in rows):
            reason = f" ({len(skipped)} skipped, the first: {skipped[0]})" if skipped else ""
            raise DftError(
                f"no usable photograph is left for the {split} split{reason}",
                "give more or sharper photographs",
            )


def _finish(
    out: Path, folder: Path, rows: list[ImageRow], skipped: list[str], strength: str, used: list[Photo]
) -> DataSummary:
    from dftiny.data.generators import GENERATORS, WEIGHTS, load_faker

    gains = {k: load_faker(k, strength).gain for k in GENERATORS}
    save_index(folder, DataIndex("demo", TILE_PX, tuple(rows)))
    (folder / "ATTRIBUTION.md").write_text(attribution.attribution(used, demo_packages()), encoding="utf-8")
    (folder / "card.md").write_text(attribution.card(rows, skipped, strength, gains), encoding="utf-8")
    counts = {s: sum(r.split == s for r in rows) for s in CROPS}
    manifest = write_manifest(
        folder,
        "data",
        # The images are covered by their hashes inside index.json: verifying 400 MB at every stage would cost seconds.
        files=[INDEX, "ATTRIBUTION.md", "card.md"],
        config={"strength": strength, "crops": CROPS, "tile": TILE_PX, "photographs": [p.id for p in used]},
        metrics={"images": counts, "photographs": len(used), "skipped": len(skipped)},
        parents={"generators": hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()},
        tools=tool_versions("numpy", "pillow", "torch"),
    )
    return DataSummary(out, counts, len(used), tuple(skipped), manifest.digest)


def _run_jobs(
    sources: list[Photo], folder: Path, strength: str, jobs: int
) -> tuple[list[ImageRow], list[str]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    # Test photographs make five times the images of a training one: they go first, or one worker ends alone.
    order = sorted(sources, key=lambda p: ("test", "val", "train").index(p.split))
    done: dict[str, tuple[list[ImageRow], list[str]]] = {}
    columns = (
        TextColumn("data"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("photographs"),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as progress:
        task = progress.add_task("data", total=len(order))
        try:
            with ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker) as pool:
                with _workers_deaf_to_ctrl_c():
                    jobs_of = {photo.id: pool.submit(photo_job, photo, folder, strength) for photo in order}
                try:
                    for photo in order:
                        done[photo.id] = jobs_of[photo.id].result()
                        progress.advance(task)
                finally:  # after an error or Ctrl-C nobody waits for photographs that have not begun
                    pool.shutdown(cancel_futures=True)
        except BrokenProcessPool as e:
            raise CheckFailed(
                "a worker process of the data build was killed", "free some memory and run it again"
            ) from e
    rows = [row for p in sources for row in done[p.id][0]]
    return rows, [line for p in sources for line in done[p.id][1]]


@contextlib.contextmanager
def _workers_deaf_to_ctrl_c() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C until _start_worker: one in the middle of its imports prints them all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start_worker() -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker at once and without a word
    torch.set_num_threads(1)


def photo_job(photo: Photo, folder: Path, strength: str) -> tuple[list[ImageRow], list[str]]:
    """All images of one photograph, written under `folder`/images: their rows, and why it was skipped if it was."""
    from dftiny.data.generators import GENERATORS, SEEN, load_faker

    try:
        found = crops(photo, CROPS[photo.split], OVERLAP[photo.split])
    except DftError as e:
        return [], [f"{photo.id}: {e.cause}"]
    if not found:
        return [], [f"{photo.id}: no crop with enough texture"]
    kinds = GENERATORS if photo.split == "test" else SEEN
    fakers = [load_faker(kind, strength) for kind in kinds]
    return [
        row for number, crop in enumerate(found) for row in _crop_rows(photo, crop, number, folder, fakers)
    ], []


def _crop_rows(
    photo: Photo, crop: Crop, number: int, folder: Path, fakers: list[Faker]
) -> Iterator[ImageRow]:
    from dftiny.data.generators import SEEN

    def row(kind: str, label: str, data: bytes, *, of: str = "", profile: str = sharing.PRE) -> ImageRow:
        name = ".".join(x for x in (crop.id, kind, of, "" if profile == sharing.PRE else profile) if x)
        file = f"images/{name}.{'png' if profile == sharing.PRE else 'jpg'}"
        (folder / file).write_bytes(data)
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
    for kind in PROCESSED:
        yield row(kind, "real", png(controls.control(crop.pixels, kind)))
    fake = fakers[number % len(fakers)].kind
    for kind in MOVED:
        for of in ("real", fake):
            yield row(kind, _label(of), png(controls.control(images[of], kind)), of=of)


def _label(kind: str) -> str:
    return "real" if kind == "real" else "fake"


def png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG bytes of uint8 [H, W, 3], the same for the same pixels and the same zlib."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_type=PNG_STRATEGY, compress_level=1)
    return buffer.getvalue()
