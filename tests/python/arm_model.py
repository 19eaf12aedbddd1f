"""Compile a generated model for Cortex-M7 with the firmware's flags, run it in unicorn and count instructions
per operator. For tests and tools only; counts are exact and repeatable, and say nothing about time."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dftiny.codegen.model_c import model_c
from dftiny.elf import sections
from dftiny.graph import Graph, macs
from dftiny.plan import Plan

REPO = Path(__file__).resolve().parents[2]
FIRMWARE = REPO / "firmware"
CPU = ["-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard"]
FLAGS = [
    *CPU,
    "-std=c11",
    "-O2",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-common",
    "-Wall",
    "-Wextra",
    "-Werror",
]
FLAGS += ["-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wvla", "-Wundef"]
INCLUDES = [f"-I{FIRMWARE / d}" for d in ("include", "kernels", "engines/aot")]
MAIN = """#include "dft/engine.h"
void dft_entry(const dft_region *regions, uint32_t n, dft_tensor *ends);
void dft_entry(const dft_region *regions, uint32_t n, dft_tensor *ends)
{
    (void)dft_the_engine.open(regions, n, &ends[0], &ends[1]);
    (void)dft_the_engine.invoke();
}
"""
FLASH, RAM, STACK, PARAMS, STOP = 0x08000000, 0x24000000, 0x20000000, 0x20010000, 0x20018000


@dataclass(frozen=True)
class OpCount:
    """Instructions of one operator."""

    index: int
    kind: str
    instructions: int
    macs: int


def kernel_sources() -> list[Path]:
    """Kernels as the firmware is built for Cortex-M: a file of m7/ takes the place of the portable one."""
    fast = sorted(p for p in (FIRMWARE / "kernels/m7").glob("*") if p.suffix in (".c", ".S"))
    stems = {p.stem for p in fast}
    return [*(p for p in sorted((FIRMWARE / "kernels").glob("*.c")) if p.stem not in stems), *fast]


def build(graph: Graph, plan: Plan, folder: Path) -> Path:
    """folder/model.elf."""
    (folder / "main.c").write_text(MAIN)
    for name, text in model_c(graph, plan, bundle_digest=bytes(32)).items():
        (folder / name).write_text(text)
    sources = [folder / "main.c", folder / "dft_model.c", *kernel_sources()]
    sources += sorted((FIRMWARE / "engines/aot").glob("*.c"))
    elf = folder / "model.elf"
    link = [
        "-nostdlib",
        "-nostartfiles",
        "-Wl,--gc-sections,-e,dft_entry",
        f"-Wl,-Ttext={FLASH:#x}",
        "-Wl,-Tbss=0x20019000",
    ]
    link += ["-Wl,-Tdata=0x20019800", f"-Wl,-Map={folder / 'model.map'}"]
    command = [
        "arm-none-eabi-gcc",
        *FLAGS,
        *INCLUDES,
        f"-I{folder}",
        *map(str, sources),
        *link,
        "-lc",
        "-lgcc",
        "-o",
        str(elf),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return elf


def symbols(elf: Path) -> dict[str, int]:
    text = subprocess.run(["arm-none-eabi-nm", str(elf)], capture_output=True, text=True, check=True).stdout
    return {
        line.split()[-1]: int(line.split()[0], 16) for line in text.splitlines() if len(line.split()) == 3
    }


class _Counter:
    """Counts instructions by translation block; block sizes are decoded once."""

    def __init__(self, done: int) -> None:
        self.total = 0
        self.done = done & ~1
        self.per_op: list[tuple[int, int]] = []
        self.known: dict[tuple[int, int], int] = {}

    def block(self, uc, address: int, size: int, _data) -> None:
        n = self.known.get((address, size))
        if n is None:
            n = self.known[address, size] = self._decode(bytes(uc.mem_read(address, size)))
        self.total += n
        if address == self.done:
            from unicorn.arm_const import UC_ARM_REG_R0

            self.per_op.append((uc.reg_read(UC_ARM_REG_R0), self.total))

    @staticmethod
    def _decode(code: bytes) -> int:
        n = at = 0
        while at < len(code):
            wide = (code[at + 1] >> 3) in (0b11101, 0b11110, 0b11111)
            at += 4 if wide else 2
            n += 1
        return n


def run(graph: Graph, plan: Plan, elf: Path, x: np.ndarray) -> tuple[np.ndarray, list[OpCount]]:
    """One inference of int8[H, W, C]: (output int8[n], instructions per operator)."""
    import unicorn as u
    from unicorn import arm_const as a

    uc = u.Uc(u.UC_ARCH_ARM, u.UC_MODE_THUMB | u.UC_MODE_MCLASS)
    uc.ctl_set_cpu_model(a.UC_CPU_ARM_CORTEX_M7)
    uc.mem_map(FLASH, 4 << 20)
    uc.mem_map(RAM, 4 << 20)
    uc.mem_map(STACK, 128 << 10)
    data = elf.read_bytes()
    _load(uc, data)
    names = symbols(elf)
    at, where, words = RAM, {}, []
    for i, (name, size) in enumerate(plan.region_bytes.items()):
        uc.mem_write(PARAMS + 256 + 16 * i, name.encode() + b"\0")
        words += [PARAMS + 256 + 16 * i, at, size]
        where[name] = at
        at += (size + 255) // 256 * 256
    uc.mem_write(PARAMS, np.array(words, np.uint32).tobytes())
    place, out = plan.of(graph.inputs[0]), plan.of(graph.outputs[0])
    uc.mem_write(where[place.region] + place.offset, x.tobytes())
    for reg, value in (
        (a.UC_ARM_REG_R0, PARAMS),
        (a.UC_ARM_REG_R1, len(where)),
        (a.UC_ARM_REG_R2, PARAMS + 1024),
    ):
        uc.reg_write(reg, value)
    uc.reg_write(a.UC_ARM_REG_SP, STACK + 0x8000)
    uc.reg_write(a.UC_ARM_REG_LR, STOP | 1)
    counter = _Counter(names["dft_aot_done"])
    uc.hook_add(u.UC_HOOK_BLOCK, counter.block)
    uc.emu_start(names["dft_entry"] | 1, STOP)
    y = np.frombuffer(bytes(uc.mem_read(where[out.region] + out.offset, out.bytes)), np.int8)
    return y, _differences(graph, counter.per_op)


def _differences(graph: Graph, marks: list[tuple[int, int]]) -> list[OpCount]:
    before, out = 0, []
    for index, total in marks:
        op = graph.ops[index]
        out.append(OpCount(index, op.kind, total - before, macs(graph, op)))
        before = total
    return out


def _load(uc, data: bytes) -> None:
    import struct

    header = struct.unpack_from("<16sHHIIIIIHHHHHH", data)
    for i in range(header[10]):
        kind, offset, _virtual, physical, filesz = struct.unpack_from("<5I", data, header[5] + i * header[9])
        if kind == 1 and filesz:
            uc.mem_write(physical, data[offset : offset + filesz])
    assert sections(data)
