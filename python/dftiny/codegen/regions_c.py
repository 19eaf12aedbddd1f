"""regions.c and dft_board_config.h: the memory lent to the engine, and the board's facts, as C text.

Arenas are as large as the bundle needs and no larger, so that the map file shows exactly what `budget` promised.
Called by codegen/firmware.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dftiny.codegen.guard import banner
from dftiny.codegen.needs import FirmwareNeeds, RegionNeed
from dftiny.errors import CheckFailed, DftError
from dftiny.target import Target


def arena_section(region: str) -> str:
    """The input section of a region's arena. The prefix makes gcc mark it as taking no room in the file."""
    return f".bss.dft_{region}"


def regions_c(needs: FirmwareNeeds, target: Target) -> str:
    """Text of regions.c. CheckFailed when a region is larger than the target's, DftError when it has none."""
    for need in needs.regions:
        _check(need, target)
    lines = [
        banner("memory lent to the engine, from target and bundle"),
        '#include "dft/memory.h"',
        "",
    ]
    for need in needs.regions:
        attributes = f'__attribute__((aligned({need.align}), section("{arena_section(need.name)}")))'
        lines.append(f"static uint8_t arena_{need.name}[{need.bytes}] {attributes};")
    lines += _staging(needs, target)
    lines += ["", "const dft_region dft_regions[] = {"]
    lines += [f'    {{"{n.name}", arena_{n.name}, {n.bytes}u}},' for n in needs.regions]
    lines += ["};", f"const uint32_t dft_regions_n = {len(needs.regions)}u;", ""]
    # C has no empty arrays: an engine without timed operators still gets one entry.
    lines += [
        f"uint32_t dft_op_ticks[{max(needs.ops, 1)}];",
        f"const uint32_t dft_op_ticks_n = {needs.ops}u;",
        "",
    ]
    return "\n".join(lines)


def staging_region(needs: FirmwareNeeds, target: Target) -> str:
    """The arena region where a second input lies beside the plan, "" when there is none (Target.staging_region)."""
    found = target.staging_region({n.name: n.bytes for n in needs.regions}, needs.input_bytes)
    return "" if found is None else found.name


def _staging(needs: FirmwareNeeds, target: Target) -> list[str]:
    region = staging_region(needs, target)
    if not region:
        return ["", "int8_t *const dft_staging = 0;", "const uint32_t dft_staging_bytes = 0;"]
    section = f'__attribute__((aligned(4), section("{arena_section(region)}")))'
    return [
        "",
        f"static int8_t staging[{needs.input_bytes}] {section};",
        "int8_t *const dft_staging = staging;",
        f"const uint32_t dft_staging_bytes = {needs.input_bytes}u;",
    ]


def _check(need: RegionNeed, target: Target) -> None:
    found = [r for r in target.regions if r.name == need.name and r.kind == "ram"]
    if not found:
        raise DftError(f"the bundle wants memory region {need.name!r}, which {target.name} does not have")
    room = found[0].bytes - found[0].stack_bytes
    if need.bytes > room:
        raise CheckFailed(
            f"the bundle needs {need.bytes} bytes of {need.name}, {target.name} has {room}",
            "dftiny budget shows which operator takes them",
        )


def board_config_h(board: Mapping[str, Any], target: Target) -> str:
    """Text of dft_board_config.h: name, baud and memory map, from spec/boards and spec/targets."""
    lines = [
        banner("facts of the board and its chip, from spec/boards and spec/targets"),
        "#ifndef DFT_BOARD_CONFIG_H",
        "#define DFT_BOARD_CONFIG_H",
        "",
        f'#define DFT_BOARD_NAME "{board["name"]}"',
    ]
    numbers = ("baud", "hse_hz", "timer_hz")
    lines += [f"#define DFT_BOARD_{key.upper()} {int(board[key])}u" for key in numbers if key in board]
    for region in target.regions:
        name = region.name.upper()
        lines.append(f"#define DFT_{name}_ORIGIN 0x{region.origin:08X}u")
        lines.append(f"#define DFT_{name}_BYTES {region.bytes}u")
    return "\n".join([*lines, "", "#endif", ""])


def echo_config_h(needs: FirmwareNeeds) -> str:
    """Text of dft_echo_config.h: what the echo engine imitates."""
    digest = ", ".join(f"0x{b:02X}" for b in needs.digest)
    region = needs.regions[0]
    return "\n".join(
        [
            banner("sizes that the echo engine imitates, from the bundle"),
            f"#define DFT_ECHO_INPUT_BYTES {needs.input_bytes}u",
            f"#define DFT_ECHO_OUTPUT_BYTES {needs.output_bytes}u",
            f'#define DFT_ECHO_REGION "{region.name}"',
            f"#define DFT_ECHO_ALIGN {region.align}u",
            f"#define DFT_ECHO_DIGEST {{{digest}}}",
            "",
        ]
    )
