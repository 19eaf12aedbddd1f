"""The comparison of boards finds what differs: a pixel's output, a verdict; and an empty comparison is not "the same"."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dftiny import int8
from dftiny.detect.engines import Engine
from dftiny.detect.picture import Picture
from dftiny.link.replies import Result
from dftiny.models import released_model
from dftiny.verdict.file import load_verdict
from dftiny.verdict.identity import Identity, Remembering, compare_boards, identity_text
from dftiny.verdict.model import VerdictModel
from dftiny.verdict.running import Outcome, begin


class Fixed:
    """An engine whose outputs are sums of pixels, so that no network is needed; `off` is added to each."""

    def __init__(self, off: int = 0, one_tile_more: bool = False) -> None:
        self._off, self._more = off, int(one_tile_more)

    def outputs(self, tiles: NDArray[np.uint8]) -> NDArray[np.int8]:
        return (tiles.sum(axis=(1, 2, 3)) % 50 + self._off).astype(np.int8)

    def decide(self, model: VerdictModel, tiles: NDArray[np.uint8]) -> Outcome:
        state = begin(model, len(tiles))
        for output in Fixed().outputs(tiles[:2]).tolist():
            state = state.add(output)
        return Outcome(state.decision, state.seen + self._more, state.evidence)


@pytest.fixture
def pictures() -> list[Picture]:
    rng = np.random.default_rng(0)
    made = [rng.integers(0, 256, (256, 384, 3), np.uint8) for _ in range(3)]
    return [Picture(Path(f"{i}.png"), pixels, 1, False, ()) for i, pixels in enumerate(made)]


def compared(pictures: list[Picture], board: Engine) -> Identity:
    folder = released_model()
    file = load_verdict(folder / "verdict.json")
    found = Identity("host")
    for (found,) in compare_boards(pictures, file, file.model(0.065, 8), Fixed(), {"host": board}):
        assert found.images > 0
    return found


def test_equal_boards_are_the_same_and_everything_is_counted(pictures: list[Picture]) -> None:
    found = compared(pictures, Fixed())
    assert found.same
    assert (found.images, found.tiles, found.tiles_used) == (3, 18, 6)


def test_one_output_or_one_tile_more_is_found_by_name(pictures: list[Picture]) -> None:
    off = compared(pictures, Fixed(off=1))
    assert not off.same
    assert off.other_outputs == ["0.png", "1.png", "2.png"]
    assert off.other_verdicts == []
    more = compared(pictures, Fixed(one_tile_more=True))
    assert not more.same
    assert more.other_verdicts == ["0.png", "1.png", "2.png"]
    assert "verdict differs: 1.png" in identity_text([more])


def test_nothing_compared_is_not_the_same() -> None:
    assert not compared([], Fixed()).same


class CountingDevice:
    """Answers a tile with its first byte and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def infer(self, tile: bytes) -> Result:
        self.asked += 1
        return Result(output=np.frombuffer(tile[:1], np.int8), ticks=0, seen=0, evidence=0, decision="none")


def test_a_tile_of_the_verdict_is_not_computed_twice_and_forgotten_behind_its_image() -> None:
    device = CountingDevice()
    board = Remembering(device)  # type: ignore[arg-type]
    tiles = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    wanted = [i - 128 for i in range(4)]
    board._run(int8.from_pixels(tiles)[1].tobytes())
    assert board.outputs(tiles).tolist() == wanted
    assert device.asked == 4
    assert board.outputs(tiles).tolist() == wanted
    assert device.asked == 8
