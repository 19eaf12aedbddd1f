"""How many bytes code takes: spec/code_size.toml read, and estimates made from it.

The file holds what `tools/code_size` measured with the project's compiler and flags: per target everything that
does not depend on the model, and per kernel function what it adds. Here is only the arithmetic; budget.py uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dftiny import spec
from dftiny.errors import DftError
from dftiny.kernels.count import ModelCode

CODE_SIZE = "code_size.toml"
MEASURED_CORE = "cortex-m7"
# The same kernels compiled for Cortex-M4 or M33: assembly has the same size, gcc's code is at most 8 % longer in the
# files that matter (-O2, gcc 12.2.1; depthwise_rows.c 2,632 → 2,780 bytes, matvec_rows.c 416 → 444).
_OTHER_CORE_PERCENT = 8


@dataclass(frozen=True)
class Base:
    """Bytes of a firmware image that do not depend on the model: flash, and RAM of the statics' region."""

    flash_bytes: int
    statics_bytes: int
    measured: bool


@dataclass(frozen=True)
class CodeSizes:
    """Base by target name, bytes by kernel function, and the functions that a function brings along."""

    base: dict[str, Base]
    kernel: dict[str, int]
    brings: dict[str, list[str]]

    def base_of(self, target: str) -> Base:
        """The base measured for `target`; for an unknown one the largest, marked as not measured."""
        if target in self.base:
            return self.base[target]
        known = self.base.values()
        return Base(max(b.flash_bytes for b in known), max(b.statics_bytes for b in known), False)

    def kernels(self, functions: Iterable[str], core: str = MEASURED_CORE) -> int:
        """Bytes of these kernel functions and of what they bring: measured on a Cortex-M7, with a margin for another
        `core`. Raises DftError naming one never measured."""
        total = sum(self.kernel[name] for name in self._all(functions))
        return total if core == MEASURED_CORE else total + -(-total * _OTHER_CORE_PERCENT // 100)

    def copied(self, functions: Iterable[str], patterns: Sequence[str]) -> int:
        """Bytes of those of them whose names match one of `patterns`: what runs from RAM."""
        return sum(self.kernel[n] for n in self._all(functions) if any(fnmatchcase(n, p) for p in patterns))

    def _all(self, functions: Iterable[str]) -> set[str]:
        """These functions and what they bring. DftError naming one never measured."""
        wanted = set(functions)
        for name in sorted(wanted):
            if name not in self.kernel:
                raise DftError(f"the size of {name} was never measured", "run tools/code_size")
        return wanted | {n for name in wanted for n in self.brings.get(name, [])}


def load_code_sizes() -> CodeSizes:
    """The shipped measurements."""
    value = spec.read_toml(spec.SPEC_DIR / CODE_SIZE, "table of code sizes")
    base = {n: Base(int(v["flash_bytes"]), int(v["statics_bytes"]), True) for n, v in value["base"].items()}
    return CodeSizes(base, {n: int(v) for n, v in value["kernel"].items()}, value["brings"])


# Of an engine's function: prologue, epilogue, open(), alignment of pools.
ENGINE_GLUE_BYTES = 64


def run_bytes(code: ModelCode) -> int:
    """Bytes of the generated straight-line function and the engine's glue, never less than what gcc makes.

    Thumb-2: an address is a literal (a load and a word), a base register plus an immediate, or a base register plus
    a literal; then a call, and behind each whole-tensor operator the hook with its number.
    """
    glue = ENGINE_GLUE_BYTES
    segments = code.segments * (6 + 2 + 4)
    calls = (
        code.calls * (6 + 4 + 8) + sum(2 + _address_bytes(o) for o in code.operands) + code.const_operands * 6
    )
    return glue + segments + calls


def _address_bytes(offset: int) -> int:
    if offset == 0:
        return 2
    return 4 if offset < 4096 or _encodable(offset) else 8


def _encodable(value: int) -> bool:
    """A Thumb-2 modified immediate: eight bits anywhere (ARMv7-M ARM, ThumbExpandImm)."""
    low = (value & -value).bit_length() - 1
    return value >> low < 256
