"""The image's disassembly: instructions by address, each in one class, and which of them touch the stack."""

from __future__ import annotations

import bisect
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dftiny.counting.image import need_tool
from dftiny.errors import CheckFailed

CLASSES = ("mac", "load", "store", "widen", "requantise", "branch", "alu", "fpu")

_HEAD = re.compile(r"^[0-9a-f]{8} <([^>]+)>:$")
_LINE = re.compile(r"^\s*([0-9a-f]+):\t(\S+)\s*([^;@<]*)")
_CONDITIONS = "eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
_BRANCH = re.compile(rf"(b|bl|bx|blx)({_CONDITIONS})?$|cbn?z$|tb[bh]$")
# What sums products of 8 and 16 bits; 32-bit multiplies with a high half belong to requantisation, MUL and MLS to
# addresses.
_MAC = re.compile(rf"(sml[as]dx?|smu[as]dx?|sm(la|ul)([bt]|w)[bt]|smlal[bt][bt]|mla)({_CONDITIONS})?$")
_REQUANTISE = re.compile(
    rf"(smml[as]r?|smmulr?|[su]mull|[su]mlal|[su]sat(16)?|qd?(add|sub)(8|16)?)({_CONDITIONS})?$"
)
_WIDEN = re.compile(rf"([su]xta?(b|h|b16)|pkh(bt|tb)|[su]bfx|bfi)({_CONDITIONS})?$")
# [sp, …] as it stands; with a changed sp, or in a list of registers and sp!, it is a function's edge and no spill.
_STACK = re.compile(r"\[sp[^\]]*\]$")


@dataclass(frozen=True)
class Instruction:
    """`mnemonic` without a width (.n, .w); `kind` is one of CLASSES; `stack`: a load or store at [sp, …]."""

    address: int
    mnemonic: str
    operands: str
    function: str
    kind: str
    stack: bool


class Listing:
    """All instructions of an image by address."""

    def __init__(self, instructions: Sequence[Instruction]) -> None:
        self.instructions = tuple(instructions)
        self._at = [i.address for i in self.instructions]

    def block(self, address: int, n: int) -> tuple[Instruction, ...]:
        """The `n` instructions from `address` on. CheckFailed when the disassembly has none there."""
        first = bisect.bisect_left(self._at, address)
        if first == len(self._at) or self._at[first] != address:
            raise CheckFailed(f"code was executed at {address:#x}, where the image has none", "report it")
        return self.instructions[first : first + n]

    def after(self, one: Instruction) -> int:
        """Address of the instruction that lies behind `one`; -1 behind the last."""
        i = bisect.bisect_right(self._at, one.address)
        return self._at[i] if i < len(self._at) else -1


def disassemble(elf: Path) -> Listing:
    """objdump's view of `elf`."""
    need_tool("arm-none-eabi-objdump", "binutils-arm-none-eabi")
    command = ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", str(elf)]
    return read_listing(
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    )


def read_listing(text: str) -> Listing:
    """From objdump's text."""
    found = []
    function = ""
    for line in text.splitlines():
        if head := _HEAD.match(line):
            function = head[1]
        elif (one := _LINE.match(line)) and not one[2].startswith("."):
            found.append(_instruction(int(one[1], 16), one[2], one[3].strip(), function))
    return Listing(found)


def _instruction(address: int, mnemonic: str, operands: str, function: str) -> Instruction:
    name = re.sub(r"\.[nw]$", "", mnemonic)
    kind = classify(name)
    listed = name.startswith(("ldm", "stm")) and operands.startswith("sp,")
    stack = kind in ("load", "store") and (listed or _STACK.search(operands) is not None)
    return Instruction(address, name, operands, function, kind, stack)


def classify(mnemonic: str) -> str:
    """The class of a mnemonic without a width. What no other class claims is "alu"."""
    base = mnemonic.partition(".")[0]
    if base.startswith(("ldr", "ldm", "pop", "vldr", "vldm", "vpop")):
        return "load"
    if base.startswith(("str", "stm", "push", "vstr", "vstm", "vpush")):
        return "store"
    if base.startswith("v"):
        return "fpu"
    for kind, pattern in (
        ("branch", _BRANCH),
        ("mac", _MAC),
        ("requantise", _REQUANTISE),
        ("widen", _WIDEN),
    ):
        if pattern.match(base):
            return kind
    return "alu"
