"""Tiles through one or several boards at once: a thread a board, results in the order they come.

Knows nothing of files, labels or the oracle. The first board that is lost ends the run; what came before it
is kept by the caller. Called by run.py.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dftiny.bench.images import Item
from dftiny.link.device import SILENCE_S, Device, Hello, LinkCount, Stats, Stopped
from dftiny.link.pack import Geometry
from dftiny.link.rate import lower_rate, raise_rate
from dftiny.link.transport import Transport

Opener = Callable[[], AbstractContextManager[Transport]]


@dataclass(frozen=True)
class TileDone:
    """One result: image (index into the items), tile, int8 output [outputs], ticks, wall seconds on this computer.

    `op_ticks`, of an image's last tile only: ticks of each operator, where the board counts them.
    """

    image: int
    tile: int
    output: NDArray[np.int8]
    ticks: int
    seconds: float
    op_ticks: NDArray[np.uint32] | None = None


@dataclass
class Lane:
    """One board of the run, and what is known of it at the end; `op_ticks` are of the last tile of each image."""

    open: Opener
    hello: Hello | None = None
    count: LinkCount = field(default_factory=LinkCount)
    stats: Stats | None = None
    op_ticks: list[NDArray[np.uint32]] = field(default_factory=list)
    baud: int = 0  # that it was raised to
    causes: Counter[str] = field(default_factory=Counter)  # of resets during the run


@dataclass(frozen=True)
class Options:
    """How boards are asked: the bundle's digest, what to say when it is another, where frames are printed, whether a
    faster rate is tried."""

    digest: bytes
    hint: str = ""
    trace: Callable[[str], None] | None = None
    silence_s: float | None = None
    raise_rate: bool = False
    known: frozenset[tuple[int, int]] = frozenset()  # (image, tile) of an earlier run


@dataclass(frozen=True)
class _Sent:
    """A tile on its way: which one it is, and whether it is its image's last."""

    image: int
    tile: int
    last: bool


class Stream:
    """`items` through `lanes`. Iterate to get TileDone; the iteration raises what ended a board, if anything did."""

    def __init__(self, items: Sequence[Item], lanes: Sequence[Lane], options: Options) -> None:
        self._items, self._lanes, self._options = items, lanes, options
        self._todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        for i in range(len(items)):
            self._todo.put(i)
        self._done: queue.SimpleQueue[TileDone] = queue.SimpleQueue()
        self._stop = threading.Event()

    def __iter__(self) -> Iterator[TileDone]:
        with ThreadPoolExecutor(len(self._lanes)) as pool:
            lanes = [pool.submit(self._drive, lane) for lane in self._lanes]
            try:
                while not self._ended(lanes):
                    try:
                        yield self._done.get(timeout=0.1)
                    except queue.Empty:
                        continue
            finally:  # also when the caller stops iterating
                self._stop.set()
        yield from self.rest()
        _raise_first(lanes)

    def interrupt(self) -> None:
        """End the run soon; safe from a signal handler. The iteration then raises Stopped."""
        self._stop.set()

    def rest(self) -> Iterator[TileDone]:
        """Results that had come when the run was ended and that the iteration has not given yet."""
        while not self._done.empty():
            yield self._done.get()

    def _ended(self, lanes: Sequence[Future[None]]) -> bool:
        if any(f.done() and f.exception() for f in lanes):
            self._stop.set()
        return all(f.done() for f in lanes) and self._done.empty()

    def _drive(self, lane: Lane) -> None:
        """One thread: open the board, check who it is, run images until there are none."""
        silence_s = SILENCE_S if self._options.silence_s is None else self._options.silence_s
        with lane.open() as transport:
            device = Device(transport, trace=self._options.trace, stop=self._stop.is_set, silence_s=silence_s)
            lane.count, lane.causes = device.count, device.causes
            lane.hello = device.identify(self._options.digest, hint=self._options.hint)
            if self._options.raise_rate:
                lane.baud = raise_rate(device)
            sent: deque[_Sent] = deque()
            start = time.monotonic()
            for result in device.run(self._tiles(device, sent)):
                one = sent.popleft()
                now = time.monotonic()
                counted = one.last and lane.hello is not None and "op_ticks" in lane.hello.claims
                ops = device.op_ticks() if counted else None
                lane.op_ticks += [] if ops is None else [ops]
                self._done.put(TileDone(one.image, one.tile, result.output, result.ticks, now - start, ops))
                start = now
            lane.stats = device.stats()
            lower_rate(device)

    def _tiles(self, device: Device, sent: deque[_Sent]) -> Iterator[bytes]:
        """Tiles of whatever images are left, loaded when their turn comes; what they are is kept in `sent`."""
        while not self._stop.is_set():
            try:
                i = self._todo.get_nowait()
            except queue.Empty:
                return
            if all((i, t) in self._options.known for t in range(self._items[i].tiles)):
                continue
            tiles, _ = self._items[i].load()
            _, _, width, channels = tiles.shape
            device.geometry = Geometry(width * channels, channels)
            for t, tile in enumerate(tiles):
                if (i, t) in self._options.known:
                    continue
                sent.append(_Sent(i, t, t == len(tiles) - 1))
                yield tile.tobytes()


def _raise_first(lanes: Sequence[Future[None]]) -> None:
    """The error that ended the run, rather than those of the boards that were stopped because of it."""
    errors = [e for f in lanes if (e := f.exception()) is not None]
    errors.sort(key=lambda e: isinstance(e, Stopped))
    if errors:
        raise errors[0]
