"""Beside the user's application: --reserve, a linker's map, a linked firmware; broken ones are one sentence."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import jsonschema
import pytest
from flatmodel import FlatModel
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import phinet_like

from dftiny import spec
from dftiny.budget import Budget, budget
from dftiny.budget.link_map import map_bytes, map_sections
from dftiny.budget.reserve import application_bytes, reserved
from dftiny.budget_view import budget_text
from dftiny.errors import DftError
from dftiny.graph import Graph, load
from dftiny.plan import Wishes
from dftiny.target import load_target

H743 = load_target("stm32h743")
# As GNU ld 2.40 writes it: a long name stands on a line of its own; .data lies in RAM and, stored, in flash.
MAP = """\
Archive member included to satisfy reference by file (symbol)

Memory Configuration

Name             Origin             Length             Attributes
FLASH            0x0000000008000000 0x0000000000200000 xr
*default*        0x0000000000000000 0xffffffffffffffff

Linker script and memory map

LOAD build/main.o

.isr_vector     0x0000000008000000      0x298
                0x0000000008000000                . = ALIGN (0x4)
 *(.isr_vector)
 .isr_vector    0x0000000008000000      0x298 build/startup.o

.text           0x00000000080002a0    0x12345
 .text          0x00000000080002a0       0x40 build/main.o
                0x00000000080002a0                main

.a_section_with_a_long_name
                0x0000000008020000      0x100

.data           0x0000000020000000      0x200 load address 0x0000000008020100
.bss            0x0000000020000200     0x1001 load address 0x0000000008020300
._user_heap_stack
                0x0000000020001208      0x600 load address 0x0000000008020300
.axi_buffers    0x0000000024000000    0x20000

.ARM.attributes
                0x0000000000000000       0x30
