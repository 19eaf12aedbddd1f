"""Made-up layers, one for each family of kernels: what a board's self-test holds a kernel to, whatever net is linked.

A net's own layers are held to sums over their rows (codegen/proofs_c.py); these are small, the same for every net, and name
the family that is wrong. Pointwise convolutions have one more pair, equal but for the loads in their loops: a board can
time both. Called by codegen/vectors_c.py and by the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

import numpy as np

from dftiny.code_size import ENGINE_GLUE_BYTES, run_bytes
from dftiny.graph import (
    AddOptions,
    ConcatenationOptions,
    ConvOptions,
    DepthwiseOptions,
    GatherOptions,
    Graph,
    MeanOptions,
    MulOptions,
    Op,
    Options,
    PadOptions,
    PoolOptions,
    Quant,
    ShiftBranch,
    ShiftMaxOptions,
    ShiftTerm,
    SoftmaxOptions,
    Tensor,
)
from dftiny.kernels.calls import STRUCT_BYTES, Field
from dftiny.kernels.count import ENGINE_BYTES, model_code, used_functions
from dftiny.plan import Plan, RegionSpec, Wishes, plan
from dftiny.plan.tight import KEPT_BYTES

REGION = "vector"  # the one block that a layer runs in
BYTES_MAX = KEPT_BYTES  # of it: less than what any net that answers something takes
LOADS = ("ldrd", "ldr")  # dft_conv_k32_ldrd and _ldr: the bodies that a build may choose between
_FASTEST = Wishes(slack=20.0)  # the kernels that a planner with room takes
CONV, TIMED_BODY = "dft_conv_rows", "dft_conv_k32"


@dataclass(frozen=True, eq=False)
class Vector:
    """A layer with its plan. `name` has at most 15 characters and stands in the board's reply; `loads` is set on the two
    that are timed: which loads the loop has."""

    name: str
    plan: Plan
    loads: str = ""

    @property
    def graph(self) -> Graph:
        """The layer alone, as a net."""
        return self.plan.prepared.graph

    @property
    def functions(self) -> frozenset[str]:
        """Kernels and what their constants point to."""
        return frozenset(used_functions(self.plan))

    @property
    def bytes(self) -> int:
        """Flash of the layer beside its kernels: constants, a few words of code, its entry in the table."""
        code = model_code(self.plan)
        entries = 4 + STRUCT_BYTES["dft_vector"] + len(self.name) + 4
        return code.const.total - ENGINE_BYTES + run_bytes(code) - ENGINE_GLUE_BYTES + entries


def vectors_of(linked: Plan) -> tuple[Vector, ...]:
    """The layers for the families that `linked` uses, in the catalogue's order."""
    used = used_functions(linked)
    found = [_vector(function) for function in FAMILIES if function in used]
    return (*found, *_timed()) if CONV in used else tuple(found)


def all_vectors() -> tuple[Vector, ...]:
    """The whole catalogue."""
    return (*map(_vector, FAMILIES), *_timed())


@cache
def _vector(function: str) -> Vector:
    name, make = FAMILIES[function]
    return Vector(name, plan(make(), [RegionSpec(REGION, BYTES_MAX)], _FASTEST))


@cache
def _timed() -> tuple[Vector, ...]:
    made = plan(_timed_pointwise(), [RegionSpec(REGION, BYTES_MAX)], _FASTEST)
    return tuple(Vector(f"pointwise {loads.upper()}", _with_loads(made, loads), loads) for loads in LOADS)


def _with_loads(made: Plan, loads: str) -> Plan:
    """The plan of one convolution, its loop the one with these loads whatever a build chooses for the others."""
    (segment,) = made.segments
    (lane,) = segment.lanes
    call = lane.call
    assert call is not None and TIMED_BODY in call.symbols, "the timed layer has the body that is timed"
    fields = dict(call.fields)
    short = TIMED_BODY.removeprefix("dft_conv_")
    fields["body"] = cast(Field, str(fields["body"]).replace(short, f"{short}_{loads}"))
    symbols = tuple(f"{s}_{loads}" if s == TIMED_BODY else s for s in call.symbols)
    own = replace(lane, call=replace(call, fields=tuple(fields.items()), symbols=symbols))
    return replace(made, segments=(replace(segment, lanes=(own,)),))


