"""What answers for a tile: the int8 oracle in this process, or a board that keeps the running verdict itself.

The oracle needs nothing but numpy, so that detect works from a plain install. Called by detect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dftiny import int8
from dftiny.bench.run import Boards
from dftiny.errors import CheckFailed
from dftiny.graph import Graph
from dftiny.link.device import Device
from dftiny.link.replies import Result
from dftiny.verdict.model import NAMES, NONE, VerdictModel
from dftiny.verdict.running import Outcome, Running, begin

AHEAD = 8  # tiles the oracle computes in one go: what is too many costs less than calls one by one


class Engine(Protocol):
    """One network at hand."""

    def outputs(self, tiles: NDArray[np.uint8]) -> NDArray[np.int8]:
        """int8 [n] for uint8 tiles [n, H, W, 3]."""

    def decide(self, model: VerdictModel, tiles: NDArray[np.uint8]) -> Outcome:
        """Show uint8 tiles [n, H, W, 3] in order until the verdict stops."""


class Oracle:
    """The numpy oracle, equal to every board bit for bit."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def outputs(self, tiles: NDArray[np.uint8]) -> NDArray[np.int8]:
        """int8 [n] for uint8 tiles [n, H, W, 3]."""
        return int8.run(self._graph, int8.from_pixels(tiles))[:, 0]

    def decide(self, model: VerdictModel, tiles: NDArray[np.uint8]) -> Outcome:
        """Show uint8 tiles [n, H, W, 3] in order until the verdict stops."""
        state = begin(model, len(tiles))
        for start in range(0, len(tiles), AHEAD):
            for output in self.outputs(tiles[start : start + AHEAD]).tolist():
                state = state.add(output)
            if state.decision != NONE:
                break
        return _outcome(state)


class Board:
    """A board over the link; one tile after the other, no more of them than it asks for."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def outputs(self, tiles: NDArray[np.uint8]) -> NDArray[np.int8]:
        """int8 [n] for uint8 tiles [n, H, W, 3]."""
        return np.array([self._run(t.tobytes()).output[0] for t in int8.from_pixels(tiles)], np.int8)

    def _run(self, tile: bytes) -> Result:
        return self._device.infer(tile)

    def decide(self, model: VerdictModel, tiles: NDArray[np.uint8]) -> Outcome:
        """Show uint8 tiles [n, H, W, 3] in order until the board has decided; its evidence is checked at each step.

        CheckFailed when the board counts otherwise than the numpy twin.
        """
        twin = begin(model, len(tiles))
        self._device.photo(len(tiles))
        for tile in int8.from_pixels(tiles):
            result = self._run(tile.tobytes())
            twin = twin.add(int(result.output[0]))
            wanted, found = (twin.seen, twin.evidence, NAMES[twin.decision]), _told(result)
            if found != wanted:
                raise CheckFailed(
                    f"the board on {self._device.name} counts {found} of a photograph, the twin {wanted}",
                    "build and flash this bundle again; if it stays, it is a bug",
                )
            if result.decision != NAMES[NONE]:
                break
        self._device.end_photo()
        return _outcome(twin)


def _told(result: Result) -> tuple[int, int, str]:
    return result.seen, result.evidence, result.decision


def _outcome(state: Running) -> Outcome:
    return Outcome(state.decision, state.seen, state.evidence)


@contextmanager
def board_engine(boards: Boards, digest: bytes, engine: Callable[[Device], Board] = Board) -> Iterator[Board]:
    """The first of `boards`, opened and asked whether it runs the bundle of that digest (32 bytes)."""
    with boards.openers[0]() as transport:
        device = Device(transport)
        device.identify(digest, hint=boards.hint)
        yield engine(device)
        device.halt()
