"""The user's own firmware beside the model: what it takes of every region, from --reserve's text or its linker's map.

Pure: text in, bytes by region out, and the target with what is left of it. Called by budget_view.py and budget.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from dftiny.budget.link_map import map_bytes
from dftiny.errors import DftError
from dftiny.target import Region, Target

_ITEM = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(\d{1,12}|0[xX][0-9a-fA-F]{1,8})\s*(?:([KkMm])(?:i?[Bb])?)?\s*")
_UNIT = {"": 1, "k": 1024, "m": 1024 * 1024}
_HINT = "write it like --reserve flash=300K,axi=128K (K = 1024 bytes)"


def reserved(text: str, target: Target) -> dict[str, int]:
    """ "flash=300K,axi=128K" → bytes by region. DftError for anything else, naming what is wrong."""
    known = {r.name: r for r in target.regions}
    out: dict[str, int] = {}
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise DftError(f"--reserve {item.strip()[:60]!r} is not REGION=BYTES", _HINT)
        name, number, unit = match.group(1).lower(), match.group(2), (match.group(3) or "").lower()
        if name not in known:
            raise DftError(f"{target.name} has no region {name!r} to reserve", f"it has: {', '.join(known)}")
        if name in out:
            raise DftError(f"--reserve names region {name} twice", _HINT)
        out[name] = (int(number, 16) if number[:2].lower() == "0x" else int(number)) * _UNIT[unit]
        if out[name] > 1 << 32:
            raise DftError(f"--reserve {item.strip()[:60]} is more than 4 GB", _HINT)
    return out


def application_bytes(
    target: Target, reserve: str | None, map_text: str | None, map_name: str
) -> dict[str, int]:
    """Both ways together: what the text reserves comes on top of what the map holds."""
    out = map_bytes(map_text, target, map_name) if map_text is not None else {}
    for name, n in (reserved(reserve, target) if reserve else {}).items():
        out[name] = out.get(name, 0) + n
    return out


def beside(target: Target, application: Mapping[str, int]) -> Target:
    """The target less the application. Where nothing is left for activations anywhere, the largest region keeps one
    piece of alignment, so that a plan fails in the planner's own words."""
    regions = tuple(_less(r, application.get(r.name, 0)) for r in target.regions)
    if not any(r.arena for r in regions):
        largest = max(target.arena_regions, key=lambda r: r.bytes)
        regions = tuple(replace(r, arena=r.name == largest.name) for r in regions)
    return replace(target, regions=regions)


def _less(region: Region, taken: int) -> Region:
    if not taken:
        return region
    floor = region.stack_bytes + region.align
    left = (region.bytes - taken) // region.align * region.align
    tight = max(region.tight_bytes - taken, 0) // region.align * region.align
    return replace(region, bytes=max(left, floor), arena=region.arena and left >= floor, tight_bytes=tight)
