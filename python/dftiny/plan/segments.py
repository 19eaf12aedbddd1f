"""Where the stream is cut: lanes → segments, smallest peak first, then fewest instructions. Called by the planner.

Between two segments every tensor that is still needed lies whole in memory; inside one they are rings of a few
rows. A cut makes kernels faster (a 1x1 convolution sees the whole map at once) and costs memory. The choice is a
shortest path over cut positions: first the one whose largest segment is smallest, then, among those within a
little more than that peak, the one with the fewest extra instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dftiny.graph import macs
from dftiny.kernels.rows import Choice
from dftiny.plan.candidate import Candidate
from dftiny.plan.costs import lane_cost
from dftiny.plan.faster import faster
from dftiny.plan.lanes import Lane, LaneMaker, Shape, shape_of
from dftiny.plan.leaps import leap_of
from dftiny.plan.pack import Block, rectangle
from dftiny.plan.parts import Cut, Segment
from dftiny.plan.relay import relayed
from dftiny.plan.stream import Event, Life, lives, stream
from dftiny.plan.weave import Pair, may_weave, pair_of, woven

_MAX_LANES, _MOST_LANES = (
    18,
    32,
)  # of one segment that streams; where memory is short, leanly (DFT_LANES_MAX in dft_run.h)
_WIDE_MOST = 4096  # weights of a layer by itself
_OVER_WISH = 1e12  # more than the instructions of any net
_PLANES_SAVE = 0.005  # instructions a MAC of the whole net, for two kilobytes of code,
_PLANES_MEMORY = 1.02  # and what they may take of memory, as a share of what the net takes without them


@dataclass(frozen=True)
class Variant:
    """How the lanes of a segment are made. `flat`: a map as one row, for a lane by itself. `planes`: convolutions lay out
    their rows as the depthwise ones behind them like it. `leaps`: rows as far apart as the windows are dilated come one
    behind the other (plan/leaps)."""

    choice: Choice
    flat: bool = False
    planes: bool = False
    leaps: bool = False


ALONE = Variant(Choice(), flat=True)
# Many pixels widened at once: weights are widened less often. And ever less memory beside the rows.
_LEAN = (
    Variant(Choice(rows=1)),
    Variant(Choice(rows=1, block=8)),
    Variant(Choice(rows=1, block=4, wide=True)),
)
_BY_ITSELF = (
    Variant(Choice(block=256), flat=True),
    ALONE,
    *(Variant(Choice(block=n), flat=True) for n in (32, 16, 8)),
    Variant(Choice(block=8, wide=True), flat=True),
    *_LEAN,
)
_PLANES = (
    Variant(Choice(), planes=True),
    Variant(Choice(block=16), planes=True),
    Variant(Choice(rows=1), planes=True),
    Variant(Choice(rows=1, block=8), planes=True),
)
_LEAPS = tuple(replace(v, leaps=True) for v in _LEAN)
_TOGETHER = (Variant(Choice()), *(Variant(Choice(block=n)) for n in (16, 8)), *_LEAN, *_PLANES)
_FINER = tuple(Choice(rows=rows, block=block) for rows in (0, 1) for block in (0, 48, 32, 24, 16, 12, 8))
VARIANTS = tuple(dict.fromkeys((*_BY_ITSELF, *_TOGETHER)))


def blocks_of(
    lanes: Sequence[Lane],
    life: Mapping[int, Life],
    crossing: frozenset[int],
    shape: Mapping[int, Shape],
    times: Mapping[int, Sequence[int]],
) -> list[Block]:
    """Memory of one segment as blocks: whole tensors, rings, scratch and aux. `times`: when the events of each lane
    are; `crossing`: tensors that must be whole."""
    out = []
    laid_out = {
        lane.writes: lane.shape.row_bytes for lane in lanes if lane.shape.rows == shape[lane.writes].rows
    }
    over = {lane.writes: lane.operands[0].tensor for lane in lanes if lane.call and lane.call.in_place}
    grown = {lane.writes: f"t{lane.operands[0].tensor}" for lane in lanes if lane.call and lane.call.grows}
    rings = {lane.writes: lane.shape for lane in lanes if lane.shape.ring}
    for t, one in life.items():
        if t in rings:
            nbytes = rings[t].ring * rings[t].row_bytes
            out.append(rectangle(f"t{t}", nbytes, min(one.born), max(one.dies)))
            continue
        target = over.get(t)
        name = None if target is None else f"t{target}"
        whole = t in crossing or one.slots >= len(one.born)
        out.append(
            Block(
                f"t{t}",
                laid_out.get(t, shape[t].row_bytes),
                one.born,
                one.dies,
                name,
                0 if whole else one.slots,
                grown=grown.get(t),
            )
        )
    out = relayed(out)
    for lane in lanes:
        mine = tuple(times[lane.index])
        if lane.scratch_bytes:
            out.append(Block(f"s{lane.index}", lane.scratch_bytes, mine, mine, ring=1))
        if lane.aux_bytes:
            out.append(rectangle(f"a{lane.index}", lane.aux_bytes, mine[0], mine[-1]))
    return out


def times_of(events: Sequence[Event], start: int = 0) -> dict[int, list[int]]:
    """When the events of each lane are, the first of all at `start`."""
    times: dict[int, list[int]] = {}
    for time, event in enumerate(events, start):
        times.setdefault(event.lane, []).append(time)
    return times


@dataclass(frozen=True)
class _Stream:
    """The events of lanes in order, what lives when, and when each lane has its turns."""

    events: tuple[Event, ...]
    life: Mapping[int, Life]
    times: Mapping[int, Sequence[int]]


class Cutter:
    """Evaluates segments of a graph and finds the best cuts. `pressed`: where two maps of equal height cross a cut, their
    rows may lie in turns (plan/weave), so that both follow the rows that die for them; at 2, rings share their places
    (plan/phases) and more lanes may stream together."""

    def __init__(self, maker: LaneMaker, *, pressed: int = 0) -> None:
        self.maker = maker
        self.n = len(maker)
        self.pressed = pressed
        self.crossing = _crossing(maker)
        graph = maker.prepared.graph
        self.shape = {t: shape_of(graph.tensors[t]) for t in set(maker.prepared.views.values())}
        self._rows = {t: s.rows for t, s in self.shape.items()}
        self._whole = [sum(self.shape[t].nbytes for t in crossing) for crossing in self.crossing]
        self._pairs = [self._pair(p) if pressed else None for p in range(self.n + 1)]
        self._known: dict[tuple[Cut, Cut, Variant], Candidate | None] = {}
        self._lanes: dict[tuple[int, bool, bool, Variant], Lane] = {}
        self._costs: dict[tuple[int, bool, bool, Variant], float] = {}
        self._sums: dict[tuple[int, Variant], list[float]] = {}
        self._streams: dict[tuple[int, int, tuple[tuple[int, bool], ...]], _Stream] = {}

    def with_pressure(self, pressed: int) -> Cutter:
        """The same where memory is `pressed`; what was found out about segments without counts there too."""
        other = Cutter(self.maker, pressed=pressed)
        other._known, other._lanes, other._costs = self._known, self._lanes, self._costs
        other._sums, other._streams = self._sums, self._streams
        return other

    def whole_bytes(self, position: int) -> int:
        """All tensors that cross the cut in front of lane `position`."""
        return self._whole[position]

    def within(self, first: Cut, end: Cut, variant: Variant, limit: int) -> Segment | None:
        """Lanes from one cut to the next as one segment; None when it takes more than `limit` bytes."""
        candidate = self._known_candidate(first, end, variant)
        return None if candidate is None else candidate.within(limit, pressed=self.pressed)

    def _known_candidate(self, first: Cut, end: Cut, variant: Variant) -> Candidate | None:
        key = (first, end, variant)
        if key not in self._known:
            self._known[key] = self._candidate(first, end, variant)
        return self._known[key]

    def apart(self, index: int) -> int:
        """Bytes of lane `index` by itself, with whole maps before and behind it."""
        found = self.within(Cut(index), Cut(index + 1), ALONE, 1 << 60)
        assert found is not None
        return found.peak

    def _pair(self, position: int) -> Pair | None:
        """The two largest maps of equal height that cross this cut, neither of them the model's input or output."""
        prepared = self.maker.prepared
        fixed = {prepared.graph.inputs[0], prepared.views[prepared.graph.outputs[0]]}
        return pair_of({t: self.shape[t] for t in self.crossing[position] - fixed})

    def _cuts(self, position: int) -> tuple[Cut, ...]:
        """The ways in which tensors may lie at this cut."""
        plain = Cut(position)
        return (plain,) if self._pairs[position] is None else (plain, Cut(position, woven=True))

    def _woven(self, cut: Cut) -> Pair | None:
        return self._pairs[cut.position] if cut.woven else None

    def _candidate(self, first: Cut, end: Cut, variant: Variant) -> Candidate | None:
        span = range(first.position, end.position)
        lanes = tuple(self._lane(i, span.start, span.stop, variant) for i in span)
        if variant.leaps:
            leap = leap_of(lanes)
            if leap == 1:
                return None
            lanes = tuple(replace(lane, leap=leap) for lane in lanes)
        return self._candidate_of(first, end, lanes, self._cost(span.start, span.stop, variant))

    def _candidate_of(self, first: Cut, end: Cut, lanes: tuple[Lane, ...], cost: float) -> Candidate | None:
        before, after = self.crossing[first.position], self.crossing[end.position]
        pairs = [p for p in (self._woven(first), self._woven(end)) if p is not None]
        if not all(may_weave(pair, lanes, before & after) for pair in pairs):
            return None
        found = self._stream(lanes, before, after)
        if any(found.life[lane.writes].slots > lane.shape.ring > 0 for lane in lanes):
            return None
        blocks = blocks_of(lanes, found.life, before | after, self.shape, found.times)
        kept = sum(self.shape[t].nbytes for t in before & after if t not in found.life)
        return Candidate(
            first.position,
            end.position,
            lanes,
            found.events,
            woven(blocks, pairs),
            kept,
            cost,
            self._woven(end),
        )

    def _stream(self, lanes: Sequence[Lane], before: frozenset[int], after: frozenset[int]) -> _Stream:
        """The order of rows, which depends on how many an event has but not on anything else that is chosen."""
        key = (lanes[0].index, lanes[0].leap, tuple((lane.rows, lane.flat) for lane in lanes))
        if key not in self._streams:
            events = tuple(stream(lanes))
            life = lives({lane.index: lane for lane in lanes}, events, before, after, self._rows)
            self._streams[key] = _Stream(events, life, times_of(events))
        return self._streams[key]

    def _lane(self, index: int, first: int, end: int, variant: Variant) -> Lane:
        """Lane `index` in a segment of lanes first…end−1."""
        key = (index, index > first, index + 1 < end, variant)
        if key not in self._lanes:
            planes = self.maker.planes(index) if variant.planes and index + 1 < end else None
            if variant.planes and index > first:
                planes = planes or self.maker.planes(index - 1)
            self._lanes[key] = self.maker.lane(
                index, replace(variant.choice, planes=planes), flat=variant.flat
            )
        return self._lanes[key]

    def _cost(self, first: int, end: int, variant: Variant) -> float:
        """Instructions beyond what the same lanes take at their best. Sums up to the last lane are remembered: all
        longer segments from the same lane on begin with them."""
        sums = self._sums.setdefault((first, variant), [0.0])
        while len(sums) < end - first:
            at = first + len(sums) - 1
            sums.append(sums[-1] + self._lane_cost(at, first, at + 2, variant))
        return sums[end - first - 1] + self._lane_cost(end - 1, first, end, variant)

    def _lane_cost(self, index: int, first: int, end: int, variant: Variant) -> float:
        key = (index, index > first, index + 1 < end, variant)
        if key not in self._costs:
            lane = self._lane(index, first, end, variant)
            self._costs[key] = lane_cost(self.maker.prepared.graph, lane)
        return self._costs[key]

    def _options(self, end: int, *, planes: bool = False) -> list[tuple[int, Variant]]:
        """Segments that may end before lane `end`."""
        out = [(end - 1, v) for v in _BY_ITSELF if not v.choice.wide or self._may_be_wide(end - 1)]
        most = _MOST_LANES if self.pressed > 1 else _MAX_LANES
        for first in range(end - 1, max(-1, end - most - 1), -1):
            if self.maker.lane(first).call is None:
                break  # whole-tensor calls stand alone
            if end - first > _MAX_LANES:
                out += [(first, v) for v in _LEAN]
            elif first < end - 1:
                planes_here = planes and any(self.maker.planes(i) for i in range(first, end - 1))
                out += [(first, v) for v in _TOGETHER if planes_here or not v.planes]
                out += [(first, v) for v in _LEAPS if self.pressed and self._dilated(first, end)]
        return out

    def _dilated(self, first: int, end: int) -> bool:
        """Windows that are alike dilated, and none that is not."""
        windows = [self.maker.lane(i).window for i in range(first, end)]
        found = {w.dilation for w in windows if w.kernel > 1}
        return len(found) == 1 and found != {1}

    def smallest_peak(self, enough: int = 0) -> int:
        """The least peak of any way to cut, or `enough` if it is less than that."""
        floor = self._bottleneck(enough, lambda candidate, _: candidate.floor)
        # No packing can be below that, so none is looked for.
        return self._bottleneck(
            floor, lambda candidate, limit: candidate.least(floor, limit, pressed=self.pressed)
        )

    def _bottleneck(self, enough: int, bytes_of: Callable[[Candidate, int], int]) -> int:
        """The least of the largest `bytes_of` a segment over all ways to cut, or `enough`. `bytes_of` also gets the bytes from
        which on a segment is of no use."""
        best: dict[Cut, int] = {Cut(0): enough}
        for end in (cut for p in range(1, self.n + 1) for cut in self._cuts(p)):
            best[end] = 1 << 60
            floor_end = self.whole_bytes(end.position)
            for position, variant in self._options(end.position):
                for first in self._cuts(position):
                    if max(best[first], floor_end, self.whole_bytes(position)) >= best[end]:
                        continue
                    candidate = self._known_candidate(first, end, variant)
                    if candidate is not None:
                        best[end] = min(best[end], max(best[first], bytes_of(candidate, best[end])))
        return best[Cut(self.n)]

    def cut(self, limit: int, wish: int | None = None) -> list[Segment]:
        """The cheapest way to cut whose segments all stay within `limit` bytes, and as many as can within `wish`. Planes,
        which need kernels of their own, are used where they are worth that."""
        found = self._cheapest(limit, wish)
        return faster(self, found) if self.pressed else found

    def choices(self, index: int, segment: Segment) -> Iterator[tuple[float, Lane]]:
        """Other choices for lane `index` of a segment, with the instructions that each saves. Rows in planes stay."""
        graph, now = self.maker.prepared.graph, segment.lanes[index - segment.first]
        planes = any(shape.ring for shape in (now.shape, *(o.shape for o in now.operands)))
        if now.call is None or planes:
            return
        cost = lane_cost(graph, now)
        seen = {(now.rows, now.scratch_bytes)}
        for choice in _FINER:
            lane = replace(self.maker.lane(index, choice), leap=now.leap)
            if (lane.rows, lane.scratch_bytes) not in seen and (now.leap == 1 or lane.rows == 1):
                seen.add((lane.rows, lane.scratch_bytes))
                yield cost - lane_cost(graph, lane), lane

    def made_of(
        self, first: Cut, end: Cut, lanes: tuple[Lane, ...], cost: float, limit: int
    ) -> Segment | None:
        """A segment of these lanes; None when it takes more than `limit` bytes."""
        candidate = self._candidate_of(first, end, lanes, cost)
        return None if candidate is None else candidate.within(limit, pressed=self.pressed)

    def _cheapest(self, limit: int, wish: int | None) -> list[Segment]:
        found = self._cut(limit, wish, planes=False)
        if not any(self.maker.planes(i) for i in range(self.n)):
            return found
        peak = max(s.peak for s in found)
        other = self._cut(max(peak, min(limit, int(peak * _PLANES_MEMORY))), wish, planes=True)
        graph = self.maker.prepared.graph
        enough = _PLANES_SAVE * sum(macs(graph, step.op) for step in self.maker.prepared.steps)
        saved = sum(s.cost for s in found) - sum(s.cost for s in other)
        return other if saved >= enough and _over(other, wish) <= _over(found, wish) else found

    def _cut(self, limit: int, wish: int | None, *, planes: bool) -> list[Segment]:
        best: dict[Cut, tuple[float, Segment | None, Cut]] = {Cut(0): (0.0, None, Cut(0))}
        for end in (cut for p in range(1, self.n + 1) for cut in self._cuts(p)):
            best[end] = (float("inf"), None, Cut(0))
            if self.whole_bytes(end.position) > limit:
                continue
            for position, variant in self._options(end.position, planes=planes):
                for first in self._cuts(position):
                    self._improve(best, first, end, variant, limit, wish)
        out: list[Segment] = []
        at = Cut(self.n)
        while at.position:
            _, chosen, before = best[at]
            assert chosen is not None, "smallest_peak() found a way within the limit"
            out.append(chosen)
            at = before
        return out[::-1]

    def _improve(
        self,
        best: dict[Cut, tuple[float, Segment | None, Cut]],
        first: Cut,
        end: Cut,
        variant: Variant,
        limit: int,
        wish: int | None,
    ) -> None:
        """Is the way to `end` cheaper with a last segment from `first` on?"""
        cost = best[first][0] + self._cost(first.position, end.position, variant)
        if cost >= best[end][0] or self.whole_bytes(first.position) > limit:
            return
        apart = end.position - first.position > 1 and not (first.woven or end.woven or variant.planes)
        if apart and self._cuts_are_free(first.position, end.position, limit if wish is None else wish):
            return  # apart they are at least as fast
        found = self.within(first, end, variant, limit)
        if found is not None and wish is not None and found.peak > wish:
            cost += _OVER_WISH
        if found is not None and cost < best[end][0]:
            best[end] = (cost, found, first)

    def _may_be_wide(self, index: int) -> bool:
        """Flash is spent on int16 weights of small layers only."""
        graph, op = self.maker.prepared.graph, self.maker.prepared.steps[index].op
        return op.kind == "CONV_2D" and graph.tensors[op.inputs[1]].elements <= _WIDE_MOST

    def _cuts_are_free(self, first: int, end: int, limit: int) -> bool:
        """Every lane by itself, as the kernels like it, stays within `limit` bytes."""
        return all(self.whole_bytes(i) <= limit and self.apart(i) <= limit for i in range(first, end))


def _over(segments: Sequence[Segment], wish: int | None) -> int:
    """How many segments take more than wished."""
    return 0 if wish is None else sum(s.peak > wish for s in segments)


def _crossing(maker: LaneMaker) -> list[frozenset[int]]:
    """For each position the buffers written before it (or the input) and read at or behind it, or the output."""
    graph, prepared = maker.prepared.graph, maker.prepared
    output = prepared.views[graph.outputs[0]]
    last: dict[int, int] = {}
    for i, step in enumerate(prepared.steps):
        for t in step.reads:
            last[t] = i
    last[output] = len(prepared.steps)
    written = {graph.inputs[0]: -1}  # an operator that makes the input comes first and takes its place here
    written |= {step.writes: i for i, step in enumerate(prepared.steps)}
    n = len(prepared.steps)
    return [
        frozenset(t for t, at in written.items() if at < p and last.get(t, at) >= p) for p in range(n + 1)
    ]
