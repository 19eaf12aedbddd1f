"""`dftiny engines`: the same model on the same board with several engines, side by side, from their bench folders.

A use case: it reads what `bench` measured and what `build` linked, and computes nothing anew. Called by cli.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dftiny.artifact import read_json
from dftiny.errors import CheckFailed, DftError

HEAD = (
    "bench",
    "engine",
    "board",
    "tiles equal",
    "per tile",
    "per MAC",
    "arena",
    "RAM linked",
    "flash",
    "stack peak",
)


@dataclass(frozen=True)
class EngineRow:
    """One bench of one engine. Bytes; `per_tile` counts `unit` ("instructions" or "cycles"), None where the board may
    claim neither. `arena_bytes` is what the engine says it uses, `ram_bytes` what was linked without the stack."""

    bench: str
    engine: str
    board: str
    bundle: str
    tiles: int
    identical: int
    unit: str
    per_tile: float | None
    per_mac: float | None
    arena_bytes: int | None
    ram_bytes: int | None
    flash_bytes: int | None
    stack_peak_bytes: int | None


def engine_row(folder: Path) -> EngineRow:
    """What the bench in `folder` says. DftError when there is no finished one."""
    if not (folder / "bench.json").is_file():
        raise DftError(f"{folder} holds no bench.json", "give a folder that dftiny bench wrote")
    value: Mapping[str, Any] = read_json(folder / "bench.json", "bench result")
    try:
        unit = next((u for u in ("instructions", "cycles") if u in value), "")
        counted = value.get(unit, {})
        regions: Mapping[str, Mapping[str, int]] = value["size"].get("regions", {})
        ram = [r["bytes"] for name, r in regions.items() if name != "flash"]
        return EngineRow(
            bench=folder.name,
            engine=str(value["board"]["engine"]),
            board=str(value["board"]["name"]),
            bundle=str(value["bundle"]["digest"]),
            tiles=int(value["oracle"]["tiles"]),
            identical=int(value["oracle"]["identical"]),
            unit=unit,
            per_tile=counted["per_tile"]["mean"] if counted else None,
            per_mac=counted.get("per_mac"),
            arena_bytes=value["memory"].get("arena_bytes"),
            ram_bytes=sum(ram) or None,
            flash_bytes=regions["flash"]["bytes"] if "flash" in regions else None,
            stack_peak_bytes=value["memory"].get("stack_peak_bytes"),
        )
    except (KeyError, TypeError, ValueError) as e:
        raise DftError(f"{folder} holds no finished bench (missing or wrong: {e})", "run dftiny bench") from e


def engines_command(folders: Sequence[Path], *, as_json: bool = False) -> list[EngineRow]:
    """Print one line a bench; DftError when they are of different bundles, CheckFailed when bits differ."""
    rows = [engine_row(f) for f in folders]
    if len({r.bundle for r in rows}) > 1:
        raise DftError("these benches are of different bundles", "bench the same bundle with each engine")
    print(json.dumps([asdict(r) for r in rows], indent=1) if as_json else engines_table(rows))
    if wrong := [r for r in rows if r.identical != r.tiles]:
        raise CheckFailed(
            f"engine {wrong[0].engine} differs from the int8 oracle on "
            f"{wrong[0].tiles - wrong[0].identical} of {wrong[0].tiles} tiles"
        )
    return rows


def engines_table(rows: Sequence[EngineRow]) -> str:
    """The table as text. A figure that a board may not claim, or that nobody linked, is a dash."""
    lines = [HEAD, *(_cells(r) for r in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    return "\n".join(
        "  ".join(
            v.ljust(w) if i < 3 else v.rjust(w) for i, (v, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cells(r: EngineRow) -> tuple[str, ...]:
    def number(value: float | None, unit: str = "") -> str:
        return "–" if value is None else f"{value:,.0f}{unit}"

    return (
        r.bench,
        r.engine,
        r.board,
        f"{r.identical:,} of {r.tiles:,}",
        number(r.per_tile, f" {r.unit}"),
        "–" if r.per_mac is None else f"{r.per_mac:.2f}",
        number(r.arena_bytes),
        number(r.ram_bytes),
        number(r.flash_bytes),
        number(r.stack_peak_bytes),
    )
