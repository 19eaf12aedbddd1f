"""The arena that TensorFlow Lite Micro takes for a model on a 32-bit Arm chip, predicted from the model alone.

The head holds activations and scratch, placed by its greedy planner; the tail everything that stays: structs a tensor
and an operator, multipliers of channels, and the interpreter's own objects, taken in its order because each is aligned
downwards. Struct sizes are in spec/tflm_sizes.toml. Follows the *reference* kernels: CMSIS-NN's ask for other scratch.
Called by tflm.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dftiny import spec
from dftiny.errors import DftError
from dftiny.graph import Graph, Op

SIZES = "tflm_sizes.toml"
# MicroArenaBufferAlignment(): buffers of the head, and whatever a kernel asks for.
ALIGN = 16


@dataclass(frozen=True)
class Buffer:
    """One buffer of the head: bytes (aligned), and the first and last step in which it is needed."""

    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class TflmArena:
    """Bytes. `head` activations and scratch, `tail` what stays; `total` is arena_used_bytes(), `needed` an
    arena in which AllocateTensors() succeeds, the smallest for any net whose activations take more than a kilobyte:
    only below that preparing and planning need more than the plan, and are counted a little high.
    `live`: by operator index, all of the head that is in use while it runs."""

    head: int
    tail: int
    needed: int
    live: dict[int, int]

    @property
    def total(self) -> int:
        """Head and tail."""
        return self.head + self.tail


def tflm_arena(graph: Graph) -> TflmArena:
    """The arena of a graph as it stands in the file (no rewrite). DftError for an operator without a size."""
    sizes = spec.read_toml(spec.SPEC_DIR / SIZES, "table of TFLM's sizes")
    scratch = [(op.index, n) for op in graph.operators for n in _scratch(graph, op)]
    buffers = _buffers(graph, scratch)
    head = greedy_bytes(buffers)
    tail = _Tail()
    on_the_way = _allocate(graph, sizes, scratch, len(buffers), tail)
    needed = max(head + tail.used, on_the_way)
    live = {
        op.index: sum(b.bytes for b in buffers if b.first <= i + 1 <= b.last)
        for i, op in enumerate(graph.operators)
    }
    return TflmArena(head, tail.used, -(-needed // ALIGN) * ALIGN, live)


def greedy_bytes(buffers: list[Buffer]) -> int:
    """Peak of the greedy plan: largest first (of equals the last first), each into the first gap that holds it among
    those already placed whose time overlaps its own (memory_planner/greedy_memory_planner.cc)."""
    order = sorted(range(len(buffers)), key=lambda i: (-buffers[i].bytes, -i))
    placed = np.zeros((len(buffers), 4), np.int64)  # offset, end, first, last
    for n, i in enumerate(order):
        b = buffers[i]
        before = placed[:n]
        rivals = before[(before[:, 2] <= b.last) & (before[:, 3] >= b.first)]
        offset = 0
        for start, end in rivals[np.argsort(rivals[:, 0], kind="stable"), :2].tolist():
            if start - offset >= b.bytes:
                break
            offset = max(offset, end)
        placed[n] = offset, offset + b.bytes, b.first, b.last
    return int(placed[:, 1].max(initial=0))


class _Tail:
    """The persistent end of the arena, growing downwards from a 16-byte boundary."""

    def __init__(self) -> None:
        self.used = 0

    def take(self, size: int, align: int = ALIGN) -> None:
        self.used = -(-(self.used + size) // align) * align


def _buffers(graph: Graph, scratch: list[tuple[int, int]]) -> list[Buffer]:
    """What the planner is given: every tensor without data, then the kernels' scratch. Step 0 is the model's input,
    step i + 1 operator i; a tensor that nothing names is planned at step −1 (micro_allocation_info.cc)."""
    first = [-1] * len(graph.tensors)
    last = [-1] * len(graph.tensors)

    def use(t: int, step: int) -> None:
        first[t] = step if first[t] < 0 else first[t]
        last[t] = step

    for t in graph.inputs:
        use(t, 0)
    for i, op in enumerate(graph.operators):
        for t in (*op.outputs, *(t for t in op.inputs if t >= 0)):
            use(t, i + 1)
    for t in graph.outputs:
        use(t, len(graph.operators))
    step = {op.index: i + 1 for i, op in enumerate(graph.operators)}
    made = [t for t in graph.tensors if t.data is None or t.index in graph.folded_outputs]
    out = [Buffer(_up(t.nbytes), first[t.index], last[t.index]) for t in made]
    return out + [Buffer(_up(n), step[op], step[op]) for op, n in scratch]


def _allocate(
    graph: Graph, sizes: dict[str, Any], scratch: list[tuple[int, int]], buffers: int, tail: _Tail
) -> int:
    """Everything persistent in TFLM's order. Returns the most that tail and temporaries take together on the way."""
    s: dict[str, int] = sizes["struct"]
    for name in ("allocator", "planner", "micro_allocator", "builtin_allocator", "subgraph"):
        tail.take(s[name], 4)
    tail.take(s["eval_tensor"] * len(graph.tensors), 4)
    tail.take(s["node"] * len(graph.operators), 4)
    kernels = [_kernel(sizes, op) for op in graph.operators]
    for k in kernels:
        if k["options"]:
            tail.take(k["options"], k["align"])
    for k in kernels:
        if k["data"]:
            tail.take(k["data"])
    peak = 0
    requests = s["scratch_request"] * (len(scratch) + s["scratch_requests_ahead"])
    for op in graph.operators:
        for n in _prepared(graph, op):
            tail.take(n)
        peak = max(peak, tail.used + requests + _temporary(graph, op, s))
    if scratch:
        tail.take(s["scratch_handle"] * len(scratch), 4)
    infos = s["pointer"] + s["allocation_info"] * (len(graph.tensors) + len(scratch))
    peak = max(peak, _up(tail.used) + _up(requests + infos) + s["planned_buffer"] * buffers)
    for edge in (graph.inputs, graph.outputs):
        tail.take(s["pointer"] * len(edge))
        for _ in edge:  # a checked graph's edges have one scale each
            tail.take(s["tensor"], 4)
            tail.take(s["quantization"], 4)
            tail.take(_int_array(1), 4)
    return peak


