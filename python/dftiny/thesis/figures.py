"""The thesis' own tables, read from spec/thesis.toml, and what in them does not fit together.

Called by tables and grid. Knows nothing of our results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from dftiny import spec

NETS = ("ResNet50", "PhiNet", "MicroNet")


@dataclass(frozen=True)
class Published:
    """One of tables 4.1 to 4.6: `rows` by net in percent, 7 columns (pre, 3 without, 3 with fine-tuning) or 4."""

    number: str
    caption: str
    metric: str
    approach: str
    rows: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Flag:
    """A contradiction in the thesis: the cells (table, net, column from 0) and why they cannot all be right."""

    cells: tuple[tuple[str, str, int], ...]
    text: str


@dataclass(frozen=True)
class Thesis:
    """What the thesis reports: tables 4.1 to 4.6, the sizes of 4.7 (MACs at 1024², parameters), and the flags."""

    tables: tuple[Published, ...]
    sizes: Mapping[str, tuple[float, float]]
    sizes_caption: str
    flags: tuple[Flag, ...]

    def flagged(self, table: str, net: str, column: int) -> tuple[int, ...]:
        """Numbers (from 1) of the flags on that cell."""
        return tuple(n for n, f in enumerate(self.flags, 1) if (table, net, column) in f.cells)


@cache
def thesis() -> Thesis:
    """The thesis' figures."""
    value = spec.thesis()
    tables = tuple(
        Published(n, t["caption"], t["metric"], t["approach"], {net: tuple(t[net]) for net in NETS})
        for n, t in value["tables"].items()
    )
    sizes = value["sizes"]
    flags = tuple(Flag(tuple((t, n, c) for t, n, c in f["cells"]), f["text"]) for f in value["flags"])
    figures = {net: (float(sizes[net]["macs"]), float(sizes[net]["parameters"])) for net in NETS}
    return Thesis(tables, figures, sizes["caption"], flags)
