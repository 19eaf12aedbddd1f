"""How deep the stack can get: a bound over every path of the call graph, and no recursion anywhere.

Read from the disassembly of a linked ELF by arm-none-eabi-objdump, so libc and libgcc count too. A call through a pointer
goes where INDIRECT says. Called by build.py, which refuses recursion, and tools/stack.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dftiny.errors import CheckFailed

ENTRY = "dft_reset"
FAULT_ENTRY = "dft_fault_checked"  # starts on a fresh stack: a path of its own
INTERRUPTS = ("uart_interrupt",)  # never nested: all have the same priority
EXCEPTION_FRAME_BYTES = 104  # with FPU state, stacked on top of the deepest path (Armv7-M ARM)

# Who calls through which table. An object's functions are the words of its data that point at functions; a name
# that is no object is the function itself. `*` stands for all callers not named.
# A name that ends in * stands for all that begin so and go on with digits or words.
INDIRECT: dict[str, tuple[str, ...]] = {
    "take_op_ticks": ("dft_the_board", "serve"),
    "dft_session_answer": ("handlers",),
    "dft_aot_invoke": ("model",),
    "dft_aot_done": ("take_op_ticks",),
    **dict.fromkeys(
        ("dft_depthwise_rows", "dft_depthwise_planes_rows", "widen", "widen_some"),
        ("dft_depthwise_method_*",),
    ),
    **dict.fromkeys(
        ("run_channel", "run_channels", "dft_depthwise_wide_rows"),
        ("dft_depthwise_wide_5_*", "dft_depthwise_wide_7_*", "dft_depthwise_wide_weights_*"),
    ),
    "conv_event": ("conv_widen", "conv_widen_map"),
    "block": ("dft_depthwise_line_*", "dft_depthwise_pair_*"),
    **dict.fromkeys(("check_stack", "run_vector", "check_vector"), ("dft_the_board", "dft_vector_*")),
    **dict.fromkeys(
        ("check_network", "dft_selftest_run"),
        ("dft_the_board", "dft_the_engine", "board_checks", "checks", "selftests", "dft_vector_*"),
    ),
    # The lanes of the generated model, and its probe; which of these functions calls them is up to inlining.
    **dict.fromkeys(
        ("show", "dft_run_segment", "run_script", "run_next", "run_event"), ("l*", "vector_*", "sum_row")
    ),
    # Whatever the operator hook comes back to must not reach the engine again: only these do (after inlining, by caller).
    **dict.fromkeys(("main", "dft_app_run", "step", "do_run"), ("dft_the_board", "dft_the_engine")),
    **dict.fromkeys(("dft_session_open", "dft_session_work"), ("dft_the_board", "dft_the_engine")),
    "*": ("dft_the_board",),
}
# Assembly of kernels/m7 whose jumps stay in the frame of the function that was called: bodies, epilogues, tiles.
JUMPS = re.compile(r"dft_conv_((wide_)?k\d+(_ldrd?)?|loop)$|dft_depthwise_\w+_run$")
# Only these files' functions may call through a pointer without being named above (after inlining, by caller).
ANY_TABLE = (
    "dft_session_",
    "dft_app_run",
    "main",
    "answer_",
    "do_run",
    "step",
    "serve",
    "feed",
    "send_reply",
    "change_baud",
    "receive",
    "take_op_ticks",
    "dft_reset",
)

_FUNCTION = re.compile(r"^([0-9a-f]{8}) <([^>]+)>:$")
# Two symbols of one address: the linker's way to code that is too far for a branch.
_VENEER = re.compile(r"__(\w+)_veneer$")
_INSTRUCTION = re.compile(r"^\s+([0-9a-f]+):\t(\S+)\s*(.*)$")


@dataclass
class Function:
    """One function of the ELF: bytes of its own frame, the functions it calls, whether it calls by pointer."""

    name: str
    frame: int = 0
    calls: set[str] = field(default_factory=set)
    indirect: bool = False


def registers_bytes(operands: str, size: int) -> int:
    """Bytes of a register list such as {r4, r5-r7, lr}."""
    n = 0
    for part in re.sub(r"[{}\s]", "", operands).split(","):
        span = re.match(r"[rsd](\d+)-[rsd](\d+)$", part)
        n += int(span[2]) - int(span[1]) + 1 if span else 1
    return n * size


def pushed(mnemonic: str, operands: str) -> int:
    """Bytes by which an instruction lowers sp."""
    name = mnemonic.partition(".")[0]
    lists = re.search(r"\{.*\}", operands)
    if name in ("push", "stmdb") and lists and (name == "push" or operands.startswith("sp!")):
        return registers_bytes(lists[0], 4)
    if name in ("vpush", "vstmdb") and lists and (name == "vpush" or operands.startswith("sp!")):
        return registers_bytes(lists[0], 8 if "d" in lists[0] else 4)
    if found := re.match(r"(?:sp, )?sp, #(\d+)", operands):
        return int(found[1]) if name in ("sub", "subw") else 0
    if found := re.search(r"\[sp, #-(\d+)\]!", operands):
        return int(found[1])
    if name in ("sub", "subw") and operands.startswith("sp,"):
        raise CheckFailed(f"sp is lowered by a variable amount: {mnemonic} {operands}")
    return 0


def functions(elf: Path) -> dict[str, Function]:
    """Every function of the disassembly by name. Same-named static functions are told apart by their address."""
    text = _objdump("-d", "--no-show-raw-insn", elf)
    found: dict[str, Function] = {}
    current = Function("")
    for line in text.splitlines():
        if head := _FUNCTION.match(line):
            name = head[2] if head[2] not in found else f"{head[2]}@{head[1]}"
            current = found.setdefault(name, Function(name))
        elif one := _INSTRUCTION.match(line):
            read_instruction(current, one[2], one[3])
    return found


def read_instruction(function: Function, mnemonic: str, operands: str) -> None:
    """Adds what one instruction does to the frame and the calls."""
    function.frame += pushed(mnemonic, operands)
    if far := _VENEER.match(function.name):
        function.calls.add(far[1])
        return
    target = re.search(r"<([^>+]+)(\+0x[0-9a-f]+)?>", operands)
    if (
        re.match(r"(bl|b)(\.n|\.w)?$|b(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)(\.n|\.w)?$", mnemonic)
        and target
    ):
        # A branch to another function's start is a tail call; to this one's start or into a middle, a loop.
        if mnemonic == "bl" or not (target[1] == function.name.split("@")[0] or target[2]):
            function.calls.add(target[1])
    elif mnemonic == "blx" or (mnemonic == "bx" and operands.strip() != "lr"):
        function.indirect = True


def _objdump(*arguments: str | Path) -> str:
    """Output of objdump."""
    command = ["arm-none-eabi-objdump", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def expanded(name: str, known: Iterable[str]) -> set[str]:
    """The names that an entry of INDIRECT stands for."""
    if not name.endswith("*"):
        return {name}
    pattern = re.compile(re.escape(name[:-1]) + (r"\d+$" if len(name) == 2 else r"\w+$"))
    return {n for n in known if pattern.match(n)}


def tables(elf: Path, names: Iterable[str]) -> dict[str, set[str]]:
    """Object name → the functions whose addresses are among its words; for "l*", of all objects that it stands for."""
    symbols = re.findall(
        r"^([0-9a-f]{8}) .{6}([ FO]) \S+\t([0-9a-f]{8}) (?:\.hidden )?(\S+)$",
        _objdump("-t", elf),
        re.MULTILINE,
    )
    # Functions only: "$t", which marks Thumb code, lies at each one's address too.
    at = {int(a, 16): n for a, kind, _, n in symbols if kind == "F"}
    spans = {n: (int(a, 16), int(s, 16)) for a, _, s, n in symbols}
    words = _words(elf)

    def pointed(name: str) -> set[str]:
        start, size = spans[name]
        return {
            at[w & ~1] for a in range(start, start + size, 4) if (w := words.get(a, 0)) & 1 and w & ~1 in at
        }

    return {name: set().union(*(pointed(n) for n in expanded(name, spans) if n in spans)) for name in names}


def _words(elf: Path) -> dict[int, int]:
    """Address → word of what lies in memory; sections for a debugger have address 0, where flash may be."""
    words: dict[int, int] = {}
    for section in _objdump("-s", elf).split("Contents of section ")[1:]:
        if section.startswith((".debug", ".comment", ".ARM.attributes", ".stab")):
            continue
        for address, data in re.findall(r"^ ([0-9a-f]{4,8}) ((?:[0-9a-f]{8} ?){1,4})", section, re.MULTILINE):
            for i, word in enumerate(data.split()):
                words[int(address, 16) + 4 * i] = int.from_bytes(bytes.fromhex(word), "little")
    return words


def resolve(found: dict[str, Function], elf: Path) -> list[str]:
    """Turns calls through pointers into calls; returns what could not be followed."""
    lists = tables(elf, {t for ts in INDIRECT.values() for t in ts})
    problems = []
    for function in found.values():
        if not function.indirect or JUMPS.match(function.name):
            continue
        name = re.sub(r"(\.(part|constprop|isra|cold)\..*|@[0-9a-f]+)$", "", function.name)
        if name not in INDIRECT and not name.startswith(ANY_TABLE):
            problems.append(
                f"{function.name} calls through a pointer: say where in INDIRECT of dftiny/stack.py"
            )
        for table in INDIRECT.get(name, INDIRECT["*"]):
            function.calls |= (lists[table] or expanded(table, found)) & set(found)
    return problems


def deepest(found: dict[str, Function], entry: str) -> tuple[int, list[str]]:
    """Bytes and path of the deepest chain of calls from `entry`. CheckFailed on recursion, naming the circle."""
    done: dict[str, tuple[int, list[str]]] = {}

    def visit(name: str, path: list[str]) -> tuple[int, list[str]]:
        if name in path:
            raise CheckFailed(
                f"recursion: {' -> '.join([*path[path.index(name) :], name])}",
                "the stack has no bound then; write it as a loop",
            )
        if name not in done:
            below = [visit(c, [*path, name]) for c in sorted(found[name].calls) if c in found]
            n, chain = max(below, default=(0, []))
            done[name] = (n + found[name].frame, [name, *chain])
        return done[name]

    return visit(entry, [])


@dataclass(frozen=True)
class Bound:
    """`bytes` at most on the stack: `path` from the reset vector, an interrupt on top of it, a fault on top of that.

    `frames` is the path's functions with the bytes of their own frames. `unknown` tells calls through pointers that
    nobody can follow: where there are any, `bytes` is no bound.
    """

    bytes: int
    path_bytes: int
    interrupt_bytes: int
    frames: tuple[tuple[str, int], ...]
    unknown: tuple[str, ...]


def bound(elf: Path) -> Bound:
    """The bound of a linked ELF. CheckFailed on recursion and where sp is lowered by a variable amount."""
    found = functions(elf)
    unknown = resolve(found, elf)
    path_bytes, path = deepest(found, ENTRY)
    if FAULT_ENTRY in found:
        deepest(found, FAULT_ENTRY)
    handlers = [deepest(found, name)[0] + EXCEPTION_FRAME_BYTES for name in INTERRUPTS if name in found]
    interrupt_bytes = max(handlers, default=0)
    total = path_bytes + interrupt_bytes + EXCEPTION_FRAME_BYTES
    return Bound(total, path_bytes, interrupt_bytes, tuple((n, found[n].frame) for n in path), tuple(unknown))
