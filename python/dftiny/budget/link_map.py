"""What a firmware takes of a chip's memory, from the map that GNU ld writes for it (-Wl,-Map=app.map).

Output sections by address: name, address, size, and the load address of what is stored in flash and copied to RAM.
A map is somebody else's file: nothing in it is trusted, and what is no such map is refused in one sentence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dftiny.errors import DftError
from dftiny.target import Target

_MARK = "Linker script and memory map"
# An output section begins its line; its numbers may stand on the next one when its name is long.
_SECTION = re.compile(
    r"^([.\w][\w.$-]*)(?:[ \t]*\r?\n)?[ \t]+0x([0-9a-fA-F]{1,16})[ \t]+0x([0-9a-fA-F]{1,16})"
    r"(?:[ \t]+load address 0x([0-9a-fA-F]{1,16}))?[ \t]*\r?$",
    re.MULTILINE,
)
# In the file, never on the chip; they stand at address 0, where a chip may have memory.
_NOT_LOADED = re.compile(
    r"\.(debug|comment|ARM\.attributes|stab|note\.GNU|symtab|strtab|shstrtab|gnu\.|riscv\.)"
)
# ld prints a load address for these too, but stores nothing.
_ZEROED = re.compile(r"\.?_?(\w*[._])?(bss|tbss|noinit|heap|stack|user_heap_stack)\b", re.IGNORECASE)
_END = 1 << 32
_ALIGN = 8


@dataclass(frozen=True)
class MapSection:
    """An output section that takes memory: address, bytes, and where its contents are stored (`load`), None for
    contents that are not, or not elsewhere."""

    name: str
    address: int
    bytes: int
    load: int | None


def map_sections(text: str, name: str) -> tuple[MapSection, ...]:
    """Output sections of the map called `name` in messages. DftError when it is none."""
    _, mark, body = text.partition(_MARK)
    if not mark:
        hint = "give the file that GNU ld writes with -Wl,-Map=app.map"
        raise DftError(f"{name} is no map of GNU ld: it lacks the words “{_MARK}”", hint)
    out = []
    for section, *numbers in _SECTION.findall(body):
        address, size = int(numbers[0], 16), int(numbers[1], 16)
        if _NOT_LOADED.match(section) or size == 0 or address + size > _END:
            continue
        load = int(numbers[2], 16) if numbers[2] and not _ZEROED.match(section) else None
        out.append(MapSection(section, address, size, load if load != address else None))
    return tuple(out)


def map_bytes(text: str, target: Target, name: str) -> dict[str, int]:
    """Bytes by region of the target, sections rounded up to 8. DftError when none of it lies on the target."""
    sections = map_sections(text, name)
    out: dict[str, int] = {}
    for s in sections:
        for place in (s.address, s.load):
            home = _home(place, target)
            if home is not None:
                out[home] = out.get(home, 0) + -(-s.bytes // _ALIGN) * _ALIGN
    if not out:
        raise DftError(
            f"{name} places nothing in the memory of {target.name} ({len(sections)} sections read)",
            "give the map of a firmware for this chip, or name its chip with --target",
        )
    return out


def _home(address: int | None, target: Target) -> str | None:
    if address is None:
        return None
    return next((r.name for r in target.regions if r.origin <= address < r.origin + r.bytes), None)
