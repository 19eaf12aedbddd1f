"""llvm-mca's estimate of a block's cycles in a steady state: a model without caches, wait states and branch misses,
never checked on silicon. Results are kept by text, since most blocks of a second run are those of the first.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from dftiny.artifact import atomic_write
from dftiny.counting.cores import Core
from dftiny.counting.listing import Instruction

LABEL = "llvm-mca's model: no caches, no wait states, never checked on silicon"
MAJOR = 22  # 14 and 19 crash on post-indexed LDR
ITERATIONS = 100
BATCH = 64
MCA_S = 120.0

_CONDITIONS = "eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
_IT = re.compile(r"it([te]*)$")
_CONDITIONAL = re.compile(rf"^([a-z0-9]+?)({_CONDITIONS})((?:\.\w+)*)$")
_LIST = re.compile(r"(?:(\w+)!?, )?\{([^}]*)\}$")
_REGION = re.compile(r"Code Region - b(\d+)\n.*?Total Cycles:\s+(\d+)", re.DOTALL)


def find_mca() -> Path | None:
    """llvm-mca of LLVM 22, or None."""
    for name in (f"llvm-mca-{MAJOR}", f"/usr/lib/llvm-{MAJOR}/bin/llvm-mca", "llvm-mca"):
        found = shutil.which(name)
        if found is not None and _major(found) == MAJOR:
            return Path(found)
    return None


def _major(tool: str) -> int:
    text = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False, timeout=30).stdout
    version = re.search(r"LLVM version (\d+)", text)
    return int(version[1]) if version else 0


def assembly(block: Sequence[Instruction]) -> str:
    """The block as llvm-mca takes it: no IT, no conditions, no addresses. Empty when nothing is left."""
    lines = []
    conditional = 0
    for one in block:
        if head := _IT.match(one.mnemonic):
            conditional = 1 + len(head[1])
            continue
        lines.append(_line(one, conditional > 0))
        conditional = max(0, conditional - 1)
    return "\n".join(lines)


def _line(one: Instruction, conditional: bool) -> str:
    name, operands = one.mnemonic, one.operands
    if conditional and (found := _CONDITIONAL.match(name)):
        name = found[1] + found[3]
    if one.kind == "branch":
        return _branch(name, operands)
    if name.startswith(("ldm", "stm", "pop", "push")):
        return _pairs(name, operands)
    if name == "bkpt":
        return "nop"
    if "[pc" in operands:  # a literal: the assembler wants its distance within bounds
        operands = re.sub(r"\[pc[^\]]*\]", "[pc, #8]", operands)
    return f"{name} {operands}".rstrip()


def _branch(name: str, operands: str) -> str:
    """A call as a jump: the model lets every BL and BLX wait a hundred cycles for whatever is called."""
    if name in ("cbz", "cbnz"):
        return f"{name} {operands.partition(',')[0]}, #32"
    if name in ("tbb", "tbh"):
        return f"{name} {operands}"
    if name in ("bx", "blx") and not operands[:1].isdigit():
        return f"bx {operands}"
    return "b #256" if name.startswith("bl") and not re.match(r"bl[est]", name) else f"{name} #256"


def _pairs(name: str, operands: str) -> str:
    """Loads and stores of many registers as LDRD and STRD, two words a cycle; the model takes one cycle for LDM, PUSH
    and POP of any length."""
    found = _LIST.match(operands)
    if found is None:
        return f"{name} {operands}"
    base, stem = found[1] or "sp", "ldr" if name.startswith(("ldm", "pop")) else "str"
    registers = [r.strip() for r in found[2].split(",")]
    words = [r for r in registers if r != "pc"]
    lines = [f"{stem}d {a}, {b}, [{base}]" for a, b in zip(words[::2], words[1::2], strict=False)]
    lines += [f"{stem} {words[-1]}, [{base}]"] if len(words) % 2 else []
    return "\n".join([*lines, "bx lr"] if "pc" in registers else lines)


class Estimator:
    """Cycles of blocks by their text. `failed` counts texts that llvm-mca would not take: those are counted as one
    cycle an instruction."""

    def __init__(self, tool: Path, core: Core, cache: Path) -> None:
        self._tool = tool
        self._core = core
        self._cache = cache
        self._known: dict[str, float] = _load(cache)
        self.failed = 0

    def cycles(self, texts: Sequence[str]) -> dict[str, float]:
        """Cycles of one execution of each text."""
        wanted = [t for t in dict.fromkeys(texts) if t and self._key(t) not in self._known]
        for start in range(0, len(wanted), BATCH):
            self._estimate(wanted[start : start + BATCH])
        if wanted:
            self._save()
        found = {t: self._known[self._key(t)] if t else 0.0 for t in texts}
        self.failed = sum(c < 0 for c in found.values())
        return {t: c if c >= 0 else float(t.count("\n") + 1) for t, c in found.items()}

    def _key(self, text: str) -> str:
        return hashlib.sha256(f"{MAJOR} {self._core.mca} {ITERATIONS}\n{text}".encode()).hexdigest()

    def _estimate(self, texts: Sequence[str]) -> None:
        """All in one call; one that llvm-mca refuses or crashes on is found by halves and marked -1."""
        found = self._run(texts)
        if len(found) == len(texts):
            self._known |= {self._key(t): found[i] / ITERATIONS for i, t in enumerate(texts)}
        elif len(texts) == 1:
            self._known[self._key(texts[0])] = -1.0
        else:
            half = len(texts) // 2
            self._estimate(texts[:half])
            self._estimate(texts[half:])

    def _run(self, texts: Sequence[str]) -> dict[int, int]:
        regions = [f"# LLVM-MCA-BEGIN b{i}\n{t}\n# LLVM-MCA-END" for i, t in enumerate(texts)]
        command = [str(self._tool), "-mtriple=thumbv7em-none-eabihf", f"-mcpu={self._core.mca}"]
        command += [f"-iterations={ITERATIONS}", "-instruction-info=0", "-resource-pressure=0", "-"]
        source = "\n".join([".syntax unified", ".thumb", *regions, ""])
        done = subprocess.run(
            command, input=source, capture_output=True, text=True, check=False, timeout=MCA_S
        )
        if done.returncode != 0:
            return {}
        return {int(i): int(c) for i, c in _REGION.findall(done.stdout)}

    def _save(self) -> None:
        with atomic_write(self._cache, "w") as f:
            json.dump(self._known, f)


def cache_path() -> Path:
    """Where estimates are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dftiny" / "mca.json"


def _load(path: Path) -> dict[str, float]:
    try:
        value: Mapping[str, float] = json.loads(path.read_text(encoding="utf-8"))
        return {str(k): float(v) for k, v in value.items()}
    except (OSError, ValueError, AttributeError):
        return {}  # a lost or torn cache costs a minute
