"""The mps2_an500 ELF under QEMU, over both of its channels, and what it does when the processor faults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from dftiny import spec
from dftiny.bundle import Bundle
from dftiny.errors import CheckFailed
from dftiny.link.boards import qemu_board
from dftiny.link.device import Device, Result
from dftiny.selftest import examine

pytestmark = pytest.mark.emu

Echo = Callable[[bytes], list[int]]


@pytest.fixture
def elf(echo_elf: Callable[[str], Path]) -> Path:
    return echo_elf("mps2_an500")


def runs(elf: Path, tiles: list[bytes]) -> list[Result]:
    with qemu_board(elf) as transport:
        device = Device(transport)
        return [device.infer(t) for t in tiles]


def test_hello_and_tiles_over_the_fifos(elf: Path, tile: bytes, echo: Echo) -> None:
    with qemu_board(elf) as transport:
        device = Device(transport)
        hello = device.hello()
        assert (hello.board, hello.engine, hello.tick_hz) == ("mps2_an500", "echo", 0)
        assert hello.caps & spec.protocol()["caps"]["instructions"]
        for data in (tile, tile[::-1], bytes(len(tile))):
            assert device.infer(data).output.tolist() == echo(data)
        stats = device.stats()
        assert stats.runs == 3
        assert 0 < stats.stack_peak_bytes < stats.stack_bytes
        device.halt()


def test_golden_tiles_of_a_bundle(aot_elf: Callable[[str], Path], bundle: Bundle) -> None:
    with qemu_board(aot_elf("mps2_an500")) as transport:
        device = Device(transport)
        device.identify(bundle.digest)
        for x, y in zip(*bundle.golden(), strict=True):
            result = device.infer(x.tobytes())
            assert result.output.tolist() == y.tolist()
        ticks = device.op_ticks()
        assert ticks is not None
        assert 0 < int(ticks.sum()) <= result.ticks


def test_the_emulated_board_proves_its_kernels(aot_elf: Callable[[str], Path], bundle: Bundle) -> None:
    with qemu_board(aot_elf("mps2_an500")) as transport:
        found = {o.name: (o.status, o.detail) for o in examine(transport, None).outcomes}
        assert {status for status, _ in found.values()} == {"passed"}
        assert found["kernels"] == ("passed", len(bundle.ops))
        # The board is as before: a tile after it is right, and its operators are timed again.
        device = Device(transport)
        x, y = (a[0] for a in bundle.golden())
        assert device.infer(x.tobytes()).output.tolist() == y.tolist()
        ticks = device.op_ticks()
        assert ticks is not None and ticks.sum() > 0


def test_instruction_counts_repeat_exactly(elf: Path, tile: bytes) -> None:
    first, second = runs(elf, [tile, tile]), runs(elf, [tile[::-1]])
    ticks = {r.ticks for r in first + second}
    assert len(ticks) == 1
    # Nine instructions a byte, by the disassembly of the echo loop, and 40 instructions a tick.
    assert 5 * len(tile) / 40 < ticks.pop() < 15 * len(tile) / 40


@pytest.mark.slow
def test_hello_and_a_tile_over_the_uart(elf: Path, tile: bytes, echo: Echo) -> None:
    with qemu_board(elf, channel="uart") as transport:
        device = Device(transport)
        assert device.hello().board == "mps2_an500"
        assert device.infer(tile).output.tolist() == echo(tile)


def patched(elf: Path, symbol: str, code: bytes, out: Path) -> Path:
    """A copy of the ELF whose function `symbol` begins with `code`."""
    with elf.open("rb") as f:
        parsed = ELFFile(f)
        found = parsed.get_section_by_name(".symtab").get_symbol_by_name(symbol)
        address = found[0]["st_value"] & ~1
        at = next(parsed.address_offsets(address, len(code)))
    data = bytearray(elf.read_bytes())
    data[at : at + len(code)] = code
    out.write_bytes(data)
    return out


UNDEFINED = bytes.fromhex("00de")  # udf #0
RUNAWAY = bytes.fromhex("ffb5fde7")  # push {r0-r7, lr}; b .-2


@pytest.mark.parametrize(
    ("code", "says"), [(UNDEFINED, r"processor fault at pc 0000[0-9a-f]{4}"), (RUNAWAY, "processor fault")]
)
def test_a_fault_ends_the_emulator_with_one_line(
    elf: Path, tile: bytes, tmp_path: Path, code: bytes, says: str
) -> None:
    """An undefined instruction, and a stack that runs out of its region: neither hangs, both are named."""
    broken = patched(elf, "echo_invoke", code, tmp_path / "broken.elf")
    with qemu_board(broken) as transport:
        device = Device(transport)
        device.hello()
        with pytest.raises(CheckFailed, match=says):
            device.infer(tile)
