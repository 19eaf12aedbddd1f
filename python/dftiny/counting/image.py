"""Engine → the ELF that is counted: compiled as the firmware is, linked with firmware/counting instead of a board."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dftiny import elf, spec
from dftiny.counting.cores import Core
from dftiny.counting.engine import Engine
from dftiny.errors import CheckFailed, DftError

# As firmware/cmake/dft_add_firmware.cmake compiles: a test holds the two lists together.
OPTIMISE = ("-O2", "-ffunction-sections", "-fdata-sections", "-fno-common")
WARN = (
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wvla",
    "-Wundef",
)
ENGINE_ONLY = ("-Wconversion", "-fno-tree-loop-distribute-patterns")
HARNESS = ("main.c", "startup.c", "semihosting.c")
# Startup and harness pull these in whatever the model is.
_STARTUP_LIBC = ("memcpy", "memset")
COMPILE_S = 600.0


@dataclass(frozen=True)
class Image:
    """`code_bytes` and `rodata_bytes` of model, kernels, engine and what they need of libc; without the harness."""

    elf: Path
    symbols: Mapping[str, int]
    code_bytes: int
    rodata_bytes: int


def need_tool(name: str, package: str) -> str:
    """The tool's path; DftError saying what to install."""
    found = shutil.which(name)
    if found is None:
        raise DftError(f"{name} was not found", f"install it: sudo apt install {package}")
    return found


def build(engine: Engine, core: Core, folder: Path, kept: Path | None = None) -> Image:
    """Compile and link in `folder`. CheckFailed with the compiler's first words when that fails.

    `kept` holds objects of everything but the model from one call to the next; it must be new for another core."""
    need_tool("arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi")
    generated = folder / "model"
    generated.mkdir()
    for name, text in engine.files.items():
        (generated / name).write_text(text, encoding="utf-8")
    firmware = spec.firmware_dir()
    include = [f"-I{p}" for p in _include_folders(firmware, generated)]
    objects = []
    for source, extra in _sources(firmware, generated):
        mine = source.parent == generated or kept is None
        objects.append((folder if mine else kept or folder) / f"{source.name}.o")
        if not objects[-1].exists():
            _compile(source, objects[-1], [*core.flags, *include], extra)
    linked, found_map = folder / "image.elf", folder / "image.map"
    script = firmware / "counting" / "image.ld"
    link = [f"-T{script}", f"-Wl,--defsym=__psram={core.psram:#x}", f"-Wl,-Map={found_map}"]
    link += ["-nostartfiles", "-nostdlib", "-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,--fatal-warnings"]
    _gcc([*core.flags, *map(str, objects), *link, "-lc", "-lgcc", "-o", str(linked)])
    code, rodata = _sizes(found_map.read_text(encoding="utf-8"))
    return Image(linked, symbols(linked), code, rodata)


def _compile(source: Path, made: Path, flags: Sequence[str], extra: Sequence[str]) -> None:
    """An assembler source takes the processor's flags alone, as in the firmware's build."""
    c_flags = [] if source.suffix == ".S" else ["-std=c11", *OPTIMISE, *WARN, *extra]
    _gcc([*flags, *c_flags, "-c", str(source), "-o", str(made)])


def kernel_sources(firmware: Path) -> list[Path]:
    """Kernels of a Cortex-M build: a file of kernels/m7 takes the place of the portable one of the same stem."""
    fast = sorted(p for p in (firmware / "kernels" / "m7").glob("*") if p.suffix in (".c", ".S"))
    stems = {p.stem for p in fast}
    return [p for p in sorted((firmware / "kernels").glob("*.c")) if p.stem not in stems] + fast


def _include_folders(firmware: Path, generated: Path) -> list[Path]:
    places = ("include", "kernels", "kernels/m7", "engines/aot", "boards/cortex_m", "boards/mps2_an500")
    return [generated, *(p for p in (firmware / place for place in places) if p.is_dir())]


def _sources(firmware: Path, generated: Path) -> list[tuple[Path, Sequence[str]]]:
    """Every source with the flags that only it gets."""
    engine = sorted((firmware / "engines" / "aot").glob("*.c"))
    boards = firmware / "boards"
    harness = [
        firmware / "counting/main.c",
        boards / "cortex_m/startup.c",
        boards / "mps2_an500/semihosting.c",
    ]
    plain = [*sorted(generated.glob("*.c")), *kernel_sources(firmware)]
    return [*((p, ()) for p in plain), *((p, ENGINE_ONLY) for p in (*engine, *harness))]


def _gcc(arguments: Sequence[str]) -> None:
    command = ["arm-none-eabi-gcc", *arguments]
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=COMPILE_S, env=environment
    )
    if done.returncode != 0:
        words = next((s for s in done.stderr.splitlines() if "error" in s), done.stderr[:300])
        raise CheckFailed(f"the engine does not compile: {words.strip()}", "look at the file it names")


def _sizes(map_text: str) -> tuple[int, int]:
    """(code, read-only data) of what is counted."""
    code = rodata = 0
    for name, parts in elf.object_sizes(map_text).items():
        if name in HARNESS or name == "(padding)" or any(part in name for part in _STARTUP_LIBC):
            continue
        code += parts.get("text", 0)
        rodata += parts.get("rodata", 0)
    return code, rodata


def symbols(path: Path) -> dict[str, int]:
    """Addresses by name."""
    need_tool("arm-none-eabi-nm", "binutils-arm-none-eabi")
    command = ["arm-none-eabi-nm", str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    rows = [line.split() for line in text.splitlines()]
    return {row[2]: int(row[0], 16) for row in rows if len(row) == 3}
