"""Where every activation lies and in which order rows are computed: graph → plan. Pure.

`plan` is the door. lanes.py says what each operator needs row by row, stream.py orders rows inside a segment,
segments.py cuts the graph into segments, pack.py gives offsets. schedule_check.py validates plans with code of
its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dftiny.errors import CheckFailed, DftError
from dftiny.graph import Graph
from dftiny.plan.candidate import ALIGN
from dftiny.plan.input_rows import with_input_rows
from dftiny.plan.lanes import Lane, LaneMaker
from dftiny.plan.needs import kernel_net
from dftiny.plan.pack import MORE_TRIES, Block, Packer, live_bytes
from dftiny.plan.pack import TRIES as PACK_TRIES
from dftiny.plan.parts import Segment
from dftiny.plan.phases import PHASED_BYTES, PHASED_REGIONS
from dftiny.plan.places import Placement, RegionSpec, Spot, placements
from dftiny.plan.recompute import Repeat, repeated, repeats
from dftiny.plan.rings import with_rings
from dftiny.plan.segments import Cutter, blocks_of, times_of
from dftiny.plan.stream import Event, Life, can_reverse, lives
from dftiny.plan.tight import NAME as TIGHT
from dftiny.plan.tight import tightened, touched_bytes
from dftiny.plan.weave import woven
from dftiny.rewrite import NAMES as rewrites
from dftiny.rewrite import rewrite
from dftiny.schedule_bound import closer_bound, lower_bound
from dftiny.steps import NAMES as STEP_NAMES
from dftiny.steps import Steps, steps

__all__ = [
    "DEFAULT_WISHES",
    "DoesNotFit",
    "Event",
    "Lane",
    "Placement",
    "Plan",
    "PlannedSegment",
    "RegionSpec",
    "Spot",
    "Wishes",
    "live_bytes",
    "plan",
]

# With how many limits packing is tried longer: the first ones cost fewest instructions.
LONGER = 2
_MOST_UPWARDS = 12  # segments that are tried upwards one at a time
# Memory given for speed: segments may take this share over the lower bound when that saves instructions. Where none
# fit so few bytes they may take the second share over the smallest peak, up to the third over the lower bound. Plans
# whose blocks pack worse than that are made again with less memory for each segment.
SLACK, SLACK_ANYWAY, OVER_BOUND = 0.09, 0.02, 0.10
_MOST_SEGMENTS = (
    1.0,
    0.96,
)  # of the bytes of the largest segment, so that the others can be packed beside it


@dataclass(frozen=True)
class PlannedSegment:
    """Lanes that run interleaved, their events in order, and where scratch and aux lie, by lane.

    `peak_bytes`: memory while it runs; `apart_bytes`: what the worst of its lanes would need with whole maps before
    and behind it; `limit_bytes`: what every segment had to stay within. `reverse`: rows run from the last to the first."""

    lanes: tuple[Lane, ...]
    events: tuple[Event, ...]
    reverse: bool
    scratch: Mapping[int, Spot]
    aux: Mapping[int, Spot]
    peak_bytes: int
    apart_bytes: int
    limit_bytes: int


@dataclass(frozen=True, eq=False)
class Plan:
    """All of it. `region_bytes` is what each region must lend, in arena order, without regions that stay empty.
    `lower_bound_bytes`: what no row schedule of these kernels can go below (schedule_bound). `repeats`: maps that are
    computed twice to save memory."""

    prepared: Steps
    segments: tuple[PlannedSegment, ...]
    placements: tuple[Placement, ...]
    region_bytes: Mapping[str, int]
    lower_bound_bytes: int
    repeats: tuple[Repeat, ...] = ()

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
    activations by itself, as they lie in `closest`, the plan for one that did."""

    def __init__(
        self, model: str, reason: str, *, region: str, op: int, over_bytes: int, closest: Plan
    ) -> None:
        super().__init__(f"{model} does not fit: {reason}", "use a smaller tile or a smaller net")
        self.reason = reason
        self.region = region
        self.op = op
        self.over_bytes = over_bytes
        self.closest = closest


