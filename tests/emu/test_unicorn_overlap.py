"""The NUCLEO ELF at the line's rate: the next tile comes in while one is computed, so a run takes the longer of the two.

Host and chip share one clock, the chip's instructions: the host reads it instead of the computer's, so the whole
conversation (windows, deadlines, retries) is the same every time. 1600 instructions a byte are 3 Mbaud at 480 MHz.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import unicorn
from flatmodel import FlatModel, conv_options
from h743 import H743

from dftiny import bundle as bundles
from dftiny.artifact import new_folder
from dftiny.build import build
from dftiny.link.device import Device

pytestmark = pytest.mark.emu

CLOCK_HZ = 480_000_000
AT_3_MBAUD = CLOCK_HZ * 10 // 3_000_000
FAST = 100  # instructions a byte, of a line that costs next to nothing
TILES = 3
POLLING = 200  # instructions between two looks at the clock, at most, of a board that only waits


class Clocked(H743):
    """The chip on a line; time passes with its instructions, and is skipped where it only waits."""

    def __init__(self, elf: Path, instructions_a_byte: int) -> None:
        super().__init__(elf, interrupts=True)
        self.until = 1 << 62  # the host wants to go on at this instruction
        self._looked_at = self._looks = 0
        self.run()  # up to the first wait
        self.instructions_a_byte = instructions_a_byte
        self.bytes_per_s = CLOCK_HZ / instructions_a_byte
        self.uc.hook_add(unicorn.UC_HOOK_BLOCK, self._host_is_due)

    def now(self) -> float:
        """Seconds on the chip's clock."""
        return self.instructions / CLOCK_HZ

    def read(self, deadline_s: float) -> bytes:
        """What the board sent, as soon as it is a frame; less, or nothing, at the deadline."""
        self.until = self.instructions + round(deadline_s * CLOCK_HZ) + 1
        while 0 not in self.sent and self.instructions < self.until:
            self.run()
        data = bytes(self.sent)
        self.sent.clear()
        return data

    def _host_is_due(self, _uc: object, _address: int, _size: int, _data: object) -> None:
        if self.handler is None and (0 in self.sent or self.instructions >= self.until):
            self.uc.emu_stop()

    def _waits(self) -> None:
        close = self.instructions - self._looked_at < POLLING
        self._looks = self._looks + 1 if close else 0
        if self._looks > 4 and not self.received and self.instructions_a_byte:
            following = min(self.arrives_at, self.until) if self.line else self.until
            self.instructions = max(self.instructions, following)
        self._looked_at = self.instructions
        super()._waits()


@contextmanager
def clock_of(chip: Clocked) -> Iterator[None]:
    """The link's modules see the chip's clock instead of the computer's."""
    real = time.monotonic
    time.monotonic = chip.now  # type: ignore[assignment]
    try:
        yield
    finally:
        time.monotonic = real


def heavy_model() -> bytes:
    """Two convolutions on 24 x 24 x 3: about as long on the chip as its tile on the line at 3 Mbaud."""
    m = FlatModel()
    rng = np.random.default_rng(0)
    x, a, b = (
        m.act((1, 24, 24, 3), 1.0, -128),
        m.act((1, 24, 24, 16), 0.5, -128),
        m.act((1, 24, 24, 28), 0.5, -128),
    )
    for source, to, inputs, outputs in ((x, a, 3, 16), (a, b, 16, 28)):
        w = m.const(rng.integers(-127, 128, (outputs, 3, 3, inputs)).astype(np.int8), [0.01] * outputs)
        m.op("CONV_2D", (source, w, -1), (to,), **conv_options(1, "SAME", 1))
    p, q = m.act((1, 28), 0.5, -128), m.act((1, 1), 0.25, 3)
    m.op("MEAN", (b, m.const(np.array([1, 2], np.int32))), (p,), KeepDims=False)
    m.op("FULLY_CONNECTED", (p, m.const(rng.integers(-127, 128, (1, 28)).astype(np.int8), 0.01), -1), (q,))
    return m.bytes()


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> tuple[bundles.Bundle, Path]:
    """A bundle of `heavy_model` and its ELF."""
    out = tmp_path_factory.mktemp("heavy")
    golden = np.random.default_rng(1).integers(-128, 128, (4, 24, 24, 3)).astype(np.int8)
    with new_folder(out / "bundle") as folder:
        (folder / bundles.MODEL).write_bytes(heavy_model())
        labels = bundles.Labels("heavy_24.test", ("fake", "real"), "real", 0.0)
        bundles.write_bundle(folder, labels, golden)
    build(out / "bundle", "nucleo_h743zi", out / "built")
    return bundles.load_bundle(out / "bundle"), out / "built/firmware.elf"


@dataclass(frozen=True)
class Run:
    """Instructions from the first to the last result, of which each takes one tile's `period`; wire bytes of a tile."""

    period: float
    tile_bytes: float
    compute: int  # instructions from the last request to run to its result, nothing else going on
    chip: Clocked


def run_tiles(made: tuple[bundles.Bundle, Path], tiles: int, instructions_a_byte: int) -> Run:
    """`tiles` golden tiles through the chip, one answer compared after the other."""
    bundle, elf = made
    chip = Clocked(elf, instructions_a_byte)
    inputs, outputs = bundle.golden()
    asked: list[int] = []
    with clock_of(chip):
        device = Device(chip, trace=lambda line: asked.append(chip.instructions) if " run " in line else None)
        device.identify(bundle.digest)
        sent, told = device.count.bytes_sent, []
        for i, result in enumerate(device.run([inputs[i % len(inputs)].tobytes() for i in range(tiles)])):
            assert result.output.tolist() == outputs[i % len(outputs)].tolist()
            told.append(chip.instructions)
        assert (device.count.frames_bad, device.count.resets, chip.overruns) == (0, 0, 0)
        wire = (device.count.bytes_sent - sent) / tiles
    return Run((told[-1] - told[0]) / max(1, tiles - 1), wire, told[-1] - asked[-1], chip)


@pytest.fixture(scope="module")
def compute(heavy: tuple[bundles.Bundle, Path]) -> int:
    """Instructions of one run with nothing on the line."""
    return run_tiles(heavy, 1, FAST).compute


@pytest.mark.parametrize("instructions_a_byte", [AT_3_MBAUD, 2 * AT_3_MBAUD])
def test_a_tile_takes_the_longer_of_transfer_and_compute(
    heavy: tuple[bundles.Bundle, Path], compute: int, instructions_a_byte: int
) -> None:
    """Transfer takes as long as computing, and twice as long."""
    found = run_tiles(heavy, TILES, instructions_a_byte)
    transfer = found.tile_bytes * instructions_a_byte
    assert 0.9 < transfer / compute < 2.5  # neither is negligible
    assert found.period <= 1.1 * max(transfer, compute)


def test_one_after_the_other_it_takes_the_sum(
    heavy: tuple[bundles.Bundle, Path], compute: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measure can fail: a host that sends only when the board is idle needs transfer and compute."""
    monkeypatch.setattr(Device, "overlaps", False)
    found = run_tiles(heavy, 2, AT_3_MBAUD)
    assert found.period >= 0.98 * (compute + found.tile_bytes * AT_3_MBAUD)
