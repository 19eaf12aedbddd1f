"""Trading time for memory: a map that a squeeze-and-excitation block needs twice is computed twice.

The mean of a map must be known before the map can be scaled, so the map exists whole, unless the operators that
make it run again behind the mean, row by row. This writes those operators a second time into the graph; the planner
then streams both. Exact, as the same operators see the same values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dftiny.graph import Graph, Op, macs

_AGAIN = (
    "CONV_2D", "DEPTHWISE_CONV_2D", "PAD", "GATHER", "RELU", "RELU6", "HARD_SWISH", "LOGISTIC", "QUANTIZE", "TABLE",
)  # fmt: skip


@dataclass(frozen=True)
class Repeat:
    """`tensor` is wanted by a MEAN and later by others; `ops` (positions in graph.ops) make it from a smaller map."""

    tensor: int
    nbytes: int
    ops: tuple[int, ...]
    macs: int


def repeats(graph: Graph) -> list[Repeat]:
    """All maps that could be computed twice, largest first."""
    maker = {op.outputs[0]: i for i, op in enumerate(graph.ops)}
    found = []
    for op in graph.ops:
        if op.kind != "MEAN":
            continue
        tensor = op.inputs[0]
        if tensor not in maker or not _read_later(graph, tensor, op):
            continue
        chain = _chain(graph, maker, tensor)
        if chain:
            cost = sum(macs(graph, graph.ops[i]) for i in chain)
            found.append(Repeat(tensor, graph.tensors[tensor].nbytes, chain, cost))
    return sorted(found, key=lambda r: (-r.nbytes, r.tensor))


def _read_later(graph: Graph, tensor: int, mean: Op) -> bool:
    return any(tensor in op.inputs and op is not mean for op in graph.ops)


def _chain(graph: Graph, maker: dict[int, int], tensor: int) -> tuple[int, ...]:
    """Positions of the operators from the smallest map on the way down to `tensor`, in order."""
    walked: list[int] = []
    best, smallest = 0, graph.tensors[tensor].nbytes
    t = tensor
    while t in maker and graph.ops[maker[t]].kind in _AGAIN:
        walked.append(maker[t])
        t = graph.ops[maker[t]].inputs[0]
        if graph.tensors[t].nbytes < smallest:
            best, smallest = len(walked), graph.tensors[t].nbytes
    return tuple(reversed(walked[:best]))


def repeated(graph: Graph, chosen: Sequence[Repeat]) -> Graph:
    """`graph` with the operators of each chosen repeat written again in front of the first reader behind the MEAN."""
    tensors, ops = list(graph.tensors), list(graph.ops)
    for one in chosen:
        renamed: dict[int, int] = {}
        copies = []
        for position in one.ops:
            op = graph.ops[position]
            source, target = op.inputs[0], op.outputs[0]
            renamed[target] = len(tensors)
            tensors.append(replace(graph.tensors[target], index=len(tensors)))
            inputs = (renamed.get(source, source), *op.inputs[1:])
            copies.append(replace(op, inputs=inputs, outputs=(renamed[target],)))
        readers = [i for i, op in enumerate(ops) if one.tensor in op.inputs and op.kind != "MEAN"]
        for i in readers:
            inputs = tuple(renamed[t] if t == one.tensor else t for t in ops[i].inputs)
            ops[i] = replace(ops[i], inputs=inputs)
        ops[readers[0] : readers[0]] = copies
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops))
