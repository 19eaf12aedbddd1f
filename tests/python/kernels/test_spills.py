"""No register is spilled where it costs: the loops of the Cortex-M7 assembly, with either loads, from the disassembly."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest
from arm_model import CPU
from host_model import FIRMWARE, run_tool

from dftiny.counting.cores import PAIRED_LOADS
from dftiny.counting.listing import Instruction, disassemble

SOURCES = sorted((FIRMWARE / "kernels" / "m7").glob("*.S"))
INCLUDES = [f"-I{FIRMWARE / d}" for d in ("kernels", "kernels/m7", "include")]
# A Shift-Max keeps sixteen values for a pixel; fifteen registers hold all but the start of its first operand, loaded each time.
SPILLED = {"shift_max_pass": 1}
Code = dict[str, list[Instruction]]


def functions(source: Path, folder: Path, *flags: str) -> Code:
    """Instructions by function of one source."""
    target = folder / f"{source.stem}.o"
    run_tool(["arm-none-eabi-gcc", *CPU, *INCLUDES, *flags, "-c", str(source), "-o", str(target)])
    return {
        name: list(code) for name, code in groupby(disassemble(target).instructions, lambda i: i.function)
    }


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Code]:
    """By file; the bodies of convolutions a second time with the other loads."""
    folder = tmp_path_factory.mktemp("code")
    found = {s.stem: functions(s, folder) for s in SOURCES}
    (body,) = (s for s in SOURCES if s.stem == "conv_body")
    return {**found, "conv_body, LDR": functions(body, folder, PAIRED_LOADS)}


def innermost(code: list[Instruction]) -> list[list[Instruction]]:
    """The loops of a function that hold no other: from a branch's target to the branch behind it."""
    spans = []
    for i in code:
        if i.kind == "branch" and (target := re.match(r"(?:\w+, )?([0-9a-f]+)\s*$", i.operands)):
            to = int(target[1], 16)
            if code[0].address <= to <= i.address:
                spans.append((to, i.address))
    inner = [s for s in spans if not any(o != s and s[0] <= o[0] and o[1] <= s[1] for o in spans)]
    return [[i for i in code if first <= i.address <= last] for first, last in inner]


def on_stack(code: list[Instruction]) -> list[Instruction]:
    """What touches the stack and does not leave the function."""
    return [i for i in code if (i.stack or re.search(r"\bsp\b", i.operands)) and "pc" not in i.operands]


def test_no_innermost_loop_touches_the_stack(compiled: dict[str, Code]) -> None:
    loops = {
        (stem, name): found
        for stem, code in compiled.items()
        for name, body in code.items()
        if (found := innermost(body))
    }
    assert {stem for stem, _ in loops} == set(compiled)
    assert {n for _, n in loops} > {
        "dft_conv_loop",
        "dft_table_run",
        "dft_gate_run",
    }
    spilled: dict[str, int] = {}
    for (stem, _), found in loops.items():
        spilled[stem] = max(spilled.get(stem, 0), *(len(on_stack(loop)) for loop in found))
    assert {stem: n for stem, n in spilled.items() if n} == SPILLED


@pytest.mark.parametrize(("stem", "n"), [("conv_body", 35), ("conv_body, LDR", 35), ("conv_epilogue", 144)])
def test_the_tiles_of_convolutions_never_touch_it(compiled: dict[str, Code], stem: str, n: int) -> None:
    """Two channels by four pixels in eight registers: whole bodies and epilogues, not only their loops."""
    assert len(compiled[stem]) == n
    code = [i for body in compiled[stem].values() for i in body]
    assert len(code) > 1000 and not [i for i in code if i.stack or re.search(r"\bsp\b", i.operands)]


def test_what_touches_the_stack_in_a_loop_is_found() -> None:
    def one(address: int, mnemonic: str, operands: str, kind: str) -> Instruction:
        return Instruction(address, mnemonic, operands, "f", kind, "[sp" in operands)

    code = [
        one(0, "push", "{r4, lr}", "store"),
        one(2, "ldr", "r0, [sp, #4]", "load"),
        one(4, "smlad", "r1, r0, r2, r1", "mac"),
        one(8, "bne", "2", "branch"),
        one(10, "pop", "{r4, pc}", "load"),
    ]
    (loop,) = innermost(code)
    assert on_stack(loop) == [code[1]] and len(loop) == 3
    assert innermost(code[:3]) == []
