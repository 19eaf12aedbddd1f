"""Exact rewrites: graph → graph with fewer operators, every remaining activation equal to the bit.

Each pass stands alone and can be switched off by its name. `rewrite` is called once, before steps.steps(), by
whoever plans, budgets or generates; the graph of the file stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from dftiny.graph import Graph
from dftiny.rewrite.dead import dead
from dftiny.rewrite.depthwise import depthwise_from_grouped
from dftiny.rewrite.layout import layout
from dftiny.rewrite.pads import pad_from_concatenation
from dftiny.rewrite.pixels import join_pixels
from dftiny.rewrite.shift_max import shift_max
from dftiny.rewrite.tables import table_from_constants

# In the order they are applied: shuffles that a SHIFT_MAX can hold are not moved elsewhere before.
PASSES: Mapping[str, Callable[[Graph], Graph]] = MappingProxyType(
    {
        "pad_from_concatenation": pad_from_concatenation,
        "depthwise_from_grouped": depthwise_from_grouped,
        "shift_max": shift_max,
        "layout": layout,
        "table_from_constants": table_from_constants,
        "join_pixels": join_pixels,
        "dead": dead,
    }
)
NAMES = tuple(PASSES)

__all__ = ["NAMES", "PASSES", "rewrite"]


def rewrite(graph: Graph, without: frozenset[str] = frozenset()) -> Graph:
    """`graph` after all passes but those named in `without`."""
    unknown = without - set(NAMES)
    if unknown:
        raise ValueError(f"no rewrite is called {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    for name, apply in PASSES.items():
        if name not in without:
            graph = apply(graph)
    return graph
