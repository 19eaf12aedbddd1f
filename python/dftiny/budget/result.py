"""What a budget says, as frozen data: the verdict, one row a memory region, one row an operator, and its JSON object.

Filled by the engines' budgets (aot.py, tflm.py), read by the views, the export and the report. Counts nothing itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from dftiny.errors import CheckFailed
from dftiny.kernels.count import ConstBytes
from dftiny.plan import Plan

SCHEMA = 1
# Where `code_bytes` comes from: a linked ELF, tools/code_size for this target, the largest of it for an unknown one.
CodeFrom = Literal["linked", "measured", "assumed", "unknown"]


@dataclass(frozen=True)
class RegionBudget:
    """One memory region, bytes. `reserved` is the stack, `application` what the user's own firmware takes there;
    `over` is how far all three pass its end. Not `complete`: something of unknown size comes on top of `used`."""

    name: str
    kind: str
    used: int
    reserved: int
    total: int
    application: int = 0
    complete: bool = True

    @property
    def taken(self) -> int:
        """All that has an owner."""
        return self.used + self.reserved + self.application

    @property
    def free(self) -> int:
        """What is left, never negative."""
        return max(self.total - self.taken, 0)

    @property
    def over(self) -> int:
        """Bytes too many, 0 where it fits."""
        return max(self.taken - self.total, 0)


@dataclass(frozen=True)
class OpBudget:
    """One operator: its MACs, its constants in flash, and all activation bytes alive while it runs. `instructions`
    and `cycles` are estimates of the cost model, None where it has none."""

    index: int
    kind: str
    name: str
    macs: int
    const_bytes: int
    live_bytes: int
    instructions: int | None = None
    cycles: int | None = None


@dataclass(frozen=True)
class Budget:
    """The verdict. `ram_bytes` are activations over all regions with the resident input tile, without stack and
    link buffers (house rule); `arena_bytes` is what the engine must be lent, activations and whatever it keeps beside
    them; `ram_used_bytes` is all RAM in use with the stack's reserve. The three estimates are None where the cost
    model has no figure. `flash_bytes` and `code_bytes` are None where the engine's code has no known size: the flash
    region's `used` is a floor then. `reasons` are sentences that say what breaks it, empty when it fits; `notes` say
    what the figures leave out or assume."""

    model: str
    target: str
    engine: str
    flash_bytes: int | None
    flash_total_bytes: int
    ram_bytes: int
    arena_bytes: int
    ram_used_bytes: int
    ram_total_bytes: int
    lower_bound_bytes: int
    code_bytes: int | None
    code_from: CodeFrom
    const: ConstBytes
    stack_bytes: int
    macs: int
    max_macs: int
    regions: tuple[RegionBudget, ...]
    ops: tuple[OpBudget, ...]
    reasons: tuple[str, ...]
    plan: Plan | None
    instructions_estimated: int | None = None
    cycles_estimated: int | None = None
    ms_estimated: float | None = None
    estimate_note: str = ""
    notes: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Nothing breaks it."""
        return not self.reasons

    @property
    def code_measured(self) -> bool:
        """The code's size was measured, for this very target or in the linked firmware."""
        return self.code_from in ("linked", "measured")

    def region(self, name: str) -> RegionBudget:
        """The region called `name`. Raises KeyError when there is none."""
        for r in self.regions:
            if r.name == name:
                return r
        raise KeyError(name)

    def as_json(self) -> dict[str, Any]:
        """The object described by spec/schema/budget.json."""
        value = asdict(self)
        del value["plan"]
        value["const"]["total"] = self.const.total
        for entry, region in zip(value["regions"], self.regions, strict=True):
            entry |= {"free": region.free, "over": region.over}
        return {"schema": SCHEMA, "fits": self.fits, "code_measured": self.code_measured, **value}

    def require(self) -> None:
        """Raise CheckFailed with the reasons when it does not fit."""
        if self.reasons:
            raise CheckFailed("; ".join(self.reasons), "use a smaller tile, a smaller net or another target")
