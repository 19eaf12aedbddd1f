"""Cycles of straight code on a Cortex-M4, instruction by instruction, after the table of its Technical Reference Manual
(Arm DDI 0439, 3.3.1; quoted from memory of secondary sources, unverified): no dual issue, no waiting for memory.

A load takes two cycles, one where a load or store stands right before it; LDM, STM and pairs one and one a register;
a branch that ends a block is taken, which refills the pipeline in two cycles. Called by counted.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dftiny.counting.listing import Instruction

_REFILL = 2
_DIVISION = 7  # 2 … 12, by the operands
_PAIR = ("ldrd", "strd")
_MANY = re.compile(r"(v?ldm|v?stm|push|pop|vpush|vpop)")
_TWO = re.compile(r"(mla|mls)$")


def cycles(code: Sequence[Instruction]) -> float:
    """Of one execution, from the first instruction to the last."""
    total, before = 0, ""
    for one in code:
        total += _cycles(one, before)
        before = one.kind
    return float(total)


def _cycles(one: Instruction, before: str) -> int:
    name = one.mnemonic
    to_pc = (
        name not in ("push", "cmp", "cbz", "cbnz")
        and re.search(r"\bpc\b[^,]*\}?$|^pc,", one.operands) is not None
    )
    jump = _REFILL if one.kind == "branch" or (to_pc and one.kind == "load") else 0
    if _MANY.match(name):
        return 1 + _registers(one.operands) + jump
    if name.startswith(_PAIR):
        return 3
    if one.kind == "load":
        return (1 if before in ("load", "store") else 2) + jump
    if name.startswith("vmov") and one.operands.count(",") == 2:
        return 2
    if name.startswith(("udiv", "sdiv")):
        return _DIVISION
    return 1 + jump + int(_TWO.match(name) is not None)


def _registers(operands: str) -> int:
    """How many are in the list."""
    count = 0
    for part in operands[operands.find("{") + 1 :].rstrip("}").split(","):
        ends = re.findall(r"[rsd](\d+)", part)
        count += int(ends[1]) - int(ends[0]) + 1 if len(ends) == 2 else 1
    return count
