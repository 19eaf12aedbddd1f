"""What an engine needs on a target, in bytes, before anybody judges whether it is too much.

Made by aot.py and tflm.py, put together into a Budget by budget/__init__.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dftiny.budget.result import CodeFrom
from dftiny.code_size import Base
from dftiny.kernels.count import ConstBytes
from dftiny.plan import Plan

# Per operator of the model the firmware keeps one tick count (dft_op_ticks in regions.c).
_TICK_BYTES = 4


@dataclass(frozen=True)
class EngineNeed:
    """Bytes. `arenas` by region, `lower_bound` of any plan in this order of operators; `code` None where it has no
    known size, `base` the firmware around the engine. `op_const` and `op_live` by operator index: constants, and all
    activations in memory while it runs. `reasons` why the activations do not fit, `plan` None then."""

    arenas: Mapping[str, int]
    activations: int
    lower_bound: int
    base: Base
    code: int | None
    code_from: CodeFrom
    const: ConstBytes
    op_const: Mapping[int, int]
    op_live: Mapping[int, int]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    plan: Plan | None
    copied: Mapping[str, int] = field(default_factory=dict)

    def statics(self, ops: int) -> int:
        """Statics and link buffers of the firmware around the engine, for a model of `ops` operators."""
        return self.base.statics_bytes + _TICK_BYTES * max(ops, 1)

    @property
    def flash(self) -> int:
        """Constants and as much of the code as is known."""
        return self.const.total + (self.base.flash_bytes if self.code is None else self.code)
