"""Planned segments → C text: lanes, scripts and the table of segments that dft_run.c executes. Called by model_c.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dftiny.codegen.c_text import int_array, struct
from dftiny.errors import DftError
from dftiny.kernels.calls import Fields
from dftiny.kernels.count import runs, script_of
from dftiny.plan import Lane, Placement, Plan, PlannedSegment, Spot
from dftiny.plan.lanes import Operand, Shape
from dftiny.plan.phases import MOST_PLACES, PHASED_BYTES

NOWHERE = "DFT_NOWHERE"
_MORE = 4  # in2 and DFT_MORE_MAX
_LANES_MAX = 32  # DFT_LANES_MAX


def segments_c(plan: Plan, regions: Sequence[str], prefix: str = "") -> str:
    """l<n> (lanes), s<n> (script, where lanes interleave) and g<n> for each run of segments with row kernels; `prefix`
    stands before every name."""
    place = {p.tensor: p for p in plan.placements}
    parts = []
    for number, run in enumerate(runs(plan)):
        if run[0].lanes[0].call is None:
            continue
        lanes = [(segment, lane) for segment in run for lane in segment.lanes]
        script = script_of(run[0])
        if script is not None and len(lanes) > _LANES_MAX:
            raise DftError(f"a segment has {len(lanes)} operators, the engine runs {_LANES_MAX}")
        text = ",\n".join(_lane(segment, lane, place, regions, prefix) for segment, lane in lanes)
        parts.append(f"static const dft_lane {prefix}l{number}[{len(lanes)}] = {{\n{text},\n}};\n")
        if script is not None:
            parts.append(int_array("uint8_t", f"{prefix}s{number}", script.stored))
        fields: Fields = (("lanes_n", len(lanes)),)
        if script is not None:
            numbers = ("events", "head", "unit", "repeated")
            fields += tuple((name, int(getattr(script, name))) for name in numbers)
        pointers = (
            ("lanes", f"{prefix}l{number}"),
            ("script", "0" if script is None else f"{prefix}s{number}"),
        )
        parts.append(struct("dft_segment", f"{prefix}g{number}", (*pointers, *fields)))
    return "\n".join(parts)


def more_operands(lane: Lane, place: Mapping[int, Placement], regions: Sequence[str]) -> tuple[str, ...]:
    """Where the second and further operands lie, as dft_rows_at, last one first: so they stand in front of the
    lane's parameters."""
    extra = tuple(_operand(o, place, regions) for o in lane.operands[1:])
    if len(extra) > _MORE:
        raise DftError(f"operator {lane.step.op.index} has {len(lane.operands)} operands")
    return extra[::-1]


def _place(at: Placement | Spot, regions: Sequence[str]) -> str:
    return f"DFT_PLACE({regions.index(at.region)}, {at.offset})"


def _lane(
    segment: PlannedSegment, lane: Lane, place: Mapping[int, Placement], regions: Sequence[str], prefix: str
) -> str:
    assert lane.call is not None
    if lane.scratch_bytes and lane.aux_bytes:
        raise DftError(f"{lane.call.function} wants both scratch and aux memory")
    first = _operand(lane.operands[0], place, regions) if lane.operands else f"{{{NOWHERE}, 0, 0}}"
    in_h = lane.operands[0].shape.rows if lane.operands else 0
    work = segment.scratch.get(lane.index) or segment.aux.get(lane.index)
    more = len(lane.operands[1:])
    out = place[lane.writes]
    w = lane.window
    leaps = lane.leap > 1
    apart = lane.leap if leaps else w.dilation  # a window of one row has no other use for it
    params = f"{prefix}p{lane.index}{'.p' if more else ''}"
    counts = f"{lane.rows}, {int(leaps)}, {int(segment.reverse)}, {more}"
    return f"""    {{.kernel = {lane.call.function}, .params = &{params}, .in = {first},
     .out = {_rows(out, lane.shape, regions, fixed=lane.accumulates)},
     .work = {_place(work, regions) if work else NOWHERE},
     .in_h = {in_h}, .rows_h = {lane.events_h}, .op = {lane.step.op.index}, .pad = {w.pad},
     .window = {w.kernel}, .stride = {w.stride}, .dilation = {apart}, .counts = DFT_COUNTS({counts})}}"""


def _operand(o: Operand, place: Mapping[int, Placement], regions: Sequence[str]) -> str:
    return _rows(place[o.tensor], o.shape, regions, recast=o.recast)


def _rows(
    at: Placement, shape: Shape, regions: Sequence[str], *, fixed: bool = False, recast: bool = False
) -> str:
    """dft_rows_at: whole buffers seen with other rows than they were written in have as many slots as rows; rows that lie
    among one another have one for all."""
    rows, row_bytes = shape.rows, shape.row_bytes
    if fixed or rows == 1:
        return f"{{{_place(at, regions)}, 0, 0}}"
    if shape.ring:
        return f"{{{_place(at, regions)}, 0, 1}}"
    pitch = row_bytes if recast or at.pitch == at.row_bytes else at.pitch
    if pitch > 0xFFFF:
        raise DftError(f"rows of tensor {at.tensor} lie {pitch} bytes apart, the engine takes {0xFFFF}")
    if at.phase:
        assert at.slots <= MOST_PLACES and at.offset < PHASED_BYTES, "the planner shares no others"
        return f"{{DFT_PHASED({regions.index(at.region)}, {at.slots}, {at.phase}, {at.offset}), {pitch}, 0}}"
    return f"{{{_place(at, regions)}, {pitch}, {rows if recast else at.slots}}}"
