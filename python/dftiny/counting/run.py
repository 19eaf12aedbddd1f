"""The image under QEMU with the counting plugin: exact instructions per run, per operator, per translation block.

Run 0 warms up, run 1 goes without the hook, run 2 is the profiled one; all three and the last take the first input,
and must agree. Run 3 and later take the other inputs.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dftiny import spec
from dftiny.counting.cores import Core
from dftiny.counting.image import Image, need_tool
from dftiny.errors import CheckFailed, DftError

REST = -1  # what is executed behind the last operator's mark
PLAIN, PROFILED = 1, 2
QEMU_S = 900.0
_EXITS = {
    4: "it could not write its results",
    5: "the engine refused the memory that it asked for",
    6: "invoke failed",
    7: "the engine wrote outside of the memory it was lent",
    8: "the engine needs more memory than the emulated board has",
    9: "the processor faulted",
    99: "the counting plugin failed",
}


@dataclass(frozen=True)
class Block:
    """`instructions` from `address` on, executed `count` times for operator `op` (or REST)."""

    address: int
    instructions: int
    count: int
    op: int


@dataclass(frozen=True)
class Trace:
    """`instructions` of one inference without a hook, `ops` of each operator (REST: the engine's end), which sum up
    to it; `highest`: of any of the inputs. `blocks` are those of the profiled run, the hook's call among them.
    `outputs` int8[n, bytes] of the inputs in order."""

    instructions: int
    highest: int
    ops: dict[int, int]
    blocks: tuple[Block, ...]
    outputs: np.ndarray
    region_bytes: int
    stack_bytes: int


@dataclass(frozen=True)
class _Run:
    total: int
    rest: int
    ops: dict[int, tuple[int, int]]  # operator → (instructions, marks)


def run(image: Image, core: Core, inputs: np.ndarray, folder: Path) -> Trace:
    """Counts of `inputs` int8[n, …]. CheckFailed when the engine misbehaves or a count does not repeat."""
    plugin = _plugin(folder)
    order = [(0, 1), (0, 0), *((i, 1) for i in range(len(inputs))), (0, 1)]
    data = b"".join(struct.pack("<I", hooked) + inputs[i].tobytes() for i, hooked in order)
    (folder / "inputs.bin").write_bytes(data)
    _qemu(image, core, plugin, folder)
    text = (folder / "counts.txt").read_text(encoding="ascii")
    runs, blocks = _parse(text)
    if len(runs) != len(order):
        raise CheckFailed(f"the emulated engine finished {len(runs)} of {len(order)} runs", "try it again")
    _check_repeats(runs)
    facts = np.fromfile(folder / "facts.bin", np.uint32)
    outputs = np.fromfile(folder / "outputs.bin", np.int8).reshape(len(order), -1)
    for i in (0, 1, len(order) - 1):
        if not np.array_equal(outputs[i], outputs[PROFILED]):
            raise CheckFailed(
                "the engine gives other outputs for the same input", "look for memory read unset"
            )
    cost = _hook_cost(runs[PLAIN], runs[PROFILED])
    totals = [r.total - cost * sum(m for _, m in r.ops.values()) for r in runs[PROFILED:]]
    ops = {op: n - cost * marks for op, (n, marks) in runs[PROFILED].ops.items()}
    ops[REST] = runs[PROFILED].rest
    return Trace(runs[PLAIN].total, max(totals), ops, blocks, outputs[2:-1], int(facts[0]), int(facts[1]))


def _plugin(folder: Path) -> Path:
    """The plugin, compiled; seconds at most, so never kept."""
    need_tool("gcc", "gcc")
    made = folder / "plugin.so"
    source = spec.firmware_dir() / "counting" / "plugin.c"
    command = ["gcc", "-shared", "-fPIC", "-O2", "-std=c11", "-Wall", "-Wextra", "-Werror"]
    done = subprocess.run(
        [*command, str(source), "-o", str(made)], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode != 0:
        raise DftError(f"the counting plugin does not compile: {done.stderr[:300]}", "install gcc")
    return made


def _qemu(image: Image, core: Core, plugin: Path, folder: Path) -> None:
    need_tool("qemu-system-arm", "qemu-system-arm")
    where = image.symbols
    options = {
        "out": "counts.txt",
        "marks": f"{where['__marks']:x}",
        "skip_low": f"{where['__harness_low']:x}",
        "skip_high": f"{where['__harness_high']:x}",
        "profile": str(PROFILED),
    }
    command = ["qemu-system-arm", "-M", core.machine, "-kernel", str(image.elf), "-display", "none"]
    command += ["-monitor", "none", "-serial", "none", "-semihosting-config", "enable=on,target=native"]
    command += ["-plugin", ",".join([str(plugin), *(f"{k}={v}" for k, v in options.items())])]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=QEMU_S
        )
    except subprocess.TimeoutExpired as e:
        raise CheckFailed(f"QEMU was stopped after {QEMU_S:.0f} s", "count fewer inputs") from e
    if done.returncode != 0:
        why = _EXITS.get(done.returncode, done.stderr.strip()[:300] or f"exit code {done.returncode}")
        raise CheckFailed(f"the emulated engine failed: {why}", "run its tests")


def _parse(text: str) -> tuple[list[_Run], tuple[Block, ...]]:
    runs: list[_Run] = []
    blocks = []
    for line in text.splitlines():
        kind, *rest = line.split()
        if kind == "run":
            runs.append(_Run(int(rest[1]), int(rest[2]), {}))
        elif kind == "op":
            runs[int(rest[0])].ops[int(rest[1])] = (int(rest[2]), int(rest[3]))
        else:
            blocks.append(Block(int(rest[0], 16), int(rest[1]), int(rest[2]), int(rest[3])))
    return runs, tuple(blocks)


def _check_repeats(runs: Sequence[_Run]) -> None:
    """The same input takes the same instructions, whatever ran before."""
    for i in (0, len(runs) - 1):
        if runs[i] != runs[PROFILED]:
            raise CheckFailed(
                f"the same input took {runs[PROFILED].total:,} instructions and then {runs[i].total:,}",
                "look for state that outlives an inference",
            )


def _hook_cost(plain: _Run, hooked: _Run) -> int:
    """Instructions that a set hook adds to each of its calls: the engine's jump to it; the hook itself is not counted."""
    marks = sum(m for _, m in hooked.ops.values())
    more = hooked.total - plain.total
    if marks == 0 or more % marks or more < 0:
        raise CheckFailed(
            f"{marks} calls of the hook cost {more} instructions", "the engine depends on the hook"
        )
    return more // marks
