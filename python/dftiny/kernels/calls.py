"""Graph → kernel calls: for every step the C function, its parameter struct and its constants, as numbers.

This is where exact offline work happens: input offsets folded into biases, multipliers split into shifts,
weights reordered for the kernels' loops, broadcasts merged, pointwise functions tabulated by the oracle. The
C generator prints what comes out of here and the budget counts it, so they cannot disagree. Convolutions and
matrix products are in products.py, operators that move bytes in moves.py, sums and extrema of a map in reductions.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Union, cast

import numpy as np

from dftiny import int8
from dftiny.errors import DftError
from dftiny.graph import Activation, Graph, Op, PoolOptions, Tensor
from dftiny.steps import POINTWISE, Step, Steps

# A member of a parameter struct: a number, a list, or a nested struct of named members.
Field = Union[int, tuple[int, ...], "Fields"]
Fields = tuple[tuple[str, Field], ...]

# sizeof on a 32-bit target; the generated file asserts them.
STRUCT_BYTES: Mapping[str, int] = {
    "dft_channel": 16,
    "dft_conv": 52,
    "dft_depthwise": 56,
    "dft_fully_connected": 24,
    "dft_broadcast": 48,
    "dft_add": 72,
    "dft_mul": 64,
    "dft_mean": 24,
    "dft_pool": 38,
    "dft_pad": 56,
    "dft_lut": 8,
    "dft_concat": 16,
    "dft_transpose": 36,
    "dft_remap": 24,
    "dft_reduce": 44,
    "dft_prelu": 68,
    "dft_gather": 20,
    "dft_softmax": 12,
    "dft_shift_max": 172,
    "dft_input_rows": 4,
    "dft_proof": 8,
    "dft_proofs": 16,
    "dft_vector": 24,
    "dft_table_rows_params": 8,
    "dft_depthwise_rows_params": 40,
    "dft_sum_rows_params": 36,
    "dft_exact_sum_rows_params": 48,
    "dft_mul_rows_params": 40,
    "dft_gate_rows_params": 44,
    "dft_extremum_rows_params": 24,
    "dft_mean_rows_params": 28,
    "dft_pool_rows_params": 20,
    "dft_gather_rows_params": 24,
    "dft_concat_rows_params": 16,
    "dft_pad_rows_params": 20,
    "dft_lane": 40,
    "dft_segment": 16,
    "dft_conv_rows_params": 60,
    "dft_matvec_rows_params": 20,
}
ELEMENT_BYTES: Mapping[str, int] = {"int8_t": 1, "uint8_t": 1, "uint16_t": 2, "int32_t": 4, "dft_channel": 16}
_POINTER_BYTES = 4
RIGHT_MAX = 22  # the zero point, shifted left by as much, is added in 32 bits
LIMIT_16 = 0xFFFF
_MAX_CLASSES = 4095  # the sum of exponentials, each up to 2^19, stays in 31 bits


@dataclass(frozen=True, eq=False)
class Const:
    """A constant array. `values` are integers, int[n] or int[n, members]; `role` is weights, channels, tables or params.
    With `code` it is a list of pointers to functions of type `ctype`, as C names them, and `values` is empty."""

    ctype: str
    role: str
    values: np.ndarray
    code: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes on the chip, without alignment."""
        return len(self.code) * _POINTER_BYTES or len(self.values) * ELEMENT_BYTES[self.ctype]

    @property
    def key(self) -> tuple[str, bytes]:
        """Equal keys, equal constants: they are emitted once."""
        if self.code:
            return self.ctype, " ".join(self.code).encode()
        return self.ctype, np.ascontiguousarray(self.values, np.int64).tobytes()


def code_list(ctype: str, names: Sequence[str]) -> Const:
    """Pointers to code, each name as C text; equal lists are one."""
    return Const(ctype, "params", np.zeros(0, np.int64), tuple(names))


@dataclass(frozen=True, eq=False)
class Call:
    """One kernel call: `function(&params, inputs…, output)`. An input is a tensor index or a constant.
    `pointers` are the struct's members that point to constants."""

    op: Op
    function: str
    struct: str
    fields: Fields
    pointers: tuple[tuple[str, Const], ...]
    inputs: tuple[int | Const, ...]
    output: int


