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
    """The target less the application: smaller regions, each with at least its stack and one piece of alignment, so
    that a plan for it fails in the planner's own words."""
    return replace(target, regions=tuple(_less(r, application.get(r.name, 0)) for r in target.regions))


def _less(region: Region, taken: int) -> Region:
    floor = region.stack_bytes + region.align
    return (
        replace(region, bytes=max((region.bytes - taken) // region.align * region.align, floor))
        if taken
        else region
    )
