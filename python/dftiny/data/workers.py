"""Many jobs on several processes: a bar, results in order, and an end without a word after Ctrl-C.

Not a queue for ever: the list of jobs is known and their results are small. Called by the data builders.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from dftiny.errors import CheckFailed

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_processes(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int,
    unit: str,
    weight: Callable[[Job], int] = lambda _: 1,
    start: Callable[[], None] | None = None,
) -> list[Result]:
    """`function` of every job in `workers` processes, begun in the order given; the results in that order.

    `function` must be a module's own (it is pickled); `start` runs first in each process. The bar counts `weight`
    of each job, in `unit`. CheckFailed when a process was killed; a job's own exception is passed on.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("data"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
    )
    results = []
    with Progress(*columns) as progress:
        task = progress.add_task("data", total=sum(map(weight, jobs)))
        try:
            with ProcessPoolExecutor(workers, get_context("spawn"), _start, (start,)) as pool:
                with _deaf_to_ctrl_c():
                    waiting = [pool.submit(function, job) for job in jobs]
                try:
                    for job, future in zip(jobs, waiting, strict=True):
                        results.append(future.result())
                        progress.advance(task, weight(job))
                finally:  # after an error or Ctrl-C nobody waits for jobs that have not begun
                    pool.shutdown(cancel_futures=True)
        except BrokenProcessPool as e:
            raise CheckFailed(
                "a worker process of the data build was killed", "free some memory and run it again"
            ) from e
    return results


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C until _start: one in the middle of its imports prints them all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start(start: Callable[[], None] | None) -> None:
    if start is not None:
        start()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker at once and without a word
