"""One step of a graph as a row kernel, run event by event exactly as dft_rows.h says. For tests only.

On the host the portable twin runs with sanitizers (tests/c/kernels/row_driver.c); on a Cortex-M7 under unicorn the
kernels of m7/ run and instructions are counted. Every row has memory of its own and ends where nothing is mapped;
what lies before it, scratch and aux hold garbage. `check` compares both with the oracle, ==, outputs apart from their
operand and, where the kernel allows it, on top of it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from arm_model import FLAGS as ARM_FLAGS
from arm_model import _Counter, _load, symbols
from host_model import FIRMWARE, FLAGS, REPO, run_tool

from dftiny import int8
from dftiny.codegen.c_text import constant
from dftiny.codegen.c_text import struct as c_struct
from dftiny.graph import Graph, Op
from dftiny.kernels.calls import STRUCT_BYTES
from dftiny.kernels.rows import RowCall
from dftiny.plan.lanes import Lane, LaneMaker
from dftiny.steps import NO_PAD, Step, Steps

Values = Mapping[int, np.ndarray]  # int8 of the tensor's shape, by tensor
KERNELS = FIRMWARE / "kernels"
INCLUDE = f"-I{KERNELS}"
WARNINGS = ["-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes"]
WINDOW_ROWS, MORE, OUT_ROWS, OPERANDS = 16, 3, 2, 5
APART = -1
FLASH, STACK, STOP, EVENT, ROWS_AT, PAGE = 0x08000000, 0x20000000, 0x20100000, 0x20200000, 0x24000000, 0x1000
EVENT_BYTES = 4 * (WINDOW_ROWS + 1 + MORE + OUT_ROWS + 4)
GARBAGE, GUARD = 0x5A, 33


@dataclass(frozen=True)
class Event:
    """Row numbers of everything that an event points to; −1 is NULL."""

    row: int
    rows: int
    window: tuple[int, ...]
    others: tuple[int, ...]
    outs: tuple[int, ...]

    def numbers(self) -> list[int]:
        """In the order of row_driver.c."""
        window = [*self.window, *[-1] * (WINDOW_ROWS - len(self.window))]
        others = [*self.others, *[-1] * (1 + MORE - len(self.others))]
        return [self.row, self.rows, *window, *others, *self.outs, *[-1] * (OUT_ROWS - len(self.outs))]


@dataclass(frozen=True, eq=False)
class Case:
    """A lane with the values of its operands, int8[rows, bytes] each."""

    lane: Lane
    operands: tuple[np.ndarray, ...]

    @property
    def call(self) -> RowCall:
        """The row kernel; a lane without one has no case."""
        assert self.lane.call is not None
        return self.lane.call

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """All events of the lane, in order."""
        step = self.lane.rows
        return tuple(
            self._event(row, min(step, self.lane.events_h - row))
            for row in range(0, self.lane.events_h, step)
        )

    def _event(self, row: int, rows: int) -> Event:
        w, height = self.lane.window, self.lane.operands[0].shape.rows
        ys = [w.first(row) + k * w.dilation for k in range(w.kernel + (rows - 1) * w.stride)]
        others = tuple(min(row, len(x) - 1) for x in self.operands[1:])
        outs = tuple(0 if self.lane.accumulates else row + i for i in range(rows))
        return Event(row, rows, tuple(y if 0 <= y < height else -1 for y in ys), others, outs)


def step_of(graph: Graph, op: Op, table: np.ndarray | None = None) -> Step:
    """An operator as a step of its own, `table` fused behind it."""
    sources = tuple(t for t in op.inputs if t >= 0 and graph.tensors[t].data is None)
    return Step(op, sources, sources, op.outputs[0], NO_PAD, table)


def case_of(graph: Graph, step: Step, values: Values) -> Case:
    """A step with the values of the tensors it reads."""
    views = {t.index: t.index for t in graph.tensors if t.data is None}
    lane = LaneMaker(Steps(graph, (step,), views)).lane(0)
    operands = zip(step.sources, lane.operands, strict=True)
    return Case(lane, tuple(values[t].reshape(o.shape.rows, o.shape.row_bytes) for t, o in operands))


def expected(graph: Graph, case: Case, values: Values) -> np.ndarray:
    """What the oracle says, the fused table included: int8[rows, bytes]."""
    step, shape = case.lane.step, case.lane.shape
    y = int8._run_op(graph, step.op, {t: v[None] for t, v in values.items()})
    y = y.reshape(shape.rows, shape.row_bytes)
    return y if step.table is None else step.table[y.astype(np.int16) + 128]


def parameters(call: RowCall) -> str:
    """C text that defines row_kernel and row_params."""
    parts = [f'#include "{call.function}.h"\n']
    members = list(call.fields)
    for i, (name, const) in enumerate(call.pointers):
        parts.append(constant(f"const_{i}", const))
        members.append((name, f"const_{i}"))
    size = STRUCT_BYTES[call.struct]
    parts += [
        c_struct(call.struct, "params", members),
        f'_Static_assert(sizeof(void *) != 4 || sizeof({call.struct}) == {size}, "STRUCT_BYTES");',
        "extern dft_row_kernel *const row_kernel;",
        "extern const void *const row_params;",
        f"dft_row_kernel *const row_kernel = {call.function};",
        "const void *const row_params = &params;\n",
    ]
    return "\n".join(parts)


@dataclass(frozen=True, eq=False)
class Checked:
    """The row kernel that ran, its instructions on a Cortex-M7, elements of the first operand, and the output."""

    function: str
    instructions: int
    elements: int
    output: np.ndarray

    @property
    def per_element(self) -> float:
        """Instructions an element of the first operand."""
        return self.instructions / self.elements


class Harness:
    """Kernels compiled once, in `folder`; cases linked to them one by one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    @cached_property
    def _host(self) -> list[str]:
        sources = [*sorted(KERNELS.glob("*_rows.c")), *sorted(KERNELS.glob("*_run.c"))]
        sources.append(REPO / "tests/c/kernels/row_driver.c")
        return [_compiled("gcc", [*FLAGS, *WARNINGS], s, self.folder / f"{s.stem}.host.o") for s in sources]

    @cached_property
    def _arm(self) -> list[str]:
        fast = sorted((KERNELS / "m7").glob("*.[cS]"))
        stems = {f.stem for f in fast}
        plain = [*KERNELS.glob("*_rows.c"), *KERNELS.glob("*_run.c")]
        sources = [*fast, *(s for s in sorted(plain) if s.stem not in stems)]
        return [
            _compiled("arm-none-eabi-gcc", ARM_FLAGS, s, self.folder / f"{s.stem}.arm.o") for s in sources
        ]

    def _parameters(self, call: RowCall) -> Path:
        self.count += 1
        path = self.folder / f"case{self.count}.c"
        path.write_text(parameters(call))
        return path

    def host(self, case: Case, lower: Sequence[int] = (APART,)) -> list[np.ndarray]:
        """Outputs int8[rows, bytes] of the portable twin, one for each way to place them."""
        source = self._parameters(case.call)
        binary = source.with_suffix("")
        run_tool(["gcc", *FLAGS, "-O0", INCLUDE, str(source), *self._host, "-o", str(binary)])
        return [self._host_run(binary, case, d) for d in lower]

    @staticmethod
    def _host_run(binary: Path, case: Case, lower: int) -> np.ndarray:
        shape, call = case.lane.shape, case.call
        head = [len(case.operands), shape.rows, shape.row_bytes, call.scratch_bytes, call.aux_bytes, lower]
        sizes = [n for x in case.operands for n in x.shape]
        numbers = [*head, len(case.events), *sizes, *(n for e in case.events for n in e.numbers())]
        data = np.array(numbers, np.int32).tobytes() + b"".join(x.tobytes() for x in case.operands)
        keep = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}  # the driver ends with all its rows
        done = subprocess.run([str(binary)], input=data, capture_output=True, check=False, env=keep)
        assert done.returncode == 0, done.stderr.decode()[-3000:]
        return np.frombuffer(done.stdout, np.int8).reshape(shape.rows, shape.row_bytes)

    def arm(self, case: Case, lower: int = APART) -> tuple[np.ndarray, int]:
        """Output int8[rows, bytes] of the Cortex-M7 kernel and the instructions of all events."""
        source = self._parameters(case.call)
        elf = source.with_suffix(".elf")
        link = ["-nostdlib", "-nostartfiles", "-Wl,--gc-sections,-u,row_kernel,-u,row_params"]
        link += [f"-Wl,-e,{case.call.function},-Ttext={FLASH:#x}"]
        end = ["-lc", "-lgcc", "-o", str(elf)]
        run_tool(["arm-none-eabi-gcc", *ARM_FLAGS, INCLUDE, str(source), *self._arm, *link, *end])
        return _Machine(elf, case, lower).run()

    def check(self, graph: Graph, values: Values, table: np.ndarray | None = None) -> Checked:
        """The one operator of a graph: both twins == the oracle."""
        case = case_of(graph, step_of(graph, graph.ops[0], table), values)
        want = expected(graph, case, values)
        places = (APART, 0, 3) if case.call.in_place else (APART,)
        for lower, got in zip(places, self.host(case, places), strict=True):
            np.testing.assert_array_equal(got, want, err_msg=f"host, {lower} bytes lower")
        counts = []
        for lower in places:
            got, n = self.arm(case, lower)
            np.testing.assert_array_equal(got, want, err_msg=f"Cortex-M7, {lower} bytes lower")
            counts.append(n)
        return Checked(case.call.function, counts[0], case.operands[0].size, want)


