"""Images decoded ahead of who scores them: on threads, in order, and never more of them than a few in memory.

Not for training, which draws its own tiles (train/pictures.py). Called by evaluate and tools/throughput.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dftiny.data.index import ImageRow, read_image
from dftiny.data.sharing import share

Pixels = NDArray[np.uint8]
# Pillow decodes and numpy hashes without the interpreter's lock: threads are enough, and no pixel is copied to a process.
DECODERS = 2


def images(
    folder: Path, rows: Sequence[ImageRow], *, profile: str | None = None, workers: int = DECODERS
) -> Iterator[tuple[ImageRow, Pixels]]:
    """Each row with its pixels uint8 [H, W, 3], in the order of `rows`; with `profile` as that profile would deliver them.

    At most 2 * `workers` images are decoded or being decoded besides the one handed out, however many `rows` there
    are. DftError names a missing, damaged or changed file when its turn comes.
    """
    waiting: deque[tuple[ImageRow, Future[Pixels]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for row in rows:
                waiting.append((row, pool.submit(picture, folder, row, profile)))
                if len(waiting) == 2 * workers:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
        finally:  # who breaks off does not wait for images that have not begun
            pool.shutdown(wait=False, cancel_futures=True)


def _first(waiting: deque[tuple[ImageRow, Future[Pixels]]]) -> tuple[ImageRow, Pixels]:
    row, future = waiting.popleft()
    return row, future.result()


def picture(folder: Path, row: ImageRow, profile: str | None) -> Pixels:
    """One image as `images` hands it out."""
    pixels = read_image(folder, row)
    return pixels if profile is None else shared(pixels, profile, row.id)


def shared(pixels: Pixels, profile: str, name: str) -> Pixels:
    """`pixels` uint8 [H, W, 3] after a sharing profile: encoded, and decoded again."""
    from PIL import Image

    with Image.open(io.BytesIO(share(pixels, profile, name))) as image:
        return np.asarray(image.convert("RGB"), dtype=np.uint8)