def _temporary(graph: Graph, op: Op, s: dict[str, int]) -> int:
    """TfLiteTensors with their quantisation, of every operand twice: Prepare and the helper that it calls each ask for
    them, and what is given back comes free only behind the operator."""
    total = 0
    for t in (*op.inputs, *op.outputs):
        quant = graph.tensors[t].quant if t >= 0 else None
        scales = 0 if quant is None else s["quantization"] + _int_array(len(quant.scale))
        total += s["tensor"] + scales if t >= 0 else 0
    return 2 * total


def _kernel(sizes: dict[str, Any], op: Op) -> dict[str, int]:
    known: dict[str, dict[str, int]] = sizes["kernel"]
    if op.kind not in known:
        raise DftError(
            f"what TFLM's {op.kind} (operator {op.index}) takes from its arena is not known",
            f"add it to spec/{SIZES}",
        )
    return known[op.kind]


def _scratch(graph: Graph, op: Op) -> list[int]:
    """Scratch that the reference kernel asks for (reduce_common.cc, mirror_pad.cc), each a buffer of the head."""
    rank = len(graph.tensors[op.inputs[0]].shape)
    if op.kind in ("MEAN", "SUM"):
        return [4 * graph.tensors[op.outputs[0]].elements, 4 * rank, 4 * graph.tensors[op.inputs[1]].elements]
    if op.kind in ("REDUCE_MAX", "REDUCE_MIN"):
        return [4 * rank, 4 * graph.tensors[op.inputs[1]].elements]
    if op.kind == "MIRROR_PAD":
        return [4 * rank, 4 * rank]
    return []


def _prepared(graph: Graph, op: Op) -> list[int]:
    """What the kernel's Prepare keeps: a multiplier and a shift of every channel, or a copy of the output's shape."""
    if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        channels = graph.tensors[op.outputs[0]].shape[-1]
        return [4 * channels, 4 * channels]
    if op.kind == "FULLY_CONNECTED":
        quant = graph.tensors[op.inputs[1]].quant
        return [4 * len(quant.scale)] * 2 if quant is not None and quant.per_channel else []
    if op.kind in ("GATHER", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE"):
        return [_int_array(len(graph.tensors[op.outputs[0]].shape))]
    return []


def _int_array(length: int) -> int:
    """sizeof of a TfLiteIntArray."""
    return 4 + 4 * length


def _up(size: int) -> int:
    return -(-size // ALIGN) * ALIGN
