"""A target (chip): its memory regions and limits, read from spec/targets/*.toml into frozen dataclasses.

The same file feeds the budget, the linker script and regions.c, so "fits" and "links" cannot disagree.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dftiny import spec
from dftiny.errors import DftError

_KINDS = ("flash", "ram")
# The first bytes of memory stay empty, and forbidden by the MPU: null pointers point there.
NULL_BYTES = 256
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
# Cores whose DSP instructions the kernels use. All of firmware/kernels compiles for each of them.
CORES = ("cortex-m7", "cortex-m4", "cortex-m33")


@dataclass(frozen=True)
class Region:
    """One piece of memory. `stack_bytes` is reserved at its bottom; `arena` regions hold activations; functions whose
    names match one of `code` are copied here at start and run here. `tight_bytes`: so much of the region of stack and
    statics, which has no wait states, may hold activations as well."""

    name: str
    kind: str
    origin: int
    bytes: int
    align: int
    arena: bool
    stack_bytes: int
    code: tuple[str, ...] = ()
    tight_bytes: int = 0


@dataclass(frozen=True)
class Target:
    """A chip. `flash_total_bytes` and `ram_total_bytes` are the two sizes on the first page of its data sheet;
    `max_macs` is the default limit of one inference, `mhz` the core's highest clock, None for an emulated board."""

    name: str
    title: str
    core: str
    fpu: str
    mhz: int | None
    source: str
    max_macs: int
    flash_total_bytes: int
    ram_total_bytes: int
    regions: tuple[Region, ...]

    def region(self, name: str) -> Region:
        """The region called `name`. Raises KeyError when there is none."""
        for region in self.regions:
            if region.name == name:
                return region
        raise KeyError(name)

    @property
    def flash(self) -> Region:
        """The one flash region."""
        return next(r for r in self.regions if r.kind == "flash")

    @property
    def arena_regions(self) -> tuple[Region, ...]:
        """Regions that may hold activations, in the order in which they are filled."""
        return tuple(r for r in self.regions if r.arena)

    def staging_region(self, taken: Mapping[str, int], input_bytes: int) -> Region | None:
        """The arena region where a second input fits beside `taken`, bytes by region; None when there is none.

        There the firmware receives the next tile while one is computed. Regions are tried from the last, which plans
        fill last; the region of stack and statics never.
        """
        for r in reversed(self.arena_regions):
            if r is not self.statics_region and r.bytes - taken.get(r.name, 0) - r.align >= input_bytes:
                return r
        return None

    @property
    def tight_region(self) -> Region | None:
        """The region that takes activations beside stack and statics, if there is one."""
        return next((r for r in self.regions if r.tight_bytes), None)

    @property
    def statics_region(self) -> Region:
        """Where stack, statics and link buffers live: the region with a stack."""
        return next(r for r in self.regions if r.stack_bytes)


def load_target(name: str) -> Target:
    """The target called `name`, or the .toml file at that path. Raises DftError naming what is wrong."""
    value = spec.target(name)
    try:
        target = _target(value)
    except KeyError as e:
        raise DftError(
            f"target {name} lacks the field {e}", "compare it with spec/targets/stm32h743.toml"
        ) from e
    except (TypeError, ValueError, OverflowError, AttributeError) as e:
        raise DftError(
            f"target {name} is malformed: {e}", "compare it with spec/targets/stm32h743.toml"
        ) from e
    _check(target, name)
    return target


def all_targets() -> tuple[Target, ...]:
    """Every target that is shipped, by name."""
    return tuple(load_target(n) for n in spec.names("targets"))


def _target(value: Mapping[str, Any]) -> Target:
    return Target(
        name=str(value["name"]),
        title=str(value["title"]),
        core=str(value["core"]),
        fpu=str(value["fpu"]),
        mhz=int(value["mhz"]) if "mhz" in value else None,
        source=str(value["source"]),
        max_macs=int(value["max_macs"]),
        flash_total_bytes=int(value["flash_total_bytes"]),
        ram_total_bytes=int(value["ram_total_bytes"]),
        regions=tuple(_region(r) for r in value["region"]),
    )


def _region(value: Mapping[str, Any]) -> Region:
    return Region(
        name=str(value["name"]),
        kind=str(value["kind"]),
        origin=int(value["origin"]),
        bytes=int(value["bytes"]),
        align=int(value.get("align", 16)),
        arena=bool(value.get("arena", False)),
        stack_bytes=int(value.get("stack_bytes", 0)),
        code=tuple(str(p) for p in value.get("code", ())),
        tight_bytes=int(value.get("tight_bytes", 0)),
    )


def _check(target: Target, name: str) -> None:
    """Refuse what the planner or the linker would trip over."""
    problems = []
    names = [r.name for r in target.regions]
    if len(set(names)) != len(names):
        problems.append("two regions share a name")
    if sum(r.kind == "flash" for r in target.regions) != 1:
        problems.append("there must be one flash region")
    if sum(r.stack_bytes > 0 for r in target.regions) != 1:
        problems.append("one region must reserve the stack")
    if not target.arena_regions:
        problems.append("no region has arena = true")
    if any(r.arena and r.stack_bytes for r in target.regions):
        problems.append("the region of stack and statics may hold no activations: cut it into two")
    if target.core not in CORES:
        problems.append(f"its core is {target.core!r}, not one of {', '.join(CORES)}")
    if target.max_macs <= 0 or (target.mhz is not None and target.mhz <= 0):
        problems.append("max_macs or mhz is not positive")
    for r in target.regions:
        if r.kind not in _KINDS or r.bytes <= 0 or r.origin < 0 or not 0 <= r.stack_bytes <= r.bytes:
            problems.append(f"region {r.name} makes no sense")
        if r.tight_bytes and not (r.stack_bytes and 0 < r.tight_bytes <= r.bytes - r.stack_bytes):
            problems.append(
                f"region {r.name} cannot hold {r.tight_bytes} bytes of activations beside a stack"
            )
        if not _NAME.fullmatch(r.name):
            problems.append(f"region {r.name[:40]!r} must be named by small letters, digits and _")
        if r.origin + r.bytes > 1 << 32:
            problems.append(f"region {r.name} ends beyond 32 bits of address")
        if r.kind == "flash" and (r.arena or r.stack_bytes):
            problems.append(f"region {r.name} is flash: it holds neither activations nor a stack")
        if r.align < 16 or r.align & (r.align - 1):
            problems.append(f"region {r.name} is aligned to {r.align}, not to a power of two from 16 on")
    by_origin = sorted(target.regions, key=lambda r: r.origin)
    for low, high in itertools.pairwise(by_origin):
        if low.origin + low.bytes > high.origin:
            problems.append(f"regions {low.name} and {high.name} overlap")
    if problems:
        raise DftError(f"target {name} cannot be used: {'; '.join(problems)}", "correct its .toml file")
