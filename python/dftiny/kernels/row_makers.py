"""Row kernels by operator: none yet."""

from __future__ import annotations

from dftiny.graph import Graph
from dftiny.kernels.rows import Choice, RowCall
from dftiny.steps import Step


def row_call(graph: Graph, step: Step, choice: Choice) -> RowCall | None:
    del graph, step, choice
    return None