class _Layer:
    """Grows a graph; tensor 0 is its input. Scales are powers of two, but for weights', which bring shifts of 8 and 9."""

    def __init__(self, *shape: int, scale: float = 0.0625, zero_point: int = -3) -> None:
        self.rng = np.random.default_rng(7)
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.act(shape, scale, zero_point)

    def act(self, shape: Sequence[int], scale: float = 0.0625, zero_point: int = -128) -> int:
        """An activation; its index."""
        return self._tensor(shape, [scale], zero_point, 0, None)

    def indices(self, values: Sequence[int]) -> int:
        """A constant int32 vector."""
        return self._tensor((len(values),), [1.0], 0, 0, np.array(values, np.int32))

    def weights(self, shape: Sequence[int], axis: int, shift: int) -> tuple[int, int]:
        """int8 weights and int32 biases whose right shifts are `shift` for every channel."""
        scale = self.rng.uniform(0.55, 0.95, shape[axis]) * 2.0**-shift
        values = self.rng.integers(-127, 128, tuple(shape)).astype(np.int8)
        bias = self.rng.integers(-2000, 2000, shape[axis]).astype(np.int32)
        return (
            self._tensor(shape, scale.tolist(), 0, axis, values),
            self._tensor(bias.shape, (scale * 0.0625).tolist(), 0, 0, bias),
        )

    def vector(self, n: int, scale: float, zero_point: int) -> int:
        """A constant of one value a channel."""
        values = self.rng.integers(-128, 128, (1, 1, 1, n)).astype(np.int8)
        return self._tensor(values.shape, [scale], zero_point, 0, values)

    def op(self, kind: str, inputs: Sequence[int], out: int, options: Options | None) -> int:
        """An operator that writes tensor `out`."""
        self.ops.append(Op(len(self.ops), kind, tuple(inputs), (out,), options))
        return out

    def conv(self, x: int, out: int, shift: int = 9, window: tuple[int, int] = (1, 1)) -> int:
        """A convolution with ReLU, stride 1, SAME padding."""
        shape = self.tensors[x].shape
        weights = self.weights((out, *window, shape[3]), 0, shift)
        y = self.act((*shape[:3], out))
        return self.op("CONV_2D", (x, *weights), y, ConvOptions(1, 1, 1, 1, "SAME", "RELU", 1))

    def depthwise(self, x: int, high: int, wide: int, stride: int = 1) -> int:
        """A depthwise convolution with ReLU."""
        _, h, w, c = self.tensors[x].shape
        weights = self.weights((1, high, wide, c), 3, 8)
        y = self.act((1, -(-h // stride), -(-w // stride), c))
        options = DepthwiseOptions(stride, stride, 1, 1, "SAME", "RELU", 1)
        return self.op("DEPTHWISE_CONV_2D", (x, *weights), y, options)

    def graph(self, out: int) -> Graph:
        """What was grown."""
        return Graph("a layer of the self-test", tuple(self.tensors), tuple(self.ops), (0,), (out,))

    def _tensor(
        self, shape: Sequence[int], scale: Sequence[float], zero: int, axis: int, data: np.ndarray | None
    ) -> int:
        quant = Quant(np.array(scale, np.float32), np.full(len(scale), zero, np.int64), axis)
        dtype = np.dtype(np.int8) if data is None else data.dtype
        self.tensors.append(
            Tensor(len(self.tensors), f"t{len(self.tensors)}", tuple(shape), dtype, quant, data)
        )
        return len(self.tensors) - 1


def _timed_pointwise() -> Graph:
    """32 channels to 8 on 32 pixels: 8,192 products, all of them in the unrolled loop."""
    net = _Layer(1, 1, 32, 32)
    return net.graph(net.conv(0, 8))


def _conv() -> Graph:
    net = _Layer(1, 2, 9, 12)
    return net.graph(net.conv(0, 5))


def _conv_map() -> Graph:
    net = _Layer(1, 5, 5, 2)
    return net.graph(net.conv(0, 5, window=(3, 3)))


def _matvec() -> Graph:
    net = _Layer(1, 1, 1, 20)
    return net.graph(net.conv(0, 12, shift=8))


def _matvec_window() -> Graph:
    net = _Layer(1, 3, 1, 10)
    return net.graph(net.conv(0, 9, shift=8, window=(2, 1)))


def _depthwise(high: int, wide: int) -> Callable[[], Graph]:
    def make() -> Graph:
        net = _Layer(1, 6, 7, 4)
        return net.graph(net.depthwise(0, high, wide))

    return make


def _exact_sum() -> Graph:
    """Scales so round that sums are exact halves, which no linear form gets right."""
    net = _Layer(1, 2, 5, 6, scale=0.5, zero_point=-128)
    other = net.vector(6, 0.75, -3)
    return net.graph(net.op("ADD", (0, other), net.act((1, 2, 5, 6), 1.0, 0), AddOptions("NONE")))


def _two(kind: str, options: Options | None, scale: float) -> Callable[[], Graph]:
    """A map with itself, the result at `scale`."""

    def make() -> Graph:
        net = _Layer(1, 2, 5, 6)
        return net.graph(net.op(kind, (0, 0), net.act((1, 2, 5, 6), scale, 5), options))

    return make


def _extremum(kind: str) -> Callable[[], Graph]:
    """A map and a constant vector."""

    def make() -> Graph:
        net = _Layer(1, 2, 5, 6)
        other = net.vector(6, 0.0625, -3)
        return net.graph(net.op(kind, (0, other), net.act((1, 2, 5, 6), 0.0625, -3), None))

    return make


def _mean() -> Graph:
    net = _Layer(1, 5, 7, 6)
    y = net.act((1, 1, 1, 6), 0.05, 4)
    return net.graph(net.op("MEAN", (0,), y, MeanOptions((1, 2), True)))


def _gate() -> Graph:
    net = _Layer(1, 5, 7, 6)
    mean = net.op("MEAN", (0,), net.act((1, 1, 1, 6), 0.05, 4), MeanOptions((1, 2), True))
    y = net.act((1, 5, 7, 6), 0.1, 2)
    return net.graph(net.op("MUL", (0, mean), y, MulOptions("NONE")))


def _pool(kind: str) -> Callable[[], Graph]:
    def make() -> Graph:
        net = _Layer(1, 6, 7, 5)
        y = net.act((1, 3, 4, 5), 0.0625, -3)
        return net.graph(net.op(kind, (0,), y, PoolOptions(2, 2, 2, 2, "SAME", "NONE")))

    return make


def _gather() -> Graph:
    net = _Layer(1, 3, 4, 6)
    order = net.indices((4, 0, 5, 1, 3, 2))
    y = net.act((1, 3, 4, 6), 0.0625, -3)
    return net.graph(net.op("GATHER", (0, order), y, GatherOptions(3)))


def _concat() -> Graph:
    net = _Layer(1, 3, 4, 5)
    y = net.act((1, 3, 4, 10), 0.0625, -3)
    return net.graph(net.op("CONCATENATION", (0, 0), y, ConcatenationOptions(3)))


def _pad() -> Graph:
    net = _Layer(1, 3, 4, 5)
    y = net.act((1, 5, 7, 5), 0.0625, -3)
    return net.graph(net.op("PAD", (0,), y, PadOptions((0, 1, 1, 0), (0, 1, 2, 0))))


def _table() -> Graph:
    net = _Layer(1, 2, 5, 6, zero_point=5)
    return net.graph(net.op("HARD_SWISH", (0,), net.act((1, 2, 5, 6), 0.03125, -100), None))


def _shift_max() -> Graph:
    net = _Layer(1, 3, 4, 6)
    mean = net.op("MEAN", (0,), net.act((1, 1, 1, 6), 0.0625, -3), MeanOptions((1, 2), True))
    terms = [ShiftTerm(tuple((i + shift) % 6 for i in range(6)), 0.05, 3, "NONE") for shift in (0, 2, 4, 1)]
    branches = tuple(ShiftBranch("ADD", (a, b), 0.08, -4, "NONE") for a, b in (terms[:2], terms[2:]))
    y = net.act((1, 3, 4, 6), 0.08, -4)
    return net.graph(net.op("SHIFT_MAX", (0, *[mean] * 4), y, ShiftMaxOptions(branches)))


def _softmax() -> Graph:
    net = _Layer(1, 1, 1, 10)
    return net.graph(net.op("SOFTMAX", (0,), net.act((1, 1, 1, 10), 1 / 256, -128), SoftmaxOptions(1.0)))


# Kernels without a layer. Planes are taken in maps too large for a self-test only; the others take a tensor as a whole, and
# few nets have them. A net's sums hold all of them.
WITHOUT = frozenset({"dft_depthwise_planes_rows"}) | frozenset(
    f"dft_{name}_s8"
    for name in (
        *(
            "add",
            "average_pool",
            "concat",
            "conv2d",
            "depthwise",
            "fully_connected",
            "gather",
            "lut",
            "max_pool",
        ),
        *(
            "maximum",
            "mean",
            "minimum",
            "mul",
            "pad",
            "prelu",
            "reduce_max",
            "reduce_min",
            "remap",
            "sub",
            "sum",
        ),
        "transpose",
    )
)

# C function → name, and the layer that brings it.
FAMILIES: Mapping[str, tuple[str, Callable[[], Graph]]] = {
    "dft_conv_rows": ("layer conv", _conv),
    "dft_conv_map_rows": ("layer conv map", _conv_map),
    "dft_matvec_rows": ("layer matvec", _matvec),
    "dft_matvec_window_rows": ("layer mv window", _matvec_window),
    "dft_depthwise_rows": ("layer depthwise", _depthwise(3, 3)),
    "dft_depthwise_wide_rows": ("layer dw wide", _depthwise(5, 5)),
    "dft_depthwise_taps_rows": ("layer dw taps", _depthwise(2, 2)),
    "dft_sum_rows": ("layer sum", _two("ADD", AddOptions("NONE"), 0.13)),
    "dft_exact_sum_rows": ("layer exact sum", _exact_sum),
    "dft_mul_rows": ("layer mul", _two("MUL", MulOptions("NONE"), 0.3)),
    "dft_gate_rows": ("layer gate", _gate),
    "dft_maximum_rows": ("layer maximum", _extremum("MAXIMUM")),
    "dft_minimum_rows": ("layer minimum", _extremum("MINIMUM")),
    "dft_mean_rows": ("layer mean", _mean),
    "dft_max_pool_rows": ("layer max pool", _pool("MAX_POOL_2D")),
    "dft_average_pool_rows": ("layer mean pool", _pool("AVERAGE_POOL_2D")),
    "dft_gather_rows": ("layer gather", _gather),
    "dft_concat_rows": ("layer concat", _concat),
    "dft_pad_rows": ("layer pad", _pad),
    "dft_table_rows": ("layer table", _table),
    "dft_shift_max_rows": ("layer shift max", _shift_max),
    "dft_softmax_s8": ("layer softmax", _softmax),
}
