"""Counts that were agreed on, and what became worse since: tests/baselines/counts.json.

A figure that grew by more than LIMIT_PERCENT fails the check until the file is written anew, with a reason, in the same
commit; instructions of one kind of operator only if they also grew by more than KIND_PERCENT of the whole inference, so
that ten instructions of a tiny operator are no alarm. Figures that shrank are told, so that the file can follow. Counts belong to one compiler version.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dftiny.artifact import read_json, write_json
from dftiny.counting.image import need_tool
from dftiny.counting.measure import Counts
from dftiny.errors import DftError

LIMIT_PERCENT = 2.0
KIND_PERCENT = 0.1
OF_KIND = "instructions of "
FIGURES = ("instructions", "code_bytes", "const_bytes", "ram_bytes", "stack_bytes")


@dataclass(frozen=True)
class Change:
    """A figure of a model that is no longer the agreed one. `before` is None where it is new; growth up to `floor` is
    never worse."""

    model: str
    figure: str
    before: int | None
    now: int
    floor: int = 0

    @property
    def percent(self) -> float:
        """Growth; infinite where there was nothing."""
        if self.before is None or self.before <= 0:
            return float("inf") if self.now > (self.before or 0) else 0.0
        return 100.0 * (self.now - self.before) / self.before

    @property
    def worse(self) -> bool:
        """Beyond what is tolerated."""
        return self.percent > LIMIT_PERCENT and self.now - (self.before or 0) > self.floor

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.model}: {self.figure} {self.now:,}, not in the baseline"
        return f"{self.model}: {self.figure} {self.before:,} → {self.now:,} ({self.percent:+.1f} %)"


def figures(c: Counts) -> dict[str, int]:
    """The figures of one model that are held to the baseline, instructions of each kind of operator among them."""
    out = {name: int(getattr(c, name)) for name in FIGURES}
    for op in c.ops:
        key = f"{OF_KIND}{op.kind}"
        out[key] = out.get(key, 0) + op.instructions
    return dict(sorted(out.items()))


def compiler() -> str:
    """The version of the compiler in use."""
    gcc = need_tool("arm-none-eabi-gcc", "gcc-arm-none-eabi")
    command = [gcc, "-dumpfullversion"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def load(path: Path) -> dict[str, Any]:
    """The file. DftError when it is missing or was made by another compiler."""
    value: dict[str, Any] = read_json(path, "baseline of counts")
    if value.get("gcc") != compiler():
        raise DftError(
            f"{path.name} was made with gcc {value.get('gcc')}, here is {compiler()}",
            "use that compiler, or write it anew with tools/counts --update --reason …",
        )
    return value


def compare(baseline: Mapping[str, Any], found: Sequence[Counts]) -> list[Change]:
    """Every figure of `found` that is not the agreed one."""
    out = []
    for counts in found:
        agreed = baseline["models"].get(counts.model, {}).get("figures", {})
        mine = figures(counts)
        for name in sorted({*mine, *agreed}):
            if agreed.get(name) != mine.get(name, 0):
                floor = round(counts.instructions * KIND_PERCENT / 100) if name.startswith(OF_KIND) else 0
                out.append(Change(counts.model, name, agreed.get(name), mine.get(name, 0), floor))
    return out


def update(path: Path, found: Sequence[Counts], reason: str) -> list[Change]:
    """Write what changed among `found` with `reason`; entries of other models and of equal figures keep theirs."""
    if not reason.strip():
        raise DftError("a new baseline needs a reason", 'add --reason "…"')
    models = dict(read_json(path, "baseline of counts")["models"]) if path.exists() else {}
    changes = compare({"models": models}, found)
    for counts in found:
        mine = figures(counts)
        if models.get(counts.model, {}).get("figures") != mine:
            models[counts.model] = {"figures": mine, "reason": reason.strip()}
    write_json(path, {"gcc": compiler(), "limit_percent": LIMIT_PERCENT, "models": models})
    return changes
