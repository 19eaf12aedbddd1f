"""A graph as the engine executes it: exact rewrites done, only operators that move bytes left.

- RESHAPE, SQUEEZE, EXPAND_DIMS and a QUANTIZE that changes nothing become views: two names of one buffer.
- PAD in front of convolutions without padding of their own goes into their window: a padded position holds
  the zero point and contributes nothing, so the result is the same to the bit and the padded copy is gone.
- A pointwise function of one operator's result, which nobody else reads, becomes a table behind that operator.
Used by the planner, the budget and the C generator, so that they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from dftiny import int8
from dftiny.graph import ConvOptions, DepthwiseOptions, Graph, Op, PadOptions

NAMES = ("pad_into_window", "table_behind_operator")
VIEWS = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
POINTWISE = int8.POINTWISE
# Kernels of these end every element with a requantisation, behind which a table costs one load.
_TAKES_TABLE = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB")
_WINDOWED = ("CONV_2D", "DEPTHWISE_CONV_2D")
NO_PAD = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Step:
    """One operator to run. `sources` are its activation inputs (without constants, a folded PAD looked through),
    `reads` the buffers they lie in (tensor indices after `views`); `writes` is the buffer of its output; `pad`
    (top, bottom, left, right) was a PAD before it. `table`, int8[256] in the order −128…127, is a pointwise function
    that was fused behind the operator: `writes` then holds table[y + 128] of the operator's own output y, whose
    quantisation is still that of `op.outputs[0]`. `absorbed` are the operators that the table replaces."""

    op: Op
    sources: tuple[int, ...]
    reads: tuple[int, ...]
    writes: int
    pad: tuple[int, int, int, int]
    table: np.ndarray | None = None
    absorbed: tuple[Op, ...] = ()


@dataclass(frozen=True)
class Steps:
    """`views` maps every activation tensor that exists at run time to the tensor whose buffer it shares."""

    graph: Graph
    steps: tuple[Step, ...]
    views: dict[int, int]


def steps(graph: Graph, *, without: frozenset[str] = frozenset()) -> Steps:
    """The steps of `graph`, in execution order. `without`: names of NAMES to leave out."""
    folded = {} if "pad_into_window" in without else _foldable_pads(graph)
    views: dict[int, int] = {graph.inputs[0]: graph.inputs[0]}
    out: list[Step] = []
    for op in graph.ops:
        target = op.outputs[0]
        if target in folded:
            continue
        reads, pad = _reads(graph, op, folded)
        if _is_view(graph, op):
            views[target] = views[reads[0]]
            continue
        views[target] = target
        out.append(Step(op, tuple(reads), tuple(views[t] for t in reads), target, pad))
    if "table_behind_operator" not in without:
        out = _with_tables(graph, out)
    return Steps(graph, tuple(out), views)


def _with_tables(graph: Graph, found: list[Step]) -> list[Step]:
    """Pointwise steps moved into the step before them, where that is their only reader."""
    readers: dict[int, int] = {graph.outputs[0]: 1}
    for step in found:
        for t in step.reads:
            readers[t] = readers.get(t, 0) + 1
    out: list[Step] = []
    for step in found:
        maker = out[-1] if out else None
        if (
            maker is not None
            and step.op.kind in POINTWISE
            and maker.op.kind in _TAKES_TABLE
            and step.reads == (maker.writes,)
            and readers[maker.writes] == 1
            and _same_rows(graph, maker, step)
        ):
            values = int8.table(graph, step.op)
            if maker.table is not None:
                values = values[maker.table.astype(np.int64) + 128]
            out[-1] = replace(maker, writes=step.writes, table=values, absorbed=(*maker.absorbed, step.op))
        else:
            out.append(step)
    return out


def _same_rows(graph: Graph, maker: Step, step: Step) -> bool:
    """Rows of both are the same bytes: a view between them may have cut the map otherwise."""
    return graph.tensors[maker.writes].shape == graph.tensors[step.writes].shape


def _reads(graph: Graph, op: Op, folded: dict[int, Op]) -> tuple[list[int], tuple[int, int, int, int]]:
    """Activation tensors that `op` reads, looking through a folded PAD, and that PAD's amounts."""
    reads, pad = [], NO_PAD
    for t in op.inputs:
        if t < 0 or graph.tensors[t].data is not None:
            continue
        if t in folded:
            amounts = cast(PadOptions, folded[t].options)
            pad = (amounts.before[1], amounts.after[1], amounts.before[2], amounts.after[2])
        reads.append(folded[t].inputs[0] if t in folded else t)
    return reads, pad


def _is_view(graph: Graph, op: Op) -> bool:
    if op.kind in VIEWS:
        return True
    if op.kind != "QUANTIZE":
        return False
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    return x.quant is not None and x.quant.same(y.quant)


def _foldable_pads(graph: Graph) -> dict[int, Op]:
    """Output tensor → PAD operator, for every PAD that all its readers can take into their window."""
    readers: dict[int, list[Op]] = {}
    for op in graph.ops:
        for t in op.inputs:
            readers.setdefault(t, []).append(op)
    found: dict[int, Op] = {}
    for op in graph.ops:
        target = op.outputs[0]
        if (
            op.kind == "PAD"
            and target not in graph.outputs
            and _zero_and_spatial(op)
            and op.inputs[0] not in found
            and readers.get(target)
            and all(_takes_pad(r, target) for r in readers[target])
        ):
            found[target] = op
    return found


def _zero_and_spatial(op: Op) -> bool:
    amounts = cast(PadOptions, op.options)
    return (
        amounts.values is None
        and len(amounts.before) == 4
        and not any(amounts.before[d] or amounts.after[d] for d in (0, 3))
    )


def _takes_pad(op: Op, tensor: int) -> bool:
    if op.kind not in _WINDOWED or op.inputs[0] != tensor or tensor in op.inputs[1:]:
        return False
    return cast("ConvOptions | DepthwiseOptions", op.options).padding == "VALID"
