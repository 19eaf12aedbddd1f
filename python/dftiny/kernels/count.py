"""What a model's constants take on a 32-bit chip, counted without a compiler. Called by the generator and the budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from dftiny.kernels.calls import STRUCT_BYTES, Call, Const
from dftiny.kernels.rows import RowCall
from dftiny.plan import Lane, Plan, PlannedSegment
from dftiny.plan.input_rows import FUNCTION

# Beside the arrays: digest 32, dft_engine 44, dft_aot_model 36, one dft_region_need 12, the name "aot" and a
# region's name.
ENGINE_BYTES = 136
_LAST_VECTOR_BYTES = 4  # the null that ends the table of made-up layers
_BYTE = 0xFF
HALF_BYTE = 16  # DFT_LANES_HALF_BYTE
_OPERAND_BYTES = 8  # dft_rows_at of a second or further operand


@dataclass(frozen=True)
class ConstBytes:
    """Bytes of constants on a 32-bit chip, each array rounded up to a word: int8 weights, their wider copies,
    biases with per-channel records, lookup tables, parameter structs with lanes, scripts and the engine object."""

    weights: int
    channels: int
    tables: int
    params: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.channels + self.tables + self.params


@dataclass(frozen=True)
class ModelCode:
    """What the generator will write, counted: constants, kernel functions used, segments run, whole-tensor calls,
    arena offsets and constants passed to those in order, constant bytes by operator, and bytes of what only a self-test
    reads."""

    const: ConstBytes
    functions: tuple[str, ...]
    segments: int
    calls: int
    operands: tuple[int, ...]
    const_operands: int
    op_bytes: Mapping[int, int]
    selftest_bytes: int


def model_code(plan: Plan) -> ModelCode:
    """Count the generated code of `plan`."""
    sizes = {"weights": 0, "channels": 0, "tables": 0, "params": ENGINE_BYTES}
    for const in distinct_constants(plan).values():
        sizes[const.role] += _word(const.nbytes)
    sizes["params"] += sum(_word(STRUCT_BYTES[c.struct]) for _, c in _calls(plan))
    by_rows = sum(run[0].lanes[0].call is not None for run in runs(plan))
    sizes["params"] += sum(_segment_bytes(s) for s in plan.segments) + by_rows * STRUCT_BYTES["dft_segment"]
    whole = [c for lane in plan.lanes for c in lane.whole]
    place = {p.tensor: p.offset for p in plan.placements}
    return ModelCode(
        ConstBytes(**sizes),
        tuple(sorted(used_functions(plan))),
        by_rows,
        len(whole),
        tuple(place[t] for c in whole for t in (*c.inputs, c.output) if isinstance(t, int)),
        sum(isinstance(t, Const) for c in whole for t in c.inputs),
        _op_bytes(plan),
        STRUCT_BYTES["dft_proof"] * proofs_n(plan) + STRUCT_BYTES["dft_proofs"] + _LAST_VECTOR_BYTES,
    )


@dataclass(frozen=True, eq=False)
class Script:
    """The lane of each event by its position in the segment: `head`, then `unit` over and over for `repeated` events,
    then the rest. `stored` uint8[n] holds each part once, two events a byte (the first in the low half) where there are
    at most 16 lanes."""

    stored: np.ndarray
    events: int
    head: int
    unit: int
    repeated: int


def script_of(segment: PlannedSegment) -> Script | None:
    """The script of a segment; None where there is one lane only."""
    if len(segment.lanes) == 1:
        return None
    position = {lane.index: p for p, lane in enumerate(segment.lanes)}
    lanes = np.array([position[e.lane] for e in segment.events], np.uint8)
    head, unit, repeated = _repetition(lanes)
    stored = np.concatenate([lanes[: head + unit], lanes[head + repeated :]])
    if len(segment.lanes) <= HALF_BYTE:
        even = np.append(stored, np.uint8(0)) if len(stored) % 2 else stored
        stored = even[::2] | even[1::2] << 4
    return Script(stored, len(lanes), head, unit, repeated)


def _repetition(lanes: np.ndarray) -> tuple[int, int, int]:
    """(head, unit, repeated): the repetition that saves most; unit and repeated are 0 where none does."""
    best, saved = (0, 0, 0), 0
    for unit in range(1, min(len(lanes) // 2, _BYTE) + 1):
        same = np.append(lanes[unit:] == lanes[:-unit], False)
        start = 0
        for end in np.flatnonzero(~same):
            times = (end - start) // unit + 1
            if start <= _BYTE and (times - 1) * unit > saved:
                best, saved = (start, unit, int(times) * unit), int(times - 1) * unit
            start = int(end) + 1
    return best


def runs(plan: Plan) -> list[tuple[PlannedSegment, ...]]:
    """Segments as the engine is given them: those of one lane with a row kernel that follow each other are one."""
    out: list[tuple[PlannedSegment, ...]] = []
    for segment in plan.segments:
        if out and _alone(segment) and _alone(out[-1][-1]):
            out[-1] = (*out[-1], segment)
        else:
            out.append((segment,))
    return out


def _alone(segment: PlannedSegment) -> bool:
    return len(segment.lanes) == 1 and segment.lanes[0].call is not None


def kernel_headers(plan: Plan) -> list[str]:
    """Headers that declare the row kernels and their parameter structs, sorted."""
    return sorted({f"{c.function}.h" for lane in plan.lanes if (c := lane.call) and c.function != FUNCTION})


def proofs_n(plan: Plan) -> int:
    """How many operators the self-test's table has: up to the last one that runs."""
    return max(lane.step.op.index for lane in plan.lanes) + 1