@dataclass(frozen=True)
class _Timeline:
    """The chosen segments as one list of events, and every block of memory they need."""

    cuts: Sequence[Segment]
    starts: Sequence[int]
    life: Mapping[int, Life]
    blocks: Sequence[Block]
    apart: Sequence[int]
    limit: int


@dataclass(frozen=True, eq=False)
class _Packed:
    """A timeline whose blocks have places; `total` bytes over all regions."""

    timeline: _Timeline
    packer: Packer
    spots: Sequence[tuple[int, int]]
    total: int


@dataclass(frozen=True)
class Wishes:
    """What a plan should heed. `slack`: memory may grow by this share over the lower bound for fewer instructions.
    `limit_bytes`: activations must not take more; maps are computed twice where that alone keeps them within it,
    or within the regions, if `recompute` allows. `input_by_rows`: the caller hands the input over row by row, so that
    it need not lie in memory. `without`: names of rewrites (rewrite.NAMES, steps.NAMES) to leave out; DftError for a
    name that is none.
    """

    slack: float = SLACK
    input_by_rows: bool = False
    limit_bytes: int | None = None
    recompute: bool = True
    without: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        names = (*rewrites, *STEP_NAMES, TIGHT)
        unknown = self.without - {*names}
        if unknown:
            known = ", ".join(names)
            raise DftError(f"no rewrite is called {', '.join(sorted(unknown))}", f"there are {known}")


DEFAULT_WISHES = Wishes()


def plan(graph: Graph, regions: Sequence[RegionSpec], wishes: Wishes = DEFAULT_WISHES) -> Plan:
    """Order the rows of `graph` and place its activations in `regions`, filled in the given order.

    Raises DoesNotFit (a CheckFailed) naming region, operator and bytes over.
    """
    exact = rewrite(graph, without=wishes.without & set(rewrites))
    if wishes.input_by_rows:
        exact = with_input_rows(exact)
    first = _attempt(exact, regions, wishes)
    if isinstance(first, Plan) and _within(first, wishes):
        return first
    chosen: list[Repeat] = []
    for candidate in repeats(exact) if wishes.recompute else ():
        chosen.append(candidate)
        again = _attempt(repeated(exact, chosen), regions, wishes)
        if isinstance(again, Plan) and _within(again, wishes):
            return replace(again, repeats=tuple(chosen))
    raise _over_limit(graph, first, wishes) if isinstance(first, Plan) else first.refusal()


def _within(made: Plan, wishes: Wishes) -> bool:
    return wishes.limit_bytes is None or made.total_bytes <= wishes.limit_bytes


@dataclass(frozen=True, eq=False)
class _Failed:
    """A graph that fits no region. Why, and by how much, is worked out only for the one that is reported."""

    prepared: Steps
    cutter: Cutter
    bound: int
    regions: Sequence[RegionSpec]
    wishes: Wishes

    def refusal(self) -> DoesNotFit:
        """The error, with the plan for a region without end."""
        largest = max(self.regions, key=lambda r: r.bytes)
        endless = replace(largest, bytes=1 << 40)
        free = replace(self.wishes, slack=0.0, limit_bytes=None)
        roomy = _best(self.prepared, self.cutter, [endless], self.bound, free)
        assert roomy is not None, "everything fits so large a region"
        closest = _plan(self.prepared, roomy, [endless], self.bound)
        room = sum(r.bytes for r in self.regions)
        proven = f"; no order of rows can do with less than {self.bound:,}" if self.bound > room else ""
        return _refusal(self.prepared.graph, roomy, largest, closest, proven)


