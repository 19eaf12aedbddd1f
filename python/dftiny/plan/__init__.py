"""Where every activation lies and in which order rows are computed: graph → plan. Pure.

`plan` is the door. lanes.py says what each operator needs row by row, stream.py orders rows inside a segment,
segments.py cuts the graph into segments, pack.py gives offsets. schedule_check.py validates plans with code of
its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dftiny.errors import CheckFailed
from dftiny.graph import Graph
from dftiny.plan.lanes import Lane, LaneMaker, shape_of
from dftiny.plan.pack import Block, Packer, live_bytes
from dftiny.plan.segments import ALIGN, Cutter, Segment, blocks_of
from dftiny.plan.stream import Event, Life, lives
from dftiny.steps import Steps, steps

__all__ = [
    "DoesNotFit",
    "Event",
    "Lane",
    "Placement",
    "Plan",
    "PlannedSegment",
    "RegionSpec",
    "Spot",
    "live_bytes",
    "plan",
]

# Memory given for speed: the plan may grow by this share over the smallest peak when that saves instructions.
SLACK = 0.04


@dataclass(frozen=True)
class RegionSpec:
    """Memory that may hold activations; `align` is a power of two."""

    name: str
    bytes: int
    align: int = 32


@dataclass(frozen=True)
class Spot:
    """A place in a region."""

    region: str
    offset: int


@dataclass(frozen=True)
class Placement:
    """Tensor `tensor` in `region`: row r at offset + (r mod slots) · row_bytes. Alive in events first…last."""

    tensor: int
    region: str
    offset: int
    row_bytes: int
    slots: int
    first: int
    last: int

    @property
    def bytes(self) -> int:
        """Bytes that it takes."""
        return self.row_bytes * self.slots


@dataclass(frozen=True)
class PlannedSegment:
    """Lanes that run interleaved, their events in order, and where scratch (shared) and aux (by lane) lie."""

    lanes: tuple[Lane, ...]
    events: tuple[Event, ...]
    scratch: Spot | None
    aux: Mapping[int, Spot]


@dataclass(frozen=True, eq=False)
class Plan:
    """All of it. `region_bytes` is what each region must lend, in arena order, without regions that stay empty.
    `lower_bound_bytes`: see `live_bytes`."""

    prepared: Steps
    segments: tuple[PlannedSegment, ...]
    placements: tuple[Placement, ...]
    region_bytes: Mapping[str, int]
    lower_bound_bytes: int

    @property
    def total_bytes(self) -> int:
        """Activation bytes over all regions."""
        return sum(self.region_bytes.values())

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All lanes in order."""
        return tuple(lane for s in self.segments for lane in s.lanes)

    def of(self, tensor: int) -> Placement:
        """The placement of `tensor`. Raises KeyError when it has none (a constant, or fused away)."""
        for p in self.placements:
            if p.tensor == tensor:
                return p
        raise KeyError(tensor)


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


@dataclass(frozen=True)
class _Timeline:
    """The chosen segments as one list of events, and every block of memory they need."""

    cuts: Sequence[Segment]
    starts: Sequence[int]
    life: Mapping[int, Life]
    blocks: Sequence[Block]
    events: int


def plan(graph: Graph, regions: Sequence[RegionSpec], *, slack: float = SLACK) -> Plan:
    """Order the rows of `graph` and place its activations in `regions`, filled in the given order.

    `slack` is the share by which memory may grow beyond the smallest peak for fewer instructions. Raises DoesNotFit
    (a CheckFailed) naming region, operator and bytes over.
    """
    prepared = steps(graph)
    cutter = Cutter(LaneMaker(prepared))
    peak = cutter.smallest_peak()
    align = max(ALIGN, 1)
    for share in (slack, 0.0):
        timeline = _timeline(prepared, cutter, cutter.cut(int(peak * (1 + share))))
        packer = Packer(timeline.blocks, align)
        spots = packer.best([r.bytes for r in regions])
        if spots is not None:
            return _plan(prepared, timeline, packer, spots, regions)
    raise _refusal(graph, timeline, packer, regions)


def _timeline(prepared: Steps, cutter: Cutter, cuts: Sequence[Segment]) -> _Timeline:
    events: list[Event] = []
    starts = []
    for segment in cuts:
        starts.append(len(events))
        events += segment.events
    lanes = {lane.index: lane for s in cuts for lane in s.lanes}
    rows = {t: s.rows for t, s in cutter.shape.items()}
    output = prepared.views[prepared.graph.outputs[0]]
    life = lives(lanes, events, [prepared.graph.inputs[0]], [output], rows)
    crossing = frozenset(t for s in cuts for t in cutter.crossing[s.first] | cutter.crossing[s.end])
    blocks: list[Block] = []
    for start, segment in zip(starts, cuts, strict=True):
        mine = {lane.writes for lane in segment.lanes}
        span = (start, start + len(segment.events) - 1)
        ours = {t: one for t, one in life.items() if t in mine or (start == 0 and t in prepared.graph.inputs)}
        blocks += blocks_of(segment.lanes, ours, crossing, cutter.shape, span)
    return _Timeline(cuts, starts, life, blocks, len(events))


def _plan(
    prepared: Steps,
    timeline: _Timeline,
    packer: Packer,
    spots: Sequence[tuple[int, int]],
    regions: Sequence[RegionSpec],
) -> Plan:
    at = {b.key: Spot(regions[r].name, o) for b, (r, o) in zip(packer.blocks, spots, strict=True)}
    block = {b.key: b for b in packer.blocks}
    segments = []
    for segment in timeline.cuts:
        aux = {lane.index: at[f"a{lane.index}"] for lane in segment.lanes if lane.aux_bytes}
        scratch = at.get(f"s{segment.lanes[0].index}")
        segments.append(PlannedSegment(segment.lanes, segment.events, scratch, aux))
    placements = []
    for t in sorted(prepared.views):
        owner = prepared.views[t]
        key = f"t{owner}"
        if key not in block:
            continue
        row_bytes = shape_of(prepared.graph.tensors[owner]).row_bytes
        b = block[key]
        placements.append(
            Placement(t, at[key].region, at[key].offset, row_bytes, b.nbytes // row_bytes, b.first, b.last)
        )
    ends = packer.sizes(spots, len(regions))
    used = {r.name: _up(n, r.align) for r, n in zip(regions, ends, strict=True) if n}
    return Plan(prepared, tuple(segments), tuple(placements), used, live_bytes(packer.blocks)[0])


def _up(value: int, align: int) -> int:
    return (value + align - 1) // align * align


def _refusal(graph: Graph, timeline: _Timeline, packer: Packer, regions: Sequence[RegionSpec]) -> DoesNotFit:
    """Name the region, the operator with most bytes alive, and the bytes over."""
    largest = max(regions, key=lambda r: r.bytes)
    spots = packer.best([1 << 62])
    assert spots is not None
    need = _up(packer.sizes(spots, 1)[0], largest.align)
    _, time = live_bytes(packer.blocks)
    number = max(i for i, start in enumerate(timeline.starts) if start <= max(time, 0))
    event = timeline.cuts[number].events[max(time, 0) - timeline.starts[number]]
    op = next(lane.step.op for lane in timeline.cuts[number].lanes if lane.index == event.lane)
    over = max(need - largest.bytes, 1)
    reason = (
        f"operator {op.index} ({op.kind}) needs {need:,} bytes of activations, "
        f"region {largest.name} has {largest.bytes:,}: {over:,} bytes over"
    )
    return DoesNotFit(graph.name, reason, region=largest.name, op=op.index, over_bytes=over)
