"""Memory over time as inline SVG: what lies where while a model runs, and where the peak is. Called by budget_page.

With a plan a buffer is a rectangle from its first to its last event and from its first to its last byte. Buffers may
overlap on it: rows of an output take the places of rows that are dead. Without one (TFLM), bytes alive by operator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from dftiny.budget import Budget
from dftiny.plan import Placement, Plan

WIDTH, HEIGHT, LEFT, BELOW = 960, 300, 64, 34


def memory_svg(b: Budget) -> str:
    """The picture for a budget, whatever its engine is."""
    if b.plan is not None:
        return "".join(_plan_svg(b.plan, region) for region in b.plan.region_bytes)
    return _bars_svg([o.live_bytes for o in b.ops])


class _Axes:
    """Bytes upwards, time to the right."""

    def __init__(self, steps: int, most: int) -> None:
        self.steps, self.most = max(steps, 1), max(most, 1)

    def x(self, step: float) -> float:
        return LEFT + (WIDTH - LEFT) * step / self.steps

    def y(self, at: float) -> float:
        return HEIGHT - (HEIGHT - 12) * at / self.most

    def frame(self, title: str) -> list[str]:
        parts = [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT + BELOW}" class="memory" role="img" aria-label="{escape(title)}">'
        ]
        for k in range(5):
            at = self.most * k / 4
            parts.append(
                f'<line class="grid" x1="{LEFT}" y1="{self.y(at):.1f}" x2="{WIDTH}" y2="{self.y(at):.1f}"/>'
            )
            parts.append(
                f'<text x="{LEFT - 6}" y="{self.y(at) + 4:.1f}" text-anchor="end">{at / 1024:,.0f} KB</text>'
            )
        return parts

    def box(self, css: str, span: tuple[float, float], bytes_: tuple[int, int], title: str) -> str:
        (left, right), (low, high) = (self.x(span[0]), self.x(span[1])), bytes_
        size = f'width="{max(right - left, 0.6):.2f}" height="{max(self.y(low) - self.y(high), 0.6):.2f}"'
        return f'<rect class="{css}" x="{left:.2f}" y="{self.y(high):.2f}" {size}><title>{escape(title)}</title></rect>'


def _plan_svg(plan: Plan, region: str) -> str:
    """Segments share the width evenly, so that an operator is as visible as a map of a hundred rows."""
    starts = [0]
    for segment in plan.segments:
        starts.append(starts[-1] + len(segment.events))
    axes = _Axes(len(plan.segments), plan.region_bytes[region])
    graph = plan.prepared.graph

    def at(event: int) -> float:
        n = next((i for i in range(len(plan.segments)) if event < starts[i + 1]), len(plan.segments))
        if n == len(plan.segments) or event < 0:
            return float(n) if event >= 0 else 0.0
        return n + (event - starts[n]) / max(starts[n + 1] - starts[n], 1)

    parts = axes.frame(f"memory of region {region} over time")
    tops = [0] * len(plan.segments)
    for p in _own(plan, region):
        end = p.offset + (p.slots - 1) * p.pitch + p.row_bytes
        title = f"{graph.tensors[p.tensor].name}: {p.bytes:,} bytes at {p.offset:,}, {p.slots} rows"
        parts.append(axes.box("buffer", (at(p.first), at(p.last + 1)), (p.offset, end), title))
        for n in range(int(at(p.first)), min(int(at(p.last)) + 1, len(tops))):
            tops[n] = max(tops[n], end)
    for n, first, size, what in _work(plan, region):
        parts.append(axes.box("scratch", (n, n + 1), (first, first + size), f"{what}: {size:,} bytes"))
        tops[n] = max(tops[n], first + size)
    worst = max(range(len(tops)), key=lambda i: tops[i])
    return "".join([*parts, *_peak(axes, worst, tops[worst], _operators(plan, worst)), "</svg>"])


def _work(plan: Plan, region: str) -> Iterator[tuple[int, int, int, str]]:
    """(segment, offset, bytes, what) of what kernels work in."""
    for n, segment in enumerate(plan.segments):
        for lane in segment.lanes:
            for what, spots, size in (
                ("scratch", segment.scratch, lane.scratch_bytes),
                ("kept from row to row", segment.aux, lane.aux_bytes),
            ):
                spot = spots.get(lane.index)
                if spot is not None and spot.region == region:
                    yield n, spot.offset, size, f"{what}, operator {lane.step.op.index}"


def _own(plan: Plan, region: str) -> list[Placement]:
    """Buffers of a region, each once: views lie where their owners do."""
    seen = {
        (p.offset, p.row_bytes, p.slots, p.first, p.last): p for p in plan.placements if p.region == region
    }
    return list(seen.values())


def _operators(plan: Plan, segment: int) -> str:
    lanes = plan.segments[segment].lanes
    names = [f"{lane.step.op.index} {lane.step.op.kind}" for lane in (lanes[0], lanes[-1])]
    return names[0] if len(lanes) == 1 else " … ".join(names)


def _peak(axes: _Axes, step: float, size: int, what: str) -> list[str]:
    x = axes.x(step + 0.5)
    side = "start" if x < WIDTH * 0.6 else "end"
    return [
        f'<line class="peak" x1="{x:.1f}" y1="8" x2="{x:.1f}" y2="{HEIGHT}"/>',
        f'<text class="peak" x="{x + (5 if side == "start" else -5):.1f}" y="{HEIGHT + 24}" text-anchor="{side}">'
        f"peak: {size:,} bytes, operator {escape(what)}</text>",
    ]


def _bars_svg(live: Sequence[int]) -> str:
    axes = _Axes(len(live), max(live, default=0))
    parts = axes.frame("activation bytes alive, by operator")
    parts += [
        axes.box("buffer", (i, i + 0.9), (0, n), f"operator {i}: {n:,} bytes") for i, n in enumerate(live)
    ]
    if live:
        worst = max(range(len(live)), key=lambda i: live[i])
        parts += _peak(axes, worst, live[worst], str(worst))
    return "".join([*parts, "</svg>"])
