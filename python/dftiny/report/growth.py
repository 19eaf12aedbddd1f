"""Two budgets side by side: what grew, by how much, in which operators. Called by budget_view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

from dftiny.budget import Budget, OpBudget

_FIGURES = (
    ("MACs", "macs"),
    ("flash", "flash_bytes"),
    ("arena", "arena_bytes"),
    ("RAM", "ram_used_bytes"),
    ("instructions, estimated", "instructions_estimated"),
)


@dataclass(frozen=True)
class Change:
    """A figure of both models; None where one of them has no such figure."""

    name: str
    old: int | None
    new: int | None

    @property
    def percent(self) -> float | None:
        """Growth, 0 where nothing changed; None where it cannot be said."""
        if self.old is None or self.new is None:
            return None
        if self.old == self.new:
            return 0.0
        return 100 * (self.new - self.old) / self.old if self.old else float("inf")


@dataclass(frozen=True)
class Growth:
    """All figures, and the operators that one of the two does not have or that changed."""

    changes: tuple[Change, ...]
    ops: tuple[tuple[str, OpBudget | None, OpBudget | None], ...]

    def beyond(self, percent: float) -> tuple[str, ...]:
        """A sentence for each figure that grew by more than `percent`."""
        return tuple(
            f"{c.name} grew from {c.old:,} to {c.new:,} ({c.percent:+.1f} %), more than {percent:g} % are not allowed"
            for c in self.changes
            if c.percent is not None and c.percent > percent
        )

    def as_json(self) -> dict[str, Any]:
        """{"changes": [{name, old, new, percent}], "ops": [{change, old, new}]}"""
        changes = [{**asdict(c), "percent": c.percent} for c in self.changes]
        ops = [{"change": what, "old": a and asdict(a), "new": b and asdict(b)} for what, a, b in self.ops]
        return {"changes": changes, "ops": ops}


def growth(old: Budget, new: Budget) -> Growth:
    """What changed from `old` to `new`."""
    changes = tuple(Change(name, getattr(old, field), getattr(new, field)) for name, field in _FIGURES)
    return Growth(changes, tuple(_ops(old.ops, new.ops)))


def _ops(
    old: Sequence[OpBudget], new: Sequence[OpBudget]
) -> list[tuple[str, OpBudget | None, OpBudget | None]]:
    """Operators paired in order by kind, and listed where they differ in work or constants."""
    found: list[tuple[str, OpBudget | None, OpBudget | None]] = []
    matcher = SequenceMatcher(None, [o.kind for o in old], [o.kind for o in new], autojunk=False)
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        if tag == "equal":
            pairs = zip(old[a0:a1], new[b0:b1], strict=True)
            found += [
                ("changed", a, b) for a, b in pairs if (a.macs, a.const_bytes) != (b.macs, b.const_bytes)
            ]
            continue
        found += [("gone", a, None) for a in old[a0:a1]]
        found += [("new", None, b) for b in new[b0:b1]]
    return found


def growth_text(old: Budget, new: Budget, found: Growth, most: int = 12) -> str:
    """The table as text: figures, then the operators that changed most."""

    def number(value: int | None) -> str:
        return "–" if value is None else f"{value:,}"

    rows = [("", "old", "new", "change")]
    for c in found.changes:
        rows.append(
            (c.name, number(c.old), number(c.new), "–" if c.percent is None else f"{c.percent:+.1f} %")
        )
    widths = [max(len(r[i]) for r in rows) for i in range(4)]
    lines = [f"{old.model} → {new.model} on {new.target}, engine {new.engine}"]
    for row in rows:
        cells = (
            v.ljust(w) if i == 0 else v.rjust(w) for i, (v, w) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    heavy = sorted(found.ops, key=lambda o: -abs((o[2].macs if o[2] else 0) - (o[1].macs if o[1] else 0)))
    lines += [_op_line(*entry) for entry in heavy[:most]]
    if len(heavy) > most:
        lines.append(f"and {len(heavy) - most} operators more")
    return "\n".join(lines)


def _op_line(what: str, a: OpBudget | None, b: OpBudget | None) -> str:
    shown = b or a
    assert shown is not None
    macs = (a.macs if a else 0, b.macs if b else 0)
    const = (a.const_bytes if a else 0, b.const_bytes if b else 0)
    return (
        f"  {what:7s} operator {shown.index} {shown.kind}: MACs {macs[0]:,} → {macs[1]:,}, "
        f"constants {const[0]:,} → {const[1]:,}"
    )
