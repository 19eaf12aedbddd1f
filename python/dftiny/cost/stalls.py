"""Cycles spent waiting for memory: a coarse model of lines that come from flash and RAM. Called by the package.

What a segment touches (constants, rings, scratch) either stays in the data cache, then every line of it comes once, or
does not: then constants come again for every event and block that goes over them, and rows whenever they are read. What lies
in memory without wait states (`Memory.tight`) goes past the cache: it neither waits nor takes room there.
"""

from __future__ import annotations

from collections.abc import Set

from dftiny.cost.model import Memory
from dftiny.kernels.count import call_constants
from dftiny.plan import Lane, Plan, PlannedSegment


def op_stalls(plan: Plan, memory: Memory) -> dict[int, float]:
    """Cycles by operator of the model."""
    out: dict[int, float] = {}
    tight = {p.tensor for p in plan.placements if p.region == memory.tight}
    rows = {p.tensor: p.bytes for p in plan.placements if p.tensor not in tight}
    for segment in plan.segments:
        stays = _touched(segment, rows, memory.tight, tight) <= memory.cache_bytes
        events: dict[int, int] = {}
        for event in segment.events:
            events[event.lane] = events.get(event.lane, 0) + 1
        for lane in segment.lanes:
            times = events.get(lane.index, 1)
            flash = _constants(lane) * (
                1 if stays or _constants(lane) <= memory.cache_bytes // 2 else _passes(lane, times)
            )
            ram = _rows(lane, tight, once=stays)
            cycles = (flash * memory.flash_line_cycles + ram * memory.ram_line_cycles) / memory.line_bytes
            op = lane.step.op.index
            out[op] = out.get(op, 0.0) + cycles
    return out


def _constants(lane: Lane) -> int:
    calls = [lane.call] if lane.call is not None else list(lane.whole)
    return (
        sum(const.nbytes for call in calls for _, const in call.pointers)
        if lane.call is not None
        else sum(const.nbytes for call in lane.whole for const in call_constants(call))
    )


def _passes(lane: Lane, events: int) -> int:
    """How often an event goes over its constants: once a block of pixels."""
    if lane.call is None:
        return 1
    fields = dict(lane.call.fields)
    block, width = fields.get("block"), fields.get("out_w")
    if (
        lane.call.function in ("dft_conv_rows", "dft_conv_map_rows")
        and isinstance(block, int)
        and isinstance(width, int)
    ):
        return events * -(-width // block)
    return events


def _rows(lane: Lane, tight: Set[int], *, once: bool) -> int:
    """Bytes of rows that an operator reads and writes; under a window a row is read again unless it stays. `tight`:
    tensors that nobody waits for."""
    w = lane.window
    again = 1.0 if once or w.stride >= w.kernel else w.kernel / w.stride
    slow = [o for o in lane.operands if o.tensor not in tight]
    read = sum(o.shape.nbytes * (again if o.need == "window" else 1.0) for o in slow)
    return int(read) + (0 if lane.writes in tight else lane.shape.nbytes)


def _touched(segment: PlannedSegment, rows: dict[int, int], region: str, tight: Set[int]) -> int:
    """Bytes that the segment goes over in the cache while it runs; a lane by itself passes over its maps once. Nothing
    in `region`, nor the tensors `tight`, which lie there."""
    constants = sum(_constants(lane) for lane in segment.lanes)
    work = [(segment.scratch, lane, lane.scratch_bytes) for lane in segment.lanes if lane.scratch_bytes]
    work += [(segment.aux, lane, lane.aux_bytes) for lane in segment.lanes if lane.aux_bytes]
    scratch = sum(nbytes for spots, lane, nbytes in work if spots[lane.index].region != region)
    inside = {lane.writes for lane in segment.lanes}
    rings = sum(rows.get(o.tensor, 0) for lane in segment.lanes for o in lane.operands if o.tensor in inside)
    window = max(
        (
            o.shape.row_bytes * lane.window.kernel
            for lane in segment.lanes
            for o in lane.operands
            if o.tensor not in tight
        ),
        default=0,
    )
    return constants + scratch + rings + window
