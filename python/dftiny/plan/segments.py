"""Where the stream is cut: lanes → segments, smallest peak first, then fewest instructions. Called by the planner.

Between two segments every tensor that is still needed lies whole in memory; inside one they are rings of a few
rows. A cut makes kernels faster (a 1x1 convolution sees the whole map at once) and costs memory. The choice is a
shortest path over cut positions: first the one whose largest segment is smallest, then, among those within a
little more than that peak, the one with the fewest extra instructions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dftiny.graph import Graph, macs
from dftiny.kernels.rows import Choice
from dftiny.plan.lanes import Lane, LaneMaker, Shape, shape_of
from dftiny.plan.pack import Block, Packer, rectangle
from dftiny.plan.stream import Event, Life, lives, stream

_MAX_LANES = 18  # of one segment that streams
ALIGN = 8
# What an event costs beside its kernel's work, and one weight widened once a block (kernels/m7), in instructions.
_EVENT_COST = 120
_WIDEN_COST = 1.4
_ONE_ROW_COST = 0.45  # per MAC of a depthwise convolution that gives one row an event instead of two


@dataclass(frozen=True)
class Variant:
    """How the lanes of a segment are made. `flat`: a map as one row, for a lane by itself."""

    choice: Choice
    flat: bool = False


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
    *_LEAN,
)
_TOGETHER = (Variant(Choice()), *(Variant(Choice(block=n)) for n in (16, 8)), *_LEAN)
VARIANTS = tuple(dict.fromkeys((*_BY_ITSELF, *_TOGETHER)))


@dataclass(frozen=True)
class Segment:
    """Lanes first…end−1 run interleaved; `peak` bytes at most, `cost` extra instructions."""

    first: int
    end: int
    lanes: tuple[Lane, ...]
    events: tuple[Event, ...]
    peak: int
    cost: float
    reverse: bool = False

    def turned(self) -> Segment:
        """The same segment from the last rows to the first, or the other way round."""
        turn = not self.reverse
        return replace(self, events=tuple(stream(self.lanes, reverse=turn)), reverse=turn)


def blocks_of(
    lanes: Sequence[Lane],
    life: Mapping[int, Life],
    crossing: frozenset[int],
    shape: Mapping[int, Shape],
    span: tuple[int, int],
) -> list[Block]:
    """Memory of one segment as blocks: rows of whole tensors, rings, scratch and aux. `span`: its first and last
    event; `crossing`: tensors that must be whole."""
    out = []
    over = {lane.writes: lane.operands[0].tensor for lane in lanes if lane.call and lane.call.in_place}
    for t, one in life.items():
        if t in crossing or one.slots >= len(one.born):
            target = over.get(t)
            name = None if target is None else f"t{target}"
            out.append(Block(f"t{t}", shape[t].row_bytes, one.born, one.dies, name))
        else:
            out.append(rectangle(f"t{t}", one.slots * shape[t].row_bytes, min(one.born), max(one.dies)))
    scratch = max((lane.scratch_bytes for lane in lanes), default=0)
    if scratch:
        out.append(rectangle(f"s{lanes[0].index}", scratch, *span))
    out += [rectangle(f"a{lane.index}", lane.aux_bytes, *span) for lane in lanes if lane.aux_bytes]
    return out


class Cutter:
    """Evaluates segments of a graph and finds the best cuts."""

    def __init__(self, maker: LaneMaker) -> None:
        self.maker = maker
        self.n = len(maker)
        self.crossing = _crossing(maker)
        graph = maker.prepared.graph
        self.shape = {t: shape_of(graph.tensors[t]) for t in set(maker.prepared.views.values())}
        self._known: dict[tuple[int, int, Variant], Segment] = {}

    def whole_bytes(self, position: int) -> int:
        """All tensors that cross the cut in front of lane `position`."""
        return sum(self.shape[t].nbytes for t in self.crossing[position])

    def segment(self, first: int, end: int, variant: Variant) -> Segment:
        """Lanes first…end−1 as one segment."""
        key = (first, end, variant)
        if key not in self._known:
            self._known[key] = self._evaluate(first, end, variant)
        return self._known[key]

    def apart(self, index: int) -> int:
        """Bytes of lane `index` by itself, with whole maps before and behind it."""
        return self.segment(index, index + 1, ALONE).peak

    def _evaluate(self, first: int, end: int, variant: Variant) -> Segment:
        lanes = tuple(self.maker.lane(i, variant.choice, flat=variant.flat) for i in range(first, end))
        events = tuple(stream(lanes))
        before, after = self.crossing[first], self.crossing[end]
        rows = {t: s.rows for t, s in self.shape.items()}
        life = lives({lane.index: lane for lane in lanes}, events, before, after, rows)
        blocks = blocks_of(lanes, life, before | after, self.shape, (0, len(events) - 1))
        kept = sum(self.shape[t].nbytes for t in before & after if t not in life)
        packer = Packer(blocks, ALIGN)
        spots = packer.best([1 << 40], tries=0)
        assert spots is not None
        peak = packer.sizes(spots, 1)[0] + kept
        return Segment(first, end, lanes, events, peak, self._cost(lanes, events))

    def _cost(self, lanes: Sequence[Lane], events: Sequence[Event]) -> float:
        """Instructions beyond what the same lanes take at their best."""
        graph = self.maker.prepared.graph
        cost = float(_EVENT_COST * len(events))
        for lane in lanes:
            op = lane.step.op
            if lane.call is None:
                continue
            if op.kind == "CONV_2D":
                n = sum(e.lane == lane.index for e in events)
                cost += _WIDEN_COST * graph.tensors[op.inputs[1]].elements * n * _blocks(graph, lane)
            if op.kind == "DEPTHWISE_CONV_2D" and lane.rows == 1 and lane.window.stride == 1:
                cost += _ONE_ROW_COST * macs(graph, op)
        return cost

    def _options(self, end: int) -> list[tuple[int, Variant]]:
        """Segments that may end before lane `end`."""
        out = [(end - 1, v) for v in _BY_ITSELF]
        for first in range(end - 1, max(-1, end - _MAX_LANES - 1), -1):
            if self.maker.lane(first).call is None:
                break  # whole-tensor calls stand alone
            if first < end - 1:
                out += [(first, v) for v in _TOGETHER]
        return out

    def smallest_peak(self) -> int:
        """The least peak of any way to cut."""
        best = [0] + [1 << 60] * self.n
        for end in range(1, self.n + 1):
            floor_end = self.whole_bytes(end)
            for first, variant in self._options(end):
                if max(best[first], floor_end, self.whole_bytes(first)) >= best[end]:
                    continue
                best[end] = min(best[end], max(best[first], self.segment(first, end, variant).peak))
        return best[self.n]

    def cut(self, limit: int) -> list[Segment]:
        """The cheapest way to cut whose segments all stay within `limit` bytes."""
        best: list[tuple[float, Segment | None]] = [(float("inf"), None) for _ in range(self.n + 1)]
        best[0] = (0.0, None)
        for end in range(1, self.n + 1):
            if self.whole_bytes(end) > limit:
                continue
            for first, variant in self._options(end):
                if best[first][0] >= best[end][0] or self.whole_bytes(first) > limit:
                    continue
                if first < end - 1 and self._cuts_are_free(first, end, limit):
                    continue  # apart they are at least as fast
                found = self.segment(first, end, variant)
                if found.peak <= limit and best[first][0] + found.cost < best[end][0]:
                    best[end] = (best[first][0] + found.cost, found)
        out: list[Segment] = []
        position = self.n
        while position:
            chosen = best[position][1]
            assert chosen is not None, "smallest_peak() found a way within the limit"
            out.append(chosen)
            position = chosen.first
        return out[::-1]

    def _cuts_are_free(self, first: int, end: int, limit: int) -> bool:
        """Every lane by itself, as the kernels like it, stays within `limit` bytes."""
        return all(self.whole_bytes(i) <= limit and self.apart(i) <= limit for i in range(first, end))


def _blocks(graph: Graph, lane: Lane) -> int:
    """How often an event of a convolution widens its weights."""
    assert lane.call is not None
    block = dict(lane.call.fields).get("block")
    shape = graph.tensors[lane.step.writes].shape
    width = shape[2] * (shape[1] if lane.flat else 1)
    return -(-width // block) if isinstance(block, int) and block else 1


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
