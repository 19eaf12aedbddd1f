"""Rows far apart one after the other: the order for a chain of windows that are all dilated by the same number of rows.

Such windows never mix rows of different remainders by the dilation: the map falls into as many short maps that have
nothing to do with one another. Computed one short map after the other (rows r, r + 8, r + 16 …, then r + 1 …) a ring
holds as many rows as a window has taps, not all the rows between its first tap and its last. Kernels and places do not
notice: a row keeps its number and so its place. Called by stream and by the planner's search for cuts (segments).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dftiny.plan.lanes import Lane, Operand, Shape


def leap_of(lanes: Sequence[Lane]) -> int:
    """How many rows apart these lanes may compute their rows; 1 where they may not."""
    height = lanes[0].events_h
    dilations = {lane.window.dilation for lane in lanes if lane.window.kernel > 1}
    if len(dilations) != 1 or len(lanes) == 1 or not all(_row_by_row(lane, height) for lane in lanes):
        return 1
    leap = min(dilations)
    made = {lane.writes for lane in lanes}
    fit = all(_fits(lane, operand, leap, made) for lane in lanes for operand in lane.operands)
    return leap if fit else 1


def _row_by_row(lane: Lane, height: int) -> bool:
    """Each of its events gives one row of `height` and keeps nothing for the next; and it is not handed in by the caller, who
    counts rows upwards."""
    row_by_row = lane.call is not None and bool(lane.operands) and lane.rows == 1
    alone = row_by_row and not (lane.accumulates or lane.aux_bytes)
    return alone and lane.shape.rows == lane.events_h == height and not lane.shape.ring


def _fits(lane: Lane, operand: Operand, leap: int, made: set[int]) -> bool:
    """Its rows of one remainder need rows of the same one, or something that does not come from here."""
    if operand.need == "all":
        return operand.tensor not in made
    window = lane.window
    same = operand.shape.rows == lane.events_h and not operand.recast and not operand.shape.ring
    return same and (operand.need == "row" or (window.stride == 1 and window.pad % leap == 0))


def short_map(lane: Lane, remainder: int) -> Lane:
    """The lane as it sees only every leap-th row, from row `remainder` on: its windows are not dilated there."""
    leap, rows = lane.leap, len(range(remainder, lane.events_h, lane.leap))

    def cut(shape: Shape) -> Shape:
        return replace(shape, rows=rows) if shape.rows == lane.events_h else shape

    w = lane.window
    return replace(
        lane,
        leap=1,
        events_h=rows,
        shape=cut(lane.shape),
        operands=tuple(replace(o, shape=cut(o.shape)) for o in lane.operands),
        window=replace(w, dilation=1, pad=w.pad // leap),
    )
