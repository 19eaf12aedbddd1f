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
from multiprocessing.synchronize import Event
from typing import TypeVar

from dftiny.errors import CheckFailed

# In a worker process: set when the build has ended early.
_STOP: list[Event] = []

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

    A single job that needs no `start` is done in this process. `function` must be a module's own (it is pickled); `start` runs first in each process. The bar counts `weight`
    of each job, in `unit`. CheckFailed when a process was killed; a job's own exception is passed on.
    """
    if len(jobs) <= 1 and start is None:
        return [function(job) for job in jobs]
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
            context = get_context("spawn")
            stop = (
                context.Event()
            )  # before signals wait: the helper process that it starts lets them through again
            with ProcessPoolExecutor(workers, context, _start, (start, stop)) as pool:
                with _ctrl_c_later():
                    waiting = [pool.submit(_unless_stopped, function, job) for job in jobs]
                try:
                    for job, future in zip(jobs, waiting, strict=True):
                        results.append(future.result())
                        progress.advance(task, weight(job))
                finally:  # after an error or Ctrl-C nobody waits for jobs that have not begun
                    stop.set()
                    pool.shutdown(cancel_futures=True)
        except BrokenProcessPool as e:
            raise CheckFailed(
                "a worker process of the data build was killed", "free some memory and run it again"
            ) from e
    return results


@contextlib.contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Ctrl-C waits until the end, and in processes started inside until _start: one in its imports would print them all.

    Blocked for the processes, which inherit that; and noted here, since any other thread may take the signal.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    noted = []
    handler = signal.signal(signal.SIGINT, lambda number, _: noted.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if noted:
        signal.raise_signal(signal.SIGINT)


def _start(start: Callable[[], None] | None, stop: Event) -> None:
    _STOP.append(stop)
    if start is not None:
        start()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker at once and without a word
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _unless_stopped(function: Callable[[Job], Result], job: Job) -> Result:
    """A few jobs are handed over ahead and cannot be cancelled any more: those of a build that has failed end here."""
    if _STOP[0].is_set():
        raise InterruptedError
    return function(job)