def _attempt(graph: Graph, regions: Sequence[RegionSpec], wishes: Wishes) -> Plan | _Failed:
    """The plan of `graph` as it stands, or what is needed to say why there is none."""
    prepared = steps(graph, without=wishes.without - {TIGHT})
    lent, regions = regions, [r for r in regions if not r.tight]
    if not prepared.steps:
        raise DftError(
            f"{graph.name} computes nothing: its output is its input", "give a model with operators"
        )
    maker = LaneMaker(prepared)
    cutter = Cutter(maker)
    bound = lower_bound(kernel_net(maker)).bytes
    if bound > sum(r.bytes for r in regions):
        return _Failed(prepared, cutter, bound, regions, wishes)  # no order of rows can do: none is tried
    best = _best(prepared, cutter, regions, bound, wishes)
    if best is None or best.total > bound * (1 + OVER_BOUND):
        best = _better(best, _best(prepared, cutter.with_pressure(1), regions, bound, wishes))
    if best is None or best.total > bound * (1 + OVER_BOUND):
        bound = closer_bound(kernel_net(maker)).bytes
        wished = bound * (1 + max(OVER_BOUND, wishes.slack))  # who has room wants speed
        if _phases_reach(regions) and (best is None or best.total > wished):
            best = _better(best, _best(prepared, cutter.with_pressure(2), regions, bound, wishes))
    if best is not None:
        return _plan(prepared, *_tight(best, regions, lent, wishes), bound)
    return _Failed(prepared, cutter, bound, regions, wishes)


def _phases_reach(regions: Sequence[RegionSpec]) -> bool:
    """Whether the engine can say where a ring lies that several tensors share."""
    return len(regions) <= PHASED_REGIONS and all(r.bytes <= PHASED_BYTES for r in regions)


def _best(
    prepared: Steps, cutter: Cutter, regions: Sequence[RegionSpec], bound: int, wishes: Wishes
) -> _Packed | None:
    """The first plan that is as small as wished, or the smallest; None when nothing fits."""
    enough = int(bound * (1 + max(wishes.slack, OVER_BOUND if wishes.slack else 0.0)))
    enough = enough // regions[0].align * regions[0].align
    best: _Packed | None = None
    tried: set[tuple[int, int]] = set()
    seen: list[Segment] = []
    for limit, wish in _limits(cutter, bound, wishes):
        if (limit, wish) in tried:
            continue
        tried.add((limit, wish))
        cuts = cutter.cut(limit, wish)
        if cuts == seen:
            continue  # nothing new to pack
        seen = cuts
        found = _packed(prepared, cutter, cuts, limit, regions)
        near = found is not None and enough < found.total <= enough * (1 + OVER_BOUND)
        if found is not None and near and wishes.slack and cutter.pressed and len(tried) <= LONGER:
            found = _tried_longer(prepared, cutter, found, regions, enough)
        best = _better(best, found)
        if best is not None and best.total <= min(enough, wishes.limit_bytes or enough):
            break
    return best


