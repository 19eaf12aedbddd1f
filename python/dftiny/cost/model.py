"""What the pieces take: spec/cost_pieces.toml, made by `tools/cost fit`, and spec/cost.toml, assumptions about memory.

Read by the package; the numbers belong to one compiler and its kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from dftiny import spec
from dftiny.cost.pieces import Pieces
from dftiny.errors import DftError

PIECES, ASSUMED = "cost_pieces.toml", "cost.toml"
CORES = ("m7", "m4")


@dataclass(frozen=True)
class Model:
    """Instructions and cycles (no waiting for memory) of each piece on one core, as compiled by `gcc`."""

    core: str
    gcc: str
    pieces: Mapping[str, tuple[float, float]]

    def instructions(self, pieces: Pieces) -> float:
        """All of them; pieces that were never counted take nothing and are told by `unknown`."""
        return sum(n * self.pieces[name][0] for name, n in pieces.items() if name in self.pieces)

    def cycles(self, pieces: Pieces) -> float:
        """The same, in cycles."""
        return sum(n * self.pieces[name][1] for name, n in pieces.items() if name in self.pieces)

    def unknown(self, pieces: Pieces) -> list[str]:
        """Pieces without a figure."""
        return sorted(name for name, n in pieces.items() if n and name not in self.pieces)


@dataclass(frozen=True)
class Memory:
    """What is assumed of a chip: `cache_bytes` that data may stay in, bytes of a line, and how many cycles a line takes
    from flash and from RAM. `tight`: the region where data takes none, "" for none."""

    chip: str
    cache_bytes: int
    line_bytes: int
    flash_line_cycles: float
    ram_line_cycles: float
    tight: str = ""


@cache
def load_model(core: str) -> Model:
    """The pieces of `core` (m7, m4). DftError for another name, or where nothing was fitted."""
    if core not in CORES:
        raise DftError(f"no cost model is for core {core!r}", f"known: {', '.join(CORES)}")
    value = spec.read_toml(spec.SPEC_DIR / PIECES, "table of pieces")
    found = {name: (float(i), float(c)) for name, (i, c) in value[core].items()}
    return Model(core, str(value["gcc"]), found)


@cache
def load_memory(chip: str, core: str) -> Memory:
    """What is assumed of `chip`, or of any chip with `core` where nothing is known of it."""
    value = spec.read_toml(spec.SPEC_DIR / ASSUMED, "table of assumptions")["memory"]
    name = chip if chip in value else core
    numbers = {k: v for k, v in value[name].items() if k != "source"}
    return Memory(chip=name, **numbers)


def core_of(target_core: str) -> str:
    """The core model nearest to a target's processor: "cortex-m7" → m7; smaller ones are taken for an M4."""
    return "m7" if target_core.removeprefix("cortex-").startswith("m7") else "m4"
