"""The processors that tools/counts knows: compiler flags, QEMU machine, and where that machine's PSRAM lies."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dftiny.errors import DftError


@dataclass(frozen=True)
class Core:
    """`psram`: 16 MB of RAM on the board (QEMU 7.2 hw/arm/mps2.c); `mca` is llvm-mca's name of the processor."""

    name: str
    flags: tuple[str, ...]
    machine: str
    psram: int
    mca: str


CORES = (
    Core(
        "m7",
        ("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard"),
        "mps2-an500",
        0x60000000,
        "cortex-m7",
    ),
    Core(
        "m4",
        ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
        "mps2-an386",
        0x21000000,
        "cortex-m4",
    ),
)


PAIRED_LOADS = "-DDFT_CONV_PAIRED_LOADS"  # as firmware/cmake/dft_add_firmware.cmake defines it


def with_paired_loads(one: Core) -> Core:
    """The same core, its convolutions built as `dftiny build --paired-loads` builds them."""
    return replace(one, flags=(*one.flags, PAIRED_LOADS))


def core(name: str) -> Core:
    """The core called `name`. DftError naming the known ones."""
    for one in CORES:
        if one.name == name:
            return one
    raise DftError(f"no core is called {name!r}", f"known: {', '.join(c.name for c in CORES)}")
