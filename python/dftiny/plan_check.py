"""An independent check of a memory plan: run the graph byte by byte and see whether anything was overwritten.

Every byte of memory remembers which tensor's value it holds. Operators are executed in the model's order: what
one reads must still be there, what it writes must not lie on what it reads (but an elementwise operator may
write exactly over an operand). Shares no code with plan.py or steps.py.
"""

from __future__ import annotations

import numpy as np

from dftiny.graph import Graph, Op
from dftiny.plan import Plan

_VIEW = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS"}
_ONE_BY_ONE = {"RELU", "RELU6", "HARD_SWISH", "LOGISTIC", "QUANTIZE"}
_TWO_BY_TWO = {"ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"}


class _Memory:
    """Regions as arrays of value numbers; −1 is "nothing"."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph = graph
        self.place = {p.tensor: p for p in plan.placements}
        self.owner = {name: np.full(n, -1, np.int32) for name, n in plan.region_bytes.items()}
        self.value: dict[int, int] = {}
        self.problems: list[str] = []

    def say(self, op: Op | None, text: str) -> None:
        where = f"operator {op.index} ({op.kind})" if op else "model"
        self.problems.append(f"{where}: {text}")

    def span(self, tensor: int) -> np.ndarray:
        p = self.place[tensor]
        return self.owner[p.region][p.offset : p.offset + p.bytes]

    def read(self, op: Op | None, tensor: int) -> None:
        if tensor not in self.value:
            self.say(op, f"reads tensor {tensor} before it was written")
        elif not (self.span(tensor) == self.value[tensor]).all():
            self.say(op, f"reads tensor {tensor}, which was overwritten")

    def write(self, tensor: int) -> None:
        self.value[tensor] = tensor
        self.span(tensor)[:] = tensor

    def overlap(self, a: int, b: int) -> bool:
        p, q = self.place[a], self.place[b]
        if p.region != q.region or not p.bytes or not q.bytes:
            return False
        return p.offset < q.offset + q.bytes and q.offset < p.offset + p.bytes


def check(graph: Graph, plan: Plan) -> list[str]:
    """Problems of `plan` for `graph`, as sentences; empty when it is valid."""
    memory = _Memory(graph, plan)
    _check_shape(memory, graph, plan)
    if memory.problems:
        return memory.problems
    memory.write(graph.inputs[0])
    producer = {op.outputs[0]: op for op in graph.ops}
    for op in graph.ops:
        _execute(memory, graph, op, producer)
    memory.read(None, graph.outputs[0])
    return memory.problems


def _check_shape(memory: _Memory, graph: Graph, plan: Plan) -> None:
    """Every activation placed once, inside its region, aligned; only a PAD may have no place."""
    if len(memory.place) != len(plan.placements):
        memory.say(None, "a tensor is placed twice")
    wanted = {graph.inputs[0]} | {op.outputs[0] for op in graph.ops}
    pads = {op.outputs[0] for op in graph.ops if op.kind == "PAD"}
    for t in sorted(wanted - set(memory.place) - pads):
        memory.say(None, f"tensor {t} has no place")
    for p in plan.placements:
        if p.region not in memory.owner or p.offset < 0 or p.offset + p.bytes > memory.owner[p.region].size:
            memory.say(None, f"tensor {p.tensor} lies outside region {p.region}")
        if p.offset % 16:
            memory.say(None, f"tensor {p.tensor} is not aligned to 16")
        if p.bytes != graph.tensors[p.tensor].nbytes:
            memory.say(None, f"tensor {p.tensor} has {graph.tensors[p.tensor].nbytes} bytes, not {p.bytes}")


def _execute(memory: _Memory, graph: Graph, op: Op, producer: dict[int, Op]) -> None:
    out = op.outputs[0]
    if out not in memory.place:
        return  # a PAD that its readers took over: they read its input instead
    sources = []
    for t in op.inputs:
        if t < 0 or graph.tensors[t].data is not None:
            continue
        if t not in memory.place and op.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            memory.say(op, f"reads the padded tensor {t}, which does not exist")
        source = t if t in memory.place else producer[t].inputs[0]
        sources.append(source)
        memory.read(op, source)
    if _same_place(memory, graph, op, out, sources):
        memory.value[out] = memory.value.get(sources[0], -1)
        return
    for t in sources:
        if memory.overlap(out, t) and not _may_overwrite(memory, graph, op, out, t):
            memory.say(op, f"writes tensor {out} over tensor {t}, which it reads")
    memory.write(out)


def _same_place(memory: _Memory, graph: Graph, op: Op, out: int, sources: list[int]) -> bool:
    """A view: nothing moves. It must lie exactly where its source lies."""
    unchanged = False
    if op.kind == "QUANTIZE":
        a, b = graph.tensors[op.inputs[0]].quant, graph.tensors[out].quant
        unchanged = a is not None and a.same(b)
    if op.kind not in _VIEW and not unchanged:
        return False
    p, q = memory.place[out], memory.place[sources[0]]
    if (p.region, p.offset) != (q.region, q.offset):
        memory.say(op, f"is a view of tensor {sources[0]} but lies elsewhere")
    return True


def _may_overwrite(memory: _Memory, graph: Graph, op: Op, out: int, source: int) -> bool:
    if op.kind not in _ONE_BY_ONE | _TWO_BY_TWO:
        return False
    p, q = memory.place[out], memory.place[source]
    return p.offset == q.offset and graph.tensors[out].shape == graph.tensors[source].shape
