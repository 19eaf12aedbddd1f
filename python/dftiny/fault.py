"""`dftiny fault`: what a board kept of the fault that reset it, with file and line where its ELF is at hand.

The record is the firmware's (boards/nucleo_h743zi/record.c); lines come from arm-none-eabi-addr2line, which every machine
that builds firmware has. Called by cli.py, selftest.py and share.py.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dftiny import spec
from dftiny.link.questions import Questions

ADDR2LINE = "arm-none-eabi-addr2line"

# Armv7-M Architecture Reference Manual, configurable and hard fault status registers: what a set bit means.
CFSR_BITS: Mapping[int, str] = {
    0: "code was to be executed where that is forbidden",
    1: "an access that memory protection forbids",
    3: "memory protection stopped the return from an exception",
    4: "memory protection stopped the entry into an exception (the stack ran out)",
    5: "memory protection stopped the saving of the FPU's registers",
    8: "an instruction could not be fetched",
    9: "an access to a place where nothing answers",
    10: "a write to a place where nothing answers, some instructions ago",
    11: "a bus error on the return from an exception",
    12: "a bus error on the entry into an exception",
    13: "a bus error while saving the FPU's registers",
    16: "an undefined instruction",
    17: "a jump to an address that is no Thumb code",
    18: "a return from an exception that was none",
    19: "the FPU is off",
    24: "an unaligned access",
    25: "a division by zero",
}
HFSR_BITS: Mapping[int, str] = {1: "a vector could not be read", 30: "escalated", 31: "a debug event"}
MMFAR_VALID, BFAR_VALID = 1 << 7, 1 << 15


@dataclass(frozen=True)
class FaultRecord:
    """Registers at the fault, as protocol.toml's fault_reply; `kind` is the name of its [fault] table."""

    kind: str
    pc: int
    lr: int
    psr: int
    cfsr: int
    hfsr: int
    mmfar: int
    bfar: int
    sp: int
    boot_id: int


def read_fault(questions: Questions) -> FaultRecord | None:
    """The board's record, None where there was no fault since power-on."""
    reply = questions.ask("fault")
    kinds = {code: name for name, code in spec.protocol()["fault"].items()}
    kind = kinds.get(int(reply["kind"]), f"unknown ({reply['kind']})")
    if kind == "none":
        return None
    numbers = {f: int(reply[f]) for f in FaultRecord.__dataclass_fields__ if f != "kind"}
    return FaultRecord(kind=kind, **numbers)


def lines_of(elf: Path | None, addresses: list[int]) -> list[str]:
    """Function and file:line of each address; "" where the ELF or addr2line is missing or knows nothing."""
    program = shutil.which(ADDR2LINE)
    if elf is None or not elf.is_file() or program is None:
        return [""] * len(addresses)
    command = [program, "-e", str(elf), "-f", "-p", *(f"0x{a & ~1:x}" for a in addresses)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    found = [line.strip() for line in done.stdout.splitlines()]
    if done.returncode or len(found) != len(addresses):
        return [""] * len(addresses)
    return ["" if line.startswith("??") else line for line in found]


def reasons(record: FaultRecord) -> list[str]:
    """What the status registers say, in words, with the address that was accessed where it is known."""
    said = [text for bit, text in CFSR_BITS.items() if record.cfsr >> bit & 1]
    said += [text for bit, text in HFSR_BITS.items() if record.hfsr >> bit & 1 and bit != 30]
    if record.cfsr & MMFAR_VALID:
        said.append(f"at 0x{record.mmfar:08x}")
    if record.cfsr & BFAR_VALID:
        said.append(f"at 0x{record.bfar:08x}")
    return said


def fault_text(record: FaultRecord, elf: Path | None) -> str:
    """A few lines for a person."""
    pc_line, lr_line = lines_of(elf, [record.pc, record.lr])
    lines = [f"fault: {record.kind}, in boot {record.boot_id}"]
    if said := reasons(record):
        lines.append(f"  {', '.join(said)}")
    lines.append(f"  pc 0x{record.pc:08x}  {pc_line}".rstrip())
    lines.append(f"  lr 0x{record.lr:08x}  {lr_line}".rstrip())
    lines.append(
        f"  psr 0x{record.psr:08x} sp 0x{record.sp:08x} cfsr 0x{record.cfsr:08x} hfsr 0x{record.hfsr:08x}"
    )
    if not pc_line and record.pc:
        lines.append("  (give --build, and install binutils-arm-none-eabi, to see file and line)")
    return "\n".join(lines)


def fault_json(record: FaultRecord | None, elf: Path | None) -> dict[str, Any] | None:
    """The record for a file; None where there was no fault."""
    if record is None:
        return None
    pc_line, lr_line = lines_of(elf, [record.pc, record.lr])
    return {**asdict(record), "pc_line": pc_line, "lr_line": lr_line, "reasons": reasons(record)}
