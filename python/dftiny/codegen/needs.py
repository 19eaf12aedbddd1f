"""What a firmware image needs to know of its bundle: sizes, memory regions, operators, digest. Nothing else.

Read from bundle.json, whose fields bundle.py writes. Called by codegen/firmware.py and build.py.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path

from dftiny.artifact import canonical_json, read_json
from dftiny.budget.tflm import CMSIS_NN_BYTES
from dftiny.budget.tflm_arena import tflm_arena
from dftiny.errors import CheckFailed, DftError
from dftiny.graph import load
from dftiny.target import Target
from dftiny.verdict.model import VerdictModel, verdict_model


@dataclass(frozen=True)
class RegionNeed:
    """Bytes of a memory region of the target (by name), aligned."""

    name: str
    bytes: int
    align: int


@dataclass(frozen=True)
class FirmwareNeeds:
    """A model as the firmware's build sees it. `digest` is the bundle's, 32 bytes; `verdict` None: it never decides."""

    input_bytes: int
    output_bytes: int
    regions: tuple[RegionNeed, ...]
    ops: int
    digest: bytes
    verdict: VerdictModel | None = None


def needs_of_bundle(folder: Path) -> FirmwareNeeds:
    """The needs in `folder`/bundle.json. DftError when it is missing or lacks a field."""
    path = folder / "bundle.json"
    value = read_json(path, "bundle")
    if value.get("input_by_rows"):
        raise DftError(
            f"{folder} takes its input row by row, which the link cannot do", "use it as a library"
        )
    try:
        return FirmwareNeeds(
            input_bytes=math.prod(value["input"]["shape"]),
            output_bytes=math.prod(value["output"]["shape"]),
            regions=tuple(RegionNeed(r["name"], int(r["bytes"]), int(r["align"])) for r in value["regions"]),
            ops=len(value["ops"]),
            digest=hashlib.sha256(canonical_json(value)).digest(),
            verdict=verdict_model(value["verdict"]) if "verdict" in value else None,
        )
    except (KeyError, TypeError, ValueError) as e:
        raise DftError(f"{path} is not a dftiny bundle (missing or wrong: {e})", "run dftiny export") from e


def echo_needs(bundle: Path | None, target: Target) -> FirmwareNeeds:
    """Needs of the echo engine: the bundle's input and output, or a 128² RGB tile and two classes without one.

    The output lies over the input, in the target's first arena region.
    """
    arena = target.arena_regions[0]
    base = needs_of_bundle(bundle) if bundle is not None else None
    input_bytes = base.input_bytes if base else 128 * 128 * 3
    output_bytes = base.output_bytes if base else 2
    digest = base.digest if base else hashlib.sha256(b"dftiny echo").digest()
    region = RegionNeed(arena.name, max(input_bytes, output_bytes), arena.align)
    return FirmwareNeeds(input_bytes, output_bytes, (region,), 0, digest, base.verdict if base else None)


def tflm_needs(bundle: Path, target: Target) -> FirmwareNeeds:
    """Needs of the tflm engine: one arena of the predicted size in the first region that has room for it, and a tick
    count for each operator of the file. CheckFailed when no region is large enough: TFLM's arena is one block."""
    graph = load(bundle / "model.tflite")
    size = tflm_arena(graph).needed + CMSIS_NN_BYTES
    arena = next((r for r in target.arena_regions if r.bytes - r.stack_bytes >= size), None)
    if arena is None:
        largest = max(target.arena_regions, key=lambda r: r.bytes - r.stack_bytes)
        raise CheckFailed(
            f"TFLM needs an arena of {size:,} bytes in one piece, the largest region of {target.name}, "
            f"{largest.name}, has {largest.bytes - largest.stack_bytes:,}",
            "use the aot engine or a smaller tile",
        )
    size = -(-size // arena.align) * arena.align
    region = RegionNeed(arena.name, size, arena.align)
    return replace(needs_of_bundle(bundle), regions=(region,), ops=len(graph.operators))
