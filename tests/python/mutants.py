"""Damaged .tflite files: a good file, and one to four places of it changed, most of them in its tables. For tests only.

`Anatomy` finds out which bytes of a file mean what; `mutant` damages one by a seed. Used by mutation_campaign.py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tflite

from dftiny.graph.flat import _OPTIONS

# What is damaged, and how often out of 100. All but the last three are tables, offsets, shapes, options, quantisation.
SHARES: Mapping[str, int] = {
    "table": 14, "offset": 12, "shape": 15, "option": 15, "quantisation": 16, "operand": 10, "number": 6, "weight": 7,
    "cut": 5,
}  # fmt: skip
STRUCTURAL = ("table", "offset", "shape", "option", "quantisation", "operand")
SMALL_CONSTANT = 128  # bytes: axes, paddings, shapes, slices

_WORDS = (0, 1, 2, 3, 5, 7, 16, 127, 128, 255, 256, 4095, 4096, 65535, 65536, 1 << 20, 1 << 24, 0x7FFFFFFF, 0x80000000,
          0xFFFFFFFF, 0xFFFFFFFE)  # fmt: skip
_SCALES = (0.0, -1.0, float("nan"), float("inf"), 1e-45, 1e-38, 1e-12, 1e-6, 1.0, 100.0, 1e6, 1e12, 3e38)
_ZEROS = (0, -128, 127, -129, 128, 255, 1 << 31, -(1 << 31), 1 << 62)

Span = tuple[int, int]  # first byte, and one behind the last


@dataclass
class Anatomy:
    """Spans of a file by what they mean."""

    data: bytes
    spans: dict[str, list[Span]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._base = np.frombuffer(self.data, np.uint8).__array_interface__["data"][0]
        model = tflite.Model.GetRootAs(self.data, 0)
        graph = model.Subgraphs(0)
        tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
        for t in tensors:
            self._tensor(model, t)
        kinds = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
        for i in range(graph.OperatorsLength()):
            op = graph.Operators(i)
            code = model.OperatorCodes(op.OpcodeIndex())
            self._operator(op, kinds[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())])
        for i in range(model.OperatorCodesLength()):
            self._table(model.OperatorCodes(i)._tab, "operand")
        for vector in (graph.InputsAsNumpy(), graph.OutputsAsNumpy()):
            self._vector(vector, "operand")
        held = np.zeros(len(self.data), bool)
        for first, end in self.spans["weight"] + self.spans["number"]:
            held[first:end] = True
        self.tables = np.flatnonzero(~held)

    def _add(self, what: str, first: int, end: int) -> None:
        if end > first:
            self.spans.setdefault(what, []).append((first, end))

    def _vector(self, values: Any, what: str) -> None:
        if isinstance(values, np.ndarray) and values.size:
            first = values.__array_interface__["data"][0] - self._base
            self._add(what, first, first + values.nbytes)
            self._add("offset", first - 4, first)  # its length

    def _table(self, tab: Any, what: str) -> None:
        """The inline fields of a table, and its vtable as offsets."""
        vtable = tab.Pos - struct.unpack_from("<i", self.data, tab.Pos)[0]
        vtable_bytes, table_bytes = struct.unpack_from("<HH", self.data, vtable)
        self._add(what, tab.Pos + 4, tab.Pos + table_bytes)
        self._add("offset", vtable, vtable + vtable_bytes)
        self._add("offset", tab.Pos, tab.Pos + 4)

    def _tensor(self, model: Any, t: Any) -> None:
        self._table(t._tab, "offset")
        self._vector(t.ShapeAsNumpy(), "shape")
        self._vector(
            model.Buffers(t.Buffer()).DataAsNumpy(), "number" if self._is_number(model, t) else "weight"
        )
        if (q := t.Quantization()) is not None:
            self._vector(q.ScaleAsNumpy(), "scale")
            self._vector(q.ZeroPointAsNumpy(), "zero")
            self._table(q._tab, "quantisation")

    def _is_number(self, model: Any, t: Any) -> bool:
        return (
            t.Type() == tflite.TensorType.INT32 and model.Buffers(t.Buffer()).DataLength() <= SMALL_CONSTANT
        )

    def _operator(self, op: Any, kind: str) -> None:
        self._vector(op.InputsAsNumpy(), "operand")
        self._vector(op.OutputsAsNumpy(), "operand")
        self._table(op._tab, "operand")
        if kind in _OPTIONS and op.BuiltinOptions() is not None:
            self._table(op.BuiltinOptions(), "option")


@dataclass(frozen=True)
class Mutant:
    """A damaged file, what it was, and what was damaged."""

    seed: int
    base: str
    kinds: tuple[str, ...]
    data: bytes


def mutant(seed: int, bases: Mapping[str, Anatomy]) -> Mutant:
    """The damaged file of a seed: mostly one change, sometimes up to four."""
    rng = np.random.default_rng([seed, 20261124])
    base = sorted(bases)[int(rng.integers(len(bases)))]
    anatomy, data = bases[base], bytearray(bases[base].data)
    shares = np.array(list(SHARES.values())) / sum(SHARES.values())
    kinds = [str(k) for k in rng.choice(list(SHARES), int(rng.choice([1, 1, 1, 2, 3, 4])), p=shares)]
    kinds.sort(key=lambda k: k == "cut")  # spans are right until bytes are moved
    for kind in kinds:
        _HOW.get(kind, _word)(rng, data, anatomy, kind)
    return Mutant(seed, base, tuple(kinds), bytes(data))


def _span(rng: np.random.Generator, anatomy: Anatomy, kind: str) -> Span | None:
    spans = anatomy.spans.get(kind, [])
    return spans[int(rng.integers(len(spans)))] if spans else None


def _word(rng: np.random.Generator, data: bytearray, anatomy: Anatomy, kind: str) -> None:
    """A byte, a half or a whole word of a span of that kind: another value, or the old one and a little."""
    span = _span(rng, anatomy, kind)
    if span is None:
        _in_tables(rng, data, anatomy, kind)
        return
    size = int(rng.choice([1, 2, 4, 4, 4]))
    count = max(1, (span[1] - span[0]) // size)
    at = span[0] + size * int(rng.integers(count))
    _put(rng, data, min(at, len(data) - size), size)


def _put(rng: np.random.Generator, data: bytearray, at: int, size: int) -> None:
    old = int.from_bytes(data[at : at + size], "little")
    new = int(rng.choice(_WORDS)) if rng.integers(2) else old + int(rng.choice([-4, -2, -1, 1, 2, 4, 8]))
    new = int(rng.integers(1 << 32)) if rng.integers(8) == 0 else new
    data[at : at + size] = (new % (1 << 8 * size)).to_bytes(size, "little")


def _in_tables(rng: np.random.Generator, data: bytearray, anatomy: Anatomy, kind: str) -> None:
    """Anywhere outside of constants."""
    del kind
    size = int(rng.choice([1, 2, 4]))
    at = int(anatomy.tables[int(rng.integers(len(anatomy.tables)))]) // size * size
    _put(rng, data, min(at, len(data) - size), size)


def _quantisation(rng: np.random.Generator, data: bytearray, anatomy: Anatomy, kind: str) -> None:
    what = str(rng.choice(["scale", "scale", "zero", kind]))
    span = _span(rng, anatomy, what)
    if span is None or what == kind:
        _word(rng, data, anatomy, kind)
        return
    size, layout = (4, "<f") if what == "scale" else (8, "<q")
    at = span[0] + size * int(rng.integers((span[1] - span[0]) // size))
    value: float | int = _SCALES[int(rng.integers(len(_SCALES)))]
    if what == "zero":
        value = _ZEROS[int(rng.integers(len(_ZEROS)))]
    elif rng.integers(2):
        value = struct.unpack_from("<f", data, at)[0] * float(2.0 ** rng.integers(-30, 30))
    struct.pack_into(layout, data, at, value if what == "zero" else float(np.float32(value)))


def _cut(rng: np.random.Generator, data: bytearray, anatomy: Anatomy, kind: str) -> None:
    """The file ends early, or a piece is missing or there twice."""
    del anatomy, kind
    at = int(rng.integers(8, len(data)))
    length = int(rng.integers(1, 64))
    match int(rng.integers(3)):
        case 0:
            del data[at:]
        case 1:
            del data[at : at + length]
        case _:
            data[at:at] = data[at : at + length]


_HOW: Mapping[str, Callable[[np.random.Generator, bytearray, Anatomy, str], None]] = {
    "table": _in_tables,
    "quantisation": _quantisation,
    "cut": _cut,
}
