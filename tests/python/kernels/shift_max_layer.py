"""One SHIFT_MAX as a row kernel: made from numbers, run row by row on the host with sanitizers and on a Cortex-M7
under unicorn, where instructions are counted. For tests only."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from arm_model import FLAGS as ARM_FLAGS
from arm_model import _Counter, _load, symbols
from host_model import FIRMWARE, FLAGS, REPO, run_tool

from dftiny.codegen.c_text import int_array
from dftiny.codegen.c_text import struct as c_struct
from dftiny.graph import Graph, Op, Quant, ShiftBranch, ShiftMaxOptions, Tensor
from dftiny.kernels.rows import Choice, RowCall
from dftiny.kernels.shift_max_rows import shift_max_rows
from dftiny.steps import NO_PAD, Step

KERNELS = FIRMWARE / "kernels"
WARNINGS = ["-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes"]
FLASH, RAM, STACK, STOP, PAGE = 0x08000000, 0x24000000, 0x20004000, 0x20008000, 0x1000


@dataclass(frozen=True, eq=False)
class Layer:
    """A graph of one SHIFT_MAX, its row call, a map int8[H, W, C] and vectors int8[terms, n]."""

    graph: Graph
    call: RowCall
    x: np.ndarray
    vectors: np.ndarray

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.graph.output.shape[1:]


def quant(scale: float, zero_point: int) -> Quant:
    return Quant(np.array([scale], np.float32), np.array([zero_point], np.int64), 0)


def layer(
    x: np.ndarray, x_quant: Quant, vectors: np.ndarray, quants: list[Quant], branches: tuple[ShiftBranch, ...]
) -> Layer:
    """`vectors` int8[terms, n] with their quantisations."""
    n = vectors.shape[1]
    shapes = [(1, *x.shape), *[(1, 1, 1, n)] * len(vectors), (1, *x.shape[:2], n)]
    out = quant(branches[0].scale, branches[0].zero_point)
    tensors = tuple(
        Tensor(i, f"t{i}", s, np.dtype(np.int8), q, None)
        for i, (s, q) in enumerate(zip(shapes, [x_quant, *quants, out], strict=True))
    )
    reads = tuple(range(1 + len(vectors)))
    op = Op(0, "SHIFT_MAX", reads, (len(tensors) - 1,), ShiftMaxOptions(branches))
    graph = Graph("one", tensors, (op,), (0,), op.outputs)
    call = shift_max_rows(graph, Step(op, reads, reads, op.outputs[0], NO_PAD), Choice())
    assert call is not None
    return Layer(graph, call, x, vectors)


def _parameters(call: RowCall, linkage: str) -> str:
    parts = ['#include "dft_shift_max_rows.h"\n']
    members = list(call.fields)
    for name, const in call.pointers:
        parts.append(int_array(const.ctype, name, const.values))
        members.append((name, name))
    text = c_struct(call.struct, "layer", members).replace("static const", linkage, 1)
    return "\n".join([*parts, f"extern {linkage} {call.struct} layer;" if linkage == "const" else "", text])


def run_on_host(case: Layer, folder: Path) -> np.ndarray:
    """The portable twin's output int8[H, W, n]."""
    h, w, c = case.x.shape
    sizes = {"H": h, "W": w, "IN_C": c, "OUT_C": case.out_shape[2], "VECTORS": len(case.vectors)}
    sizes |= {"ROWS": case.call.rows, "SCRATCH": case.call.scratch_bytes, "AUX": case.call.aux_bytes}
    text = "".join(f"#define LAYER_{name} {value}u\n" for name, value in sizes.items())
    text = text.replace(f"VECTORS {len(case.vectors)}u", f"VECTORS {len(case.vectors)}")
    (folder / "layer.h").write_text(_parameters(case.call, "static const") + text)
    sources = [REPO / "tests/c/kernels/run_shift_max.c", KERNELS / "shift_max_rows.c"]
    binary = folder / "layer"
    run_tool(["gcc", *FLAGS, *WARNINGS, f"-I{KERNELS}", f"-I{folder}", *map(str, sources), "-o", str(binary)])
    given = case.vectors.tobytes() + case.x.tobytes()
    done = subprocess.run([str(binary)], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return np.frombuffer(done.stdout, np.int8).reshape(case.out_shape)


def run_on_arm(case: Layer, folder: Path) -> tuple[np.ndarray, int]:
    """The Cortex-M7 twin's output int8[H, W, n], and the instructions of all events."""
    (folder / "layer.c").write_text(_parameters(case.call, "const"))
    sources = [folder / "layer.c", KERNELS / "m7/shift_max_rows.c", KERNELS / "m7/shift_max_pass.S"]
    elf = folder / "layer.elf"
    link = ["-nostdlib", "-nostartfiles", "-Wl,-e,dft_shift_max_rows", f"-Wl,-Ttext={FLASH:#x}"]
    run_tool(
        ["arm-none-eabi-gcc", *ARM_FLAGS, f"-I{KERNELS}", *map(str, sources), *link, "-lgcc", "-o", str(elf)]
    )
    return _Machine(case, elf).run()


class _Machine:
    """A Cortex-M7 with the layer in flash; every row and vector at an odd address, with guards around."""

    def __init__(self, case: Layer, elf: Path) -> None:
        import unicorn as u
        from unicorn import arm_const as a

        self.case, self.a, self.names = case, a, symbols(elf)
        self.uc = uc = u.Uc(u.UC_ARCH_ARM, u.UC_MODE_THUMB | u.UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(a.UC_CPU_ARM_CORTEX_M7)
        for base, size in ((FLASH, 1 << 20), (RAM, 4 << 20), (STACK - PAGE, PAGE), (STOP, PAGE)):
            uc.mem_map(base, size)
        _load(uc, elf.read_bytes())
        uc.mem_write(RAM, b"\x5a" * (4 << 20))
        self.at = RAM + PAGE
        self.counter = _Counter(0)
        uc.hook_add(u.UC_HOOK_BLOCK, self.counter.block)

    def place(self, size: int, align: int = 1, data: bytes = b"") -> int:
        """Room for `size` bytes, at an odd address where it need not be aligned."""
        at = (self.at + 16 + 7) // 8 * 8 + (0 if align > 1 else 1)
        self.at = at + size + 16
        self.uc.mem_write(at, data)
        return at

    def run(self) -> tuple[np.ndarray, int]:
        case, call = self.case, self.case.call
        h, w, n = case.out_shape
        vectors = [self.place(n, data=v.tobytes()) for v in case.vectors]
        ins = [self.place(row.size, data=row.tobytes()) for row in case.x]
        outs = [self.place(w * n) for _ in range(h)]
        scratch, aux = self.place(call.scratch_bytes, 8), self.place(call.aux_bytes, 8)
        for row in range(0, h, call.rows):
            self.uc.mem_write(scratch, b"\x5a" * call.scratch_bytes)
            self._event(row, min(call.rows, h - row), ins, vectors, outs, scratch, aux)
        for at, size in [*((o, w * n) for o in outs), (scratch, call.scratch_bytes), (aux, call.aux_bytes)]:
            for guard in (at - 8, at + size):
                assert bytes(self.uc.mem_read(guard, 8)) == b"\x5a" * 8, "written beside a buffer"
        data = b"".join(bytes(self.uc.mem_read(at, w * n)) for at in outs)
        return np.frombuffer(data, np.int8).reshape(case.out_shape), self.counter.total

    def _event(
        self, row: int, n: int, ins: list[int], vectors: list[int], outs: list[int], scratch: int, aux: int
    ) -> None:
        bad, a = 0xBAD0000, self.a
        words = [*ins[row : row + n], *[bad] * (16 - n), *vectors, *[bad] * (4 - len(vectors))]
        words += [*outs[row : row + n], *[bad] * (2 - n), row, n, scratch, aux]
        self.uc.mem_write(RAM, struct.pack(f"<{len(words)}I", *words))
        saved = {r: 0x1000 + r for r in range(a.UC_ARM_REG_R4, a.UC_ARM_REG_R11 + 1)}
        for register, value in saved.items():
            self.uc.reg_write(register, value)
        self.uc.reg_write(a.UC_ARM_REG_R0, self.names["layer"])
        self.uc.reg_write(a.UC_ARM_REG_R1, RAM)
        self.uc.reg_write(a.UC_ARM_REG_SP, STACK)
        self.uc.reg_write(a.UC_ARM_REG_LR, STOP | 1)
        self.uc.emu_start(self.names[self.case.call.function] | 1, STOP)
        assert all(self.uc.reg_read(r) == v for r, v in saved.items()), "a register was not restored"
        assert self.uc.reg_read(a.UC_ARM_REG_SP) == STACK
