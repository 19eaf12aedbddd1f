"""Firmware that is not ours: small CMake projects that take a library in, and an emulated Cortex-M7 that runs them.
For tests only."""

from __future__ import annotations

import subprocess
from pathlib import Path

STRICT = "-Wall -Wextra -Werror -pedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes"
SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=all"
FLASH, RAM, STACK, STOP = 0x08000000, 0x24000000, 0x20000000, 0x20018000

# Nothing about assembly: many projects have none of their own.
TOOLCHAIN = f"""set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_FLAGS_INIT "-mcpu=cortex-m7 -mthumb -mfpu=fpv5-d16 -mfloat-abi=hard {STRICT}")
"""
LINK = f"-nostartfiles -Wl,-e,main,--gc-sections,-Ttext={FLASH:#x},-Tbss={RAM:#x},-Tdata={STACK + 0x10000:#x}"


def project(folder: Path, library: Path, source: Path, languages: str = "C") -> Path:
    """A project in `folder` whose program `firmware` is `source` with the library."""
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\n"
        f"project(not_ours LANGUAGES {languages})\n"
        f"add_subdirectory({library} model)\n"
        f"add_executable(firmware {source})\n"
        "target_link_libraries(firmware PRIVATE dftiny_model)\n"
    )
    return folder


def build(source: Path, folder: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    """CMake and Ninja; the result of whichever failed, or of the last."""
    done = _run("cmake", "-G", "Ninja", "-S", str(source), "-B", str(folder), *settings)
    return done if done.returncode else _run("cmake", "--build", str(folder), "--parallel", "2")


def host_build(source: Path, folder: Path, flags: str = f"{STRICT} {SANITIZE}") -> None:
    done = build(
        source, folder, f"-DCMAKE_C_FLAGS={flags}", f"-DCMAKE_CXX_FLAGS={SANITIZE} -Wall -Wextra -Werror"
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def arm_build(source: Path, folder: Path, *settings: str) -> None:
    folder.mkdir()
    (folder / "toolchain.cmake").write_text(TOOLCHAIN)
    done = build(
        source,
        folder,
        f"-DCMAKE_TOOLCHAIN_FILE={folder / 'toolchain.cmake'}",
        f"-DCMAKE_EXE_LINKER_FLAGS={LINK}",
        *settings,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def run_main(elf: Path) -> int:
    """What main() of a linked program returns on an emulated Cortex-M7."""
    import unicorn as u
    from elftools.elf.elffile import ELFFile
    from unicorn import arm_const as a

    uc = u.Uc(u.UC_ARCH_ARM, u.UC_MODE_THUMB | u.UC_MODE_MCLASS)
    uc.ctl_set_cpu_model(a.UC_CPU_ARM_CORTEX_M7)
    for base, size in ((FLASH, 4 << 20), (RAM, 1 << 20), (STACK, 128 << 10)):
        uc.mem_map(base, size)
    with elf.open("rb") as f:
        image = ELFFile(f)
        for segment in image.iter_segments("PT_LOAD"):
            uc.mem_write(segment["p_paddr"], segment.data())
        (main,) = image.get_section_by_name(".symtab").get_symbol_by_name("main")
        entry = main["st_value"] | 1
    uc.reg_write(a.UC_ARM_REG_SP, STACK + 0x8000)
    uc.reg_write(a.UC_ARM_REG_LR, STOP | 1)
    uc.emu_start(entry, STOP)
    return int(uc.reg_read(a.UC_ARM_REG_R0))
