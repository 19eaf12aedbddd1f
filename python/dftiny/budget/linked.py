"""A firmware that is already linked: what its ELF takes of every region stands in for what was predicted.

The ELF is found beside a bundle (dftiny build's manifest names the bundle it was made from) or given by the user; one
whose arenas are too small for the model was linked of another. Called by budget/__init__.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dftiny import spec
from dftiny.artifact import read_manifest
from dftiny.budget.result import Budget, RegionBudget
from dftiny.elf import RegionUse, Section, region_use, sections
from dftiny.errors import DftError
from dftiny.target import Target

_ARENA = ".dft_"


def built_beside(bundle: Path, engine: str, target: str) -> Path | None:
    """The firmware.elf in BUNDLE/../build/* that was built of this bundle for `target` with `engine`, if there is one."""
    try:
        digest = read_manifest(bundle, "bundle").digest
    except DftError:
        return None
    for folder in sorted((bundle.parent / "build").glob("*/manifest.json")):
        try:
            made = read_manifest(folder.parent, "build")
            chip = spec.board(str(made.config["board"]))["target"]
        except (DftError, KeyError):
            continue
        elf = folder.parent / "firmware.elf"
        same = made.parents.get("bundle") == digest and made.config.get("engine") == engine and chip == target
        if same and elf.is_file():
            return elf
    return None


def with_linked(b: Budget, elf: Path, target: Target) -> Budget:
    """`b`, not judged yet, with the code, statics and memory of the firmware in `elf`. DftError for a file that is
    none, or one that was linked of another model or for another chip."""
    found = _sections(elf)
    uses = region_use(found, target)
    _check(b, elf, found, uses[target.flash.name].bytes, target)
    regions = tuple(_region(r, uses) for r in b.regions)
    return replace(
        b,
        regions=regions,
        flash_bytes=regions[0].used,
        code_bytes=regions[0].used - b.const.total,
        code_from="linked",
        ram_used_bytes=sum(r.used + r.reserved for r in regions if r.kind == "ram"),
        notes=(f"code, statics and memory as linked in {elf.parent.name}/{elf.name}",),
    )


def _sections(elf: Path) -> tuple[Section, ...]:
    try:
        return sections(elf.read_bytes())
    except OSError as e:
        raise DftError(f"cannot read {elf}: {e.strerror}", "give the firmware.elf of dftiny build") from e
    except DftError as e:
        raise DftError(f"{elf} is {e.cause}", "give the firmware.elf of dftiny build") from e


def _check(b: Budget, elf: Path, found: tuple[Section, ...], stored: int, target: Target) -> None:
    flash = target.flash
    if not any(flash.origin <= s.address < flash.origin + flash.bytes for s in found):
        raise DftError(f"{elf} has no code in the flash of {target.name}", "name its chip with --target")
    hint = "it was linked of another model or engine: give the one built of this bundle"
    held = sum(s.bytes for s in found if s.name.startswith(_ARENA))
    if held < b.arena_bytes:
        raise DftError(
            f"{elf} holds {held:,} bytes of activations, {b.model} needs {b.arena_bytes:,} with engine {b.engine}",
            hint,
        )
    if stored < b.const.total:
        raise DftError(
            f"{elf} holds {stored:,} bytes of flash, the constants of {b.model} alone take {b.const.total:,}",
            hint,
        )


def _region(r: RegionBudget, uses: dict[str, RegionUse]) -> RegionBudget:
    use = uses[r.name]
    return replace(r, used=use.bytes, reserved=use.reserved or r.reserved, complete=True)
