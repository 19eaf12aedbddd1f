"""A plan of the planner as the checker's plain numbers. What a step reads is taken from schedule_steps, which does not
know the planner; from the plan come only places, events, and what the kernels say of themselves."""

from __future__ import annotations

from dataclasses import replace

from dftiny.plan import Lane, Plan, PlannedSegment
from dftiny.schedule_check import (
    CheckedBuffer,
    CheckedEvent,
    CheckedOperand,
    CheckedSchedule,
    CheckedSpot,
    CheckedStep,
)
from dftiny.schedule_steps import CheckedNet, checked_net


def schedule_of(plan: Plan) -> CheckedSchedule:
    """Everything that `plan` decides."""
    net = checked_net(plan.prepared)
    found: dict[int, CheckedStep] = {}
    events: list[CheckedEvent] = []
    for segment in plan.segments:
        for lane in segment.lanes:
            found[lane.index] = _step(net, segment, lane)
        lanes = {lane.index: lane for lane in segment.lanes}
        for e in segment.events:
            whole = lanes[e.lane].shape.rows == 1 and not lanes[e.lane].accumulates
            height = net.maps[net.steps[e.lane].writes].height
            events.append(CheckedEvent(e.lane, 0, height) if whole else CheckedEvent(e.lane, e.row, e.rows))
    steps = tuple(found[i] for i in range(len(net.steps)))
    written = {s.writes for s in steps}
    return CheckedSchedule(
        steps,
        tuple(_buffer(net, plan, t) for t in net.maps),
        plan.region_bytes,
        tuple(events),
        tuple(t for t in net.inputs if t not in written),
        net.outputs,
    )


def _buffer(net: CheckedNet, plan: Plan, tensor: int) -> CheckedBuffer:
    place, shape = plan.of(tensor), net.maps[tensor]
    rings = {lane.writes: lane.shape for lane in plan.lanes if writes_planes(lane)}
    if tensor in rings:
        ring = rings[tensor]
        assert (place.slots, place.row_bytes) == (1, ring.ring * ring.row_bytes)
        return CheckedBuffer(
            tensor, place.region, place.offset, ring.row_bytes, shape.height, ring.ring, among=True
        )
    assert place.row_bytes == shape.row_bytes
    return CheckedBuffer(
        tensor,
        place.region,
        place.offset,
        place.row_bytes,
        shape.height,
        place.slots,
        place.pitch,
        phase=place.phase,
    )


def writes_planes(lane: Lane) -> bool:
    """Its rows are longer than their values."""
    return lane.call is not None and "out_columns" in dict(lane.call.fields)


def _step(net: CheckedNet, segment: PlannedSegment, lane: Lane) -> CheckedStep:
    step, call = net.steps[lane.index], lane.call
    flat = lane.shape.rows == 1 and net.maps[step.writes].height > 1
    if call is None or flat:
        everything = tuple(CheckedOperand(o.tensor, "all") for o in step.operands)
        step = replace(step, operands=everything, sums=0, kernel=1, stride=1, dilation=1, pad=0, whole=True)
    spots = {}
    if lane.scratch_bytes:
        at = segment.scratch[lane.index]
        spots["scratch"] = CheckedSpot(at.region, at.offset, lane.scratch_bytes)
    if lane.aux_bytes:
        at = segment.aux[lane.index]
        spots["aux"] = CheckedSpot(at.region, at.offset, lane.aux_bytes)
    rows = 0 if flat or call is None or lane.accumulates else lane.rows
    in_place = call is not None and (call.in_place or call.grows)
    return replace(step, rows=rows, in_place=in_place, **spots)
