"""Images decoded, shared and scored side by side: on threads, in order, and never more than a few of them in memory.

Not for training, which draws its own tiles (train/pictures.py). Called by evaluate and tools/throughput.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dftiny.data.index import ImageRow, read_image
from dftiny.data.sharing import shared

Pixels = NDArray[np.uint8]
Result = TypeVar("Result")
# Pillow decodes, hashlib hashes and torch multiplies without the interpreter's lock: threads are enough, and no pixel is
# copied to a process.
WORKERS = 2


def each(
    function: Callable[[ImageRow], Result], rows: Sequence[ImageRow], *, workers: int = WORKERS
) -> Iterator[Result]:
    """`function` of every row, in the order of `rows`, on `workers` threads.

    At most 2 * `workers` rows are begun or waiting to be taken, however many there are. What `function` raises is raised
    when that row's turn comes.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for row in rows:
                waiting.append(pool.submit(function, row))
                if len(waiting) == 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # who breaks off does not wait for rows that have not begun
            pool.shutdown(wait=False, cancel_futures=True)


def picture(folder: Path, row: ImageRow, profile: str | None) -> Pixels:
    """One image uint8 [H, W, 3]; with `profile` as that profile would deliver it. DftError names a file that is missing,
    damaged or changed.
    """
    pixels = read_image(folder, row)
    return pixels if profile is None else shared(pixels, profile, row.id)
