"""Row kernels by operator: none yet."""

from __future__ import annotations

from dftiny.graph import Graph
from dftiny.kernels.rows import Choice, RowCall
from dftiny.steps import Step


def conv_rows(graph: Graph, step: Step, choice: Choice, flat: bool = False) -> RowCall | None:
    del graph, step, choice, flat
    return None