def _segment_bytes(segment: PlannedSegment) -> int:
    if segment.lanes[0].call is None:
        return 0
    lanes = len(segment.lanes) * STRUCT_BYTES["dft_lane"]
    more = sum(_OPERAND_BYTES * len(lane.operands[1:]) for lane in segment.lanes)
    script = script_of(segment)
    return lanes + more + (0 if script is None else _word(len(script.stored)))


def _calls(plan: Plan) -> Iterator[tuple[Lane, Call | RowCall]]:
    for lane in plan.lanes:
        if lane.call is not None:
            yield lane, lane.call
        for call in lane.whole:
            yield lane, call


def used_functions(plan: Plan) -> set[str]:
    """All C functions that the calls and constants of `plan` name: kernels, and code that they point to."""
    found = {c.function for _, c in _calls(plan)}
    found |= {s for lane in plan.lanes if lane.call for s in lane.call.symbols}
    return found


def _op_bytes(plan: Plan) -> dict[int, int]:
    """Constant bytes by operator; an array shared by several counts for the first."""
    seen: set[tuple[str, bytes]] = set()
    out: dict[int, int] = {}
    for lane, call in _calls(plan):
        own = _word(STRUCT_BYTES[call.struct])
        for const in call_constants(call):
            own += 0 if const.key in seen else _word(const.nbytes)
            seen.add(const.key)
        out[lane.step.op.index] = out.get(lane.step.op.index, 0) + own
    return out


def call_constants(call: Call | RowCall) -> tuple[Const, ...]:
    """Constants that a call points to or takes as operands."""
    operands = call.inputs if isinstance(call, Call) else ()
    return (*(c for _, c in call.pointers), *(c for c in operands if isinstance(c, Const)))


def _word(n: int) -> int:
    return (n + 3) // 4 * 4


def distinct_constants(plan: Plan) -> dict[tuple[str, bytes], Const]:
    """Distinct constants in order of first use."""
    found: dict[tuple[str, bytes], Const] = {}
    for _, call in _calls(plan):
        for const in call_constants(call):
            found.setdefault(const.key, const)
    return found
