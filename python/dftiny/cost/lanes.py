"""Lanes of a plan → pieces of code: which module knows which kernel, and the row engine around it
(firmware/engines/aot/dft_run.c). Called by the package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from dftiny.cost import runs, whole
from dftiny.cost.conv import conv, conv_map
from dftiny.cost.depthwise import depthwise, planes
from dftiny.cost.pieces import Job, Pieces, Turn, add
from dftiny.cost.taps import taps
from dftiny.cost.wide import wide
from dftiny.kernels.count import HALF_BYTE, script_of
from dftiny.kernels.count import runs as engine_runs
from dftiny.plan import Event, Lane, Placement, Plan, PlannedSegment

ROW_KERNELS: Mapping[str, Callable[[Job], Pieces]] = {
    "dft_conv_rows": conv,
    "dft_conv_map_rows": conv_map,
    "dft_matvec_rows": runs.matvec,
    "dft_matvec_window_rows": runs.matvec_window,
    "dft_depthwise_rows": depthwise,
    "dft_depthwise_planes_rows": planes,
    "dft_depthwise_wide_rows": wide,
    "dft_depthwise_taps_rows": taps,
    "dft_table_rows": runs.table,
    "dft_sum_rows": lambda job: runs.pair(job, "sum", 4),
    "dft_exact_sum_rows": lambda job: runs.pair(job, "exact_sum", 1),
    "dft_maximum_rows": lambda job: runs.pair(job, "maximum", 8),
    "dft_minimum_rows": lambda job: runs.pair(job, "maximum", 8),
    "dft_mul_rows": runs.product,
    "dft_gate_rows": runs.gate,
    "dft_mean_rows": runs.mean,
    "dft_max_pool_rows": runs.max_pool,
    "dft_average_pool_rows": runs.average_pool,
    "dft_gather_rows": runs.gather,
    "dft_concat_rows": runs.concat,
    "dft_pad_rows": runs.pad,
    "dft_shift_max_rows": runs.shift_max,
    "dft_aot_input_row": lambda job: Pieces({"input_row.events": job.events}),
}
WHOLE_KERNELS: Mapping[str, Callable[[Job], Pieces]] = {
    "dft_conv2d_s8": whole.conv,
    "dft_depthwise_s8": whole.depthwise,
    "dft_fully_connected_s8": whole.fully_connected,
    "dft_add_s8": whole.broadcast,
    "dft_sub_s8": whole.broadcast,
    "dft_mul_s8": whole.broadcast,
    "dft_maximum_s8": whole.broadcast,
    "dft_minimum_s8": whole.broadcast,
    "dft_lut_s8": whole.table,
    "dft_mean_s8": whole.mean,
    "dft_max_pool_s8": whole.pool,
    "dft_average_pool_s8": whole.pool,
    "dft_pad_s8": whole.pad,
    "dft_concat_s8": whole.concat,
    "dft_gather_s8": whole.gather,
    "dft_transpose_s8": whole.transpose,
    "dft_softmax_s8": whole.softmax,
    "dft_remap_s8": whole.remap,
    "dft_sum_s8": whole.reduce,
    "dft_reduce_max_s8": whole.reduce,
    "dft_reduce_min_s8": whole.reduce,
    "dft_prelu_s8": whole.prelu,
}
UNKNOWN = "unknown."  # begins the piece of a kernel that nobody described: an output byte


def op_pieces(plan: Plan) -> dict[int, Pieces]:
    """Pieces of code by operator of the model, the engine's own among them."""
    out: dict[int, Pieces] = {}
    slots = {p.tensor: p for p in plan.placements}
    for run in engine_runs(plan):
        script = script_of(run[0])
        for number, segment in enumerate(run):
            by_lane = _by_lane(segment)
            for position, lane in enumerate(segment.lanes):
                pieces = lane_pieces(
                    lane, by_lane.get(lane.index, []), slots, script is not None, len(run[0].lanes)
                )
                if number == position == 0:
                    pieces["engine.segments"] += int(lane.call is not None)
                    pieces["engine.scripts"] += int(script is not None)
                add(out.setdefault(lane.step.op.index, Pieces()), pieces)
    return out


def _by_lane(segment: PlannedSegment) -> dict[int, list[Event]]:
    found: dict[int, list[Event]] = {}
    for event in segment.events:
        found.setdefault(event.lane, []).append(event)
    return found


def lane_pieces(
    lane: Lane, events: list[Event], places: Mapping[int, Placement], scripted: bool, lanes_n: int
) -> Pieces:
    """One lane: its kernel and what the engine does around it."""
    out = Pieces()
    nbytes = lane.shape.nbytes
    for call in lane.whole:
        maker = WHOLE_KERNELS.get(call.function)
        add(out, maker(Job(call)) if maker else {UNKNOWN + call.function: nbytes})
    if lane.call is None:
        out["engine.whole"] += 1
        return out
    turns = turns_of(lane, events)
    maker = ROW_KERNELS.get(lane.call.function)
    add(out, maker(Job(lane.call, turns)) if maker else {UNKNOWN + lane.call.function: nbytes})
    add(out, _engine(lane, events, turns, places))
    if scripted:
        out["engine.script_events"] += len(events)
        out["engine.script_bytes"] += len(events) * int(lanes_n > HALF_BYTE)
    else:
        out["engine.lanes"] += 1
    return out


def turns_of(lane: Lane, events: list[Event]) -> tuple[Turn, ...]:
    """Events of a lane, alike ones together."""
    found: Counter[tuple[int, tuple[bool, ...]]] = Counter()
    w = lane.window
    height = lane.operands[0].shape.rows if lane.operands else 0
    for event in events:
        n = w.kernel + (event.rows - 1) * w.stride if w.kernel else 0
        first = w.first(event.row)
        found[event.rows, tuple(0 <= first + k * w.dilation < height for k in range(n))] += 1
    return tuple(Turn(times, rows, inside) for (rows, inside), times in found.items())


def _engine(
    lane: Lane, events: list[Event], turns: tuple[Turn, ...], places: Mapping[int, Placement]
) -> Pieces:
    """run_event and what it calls: rows are looked up one by one, those of a ring with a division."""
    out = Pieces({"engine.events": len(events)})
    for turn in turns:
        out["engine.window_missing"] += turn.times * (len(turn.inside) - sum(turn.inside))
        out["engine.window_rows"] += turn.times * sum(turn.inside)
        out["engine.out_rows"] += turn.times * turn.rows
    out["engine.more"] += len(events) * max(len(lane.operands) - 1, 0)
    height = lane.operands[0].shape.rows if lane.operands else 0
    ring = places[lane.operands[0].tensor].slots if height > 1 and not lane.operands[0].recast else 0
    for event in events:
        rows = [lane.window.first(event.row) + k * lane.window.dilation
                for k in range(lane.window.kernel + (event.rows - 1) * lane.window.stride)] if height > 1 else []  # fmt: skip
        out["engine.in_plain"] += sum(0 <= r < height for r in rows)
        out["engine.in_ring"] += sum(ring <= r < height for r in rows) if ring else 0
        own = places[lane.writes].slots if lane.shape.rows > 1 and not lane.accumulates else 0
        out["engine.out_plain"] += event.rows if own else 0
        out["engine.out_ring"] += (
            sum(r >= own for r in range(event.row, event.row + event.rows)) if own else 0
        )
        for operand in lane.operands[1:]:
            if operand.shape.rows > 1:
                out["engine.more_plain"] += 1
                out["engine.more_ring"] += int(
                    event.row >= places[operand.tensor].slots and not operand.recast
                )
    return out