def _limits(cutter: Cutter, bound: int, wishes: Wishes) -> Iterator[tuple[int, int]]:
    """Bytes that every segment may take and that most of them should, ever fewer."""
    wished = int(bound * (1 + wishes.slack))
    most = wished if wishes.limit_bytes is None else min(wished, wishes.limit_bytes)
    if cutter.pressed > 1:
        least = cutter.smallest_peak(bound)
        yield from ((least, int(least * part)) for part in reversed(_MOST_SEGMENTS))
        return
    peak = cutter.smallest_peak(most)
    if wishes.slack and peak > most:
        anyway = max(min(int(peak * (1 + SLACK_ANYWAY)), int(bound * (1 + OVER_BOUND))), peak)
        yield anyway, anyway
    yield peak, peak
    least = cutter.smallest_peak(bound)
    if least > bound * (1 + OVER_BOUND):
        yield least, least  # whatever is done, it will not be near the bound
        return
    between = (least + (peak - least) * 3 // 4, least + (peak - least) // 2)
    for limit in sorted({*between, least}, reverse=True):
        for part in _MOST_SEGMENTS:
            yield limit, int(limit * part)


def _packed(
    prepared: Steps, cutter: Cutter, cuts: Sequence[Segment], limit: int, regions: Sequence[RegionSpec]
) -> _Packed | None:
    """Segments in the directions that pack best: all downwards, alternating, then one turned at a time as long as
    that saves bytes. None when nothing fits."""
    rooms = [r.bytes for r in regions]
    best: _Packed | None = None
    turnable = [i for i, s in enumerate(cuts) if can_reverse(s.lanes)]
    for turn in ((), turnable[::2], turnable[1::2]):
        candidate = [s.turned() if i in turn else s for i, s in enumerate(cuts)]
        best = _better(best, _pack(prepared, cutter, candidate, limit, rooms))
    for i in turnable if best is not None and cutter.pressed < 2 else ():
        assert best is not None
        if best.total <= max(best.packer.floor(), limit * 0.97):
            break
        candidate = [s.turned() if k == i else s for k, s in enumerate(best.timeline.cuts)]
        best = _better(best, _pack(prepared, cutter, candidate, limit, rooms, tries=20))
    return best


def _pack(
    prepared: Steps,
    cutter: Cutter,
    cuts: Sequence[Segment],
    limit: int,
    rooms: Sequence[int],
    tries: int = PACK_TRIES,
    more: int = 0,
    wanted: int = 0,
) -> _Packed | None:
    timeline = _timeline(prepared, cutter, cuts, limit)
    packer = Packer(timeline.blocks, ALIGN)
    spots = packer.best(rooms, tries=tries, more=more, wanted=wanted)
    return None if spots is None else _Packed(timeline, packer, spots, sum(packer.sizes(spots, len(rooms))))


def _tried_longer(
    prepared: Steps, cutter: Cutter, found: _Packed, regions: Sequence[RegionSpec], wanted: int
) -> _Packed:
    """The same segments, packed with more patience until they take no more than `wanted` bytes: as they are turned, all
    downwards, downwards but for one of those that stream, and all of those upwards."""
    rooms, limit = [r.bytes for r in regions], found.timeline.limit
    turned = found.timeline.cuts
    for cuts, more in (
        ([s.turned() if s.reverse else s for s in turned], MORE_TRIES),
        (turned, MORE_TRIES),
        *((cuts, PACK_TRIES) for cuts in _upwards(turned)),
    ):
        if found.total > wanted:
            packed = _pack(prepared, cutter, cuts, limit, rooms, more=more, wanted=wanted)
            found = found if packed is None or packed.total >= found.total else packed
    return found


def _upwards(cuts: Sequence[Segment]) -> Iterator[list[Segment]]:
    """`cuts` with one of the segments of several lanes upwards and the others of them downwards, in turn; then with all of
    them upwards, as causal windows like it."""
    several = [i for i, s in enumerate(cuts) if len(s.lanes) > 1 and can_reverse(s.lanes)]
    for up in (*([k] for k in several[:_MOST_UPWARDS]), several):
        yield [s.turned() if i in several and s.reverse != (i in up) else s for i, s in enumerate(cuts)]


def _better(a: _Packed | None, b: _Packed | None) -> _Packed | None:
    if a is None or b is None:
        return a or b
    return b if b.total < a.total else a


def _over_limit(graph: Graph, made: Plan, wishes: Wishes) -> DoesNotFit:
    assert wishes.limit_bytes is not None
    over = made.total_bytes - wishes.limit_bytes
    region = next(iter(made.region_bytes))
    reason = f"it needs {made.total_bytes:,} bytes of activations, the limit is {wishes.limit_bytes:,}: {over:,} bytes over"
    return DoesNotFit(graph.name, reason, region=region, op=graph.ops[0].index, over_bytes=over, closest=made)


def _timeline(prepared: Steps, cutter: Cutter, cuts: Sequence[Segment], limit: int) -> _Timeline:
    events: list[Event] = []
    starts = []
    for segment in cuts:
        starts.append(len(events))
        events += segment.events
    lanes = {lane.index: lane for s in cuts for lane in s.lanes}
    rows = {t: s.rows for t, s in cutter.shape.items()}
    output = prepared.views[prepared.graph.outputs[0]]
    life = lives(lanes, events, _given(prepared), [output], rows)
    crossing = frozenset(t for s in cuts for t in cutter.crossing[s.first] | cutter.crossing[s.end])
    blocks: list[Block] = []
    for start, segment in zip(starts, cuts, strict=True):
        mine = {lane.writes for lane in segment.lanes}
        times = times_of(segment.events, start)
        ours = {t: one for t, one in life.items() if t in mine or (start == 0 and t in _given(prepared))}
        found = blocks_of(segment.lanes, ours, crossing, cutter.shape, times)
        blocks += with_rings(found, segment.lanes, segment.rings)
    blocks = woven(blocks, [s.woven for s in cuts if s.woven is not None])
    apart = [cutter.apart(i) for i in range(len(prepared.steps))]
    return _Timeline(cuts, starts, life, blocks, apart, limit)


def _given(prepared: Steps) -> tuple[int, ...]:
    """Tensors that exist before the first event: the input, unless an operator makes it."""
    source = prepared.graph.inputs[0]
    return () if prepared.steps[0].writes == source else (source,)


def _tight(
    packed: _Packed, regions: Sequence[RegionSpec], lent: Sequence[RegionSpec], wishes: Wishes
) -> tuple[_Packed, Sequence[RegionSpec]]:
    """`packed`, which lies in `regions`, with blocks in the tight region of `lent` as well, if there is one."""
    tight = next((r for r in lent if r.tight), None)
    if tight is None or TIGHT in wishes.without:
        return packed, regions
    timeline, packer = packed.timeline, packed.packer
    lanes = [lane for s in timeline.cuts for lane in s.lanes]
    touches = touched_bytes(lanes, [e for s in timeline.cuts for e in s.events], packer.blocks)
    ends = packer.sizes(packed.spots, len(regions))
    spots = tightened(packer, packed.spots, ends, tight.bytes, touches)
    return replace(packed, spots=spots), [tight, *regions]


def _plan(prepared: Steps, packed: _Packed, regions: Sequence[RegionSpec], bound: int) -> Plan:
    timeline, packer, spots = packed.timeline, packed.packer, packed.spots
    at = {b.key: Spot(regions[r].name, o) for b, (r, o) in zip(packer.blocks, spots, strict=True)}
    pairs = [s.woven for s in timeline.cuts if s.woven is not None]
    owned = placements(prepared.graph, packer.blocks, pairs, at)
    segments = []
    for segment in timeline.cuts:
        aux = {lane.index: at[f"a{lane.index}"] for lane in segment.lanes if lane.aux_bytes}
        scratch = {lane.index: at[f"s{lane.index}"] for lane in segment.lanes if lane.scratch_bytes}
        segments.append(
            PlannedSegment(
                segment.lanes,
                segment.events,
                segment.reverse,
                scratch,
                aux,
                segment.peak,
                max(timeline.apart[segment.first : segment.end]),
                timeline.limit,
            )
        )
    placed = [
        replace(owned[owner], tensor=t) for t, owner in sorted(prepared.views.items()) if owner in owned
    ]
    ends = packer.sizes(spots, len(regions))
    used = {r.name: _up(n, r.align) for r, n in zip(regions, ends, strict=True) if n}
    return Plan(prepared, tuple(segments), tuple(placed), used, bound)


def _up(value: int, align: int) -> int:
    return (value + align - 1) // align * align


def _refusal(graph: Graph, roomy: _Packed, largest: RegionSpec, closest: Plan, proven: str) -> DoesNotFit:
    """Name the region, the operator with most bytes alive, and the bytes over. `roomy`: a plan for a region like
    `largest` that is large enough; `proven`: what is known of all plans."""
    timeline, packer = roomy.timeline, roomy.packer
    need = _up(roomy.total, largest.align)
    _, time = live_bytes(packer.blocks)
    number = max(i for i, start in enumerate(timeline.starts) if start <= max(time, 0))
    event = timeline.cuts[number].events[max(time, 0) - timeline.starts[number]]
    op = next(lane.step.op for lane in timeline.cuts[number].lanes if lane.index == event.lane)
    over = max(need - largest.bytes, 1)
    reason = (
        f"operator {op.index} ({op.kind}) needs {need:,} bytes of activations, "
        f"region {largest.name} has {largest.bytes:,}: {over:,} bytes over{proven}"
    )
    return DoesNotFit(graph.name, reason, region=largest.name, op=op.index, over_bytes=over, closest=closest)
