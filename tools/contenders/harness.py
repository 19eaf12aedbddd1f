"""One harness for all engines: the firmware's compiler flags, unicorn, exact instruction counts by function.

A program defines `void versus_open(void)`, `void versus_invoke(void)`, `signed char *versus_in` and `*versus_out`;
only versus_invoke is counted. Called by tools/versus and tools/campaign.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests/python")]

CPU = ("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard")
# As firmware/cmake compiles kernels.
FLAGS = (*CPU, "-std=gnu11", "-O2", "-ffunction-sections", "-fdata-sections", "-fno-common", "-w")
OURS = tuple(f"-I{FIRMWARE / d}" for d in ("include", "kernels", "kernels/m7", "engines/aot"))
FLASH, RAM, STACK, STOP = 0x08000000, 0x24000000, 0x20000000, 0x2001F000
FLASH_BYTES, RAM_BYTES, STACK_BYTES = 16 << 20, 32 << 20, 128 << 10


class DoesNotBuild(Exception):
    """An engine's program does not compile, link or run; the text says why."""


@dataclass(frozen=True)
class Program:
    """What an engine needs: its own C text, flags for it, and archives made by `library`. `channels_first`: it takes
    and gives maps as [c, h, w]."""

    text: str
    flags: tuple[str, ...] = ()
    libraries: tuple[Path, ...] = ()
    sources: tuple[Path, ...] = ()
    channels_first: bool = False


@dataclass(frozen=True)
class Measured:
    """Outputs int8[n, …] flattened by run; instructions of one run, whole and by function."""

    outputs: np.ndarray
    instructions: int
    by_function: Mapping[str, int]
    code_bytes: int