def refuse(op: Op, why: str) -> DftError:
    """A sentence naming the operator."""
    return DftError(f"the aot engine cannot run operator {op.index} ({op.kind}): {why}")


def u16(op: Op, **sizes: int) -> Fields:
    """Fields of 16 bits; DftError when a size does not fit."""
    for name, value in sizes.items():
        if not 0 <= value <= LIMIT_16:
            raise refuse(op, f"{name} is {value}, more than {LIMIT_16}")
    return tuple(sizes.items())


def split_shift(shift: int) -> tuple[int, int]:
    """TFLite's signed shift (left positive) → (left + 1, right), as dft_requant takes them."""
    return (shift + 1, 0) if shift > 0 else (1, -shift)


def window_fields(
    op: Op,
    x: Tensor,
    y: Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pad: tuple[int, int],
) -> Fields:
    """struct dft_window. `pad` (top, left); shapes NHWC."""
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    inner = [inner_range(x.shape[1 + i], y.shape[1 + i], extents[i], stride[i], pad[i]) for i in range(2)]
    return u16(
        op,
        in_h=x.shape[1],
        in_w=x.shape[2],
        in_c=x.shape[3],
        out_h=y.shape[1],
        out_w=y.shape[2],
        out_c=y.shape[3],
        kernel_h=kernel[0],
        kernel_w=kernel[1],
        stride_h=stride[0],
        stride_w=stride[1],
        dilation_h=dilation[0],
        dilation_w=dilation[1],
        pad_top=pad[0],
        pad_left=pad[1],
        inner_y0=inner[0][0],
        inner_y1=inner[0][1],
        inner_x0=inner[1][0],
        inner_x1=inner[1][1],
    )


