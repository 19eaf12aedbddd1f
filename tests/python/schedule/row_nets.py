"""Tiny random nets of row steps, and what a step reads, written as plainly as can be: the ground on which the tests
of the schedule checker and of the lower bound stand. Shares nothing with what it tests but the dataclasses."""

from __future__ import annotations

import random

from dftiny.schedule_check import CheckedOperand, CheckedStep
from dftiny.schedule_steps import CheckedMap, CheckedNet

INPUT = 0


def reads(net: CheckedNet, step: CheckedStep, row: int) -> list[tuple[int, int]]:
    """(tensor, row) of everything that event `row` reads, if events are of one row."""
    found = []
    for operand in step.operands:
        height = net.maps[operand.tensor].height
        for r in range(height):
            taps = [row * step.stride - step.pad + k * step.dilation for k in range(step.kernel)]
            wanted = {"all": True, "row": height == 1 or r == row, "window": r in taps}[operand.need]
            if wanted:
                found.append((operand.tensor, r))
    return found


def events(net: CheckedNet, step: CheckedStep) -> int:
    """How many events of one row."""
    if step.sums:
        return step.sums
    return 1 if step.whole else net.maps[step.writes].height


def writes(net: CheckedNet, step: CheckedStep, row: int) -> list[tuple[int, int]]:
    """(tensor, row) of everything that event `row` writes, if events are of one row."""
    if step.sums:
        return [(step.writes, 0)] if row == events(net, step) - 1 else []
    return [(step.writes, r) for r in (range(net.maps[step.writes].height) if step.whole else [row])]


class Maker:
    """Adds random steps behind each other."""

    def __init__(self, seed: int, *, height: int, row_bytes: int) -> None:
        self.dice = random.Random(seed)
        self.steps: list[CheckedStep] = []
        self.maps = {INPUT: CheckedMap(height, row_bytes)}
        self.last = INPUT

    def add(self, kind: str, operands: list[CheckedOperand], shape: CheckedMap, **numbers: int) -> int:
        target = len(self.maps)
        self.maps[target] = shape
        self.steps.append(CheckedStep(f"{kind} {target}", tuple(operands), target, **numbers))  # type: ignore[arg-type]
        return target

    def window(self, kernel: int, stride: int, pad: int, row_bytes: int, dilation: int = 1) -> None:
        height = self.maps[self.last].height
        out = (height + 2 * pad - (kernel - 1) * dilation - 1) // stride + 1
        one = [CheckedOperand(self.last, "window")]
        numbers = {"kernel": kernel, "stride": stride, "pad": pad, "dilation": dilation}
        if out > 0:
            pixelwise = kernel == stride == 1 and pad == 0
            self.last = self.add("window", one, CheckedMap(out, row_bytes), **numbers, in_place=pixelwise)

    def random_window(self) -> None:
        kernel, dilation = self.dice.choice([1, 1, 2, 3, 3]), self.dice.choice([1, 1, 1, 2])
        pad = self.dice.randint(0, kernel // 2)
        self.window(kernel, self.dice.choice([1, 1, 2]), pad, 4 * self.dice.randint(1, 6), dilation)

    def pointwise(self) -> None:
        self.last = self.add("point", [CheckedOperand(self.last, "row")], self.maps[self.last], in_place=True)

    def gate(self) -> None:
        """A vector made of the whole map, and the map times the vector."""
        shape = self.maps[self.last]
        vector = self.add("mean", [CheckedOperand(self.last, "row")], CheckedMap(1, 4), sums=shape.height)
        both = [CheckedOperand(self.last, "row"), CheckedOperand(vector, "row")]
        self.last = self.add("gate", both, shape, in_place=True)

    def residual(self) -> None:
        """The sum with an earlier map of the same shape, if there is one."""
        like = [t for t, m in self.maps.items() if m == self.maps[self.last] and t != self.last]
        if like:
            both = [CheckedOperand(self.last, "row"), CheckedOperand(self.dice.choice(like), "row")]
            self.last = self.add("sum", both, self.maps[self.last], in_place=True)

    def transpose(self) -> None:
        shape = self.maps[self.last]
        turned = CheckedMap(shape.row_bytes // 4, shape.height * 4)
        self.last = self.add("transpose", [CheckedOperand(self.last, "all")], turned, whole=True)

    def net(self) -> CheckedNet:
        return CheckedNet(tuple(self.steps), self.maps, (INPUT,), (self.last,))


def random_net(seed: int, steps: int, height: int) -> CheckedNet:
    """A net of `steps` steps or a little more; some tensors may have no reader."""
    dice = random.Random(seed)
    maker = Maker(seed, height=height, row_bytes=4 * dice.randint(1, 6))
    kinds = [maker.random_window] * 3 + [maker.pointwise, maker.gate, maker.residual, maker.transpose]
    while len(maker.steps) < steps:
        dice.choice(kinds)()
    return maker.net()
