"""The NUCLEO ELF with bytes coming in by interrupt at the line's rate: nothing is lost while the engine runs.

One instruction counts as one cycle: at 3 Mbaud and 480 MHz a byte lasts 1600. The chip also loses cycles to flash and
caches, so the same is shown with a tenth of that.
"""

from __future__ import annotations

import re
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import unicorn
from h743 import FIFO_BYTES, H743

from dftiny.bundle import Bundle
from dftiny.link import messages
from dftiny.link.device import Device
from dftiny.link.frame import FrameDecoder, encode

pytestmark = pytest.mark.emu

CYCLES_A_BYTE = 480_000_000 * 10 // 3_000_000
HANDLED = 300
HANDLER_MAX = 40  # instructions for one byte; DESIGN.md tells how many it is
MASKING = re.compile(r"^(cpsi[de]\b|msr\s+(primask|basepri|basepri_max|faultmask))", re.IGNORECASE)


class NoInterrupts(H743):
    """The same line and FIFO on a chip whose interrupt controller is dead."""

    def _interrupted(self) -> bool:
        return False


def chip_of(elf: Path, kind: type[H743] = H743, instructions_a_byte: int = CYCLES_A_BYTE) -> H743:
    chip = kind(elf, interrupts=True)
    chip.instructions_a_byte = instructions_a_byte
    chip.run()  # what arrives before the receiver is on is nobody's
    chip.deepest_fifo = 0
    return chip


def frame_of(name: str, seq: int, **fields: object) -> bytes:
    return encode(messages.encode(name, seq, **fields))


def run_with_requests_behind(chip: H743, bundle: Bundle, requests: int) -> tuple[list[int], int]:
    """A tile's run with `requests` more right behind it on the line: (its output, how many of them were answered)."""
    rate, chip.instructions_a_byte = chip.instructions_a_byte, CYCLES_A_BYTE // 10
    Device(chip).identify(bundle.digest)
    data = bundle.golden()[0][0].tobytes()
    session = {"session": 7}
    chip.write(frame_of("hello", 0, **session), 1.0)
    chip.read(1.0)
    for offset in range(0, len(data), 1024):
        piece = data[offset : offset + 1024]
        coded = {"raw_bytes": len(piece), "coding": messages.coding("raw"), "data": piece}
        chip.write(frame_of("input", 1, image_id=9, offset=offset, **session, **coded), 1.0)
        chip.read(1.0)
    chip.instructions_a_byte = rate
    crc = zlib.crc32(data)
    wire = frame_of("run", 2, run_id=77, image_id=9, input_crc=crc, photo_id=0, **session)
    wire += b"".join(frame_of("stats", 3 + i) for i in range(requests))
    chip.write(wire, 1.0)
    found = bytearray()
    while found.count(0) < requests + 2 and (part := chip.read(1.0)):
        found += part
    replies = [messages.decode(r) for r in FrameDecoder().feed(bytes(found))]
    outputs = [r["output"] for r in replies if r.name == "run_reply"]
    return np.frombuffer(outputs[-1], np.int8).tolist(), sum(r.name == "stats_reply" for r in replies)


@pytest.mark.parametrize("instructions_a_byte", [CYCLES_A_BYTE, CYCLES_A_BYTE // 10])
def test_nothing_is_lost_while_the_engine_runs(
    aot_elf: Callable[[str], Path], bundle: Bundle, instructions_a_byte: int
) -> None:
    chip = chip_of(aot_elf("nucleo_h743zi"), instructions_a_byte=instructions_a_byte)
    output, answered = run_with_requests_behind(chip, bundle, 40)
    assert output == bundle.golden()[1][0].tolist()
    assert (answered, chip.overruns) == (40, 0)
    assert 1 <= chip.deepest_fifo <= FIFO_BYTES // 4
    assert chip.handled > 1000


def test_without_its_interrupt_the_same_line_loses_bytes(
    aot_elf: Callable[[str], Path], bundle: Bundle
) -> None:
    """The model can lose: a receiver that is only polled does not survive a run at this rate."""
    chip = chip_of(aot_elf("nucleo_h743zi"), NoInterrupts, CYCLES_A_BYTE // 10)
    output, answered = run_with_requests_behind(chip, bundle, 50)
    assert output == bundle.golden()[1][0].tolist()
    assert (chip.handled, answered) == (0, answered) and answered < 50
    assert chip.overruns > 50


def test_the_handler_is_short(echo_elf: Callable[[str], Path]) -> None:
    """Exact instructions from the handler's first to its last: far below what a byte lasts, so that no two add up."""
    elf = echo_elf("nucleo_h743zi")
    chip = H743(elf, interrupts=True)
    chip.instructions_a_byte = CYCLES_A_BYTE
    lengths: list[int] = []
    last = [0]

    def one(_uc: object, _address: int, _size: int, _data: object) -> None:
        if chip.handler is None:
            return
        if chip.handled != last[0]:
            last[0] = chip.handled
            lengths.append(0)
        lengths[-1] += 1

    chip.uc.hook_add(unicorn.UC_HOOK_CODE, one, begin=0x08000000, end=0x0801FFFF)
    chip.run()
    del lengths[:]  # the first was asked for by software: no byte
    chip.write(bytes(HANDLED), 1.0)
    chip.run()
    assert (chip.overruns, len(lengths)) == (0, HANDLED)
    assert 20 < min(lengths) <= max(lengths) <= HANDLER_MAX


def test_nothing_masks_interrupts(echo_elf: Callable[[str], Path], aot_elf: Callable[[str], Path]) -> None:
    """The longest stretch with interrupts masked is none: no instruction in the image could mask them."""
    for elf in (echo_elf("nucleo_h743zi"), aot_elf("nucleo_h743zi")):
        text = subprocess.run(
            ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", elf],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found = re.findall(r"^\s+[0-9a-f]+:\t(.*)$", text, re.MULTILINE)
        assert len(found) > 1000
        assert [line for line in found if MASKING.match(line.replace("\t", " "))] == []
    assert all(MASKING.match(t) for t in ("cpsid i", "cpsie f", "msr PRIMASK, r0", "msr BASEPRI, r3"))
    assert not MASKING.match("msr MSP, r1")