def inner_range(in_size: int, out_size: int, extent: int, stride: int, pad: int) -> tuple[int, int]:
    """Output positions [first, end) whose window lies wholly inside the input."""
    first = min(-(-pad // stride), out_size)
    room = in_size + pad - extent
    end = min(room // stride + 1, out_size) if room >= 0 else 0
    return first, max(first, end)


def same_pad(in_size: int, out_size: int, extent: int, stride: int) -> int:
    """TensorFlow's SAME padding in front (the odd element goes behind)."""
    return max((out_size - 1) * stride + extent - in_size, 0) // 2


def calls(prepared: Steps) -> tuple[Call, ...]:
    """All kernel calls of the graph, in order. Raises DftError naming an operator without a kernel."""
    return tuple(call for step in prepared.steps for call in step_calls(prepared.graph, step))


def step_calls(graph: Graph, step: Step) -> list[Call]:
    """The whole-tensor calls of one step, with the table that was fused behind it applied in place."""
    from dftiny.kernels import moves, products, reductions  # they use the types above

    makers: Mapping[str, Callable[[Graph, Step], Sequence[Call]]] = {
        "CONV_2D": products.conv,
        "DEPTHWISE_CONV_2D": products.depthwise,
        "FULLY_CONNECTED": products.fully_connected,
        **moves.MAKERS,
        **reductions.MAKERS,
        **_MAKERS,
    }
    maker = makers.get(step.op.kind)
    if maker is None:
        raise refuse(step.op, "it has no kernel")
    made = list(maker(graph, step))
    if step.table is not None:
        made.append(_fused_table(graph, step, step.table))
    return made


def _fused_table(graph: Graph, step: Step, values: np.ndarray) -> Call:
    """A pass over the output in place; the kernel's table is indexed by the value read as uint8."""
    table = Const("int8_t", "tables", np.concatenate([values[128:], values[:128]]))
    fields: Fields = (("n", graph.tensors[step.writes].elements),)
    return Call(step.op, "dft_lut_s8", "dft_lut", fields, (("table", table),), (step.writes,), step.writes)


def operands(graph: Graph, step: Step, n: int) -> tuple[int | Const, ...]:
    """The first n inputs of the operator: buffers from `step.reads`, constants as arrays."""
    reads = iter(step.reads)
    out: list[int | Const] = []
    for t in step.op.inputs[:n]:
        data = graph.tensors[t].data
        out.append(next(reads) if data is None else Const("int8_t", "weights", data.reshape(-1)))
    return tuple(out)


def one_call(
    graph: Graph,
    step: Step,
    function: str,
    struct: str,
    fields: Fields,
    pointers: tuple[tuple[str, Const], ...] = (),
    n: int = 1,
) -> list[Call]:
    """One call of the step's operator, with its first n inputs."""
    inputs = operands(graph, step, n)
    return [Call(step.op, function, struct, fields, pointers, inputs, step.writes)]


def merged_broadcast(
    a: Sequence[int], b: Sequence[int], out: Sequence[int]
) -> tuple[list[int], list[int], list[int]]:
    """(sizes, strides of a, strides of b) with as few dimensions as possible; stride 0 repeats."""
    rank = len(out)
    sizes: list[int] = []
    strides: list[list[int]] = [[], []]
    shapes = [(1,) * (rank - len(s)) + tuple(s) for s in (a, b)]
    dense = [1, 1]
    for d in reversed(range(rank)):
        here = []
        for k in range(2):
            here.append(0 if shapes[k][d] == 1 and out[d] != 1 else dense[k])
            dense[k] *= shapes[k][d]
        if out[d] == 1:
            continue
        if sizes and all(here[k] == strides[k][0] * sizes[0] for k in range(2)):
            sizes[0] *= out[d]
        else:
            sizes.insert(0, out[d])
            for k in range(2):
                strides[k].insert(0, here[k])
    return sizes or [1], strides[0] or [1], strides[1] or [1]


def four(values: Sequence[int], fill: int) -> tuple[int, ...]:
    """`values` with `fill` in front, to four."""
    return (fill,) * (4 - len(values)) + tuple(values)


def _broadcast_fields(graph: Graph, op: Op) -> Fields:
    shapes = [graph.tensors[t].shape for t in (*op.inputs[:2], op.outputs[0])]
    sizes, a, b = merged_broadcast(*shapes)
    if len(sizes) > 4:
        raise refuse(op, "it broadcasts over more than four dimensions")
    return (("n", four(sizes, 1)), ("a", four(a, 0)), ("b", four(b, 0)))


def activation_fields(graph: Graph, op: Op) -> Fields:
    """act_min, act_max of a fused activation."""
    activation: Activation = getattr(op.options, "activation", "NONE")
    low, high = int8.activation_range(activation, graph.tensors[op.outputs[0]])
    return (("act_min", int(low)), ("act_max", int(high)))


def _add(graph: Graph, step: Step) -> list[Call]:
    op = step.op
    a, b, out = (graph.tensors[t] for t in (*op.inputs[:2], op.outputs[0]))
    p = int8.sum_params(graph, op)
    if p.out_shift > 0:  # TFLite wants a multiplier below one here
        raise refuse(op, f"its output scale {out.scale:g} is far too small for its inputs")
    fields: Fields = (
        ("shape", _broadcast_fields(graph, op)),
        ("mult_a", p.multiplier[0]),
        ("mult_b", p.multiplier[1]),
        ("mult_out", p.out_multiplier),
        ("right_a", -p.shift[0]),
        ("right_b", -p.shift[1]),
        ("right_out", -p.out_shift),
        ("zp_a", a.zero_point),
        ("zp_b", b.zero_point),
        ("zp_out", out.zero_point),
        *activation_fields(graph, op),
    )
    return one_call(graph, step, f"dft_{op.kind.lower()}_s8", "dft_add", fields, n=2)


def _mul(graph: Graph, step: Step) -> list[Call]:
    op = step.op
    a, b, out = (graph.tensors[t] for t in (*op.inputs[:2], op.outputs[0]))
    mult, shift = int8.mul_params(graph, op)
    if -shift > RIGHT_MAX:  # a product has 16 bits: nothing is left of it
        mult, shift = 0, 0
    left1, right = split_shift(shift)
    if 255 * 255 << (left1 - 1) >= 1 << 30:
        raise refuse(op, f"its output scale {out.scale:g} is far too small for its inputs")
    fields: Fields = (
        ("shape", _broadcast_fields(graph, op)),
        ("mult", mult),
        ("round", (1 << right >> 1) + (out.zero_point << right)),
        ("left1", left1),
        ("right", right),
        ("zp_a", a.zero_point),
        ("zp_b", b.zero_point),
        *activation_fields(graph, op),
    )
    return one_call(graph, step, "dft_mul_s8", "dft_mul", fields, n=2)


def scaled(op: Op, multiplier: int, shift: int, largest: int, out: Tensor) -> tuple[int, int, int]:
    """(mult, left1, right) as dft_requant takes them for sums up to `largest`. DftError where those would overflow."""
    left1, right = split_shift(shift)
    if largest << (left1 - 1) >= 1 << 30:
        raise refuse(op, f"its output scale {out.scale:g} is far too small for its inputs")
    return multiplier, left1, right


def _prelu(graph: Graph, step: Step) -> list[Call]:
    op = step.op
    x, slope, out = (graph.tensors[t] for t in (*op.inputs[:2], op.outputs[0]))
    kept, negative = int8.prelu_params(graph, op)
    mult, left1, right = scaled(op, *kept, 255, out)
    mult_n, left1_n, right_n = scaled(op, *negative, 255 * 255, out)
    fields: Fields = (
        ("shape", _broadcast_fields(graph, op)),
        ("mult", mult),
        ("mult_negative", mult_n),
        ("zp", x.zero_point),
        ("zp_slope", slope.zero_point),
        ("zp_out", out.zero_point),
        ("left1", left1),
        ("right", right),
        ("left1_negative", left1_n),
        ("right_negative", right_n),
    )
    return one_call(graph, step, "dft_prelu_s8", "dft_prelu", fields, n=2)


def _extremum(graph: Graph, step: Step) -> list[Call]:
    fields = _broadcast_fields(graph, step.op)
    return one_call(graph, step, f"dft_{step.op.kind.lower()}_s8", "dft_broadcast", fields, n=2)


def _table(graph: Graph, step: Step) -> list[Call]:
    """A pointwise function: its 256 values, as the oracle computes them."""
    table = np.roll(int8.table(graph, step.op), 128)  # from −128…127 to the order of the same bits unsigned
    fields: Fields = (("n", graph.tensors[step.op.outputs[0]].elements),)
    return one_call(
        graph, step, "dft_lut_s8", "dft_lut", fields, (("table", Const("int8_t", "tables", table)),)
    )


def _pool(graph: Graph, step: Step) -> list[Call]:
    op = step.op
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    o = cast(PoolOptions, op.options)
    kernel, stride = (o.filter_h, o.filter_w), (o.stride_h, o.stride_w)
    pad = (0, 0)
    if o.padding == "SAME":
        top, left = (same_pad(x.shape[1 + i], y.shape[1 + i], kernel[i], stride[i]) for i in range(2))
        pad = (top, left)
    fields: Fields = (
        ("window", window_fields(op, x, y, kernel, stride, (1, 1), pad)),
        *activation_fields(graph, op),
    )
    return one_call(graph, step, f"dft_{op.kind.removesuffix('_2D').lower()}_s8", "dft_pool", fields)


def _softmax(graph: Graph, step: Step) -> list[Call]:
    op = step.op
    shape = graph.tensors[op.outputs[0]].shape
    if shape[-1] > _MAX_CLASSES:
        raise refuse(op, f"it has {shape[-1]} classes, more than {_MAX_CLASSES}")
    fields: Fields = (("rows", math.prod(shape[:-1])), ("n", shape[-1]))
    table = Const("int32_t", "tables", int8.softmax_exponentials(graph, op))
    return one_call(graph, step, "dft_softmax_s8", "dft_softmax", fields, (("exp_table", table),))


_MAKERS: Mapping[str, Callable[[Graph, Step], Sequence[Call]]] = {
    "ADD": _add,
    "SUB": _add,
    "MUL": _mul,
    "MAXIMUM": _extremum,
    "MINIMUM": _extremum,
    **dict.fromkeys(POINTWISE, _table),
    "PRELU": _prelu,
    "MAX_POOL_2D": _pool,
    "AVERAGE_POOL_2D": _pool,
    "SOFTMAX": _softmax,
}