.debug_info     0x0000000000000000    0x99999
.comment        0x0000000000000000       0x40
"""


@pytest.fixture(scope="module")
def graph() -> Graph:
    return phinet_like(tile=64)


@pytest.fixture(scope="module")
def alone(graph: Graph) -> Budget:
    return budget(graph, H743)


def test_reserve_is_read() -> None:
    assert reserved("flash=300K,axi=128K", H743) == {"flash": 300 * 1024, "axi": 128 * 1024}
    assert reserved(" DTCM = 0x400 , d2=1MiB", H743) == {"dtcm": 1024, "d2": 1 << 20}
    assert reserved("itcm=17,backup=2kB", H743) == {"itcm": 17, "backup": 2048}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "REGION=BYTES"),
        ("flash", "REGION=BYTES"),
        ("flash=", "REGION=BYTES"),
        ("flash=3.5K", "REGION=BYTES"),
        ("flash=-1", "REGION=BYTES"),
        ("flash=1,,axi=2", "REGION=BYTES"),
        ("ram=1K", "no region 'ram'.*flash, itcm"),
        ("axi=1,AXI=2", "twice"),
        ("axi=99999M", "4 GB"),
    ],
)
def test_a_wrong_reserve_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(DftError, match=words) as e:
        reserved(text, H743)
    assert "\n" not in str(e.value)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="flashxid2=,0123456789KkMBb -.xé\n", max_size=30))
def test_any_reserve_is_read_or_refused(text: str) -> None:
    said: DftError | None = None
    try:
        found = reserved(text, H743)
    except DftError as e:
        said, found = e, {}
    known = {r.name for r in H743.regions}
    assert said is not None or (
        found and set(found) <= known and all(0 <= n <= 1 << 32 for n in found.values())
    )


def test_a_map_is_read_by_address() -> None:
    """Debug sections stand at address 0, where this chip has memory; stored data count twice, zeroed ones once."""
    names = [s.name for s in map_sections(MAP, "app.map")]
    assert names == [
        ".isr_vector", ".text", ".a_section_with_a_long_name", ".data", ".bss", "._user_heap_stack", ".axi_buffers",
    ]  # fmt: skip
    assert map_bytes(MAP, H743, "app.map") == {
        "flash": 0x298 + 0x12348 + 0x100 + 0x200,
        "dtcm": 0x200 + 0x1008 + 0x600,
        "axi": 0x20000,
    }
    crlf = MAP.replace("\n", "\r\n")
    assert map_bytes(crlf, H743, "app.map") == map_bytes(MAP, H743, "app.map")


def test_map_and_reserve_add_up() -> None:
    both = application_bytes(H743, "axi=1K,d2=2K", MAP, "app.map")
    assert both["axi"] == 0x20000 + 1024 and both["d2"] == 2048
    assert application_bytes(H743, None, None, "") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no map of GNU ld"),
        ("             VMA              LMA     Size Align Out     In      Symbol\n", "no map of GNU ld"),
        ("Linker script and memory map\n", "places nothing"),
        (MAP.replace("0x00000000", "0x70000000"), "places nothing in the memory of stm32h743"),
        (MAP.replace("0x0000000", "0xfffffff"), "places nothing"),
    ],
)
def test_a_wrong_map_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(DftError, match=words) as e:
        map_bytes(text, H743, "app.map")
    assert "\n" not in str(e.value) and "app.map" in str(e.value)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(MAP) - 1), st.text(max_size=8), st.integers(0, 60))
def test_a_mutated_map_is_read_or_refused(at: int, put: str, cut: int) -> None:
    said: DftError | None = None
    try:
        found = map_bytes(MAP[:at] + put + MAP[at + cut :], H743, "app.map")
    except DftError as e:
        said, found = e, {}
    assert said is not None or all(n > 0 for n in found.values())


def test_an_application_takes_from_the_regions(graph: Graph, alone: Budget) -> None:
    beside = {"flash": 300 * 1024, "axi": 1024, "dtcm": 4096}
    b = budget(graph, H743, application=beside)
    assert b.fits and b.flash_bytes == alone.flash_bytes and b.ram_used_bytes == alone.ram_used_bytes
    for r in b.regions:
        assert r.application == beside.get(r.name, 0)
        assert r.free == alone.region(r.name).free - r.application
    jsonschema.validate(json.loads(json.dumps(b.as_json())), spec.schema("budget"))
    assert "application" in budget_text(b) and "application" not in budget_text(alone)


def test_a_full_region_sends_the_activations_elsewhere(graph: Graph) -> None:
    wishes = Wishes(without=frozenset({"tight_memory"}))
    for engine in ("aot", "tflm"):
        full = {"axi": 512 * 1024}
        b = budget(graph, H743, engine, application=full, file_bytes=90_000, wishes=wishes)
        assert b.fits, b.reasons
        assert b.region("axi").used == 0 and b.region("d2").used == b.arena_bytes + graph.input.nbytes


@pytest.mark.parametrize(
    ("beside", "words"),
    [
        ({"flash": 2 << 20}, "pass the end of region flash.*the application's"),
        ({"dtcm": 128 * 1024}, "bytes of region dtcm are taken .*application 131,072"),
        ({"sram4": 70_000}, "bytes of region sram4 are taken .application 70,000.: 4,464 bytes over"),
    ],
)
def test_what_does_not_fit_beside_it_says_so(graph: Graph, beside: dict[str, int], words: str) -> None:
    import re

    b = budget(graph, H743, application=beside)
    assert not b.fits
    assert any(re.search(words, r) for r in b.reasons), b.reasons


def test_no_room_at_all_is_the_planners_sentence() -> None:
    beside = {"axi": 512 * 1024, "d2": 288 * 1024}
    m = FlatModel()
    m.op("RELU", (m.act((1, 8, 8, 2), 0.1),), (m.act((1, 8, 8, 2), 0.1),))
    for engine in ("aot", "tflm"):
        b = budget(load(m.bytes(), name="net"), H743, engine, application=beside, file_bytes=1000)
        assert not b.fits and "region axi" in b.reasons[0] and "needs" in b.reasons[0]


def elf32(sections: list[tuple[str, int, int, int]]) -> bytes:
    """A little-endian ELF32 of allocated sections (name, type, address, bytes), without contents."""
    names = b"\0" + b"".join(n.encode() + b"\0" for n, *_ in sections) + b".shstrtab\0"
    head = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 40, 1, 0, 0, 52 + len(names), 0, 52, 0, 0, 40, len(sections) + 2, len(sections) + 1)  # fmt: skip
    table, at = [struct.pack("<10I", *[0] * 10)], 1
    for name, kind, address, size in sections:
        table.append(struct.pack("<10I", at, kind, 2, address, 0, size, 0, 0, 4, 0))
        at += len(name) + 1
    table.append(struct.pack("<10I", at, 3, 0, 0, 52, len(names), 0, 0, 1, 0))
    return head + names + b"".join(table)


def test_a_linked_firmware_stands_in(graph: Graph, alone: Budget, tmp_path: Path) -> None:
    path = tmp_path / "firmware.elf"
    flash = alone.const.total + 9000
    path.write_bytes(
        elf32([(".text", 1, 0x08000000, flash), (".stack", 8, 0x20000000, 8192), (".bss", 8, 0x20002000, 5000),
               (".dft_axi", 8, 0x24000000, alone.arena_bytes)])
    )  # fmt: skip
    b = budget(graph, H743, elf=path)
    assert b.code_from == "linked" and b.code_measured and b.code_bytes == 9000
    assert b.flash_bytes == flash and b.region("dtcm").used == 5000 and b.region("dtcm").reserved == 8192
    assert b.ram_used_bytes == 5000 + 8192 + alone.arena_bytes and b.fits
    assert "as linked in" in budget_text(b)
    t = budget(graph, H743, "tflm", file_bytes=1000)
    path.write_bytes(elf32([(".text", 1, 0x08000000, 100_000), (".dft_axi", 8, 0x24000000, 512 * 1024)]))
    b = budget(graph, H743, "tflm", file_bytes=1000, elf=path)
    assert t.flash_bytes is None and b.flash_bytes == 100_000 and b.region("flash").complete
    assert b.arena_bytes == t.arena_bytes and b.fits


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "ELF"),
        (b"\x7fELF\x01\x01" + bytes(30), "damaged|no code"),
        (
            elf32([(".text", 1, 0x08000000, 500_000), (".dft_axi", 8, 0x24000000, 10)]),
            "holds 10 bytes of activations",
        ),
        (elf32([(".text", 1, 0x08000000, 50), (".dft_axi", 8, 0x24000000, 400_000)]), "bytes of flash"),
        (elf32([(".text", 1, 0x10000000, 50)]), "no code in the flash of stm32h743"),
    ],
)
def test_a_wrong_firmware_is_one_sentence(data: bytes, words: str, graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "firmware.elf"
    path.write_bytes(data)
    with pytest.raises(DftError, match=words) as e:
        budget(graph, H743, elf=path)
    assert "\n" not in str(e.value) and str(path) in str(e.value)


def test_a_missing_firmware_is_one_sentence(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(DftError, match="cannot read"):
        budget(graph, H743, elf=tmp_path / "absent.elf")
