"""SHIFT_MAX by rows: parameters of dft_shift_max_rows in its general form, and, where every sum is a line and
products are in range, the lines that the Cortex-M7 twin computes with. Called through row_makers.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from dftiny import int8
from dftiny.graph import Graph, Op, ShiftMaxOptions
from dftiny.int8 import arith
from dftiny.kernels import lines
from dftiny.kernels.calls import Const, Field, Fields, split_shift
from dftiny.kernels.rows import Choice, RowCall
from dftiny.steps import Step

_ALL = np.arange(-128, 128).astype(np.int8)
_INT8 = (-128, 127)
_LIMIT_16 = 0xFFFF
_CHUNK = 64  # channels
_RECORD_BYTES = 24


@dataclass(frozen=True, eq=False)
class _Fast:
    """The lines of one branch."""

    products: tuple[lines.Products, lines.Products]
    sums: lines.Sums


def shift_max_rows(graph: Graph, step: Step, choice: Choice, flat: bool = False) -> RowCall | None:
    """A row of the map and all coefficients → a row; `flat`: the whole map is one row. None where scales are absurd
    or 16 bits do not hold a size."""
    op, o = step.op, cast(ShiftMaxOptions, step.op.options)
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    width, in_c, out_c = x.shape[2] * (x.shape[1] if flat else 1), x.shape[3], y.shape[3]
    if step.table is not None or max(width, in_c, out_c) > _LIMIT_16 or not _in_range(graph, op):
        return None
    inner = [int8.branch_graph(graph, op, i) for i in range(len(o.branches))]
    fast = _all_fast(inner) if in_c == out_c else ()
    passes = [_pass(b, i) for i, b in enumerate(inner)] if fast else []
    # A map taken as one row finds its lines once in any case; else doing without aux memory costs time.
    chunk = _CHUNK if flat or choice.rows == 1 else 0
    lines_bytes = len(fast) * _RECORD_BYTES
    branches = (_branch(b, fast[i : i + 1], passes[i : i + 1]) for i, b in enumerate(inner))
    fields: Fields = (
        ("width", width),
        ("in_c", in_c),
        ("out_c", out_c),
        ("branches", len(inner)),
        ("chunk", chunk),
        ("zp_x", x.zero_point),
        *((f"branch[{i}]", values) for i, values in enumerate(branches)),
    )
    return RowCall(
        "dft_shift_max_rows",
        "dft_shift_max",
        fields,
        _pointers(o, fast),
        scratch_bytes=lines_bytes * min(out_c, chunk),
        aux_bytes=0 if chunk else lines_bytes * out_c,
        rows=1 if flat else 2,
        symbols=tuple(sorted({f"dft_shift_{name}" for name in passes})),
    )


def _pointers(o: ShiftMaxOptions, fast: Sequence[_Fast]) -> tuple[tuple[str, Const], ...]:
    """Channels of the map, and the lines where there are any."""
    indices = np.array([t.indices for b in o.branches for t in b.terms]).reshape(-1)
    found = [("indices", Const("uint16_t", "tables", indices))]
    if fast:
        fixes = (p.fixes for f in fast for p in f.products)
        found += [(f"fixes[{i}]", Const("int8_t", "tables", v)) for i, v in enumerate(fixes)]
        found.append(("sums", Const("int32_t", "tables", np.concatenate([f.sums.offsets for f in fast]))))
    return tuple(found)


def _all_fast(inner: Sequence[Graph]) -> tuple[_Fast, ...]:
    """The lines of all branches, or nothing where one has none."""
    found = [_fast(b) for b in inner]
    return tuple(f for f in found if f is not None) if None not in found else ()


def _in_range(graph: Graph, op: Op) -> bool:
    """Whether the general form's products and shifts stay within 32 bits."""
    for i in range(len(cast(ShiftMaxOptions, op.options).branches)):
        b = int8.branch_graph(graph, op, i)
        if any(255 * 255 << max(int8.mul_params(b, b.ops[k])[1], 0) >= 1 << 30 for k in range(2)):
            return False
        if int8.sum_params(b, b.ops[2]).out_shift > 0:
            return False
    return True


def _bounds(b: Graph, k: int) -> tuple[int, int]:
    """Activation bounds of product 0 or 1 or of the sum (2)."""
    return int8.activation_range(b.ops[k].options.activation, b.tensors[3 + k])  # type: ignore[union-attr]


def _pass(b: Graph, branch: int) -> str:
    """Name of its code in m7/shift_max_pass.S."""
    first, second = (-int8.mul_params(b, b.ops[k])[1] for k in range(2))
    return f"{'larger' if branch else 'first'}_{first}_{second}"


def _branch(b: Graph, fast: Sequence[_Fast], name: Sequence[str]) -> Fields:
    """struct dft_shift_branch; `fast` and `name`, its lines and their code, are empty in the general form."""
    (m0, s0), (m1, s1) = (int8.mul_params(b, b.ops[k]) for k in range(2))
    p = int8.sum_params(b, b.ops[2])
    left, right = zip(split_shift(s0), split_shift(s1), strict=True)
    bounds = [_bounds(b, k) for k in range(3)]
    zero = [t.zero_point for t in b.tensors]
    return (
        ("mult", (m0, m1)),
        ("mult_in", p.multiplier),
        ("mult_out", p.out_multiplier),
        *_lines(fast, name),
        ("left1", left),
        ("right", right),
        ("right_in", (-p.shift[0], -p.shift[1])),
        ("right_out", -p.out_shift),
        ("minus", int(b.ops[2].kind == "SUB")),
        ("zp_c", (zero[1], zero[2])),
        ("zp_p", (zero[3], zero[4])),
        ("zp_out", zero[5]),
        ("low_p", (bounds[0][0], bounds[1][0])),
        ("high_p", (bounds[0][1], bounds[1][1])),
        ("low", bounds[2][0]),
        ("high", bounds[2][1]),
    )


def _lines(fast: Sequence[_Fast], name: Sequence[str]) -> Fields:
    """Its members of the fast form; nothing, which C reads as zeros, in the general one."""
    if not fast:
        return ()
    first, second = fast[0].products
    return (
        ("slope", (first.slope, second.slope)),
        ("start", (first.start, second.start)),
        ("sum_slope", fast[0].sums.slope),
        ("pass", cast(Field, f"DFT_SHIFT_PASS({name[0]})")),
    )


def _fast(b: Graph) -> _Fast | None:
    """The lines of a branch; None where there are none."""
    if any(_bounds(b, k) != _INT8 for k in range(3)):
        return None
    found = []
    for k in range(2):
        m, shift = int8.mul_params(b, b.ops[k])
        zeros = (b.tensors[i].zero_point for i in (0, 1 + k, 3 + k))
        found.append(lines.products(m, shift, *zeros))
    y = arith.add_or_sub(b, b.ops[2], _ALL[:, None], _ALL[None, :])
    sums = lines.sums(y, b.tensors[3].scale / b.tensors[5].scale)
    first, second = found
    return _Fast((first, second), sums) if first and second and sums else None
