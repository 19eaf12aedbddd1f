"""How often each piece of a kernel's code runs, as names and numbers. Used by every module of this package.

A piece is something that always takes the same instructions: the start of an event, a tile, a quad of products. The
counts here follow the kernels' loops exactly; what a piece takes stands in spec/cost.toml.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from dftiny.kernels.calls import Call, Fields
from dftiny.kernels.rows import RowCall


class Pieces(dict[str, float]):
    """Times by name; what is not named runs never."""

    def __missing__(self, name: str) -> float:
        return 0.0


@dataclass(frozen=True)
class Turn:
    """`times` events alike: `rows` output rows each, `inside[k]` says whether row k under their windows lies in the
    map."""

    times: int
    rows: int
    inside: tuple[bool, ...]


class Job:
    """What the code of one kernel looks at: its parameter struct, its constants, and its events (none of a whole-tensor
    kernel)."""

    def __init__(self, call: RowCall | Call, turns: Sequence[Turn] = ()) -> None:
        self.function = call.function
        self.turns = tuple(turns)
        self.events = sum(t.times for t in turns)
        self._fields = dict(call.fields)
        self._constants = dict(call.pointers)

    def number(self, name: str, struct: str = "") -> int:
        """An integer member, of the nested struct called `struct` where one is named. KeyError where there is none."""
        fields = cast(
            "Mapping[str, object]", dict(cast(Fields, self._fields[struct])) if struct else self._fields
        )
        return int(cast(int, fields[name]))

    def numbers(self, name: str, struct: str = "") -> tuple[int, ...]:
        """A list of integers."""
        fields = cast(
            "Mapping[str, object]", dict(cast(Fields, self._fields[struct])) if struct else self._fields
        )
        return cast("tuple[int, ...]", fields[name])

    def has(self, name: str) -> bool:
        """A pointer that is not null."""
        return name in self._constants

    def values(self, name: str) -> np.ndarray:
        """The constant that a pointer leads to, int[n]."""
        return self._constants[name].values

    def code(self, name: str) -> tuple[str, ...]:
        """The list of code that a pointer leads to."""
        return self._constants[name].code


def add(to: Pieces, more: Mapping[str, float], times: float = 1) -> None:
    """`more` over and over."""
    for name, n in more.items():
        if n:
            to[name] += n * times


def copied(
    n: int, times: int = 1, steps: tuple[int, int] = (1, 1), starts: tuple[int, int] = (0, 0)
) -> Pieces:
    """newlib's memcpy of n bytes, again and again, to and from places `starts` behind a word at first; from one to the
    next both move on by `steps`. The first four positions stand for all others."""
    out = Pieces()
    phases = 1 if steps[0] % 4 == steps[1] % 4 == 0 else 4
    for i in range(phases):
        add(
            out,
            _copied(n, *((start + i * step) % 4 for start, step in zip(starts, steps, strict=True))),
            times,
        )
    return Pieces({name: count / phases for name, count in out.items()})


def _copied(n: int, to: int, source: int) -> Pieces:
    """Once, from and to such positions within a word."""
    out = Pieces({"memcpy.calls": 1})
    if to or source:
        out["memcpy.unaligned"] = 1
        if n < 8:
            out["memcpy.short"], out["memcpy.short_bytes"] = int(n >= 4), max(n - 3, 0)
            n = min(n, 3)
        elif to and source:
            out["memcpy.heads"], out["memcpy.head_two"] = 1, (4 - to) >> 1 & 1
            n -= 4 - to
    out["memcpy.blocks"], out["memcpy.sixteens"], out["memcpy.words"] = n // 64, n % 64 // 16, n % 16 // 4
    out["memcpy.tails"], out["memcpy.tail_two"] = int(n % 4 > 0), n >> 1 & 1
    return out
