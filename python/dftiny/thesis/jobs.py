"""Jobs that wait for each other, on several processes: one progress line, and an end without a word after Ctrl-C.

Called by run. What a job leaves lies on disk; finished jobs are told to the caller at once, so that nothing is lost.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from dftiny.errors import CheckFailed, DftError


@dataclass(frozen=True)
class Job:
    """`function(*arguments)` in another process, once the jobs named in `after` are done. `seconds` is what it may take."""

    name: str
    function: Callable[..., None]
    arguments: tuple[Any, ...]
    after: tuple[str, ...]
    seconds: float


def run_jobs(jobs: Sequence[Job], *, workers: int, title: str, done: Callable[[str], None]) -> None:
    """Run them all, begun in the order given as far as `after` allows; `done(name)` is called here for each.

    The first job that fails ends the run with its error. CheckFailed when a process was killed.
    """
    waiting = {j.name: j for j in jobs}
    running: dict[Future[None], Job] = {}
    with _progress(title, jobs) as show, _pool(workers) as pool:
        try:
            while waiting or running:
                for job in _ready(waiting, running, workers):
                    with _deaf_to_ctrl_c():
                        running[pool.submit(job.function, *job.arguments)] = waiting.pop(job.name)
                show(None, [j.name for j in running.values()])
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job = running.pop(future)
                    _result(future, job)
                    done(job.name)
                    show(job, [j.name for j in running.values()])
        except BrokenProcessPool as e:
            raise CheckFailed(
                "a process of the grid was killed",
                "free some memory and run it again: it goes on where it stopped",
            ) from e


def _result(future: Future[None], job: Job) -> None:
    try:
        future.result()
    except DftError as e:
        raise type(e)(f"{job.name}: {e.cause}", e.hint) from e


def _ready(waiting: Mapping[str, Job], running: Mapping[Future[None], Job], workers: int) -> list[Job]:
    """The next jobs to begin: as many as processes are free, none whose predecessors are not done."""
    open_names = {*waiting, *(j.name for j in running.values())}
    ready = [j for j in waiting.values() if not open_names.intersection(j.after)]
    return ready[: workers - len(running)]


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool whose processes end at once when the block does not end well."""
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start)
    try:
        yield pool
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _progress(title: str, jobs: Sequence[Job]) -> Iterator[Callable[[Job | None, list[str]], None]]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn(title),
        BarColumn(),
        TextColumn("{task.fields[count]}/{task.fields[jobs]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns) as progress:
        task = progress.add_task("", total=sum(j.seconds for j in jobs), count=0, jobs=len(jobs))
        finished = 0

        def show(job: Job | None, names: list[str]) -> None:
            nonlocal finished
            finished += job is not None
            seconds = 0.0 if job is None else job.seconds
            progress.update(task, advance=seconds, count=finished, description=", ".join(names))

        yield show


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """A process started inside ignores Ctrl-C until `_start`: one in the middle of its imports prints them all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a process at once and without a word
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """After a kill -9 of the run nobody asks for this process' results: it must not wait for ever, its memory held."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