def _compiled(compiler: str, flags: list[str], source: Path, target: Path) -> str:
    run_tool([compiler, *flags, INCLUDE, "-c", str(source), "-o", str(target)])
    return str(target)


class _Machine:
    """A Cortex-M7 with the kernel in flash and every row in pages of its own, ending where they end."""

    def __init__(self, elf: Path, case: Case, lower: int) -> None:
        import unicorn as u
        from unicorn import arm_const as a

        self.case, self.names, self.regs = case, symbols(elf), a
        self.uc = uc = u.Uc(u.UC_ARCH_ARM, u.UC_MODE_THUMB | u.UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(a.UC_CPU_ARM_CORTEX_M7)
        uc.mem_map(FLASH, 1 << 20)
        _load(uc, elf.read_bytes())
        for base in (STACK, STOP, EVENT):
            uc.mem_map(base, PAGE)
        self.next = ROWS_AT
        self.guards: list[int] = []
        self.rows = [[self._block(x.shape[1], row.tobytes()) for row in x] for x in case.operands]
        self.outs = self._outputs(lower)
        self.aux = self._block(-(-case.call.aux_bytes // 8) * 8)
        self.scratch = self._block(-(-case.call.scratch_bytes // 8) * 8)
        self.counter = _Counter(0)
        uc.hook_add(u.UC_HOOK_BLOCK, self.counter.block)

    def _block(self, size: int, data: bytes = b"") -> int:
        """`size` bytes at the end of pages of their own, garbage before them, nothing mapped behind."""
        pages = -(-(size + GUARD) // PAGE) * PAGE
        self.uc.mem_map(self.next, pages)
        self.uc.mem_write(self.next, bytes([GARBAGE]) * pages)
        at = self.next + pages - size
        self.uc.mem_write(at, data)
        self.next += pages + PAGE
        return at

    def _outputs(self, lower: int) -> list[int]:
        shape = self.case.lane.shape
        if lower == APART:
            return [self._block(shape.row_bytes) for _ in range(shape.rows)]
        return [at - lower for at in self.rows[0][: shape.rows]]

    def _event(self, e: Event) -> bytes:
        def place(rows: list[int], i: int) -> int:
            return 0 if i < 0 else rows[i]

        window = [place(self.rows[0], i) for i in e.window]
        window += [0xBAD0000] * (WINDOW_ROWS - len(window))  # nobody may look there
        others = [place(self.rows[k + 1], i) for k, i in enumerate(e.others)]
        others += [0] * (1 + MORE - len(others))
        outs = [self.outs[i] for i in e.outs] + [0xBAD0000] * (OUT_ROWS - len(e.outs))
        words = [*window, *others, *outs, e.row, e.rows, self.scratch, self.aux]
        return np.array(words, np.uint32).tobytes()

    def run(self) -> tuple[np.ndarray, int]:
        """All events; guards before the outputs must be as they were."""
        call, a, uc = self.case.call, self.regs, self.uc
        (params,) = np.frombuffer(bytes(uc.mem_read(self.names["row_params"], 4)), np.uint32)
        for e in self.case.events:
            uc.mem_write(self.scratch, bytes([0xA5]) * call.scratch_bytes)
            uc.mem_write(EVENT, self._event(e))
            uc.reg_write(a.UC_ARM_REG_R0, int(params))
            uc.reg_write(a.UC_ARM_REG_R1, EVENT)
            uc.reg_write(a.UC_ARM_REG_SP, STACK + PAGE)
            uc.reg_write(a.UC_ARM_REG_LR, STOP | 1)
            kept = self._callee_saved(fill=True)
            uc.emu_start(self.names[call.function] | 1, STOP)
            assert self._callee_saved() == kept, "a register that a function must keep was changed"
        return self._output(), self.counter.total

    def _callee_saved(self, *, fill: bool = False) -> list[int]:
        names = [getattr(self.regs, f"UC_ARM_REG_R{i}") for i in range(4, 12)]
        names += [getattr(self.regs, f"UC_ARM_REG_S{i}") for i in range(16, 32)]
        if fill:
            for i, name in enumerate(names):
                self.uc.reg_write(name, 0x11110000 + i)
        return [self.uc.reg_read(name) for name in names]

    def _output(self) -> np.ndarray:
        shape = self.case.lane.shape
        rows = []
        for at in self.outs:
            guard = bytes(self.uc.mem_read(at - GUARD // 2, GUARD // 2))
            assert guard == bytes([GARBAGE]) * len(guard), "written before a row"
            rows.append(np.frombuffer(bytes(self.uc.mem_read(at, shape.row_bytes)), np.int8))
        return np.stack(rows)
