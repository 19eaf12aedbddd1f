"""Where every activation lies: lifetimes → offsets in the target's memory regions. Pure.

A buffer lives from the step that writes it to the last step that reads it; buffers whose lives touch never
share a byte, except that an elementwise step may write over an operand that dies there. Placement is greedy
into the lowest gap, in several orders, of which the smallest result is kept (Pisarchyk & Lee 2020,
"Efficient memory management for deep neural net inference", section 5: greedy by size). plan_check.py
validates plans with code of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dftiny.errors import CheckFailed
from dftiny.graph import Graph
from dftiny.steps import Step, Steps, steps

# Steps that compute output element i from input element i alone.
_POINTWISE = ("RELU", "RELU6", "HARD_SWISH", "LOGISTIC", "QUANTIZE")
_POINTWISE_PAIR = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM")


@dataclass(frozen=True)
class RegionSpec:
    """Memory that may hold activations; `align` is a power of two."""

    name: str
    bytes: int
    align: int = 32


@dataclass(frozen=True)
class Placement:
    """Tensor `tensor` at `offset` of `region`, live in steps first…last (both included)."""

    tensor: int
    region: str
    offset: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """All placements, by tensor. `region_bytes` is what each region must lend, in arena order, without the
    regions that stay empty; `lower_bound_bytes` is the most that is alive in any one step: no plan that runs
    the steps in this order can need less."""

    placements: tuple[Placement, ...]
    region_bytes: Mapping[str, int]
    lower_bound_bytes: int

    @property
    def total_bytes(self) -> int:
        """Activation bytes over all regions."""
        return sum(self.region_bytes.values())

    def of(self, tensor: int) -> Placement:
        """The placement of `tensor`. Raises KeyError when it has none (a constant or a folded PAD)."""
        for p in self.placements:
            if p.tensor == tensor:
                return p
        raise KeyError(tensor)


@dataclass(frozen=True)
class Buffer:
    """Memory shared by tensors one after the other; live in steps first…last."""

    tensor: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class _Spot:
    region: str
    offset: int


class DoesNotFit(CheckFailed):
    """No plan fits the regions. `op` is the operator with most bytes alive, `reason` the sentence about it without
    the model's name; `over_bytes` is how much region `region` (the largest) would have to grow to hold all
    activations by itself."""

    def __init__(self, model: str, reason: str, *, region: str, op: int, over_bytes: int) -> None:
        super().__init__(f"{model} does not fit: {reason}", "use a smaller tile or a smaller net")
        self.reason = reason
        self.region = region
        self.op = op
        self.over_bytes = over_bytes


def plan(graph: Graph, regions: Sequence[RegionSpec]) -> Plan:
    """Place every activation of `graph` in `regions`, filled in the given order.

    Raises DoesNotFit (a CheckFailed) naming region, operator and bytes over.
    """
    prepared = steps(graph)
    buffer_of = buffers(prepared)
    distinct = sorted(set(buffer_of.values()), key=lambda b: b.tensor)
    spots = _best(distinct, regions)
    if spots is None:
        raise _refusal(graph, prepared, distinct, regions)
    placements = []
    for t in sorted(prepared.views):
        b = buffer_of[prepared.views[t]]
        spot = spots[b.tensor]
        placements.append(Placement(t, spot.region, spot.offset, graph.tensors[t].nbytes, b.first, b.last))
    used = _region_bytes(distinct, spots, regions)
    align = max((r.align for r in regions), default=16)
    return Plan(tuple(placements), used, live_bytes(distinct, align)[0])


def buffers(prepared: Steps) -> dict[int, Buffer]:
    """Root tensor → the buffer it lives in, elementwise steps writing over a dying operand where they can."""
    graph, views = prepared.graph, prepared.views
    first: dict[int, int] = {graph.inputs[0]: 0}
    last: dict[int, int] = {graph.inputs[0]: 0}
    for i, step in enumerate(prepared.steps):
        for t in step.reads:
            last[t] = i
        first[step.writes] = last[step.writes] = i
    last[views[graph.outputs[0]]] = max(len(prepared.steps) - 1, 0)
    owner = {t: t for t in first}
    end = dict(last)
    for i, step in enumerate(prepared.steps):
        for t in _overwritable(graph, step):
            if end[owner[t]] == i and owner[step.writes] == step.writes:
                owner[step.writes] = owner[t]
                end[owner[t]] = last[step.writes]
    return {
        t: Buffer(owner[t], graph.tensors[owner[t]].nbytes, first[owner[t]], end[owner[t]]) for t in first
    }


def _overwritable(graph: Graph, step: Step) -> list[int]:
    """Operands of `step` that its output may overwrite: same shape, element by element."""
    kind, shape = step.op.kind, graph.tensors[step.writes].shape
    if kind in _POINTWISE:
        return [step.reads[0]]
    if kind not in _POINTWISE_PAIR:
        return []
    # The kernel reads both operands at i before it writes i, so either may be overwritten when it is whole.
    pairs = zip(step.sources, step.reads, strict=True)
    return [buffer for source, buffer in pairs if graph.tensors[source].shape == shape]


def live_bytes(distinct: Sequence[Buffer], align: int) -> tuple[int, int]:
    """(most bytes alive in one step, that step)."""
    n = max((b.last for b in distinct), default=0) + 1
    alive = [0] * n
    for b in distinct:
        for i in range(b.first, b.last + 1):
            alive[i] += _up(b.bytes, align)
    peak = max(alive)
    return peak, alive.index(peak)


def _up(value: int, align: int) -> int:
    return (value + align - 1) // align * align


def _orders() -> list[Callable[[Buffer], tuple[int, ...]]]:
    return [
        lambda b: (-b.bytes, b.first, b.tensor),
        lambda b: (-b.bytes * (b.last - b.first + 1), b.first, b.tensor),
        lambda b: (b.first, -b.bytes, b.tensor),
    ]


def _best(distinct: Sequence[Buffer], regions: Sequence[RegionSpec]) -> dict[int, _Spot] | None:
    """The smallest of the greedy plans, or None when none fits."""
    best: dict[int, _Spot] | None = None
    best_size: tuple[int, int] | None = None
    for key in _orders():
        spots = _greedy(sorted(distinct, key=key), regions)
        if spots is None:
            continue
        used = _region_bytes(distinct, spots, regions)
        size = (len(used), sum(used.values()))
        if best_size is None or size < best_size:
            best, best_size = spots, size
    return best


def _greedy(ordered: Sequence[Buffer], regions: Sequence[RegionSpec]) -> dict[int, _Spot] | None:
    placed: dict[str, list[tuple[int, Buffer]]] = {r.name: [] for r in regions}
    spots: dict[int, _Spot] = {}
    for b in ordered:
        for r in regions:
            offset = _gap(b, placed[r.name], r.align)
            if offset + b.bytes <= r.bytes:
                placed[r.name].append((offset, b))
                spots[b.tensor] = _Spot(r.name, offset)
                break
        else:
            return None
    return spots


def _gap(b: Buffer, placed: Sequence[tuple[int, Buffer]], align: int) -> int:
    """The lowest aligned offset where `b` meets no buffer that lives at the same time."""
    offset = 0
    for start, other in sorted((p for p in placed if _together(b, p[1])), key=lambda p: (p[0], p[1].tensor)):
        if offset + b.bytes <= start:
            break
        offset = max(offset, _up(start + other.bytes, align))
    return offset


def _together(a: Buffer, b: Buffer) -> bool:
    return a.first <= b.last and b.first <= a.last


def _region_bytes(
    distinct: Sequence[Buffer], spots: Mapping[int, _Spot], regions: Sequence[RegionSpec]
) -> dict[str, int]:
    ends = {r.name: 0 for r in regions}
    for b in distinct:
        spot = spots[b.tensor]
        ends[spot.region] = max(ends[spot.region], spot.offset + b.bytes)
    return {r.name: _up(ends[r.name], r.align) for r in regions if ends[r.name]}


def _refusal(
    graph: Graph, prepared: Steps, distinct: Sequence[Buffer], regions: Sequence[RegionSpec]
) -> DoesNotFit:
    """Name the region, the operator with most bytes alive, and the bytes over."""
    largest = max(regions, key=lambda r: r.bytes)
    alone = RegionSpec(largest.name, 1 << 62, largest.align)
    spots = _best(distinct, [alone])
    assert spots is not None
    need = _region_bytes(distinct, spots, [alone])[largest.name]
    _, at = live_bytes(distinct, largest.align)
    op = prepared.steps[at].op
    over = max(need - largest.bytes, 1)
    reason = (
        f"operator {op.index} ({op.kind}) needs {need:,} bytes of activations, "
        f"region {largest.name} has {largest.bytes:,}: {over:,} bytes over"
    )
    return DoesNotFit(graph.name, reason, region=largest.name, op=op.index, over_bytes=over)
