"""A naive scheduler, and a run of a schedule on real bytes with toy arithmetic: whether the schedule's result equals
that of whole tensors. It knows nothing of the checker, so the checker can be held to it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace

from row_nets import events, reads, writes

from dftiny.schedule_check import CheckedBuffer, CheckedEvent, CheckedSchedule, CheckedSpot, CheckedStep
from dftiny.schedule_steps import CheckedNet

Rows = dict[tuple[int, int], bytes]
AUX = b"\x5a\xc3"


def naive(net: CheckedNet, *, rings: bool) -> CheckedSchedule:
    """Rows when they are asked for; each tensor in a place of its own, one behind the other, with as many slots as
    it has rows alive at once; every second step with scratch, every third with aux."""
    order = list(_on_demand(net))
    steps, where = [], 0
    for i, step in enumerate(net.steps):
        scratch = CheckedSpot("ram", where, 8) if i % 2 == 0 else None
        where += 8 if scratch else 0
        aux = CheckedSpot("ram", where, 16) if i % 3 == 0 else None
        where += 16 if aux else 0
        lies_over = step.in_place and _may_lie_over(net, step)
        steps.append(replace(step, scratch=scratch, aux=aux, rows=0 if step.whole else 1, in_place=lies_over))
    buffers: dict[int, CheckedBuffer] = {}
    over = {s.writes: s.operands[0].tensor for s in steps if s.in_place}
    for t, shape in net.maps.items():
        if t in over:
            buffers[t] = replace(buffers[over[t]], tensor=t)
            continue
        slots = _alive_together(net, order, t) if rings and t not in over.values() else shape.height
        buffers[t] = CheckedBuffer(t, "ram", where, shape.row_bytes, shape.height, slots)
        where += slots * shape.row_bytes
        where += -where % 8
    found = tuple(
        CheckedEvent(i, j, net.maps[net.steps[i].writes].height if net.steps[i].whole else 1)
        for i, j in order
    )
    return CheckedSchedule(
        tuple(steps), tuple(buffers.values()), {"ram": where}, found, net.inputs, net.outputs
    )


def _may_lie_over(net: CheckedNet, step: CheckedStep) -> bool:
    """An elementwise step that is the only reader of its operand, or the second one behind a sum of the whole map."""
    source = step.operands[0].tensor
    readers = [s for s in net.steps if source in [o.tensor for o in s.operands]]
    others = [s for s in readers if s is not step]
    fed = all(s.sums and s.writes in [o.tensor for o in step.operands] for s in others)
    return net.maps[source] == net.maps[step.writes] and fed and source not in net.outputs


def _on_demand(net: CheckedNet) -> Iterator[tuple[int, int]]:
    """(step, row): the last steps first, as far as they can run."""
    done = [0] * len(net.steps)
    ready = {(t, r) for t in net.inputs for r in range(net.maps[t].height)}
    while True:
        for i in reversed(range(len(net.steps))):
            step = net.steps[i]
            if done[i] < events(net, step) and set(reads(net, step, done[i])) <= ready:
                yield i, done[i]
                ready |= set(writes(net, step, done[i]))
                done[i] += 1
                break
        else:
            return


def _alive_together(net: CheckedNet, order: list[tuple[int, int]], tensor: int) -> int:
    """Slots so that no row takes the place of one that is still read."""
    height = net.maps[tensor].height
    if tensor in net.inputs or tensor in net.outputs:
        return height
    born, dead = {}, {}
    for time, (i, j) in enumerate(order):
        for t, r in writes(net, net.steps[i], j):
            born[t, r] = time
        for row in reads(net, net.steps[i], j):
            dead[row] = time
    slots = 1
    while any(
        dead.get((tensor, r), -1) >= born[tensor, later]
        for r in range(height)
        for later in range(r + slots, height, slots)
    ):
        slots += 1
    return slots


class Wrong(Exception):
    """The schedule cannot run."""


class Simulator:
    """The bytes of all regions."""

    def __init__(self, net: CheckedNet, schedule: CheckedSchedule) -> None:
        self.net, self.schedule = net, schedule
        self.memory = {name: bytearray(n) for name, n in schedule.regions.items()}
        self.buffers = {b.tensor: b for b in schedule.buffers}
        self.noise = 0
        self.sums = [0] * len(schedule.steps)

    def place(self, tensor: int, row: int) -> tuple[bytearray, int, int]:
        b = self.buffers[tensor]
        first = b.offset + (row + b.phase) % b.slots * (b.pitch or b.row_bytes)
        memory = self.memory[b.region]
        if first < 0 or first + b.row_bytes > len(memory):
            raise Wrong
        return memory, first, b.row_bytes

    def load(self, tensor: int, row: int) -> bytes:
        memory, first, n = self.place(tensor, row)
        return bytes(memory[first : first + n])

    def store(self, tensor: int, row: int, value: bytes) -> None:
        memory, first, n = self.place(tensor, row)
        memory[first : first + n] = value

    def spoil(self, spot: CheckedSpot | None) -> None:
        if spot is not None:
            self.noise += 1
            self.fill(spot, b"%8d" % self.noise)

    def fill(self, spot: CheckedSpot, pattern: bytes) -> None:
        if spot.offset < 0 or spot.offset + spot.bytes > len(self.memory[spot.region]):
            raise Wrong
        self.memory[spot.region][spot.offset : spot.offset + spot.bytes] = (pattern * spot.bytes)[
            : spot.bytes
        ]

    def aux(self, step: CheckedStep) -> bytes:
        s = step.aux
        return bytes(self.memory[s.region][s.offset : s.offset + s.bytes]) if s else b""

    def event(self, event: CheckedEvent) -> None:
        """As hostile as a kernel may be: scratch and outputs are spoiled before the operands are read."""
        index, row = event.step, event.first
        step = self.schedule.steps[index]
        if not 0 <= row < events(self.net, step):
            raise Wrong
        if step.aux is not None and row == 0:
            self.fill(step.aux, AUX)
        self.spoil(step.scratch)
        targets = writes(self.net, step, row)
        sources = reads(self.net, step, row)
        if step.in_place:
            self._pointwise(index, row, sources)
        else:
            for target in targets:
                self.store(*target, b"?" * self.place(*target)[2])
            values = [self.load(*s) for s in sources]
            self.sums[index] = added(self.sums[index], step, values)
            for target in targets:
                salt = self.aux(step) + b"%d" % self.sums[index]
                self.store(*target, result(self.net, index, target, sources, values, salt))
        self.spoil(step.scratch)

    def _pointwise(self, index: int, row: int, sources: list[tuple[int, int]]) -> None:
        """Byte by byte, each read just before its result is written."""
        step = self.schedule.steps[index]
        aux = self.aux(step)
        memory, first, n = self.place(step.writes, row)
        for k in range(n):
            taken = [(m, a + k % size) for m, a, size in (self.place(*s) for s in sources)]
            memory[first + k] = pointwise(index, [m[a] for m, a in taken], aux)

    def run(self) -> list[bytes]:
        """The output rows."""
        for t in self.net.inputs:
            for r in range(self.net.maps[t].height):
                self.store(t, r, input_row(self.net, t, r))
        for event in self.schedule.events:
            self.event(event)
        return [self.load(t, r) for t in self.net.outputs for r in range(self.net.maps[t].height)]


def input_row(net: CheckedNet, tensor: int, row: int) -> bytes:
    """A pattern that no other row has."""
    return _stream(f"input {tensor} {row}".encode(), net.maps[tensor].row_bytes)


def pointwise(index: int, values: list[int], aux: bytes) -> int:
    """One byte of a step that may lie over its operand."""
    total = sum(v * (2 * k + 3) for k, v in enumerate(values))
    return (total + 7 * index + 11 + zlib.crc32(aux) % 251) & 255


def added(total: int, step: CheckedStep, values: list[bytes]) -> int:
    """What a step that sums has seen so far."""
    return zlib.crc32(b"".join(values), total) if step.sums else 0


def result(
    net: CheckedNet,
    index: int,
    target: tuple[int, int],
    sources: list[tuple[int, int]],
    values: list[bytes],
    salt: bytes,
) -> bytes:
    """A row of any other step: every byte depends on every byte that was read."""
    named = b"".join(b"%d %d " % s + v for s, v in zip(sources, values, strict=True))
    return _stream(b"%d %d " % (index, target[1]) + named + salt, net.maps[target[0]].row_bytes)


def _stream(seed: bytes, n: int) -> bytes:
    words = [zlib.crc32(seed, k).to_bytes(4, "little") for k in range(-(-n // 4))]
    return b"".join(words)[:n]


def expected(net: CheckedNet, schedule: CheckedSchedule) -> list[bytes]:
    """The output rows, every tensor computed whole in a place of its own."""
    rows: Rows = {(t, r): input_row(net, t, r) for t in net.inputs for r in range(net.maps[t].height)}
    for index, step in enumerate(schedule.steps):
        aux, total = (AUX * step.aux.bytes)[: step.aux.bytes] if step.aux else b"", 0
        for j in range(events(net, step)):
            sources = reads(net, step, j)
            values = [rows[s] for s in sources]
            total = added(total, step, values)
            for target in writes(net, step, j):
                n = net.maps[target[0]].row_bytes
                if step.in_place:
                    mixed = [[v[k % len(v)] for v in values] for k in range(n)]
                    rows[target] = bytes(pointwise(index, m, aux) for m in mixed)
                else:
                    rows[target] = result(net, index, target, sources, values, aux + b"%d" % total)
    return [rows[t, r] for t in net.outputs for r in range(net.maps[t].height)]
