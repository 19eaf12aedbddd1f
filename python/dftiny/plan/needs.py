"""What the kernels of a net cannot do without, filled into its checked steps for the lower bound. Called by the planner.

Of everything that the planner may choose for a step, the least scratch, the least aux, and whether any choice writes
over its operand; a step without a row kernel is computed whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dftiny.kernels.rows import Choice
from dftiny.plan.lanes import Lane, LaneMaker
from dftiny.plan.segments import VARIANTS
from dftiny.schedule_check import CheckedOperand, CheckedSpot, CheckedStep
from dftiny.schedule_steps import CheckedNet, checked_net


def kernel_net(maker: LaneMaker) -> CheckedNet:
    """The steps of `maker` with the demands of their kernels."""
    net = checked_net(maker.prepared)
    found = []
    for index, step in enumerate(net.steps):
        lanes = [maker.lane(index, v.choice, flat=v.flat) for v in VARIANTS if not v.planes]
        found.append(_step(step, lanes, _over_planes(maker, index)))
    return replace(net, steps=tuple(found))


def _over_planes(maker: LaneMaker, index: int) -> int | None:
    """Scratch of a depthwise convolution over planes, and what one of the rows that an event surely reads takes beyond the
    bytes of its values, which is all that the bound counts of it; None where there are no planes."""
    planes = maker.planes(index - 1)
    if planes is None:
        return None
    lane, plain = maker.lane(index, Choice(planes=planes)), maker.lane(index)
    return lane.scratch_bytes + lane.operands[0].shape.row_bytes - plain.operands[0].shape.row_bytes


def _step(step: CheckedStep, lanes: Sequence[Lane], over_planes: int | None) -> CheckedStep:
    if not all(lane.call for lane in lanes):
        everything = tuple(CheckedOperand(o.tensor, "all") for o in step.operands)
        return replace(step, operands=everything, sums=0, kernel=1, stride=1, dilation=1, pad=0, whole=True)
    return replace(
        step,
        in_place=step.in_place
        and any(lane.call and (lane.call.in_place or lane.call.grows) for lane in lanes),
        scratch=_spot(
            min([lane.scratch_bytes for lane in lanes] + [n for n in (over_planes,) if n is not None])
        ),
        aux=_spot(min(lane.aux_bytes for lane in lanes)),
    )


def _spot(nbytes: int) -> CheckedSpot | None:
    return CheckedSpot("", 0, nbytes) if nbytes else None
