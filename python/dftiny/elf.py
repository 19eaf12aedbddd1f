"""Sizes of a linked firmware: sections of the ELF, bytes per memory region, bytes per object file of the map.

A reader of just enough of ELF32 and of GNU ld's map for that. Pure: bytes and text in. Called by build.py and tools/size.
ELF: "Tool Interface Standard, Executable and Linking Format", version 1.2.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from dftiny.errors import DftError
from dftiny.target import Region, Target

_ALLOC = 0x2  # SHF_ALLOC
_NOBITS = 8  # SHT_NOBITS
_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_SECTION = struct.Struct("<10I")
_SEGMENT = struct.Struct("<8I")
_LOAD = 1  # PT_LOAD
STACK_SECTION = ".stack"  # reserved by the linker script, not used by anything


@dataclass(frozen=True)
class Section:
    """A section that takes memory on the chip. `stored` ones have contents, which lie at the address `load` until they
    are copied to `address`, often the same."""

    name: str
    address: int
    bytes: int
    stored: bool
    load: int


@dataclass(frozen=True)
class RegionUse:
    """Bytes used in a memory region, without `reserved` (the stack); `total` is the region's size."""

    name: str
    bytes: int
    reserved: int
    total: int


def sections(elf: bytes) -> tuple[Section, ...]:
    """Sections with SHF_ALLOC of a little-endian ELF32 file, by address. DftError when it is none."""
    if elf[:6] != b"\x7fELF\x01\x01":
        raise DftError("not a little-endian ELF32 file", "build the firmware again")
    try:
        header = _HEADER.unpack_from(elf)
        table, size, count, names_at = header[6], header[11], header[12], header[13]
        raw = [_SECTION.unpack_from(elf, table + i * size) for i in range(count)]
        names = raw[names_at][4]
        segments = _segments(elf, header[5], header[9], header[10])
        found = [
            Section(_name(elf, names + s[0]), s[3], s[5], s[1] != _NOBITS, _load(s[3], segments))
            for s in raw
            if s[2] & _ALLOC and s[5] > 0
        ]
    except (struct.error, IndexError, ValueError) as e:
        raise DftError(f"a damaged ELF file ({e})", "build the firmware again") from e
    return tuple(sorted(found, key=lambda s: s.address))


def _segments(elf: bytes, table: int, size: int, count: int) -> list[tuple[int, int, int]]:
    """(virtual address, physical address, bytes in memory) of the program headers of type PT_LOAD."""
    raw = [_SEGMENT.unpack_from(elf, table + i * size) for i in range(count)]
    return [(p[2], p[3], p[5]) for p in raw if p[0] == _LOAD]


def _load(address: int, segments: list[tuple[int, int, int]]) -> int:
    return next((at + address - start for start, at, n in segments if start <= address < start + n), address)


def _name(elf: bytes, at: int) -> str:
    return elf[at : elf.index(0, at)].decode("ascii", "replace")


def region_use(found: tuple[Section, ...], target: Target) -> dict[str, RegionUse]:
    """Use of every region of the target, from its first to its last byte: padding between sections counts."""
    flash = target.flash
    uses = {}
    for region in target.regions:
        inside = [s for s in found if region.origin <= s.address < region.origin + region.bytes]
        reserved = sum(s.bytes for s in inside if s.name == STACK_SECTION)
        end = max((s.address + s.bytes for s in inside), default=region.origin)
        used = end - region.origin - reserved
        if region is flash:  # so do data, and code that runs from RAM, until they are copied
            ends = [s.load + s.bytes for s in found if s.stored and _within(s.load, region)]
            used = max([end, *ends]) - region.origin
        uses[region.name] = RegionUse(region.name, used, reserved, region.bytes)
    return uses


def _within(address: int, region: Region) -> bool:
    return region.origin <= address < region.origin + region.bytes


_CONTRIBUTION = re.compile(r"^ (\.[\w.$-]+|\*fill\*)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)(?: (\S.*))?$")
_OUTPUT = re.compile(r"^(\.[\w.]+|/DISCARD/)")
_KINDS: Mapping[str, str] = {
    ".vectors": "text",
    ".text": "text",
    ".code": "text",
    ".rodata": "rodata",
    ".data": "data",
    ".bss": "bss",
    ".noinit": "bss",
}


def object_sizes(map_text: str) -> dict[str, dict[str, int]]:
    """Object file → {"text", "rodata", "data", "bss", "arena"} bytes, from GNU ld's map.

    Objects are named by their source ("frame.c") or archive member ("libc.a:memset.o"); "(padding)" is alignment.
    """
    _, _, body = map_text.partition("Linker script and memory map")
    # A long section name stands alone on its line: join it with the next.
    body = re.sub(r"\n (\.[\w.$-]+)\n\s+0x", r"\n \1 0x", body)
    sizes: dict[str, dict[str, int]] = {}
    kind: str | None = None
    for line in body.splitlines():
        if output := _OUTPUT.match(line):
            name = output.group(1)
            kind = "arena" if name.startswith(".dft_") else _KINDS.get(name)
        elif kind and (part := _CONTRIBUTION.match(line)):
            n = int(part.group(3), 16)
            if n:
                entry = sizes.setdefault(_object_name(part.group(4)), {})
                entry[kind] = entry.get(kind, 0) + n
    return dict(sorted(sizes.items()))


def _object_name(path: str | None) -> str:
    if path is None:
        return "(padding)"
    name = PurePosixPath(path).name
    member = re.match(r"(lib\w+\.a)\((\S+)\)$", name)
    return f"{member.group(1)}:{member.group(2)}" if member else re.sub(r"\.(o|obj)$", "", name)