def call(command: Sequence[str | Path]) -> str:
    """Run a tool of the compiler; DoesNotBuild with its last words when it fails."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DoesNotBuild(done.stderr.strip()[-800:])
    return done.stdout


def library(folder: Path, name: str, sources: Sequence[Path], flags: Sequence[str]) -> Path:
    """folder/lib<name>.a, compiled once in a run."""
    archive = folder / f"lib{name}.a"
    if archive.exists():
        return archive
    objects = []
    parts = folder / name
    parts.mkdir(exist_ok=True)
    for source in sources:
        objects.append(parts / f"{source.name}.o")
        call(["arm-none-eabi-gcc", *FLAGS, *flags, "-c", source, "-o", objects[-1]])
    call(["arm-none-eabi-ar", "rcs", archive, *objects])
    return archive


def link(program: Program, folder: Path, name: str) -> Path:
    """folder/<name>.elf."""
    main, elf = folder / f"{name}.c", folder / f"{name}.elf"
    main.write_text(program.text)
    places = [f"-Wl,-Ttext={FLASH:#x}", f"-Wl,-Tdata={RAM:#x}", f"-Wl,-Tbss={RAM + (1 << 20):#x}"]
    keep = [f"-Wl,-u,{s}" for s in ("versus_open", "versus_invoke", "versus_in", "versus_out")]
    call(
        [
            "arm-none-eabi-gcc",
            *FLAGS,
            *program.flags,
            main,
            *program.sources,
            *program.libraries,
            "-nostartfiles",
            "-Wl,--gc-sections,-e,versus_open",
            *keep,
            *places,
            "-lm",
            "-lc",
            "-lgcc",
            "-o",
            elf,
        ]
    )
    return elf


def symbols(elf: Path) -> dict[str, int]:
    """Addresses by name."""
    lines = (s.split() for s in call(["arm-none-eabi-nm", elf]).splitlines())
    return {parts[2]: int(parts[0], 16) for parts in lines if len(parts) == 3}


def instructions_in(code: bytes) -> int:
    """Thumb-2 instructions in a straight piece of code."""
    n = at = 0
    while at < len(code):
        at += 4 if (code[at + 1] >> 3) in (0b11101, 0b11110, 0b11111) else 2
        n += 1
    return n


class Chip:
    """A Cortex-M7 with the program loaded."""

    def __init__(self, elf: Path) -> None:
        import unicorn
        from unicorn import arm_const

        self._a = arm_const
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.uc.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M7)
        for at, size in ((FLASH, FLASH_BYTES), (RAM, RAM_BYTES), (STACK, STACK_BYTES)):
            self.uc.mem_map(at, size)
        self._load(elf.read_bytes())
        self.names = symbols(elf)
        self.runs: Counter[tuple[int, int]] = Counter()  # (address, bytes) of a block → times
        self._hook: int | None = None
        self.fault: Exception | None = None
        self._call("versus_open")

    def _load(self, data: bytes) -> None:
        header = struct.unpack_from("<16sHHIIIIIHHHHHH", data)
        for i in range(header[10]):
            at = header[5] + i * header[9]
            kind, offset, _virtual, physical, filesz = struct.unpack_from("<5I", data, at)
            if kind == 1 and filesz:
                self.uc.mem_write(physical, data[offset : offset + filesz])

    def _call(self, name: str) -> None:
        self.uc.reg_write(self._a.UC_ARM_REG_SP, STACK + STACK_BYTES - 0x2000)
        self.uc.reg_write(self._a.UC_ARM_REG_LR, STOP | 1)
        import unicorn

        try:
            self.uc.emu_start(self.names[name] | 1, STOP)
        except unicorn.UcError as e:
            pc = self.uc.reg_read(self._a.UC_ARM_REG_PC)
            raise DoesNotBuild(f"{name} stopped at {pc:#x}: {e}") from e

    def _pointer(self, name: str) -> int:
        return int(struct.unpack("<I", bytes(self.uc.mem_read(self.names[name], 4)))[0])

    def invoke(self, x: np.ndarray, out_bytes: int, *, count: bool = False) -> np.ndarray:
        """One inference."""
        import unicorn

        self.uc.mem_write(self._pointer("versus_in"), x.tobytes())
        if count:
            self._hook = self.uc.hook_add(unicorn.UC_HOOK_BLOCK, self._block)
        self._call("versus_invoke")
        if count and self._hook is not None:
            self.uc.hook_del(self._hook)
        return np.frombuffer(bytes(self.uc.mem_read(self._pointer("versus_out"), out_bytes)), np.int8)

    def _block(self, _uc: object, address: int, size: int, _data: object) -> None:
        self.runs[address, size] += 1

    def counted(self) -> tuple[int, dict[str, int]]:
        """Instructions counted so far, whole and by function."""
        places = sorted(
            (a & ~1, n) for n, a in self.names.items() if FLASH <= a < FLASH + FLASH_BYTES and n[0] != "$"
        )
        starts = [a for a, _ in places]
        by: Counter[str] = Counter()
        for (address, size), times in self.runs.items():
            n = instructions_in(bytes(self.uc.mem_read(address, size)))
            by[places[bisect_right(starts, address) - 1][1]] += n * times
        return sum(by.values()), dict(by)


def measure(program: Program, folder: Path, name: str, x: np.ndarray, out_shape: Sequence[int]) -> Measured:
    """Outputs int8[n, …] for every input int8[n, …]; instructions of the first run."""
    elf = link(program, folder, name)
    chip = Chip(elf)
    first = program.channels_first
    inputs = np.moveaxis(x, -1, 1) if first and x.ndim == 4 else x
    size = int(np.prod(out_shape))
    outputs = np.array(
        [chip.invoke(np.ascontiguousarray(one), size, count=i == 0) for i, one in enumerate(inputs)]
    )
    if first and len(out_shape) == 4:
        h, w, c = out_shape[1:]
        outputs = np.moveaxis(outputs.reshape(len(x), c, h, w), 1, -1).reshape(len(x), -1)
    whole, by = chip.counted()
    sizes = call(["arm-none-eabi-size", "-A", elf])
    code = sum(int(s.split()[1]) for s in sizes.splitlines() if s.startswith((".text", ".rodata")))
    return Measured(outputs, whole, by, code)
