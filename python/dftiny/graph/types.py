"""The typed graph: what an int8 .tflite says, as frozen dataclasses of plain integers and numpy arrays.

Everything here has been checked by `dftiny.graph.load`: indices are in range, shapes and constants agree,
every operator is one of ops.toml, or one of the two that only dftiny.rewrite makes (TABLE and SHIFT_MAX). Readers: the oracle (int8), the planner, the budget and the C generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Padding = Literal["SAME", "VALID"]
Activation = Literal["NONE", "RELU", "RELU6"]


@dataclass(frozen=True, eq=False)
class Quant:
    """Affine quantisation: real = scale · (q − zero_point).

    `scale` float32[n] and `zero_point` int64[n], n = 1 or the size of dimension `axis`.
    """

    scale: np.ndarray
    zero_point: np.ndarray
    axis: int

    @property
    def per_channel(self) -> bool:
        """More than one scale."""
        return len(self.scale) > 1

    def same(self, other: Quant | None) -> bool:
        """Bit-equal scales and zero points."""
        return (
            other is not None
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor. `shape` includes the batch dimension (1); `data` is the constant or None."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    quant: Quant | None
    data: np.ndarray | None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.elements * self.dtype.itemsize

    @property
    def scale(self) -> float:
        """The one scale of a per-tensor quantised tensor (a float32 value)."""
        assert self.quant is not None
        return float(self.quant.scale[0])

    @property
    def zero_point(self) -> int:
        """The one zero point of a per-tensor quantised tensor."""
        assert self.quant is not None
        return int(self.quant.zero_point[0])


@dataclass(frozen=True)
class ConvOptions:
    """CONV_2D. Filter int8[out, kh, kw, in/groups], bias int32[out]. `joined` pixels of the file's operator are one
    here, where a rewrite made it so: weights from one of them to another are 0 and count as no products."""

    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    padding: Padding
    activation: Activation
    groups: int
    joined: int = 1


@dataclass(frozen=True)
class DepthwiseOptions:
    """DEPTHWISE_CONV_2D. Filter int8[1, kh, kw, in·multiplier], bias int32[in·multiplier]."""

    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    padding: Padding
    activation: Activation
    multiplier: int


@dataclass(frozen=True)
class PoolOptions:
    """MAX_POOL_2D and AVERAGE_POOL_2D."""

    filter_h: int
    filter_w: int
    stride_h: int
    stride_w: int
    padding: Padding
    activation: Activation


@dataclass(frozen=True)
class FullyConnectedOptions:
    """FULLY_CONNECTED. Weights int8[out, in], bias int32[out]."""

    activation: Activation
    keep_num_dims: bool


@dataclass(frozen=True)
class AddOptions:
    """ADD with broadcasting."""

    activation: Activation


@dataclass(frozen=True)
class SubOptions:
    """SUB with broadcasting."""

    activation: Activation


@dataclass(frozen=True)
class MulOptions:
    """MUL with broadcasting."""

    activation: Activation


@dataclass(frozen=True)
class PadOptions:
    """PAD and PADV2: elements added before and after each dimension (the constant second input, resolved). They are the zero
    point; or, in a PADV2 or a PAD that a rewrite made, `values`, one for each of the (then not padded) channels."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    values: tuple[int, ...] | None = None


@dataclass(frozen=True)
class MeanOptions:
    """MEAN over `axes` (sorted, not negative; the constant second input, resolved)."""

    axes: tuple[int, ...]
    keep_dims: bool


@dataclass(frozen=True)
class SoftmaxOptions:
    """SOFTMAX over the last dimension."""

    beta: float


@dataclass(frozen=True)
class TransposeOptions:
    """TRANSPOSE: output dimension i is input dimension perm[i] (the constant second input, resolved)."""

    perm: tuple[int, ...]


@dataclass(frozen=True)
class GatherOptions:
    """GATHER with constant int32 indices along `axis`."""

    axis: int


@dataclass(frozen=True)
class ConcatenationOptions:
    """CONCATENATION along `axis`; or PACK, where `axis` is a new dimension of the output."""

    axis: int


@dataclass(frozen=True)
class ReduceOptions:
    """SUM, REDUCE_MAX and REDUCE_MIN over `axes` (sorted, not negative; the constant second input, resolved)."""

    axes: tuple[int, ...]
    keep_dims: bool


@dataclass(frozen=True)
class SliceOptions:
    """SLICE, STRIDED_SLICE, REVERSE_V2, and one output of SPLIT, SPLIT_V or UNPACK: of each dimension of the input,
    `sizes` entries from `begin` on, `strides` apart (may be negative). The output may have these dimensions without
    some of size 1, or with more of them. Only the first input is read."""

    begin: tuple[int, ...]
    strides: tuple[int, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class RemapOptions:
    """RESIZE_NEAREST_NEIGHBOR and MIRROR_PAD of a map: output row y is input row rows[y], likewise columns."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]


@dataclass(frozen=True)
class BlockOptions:
    """SPACE_TO_DEPTH and DEPTH_TO_SPACE by blocks of `block` × `block` pixels."""

    block: int


@dataclass(frozen=True)
class LeakyReluOptions:
    """LEAKY_RELU: negative values times `alpha` (a float32 value)."""

    alpha: float


@dataclass(frozen=True)
class TableOptions:
    """TABLE, which no file holds (dftiny.rewrite makes it): a pointwise function. `values`: its 256 outputs for the
    inputs −128…127."""

    values: tuple[int, ...]


@dataclass(frozen=True)
class ShiftTerm:
    """One product of a SHIFT_MAX: channels `indices` of the map, times a coefficient a channel. `scale` (a float32
    value), `zero_point` and `activation` are those of the product."""

    indices: tuple[int, ...]
    scale: float
    zero_point: int
    activation: Activation


@dataclass(frozen=True)
class ShiftBranch:
    """The sum or difference of two products, with its own quantisation and activation."""

    kind: Literal["ADD", "SUB"]
    terms: tuple[ShiftTerm, ShiftTerm]
    scale: float
    zero_point: int
    activation: Activation


@dataclass(frozen=True)
class ShiftMaxOptions:
    """SHIFT_MAX, which no file holds (dftiny.rewrite makes it): the maximum of one or two branches, MicroNet's Dynamic
    Shift-Max without the small net that finds the coefficients. Inputs: the map [1, H, W, C], then a vector of
    coefficients [1, 1, 1, n] for every term of every branch; output [1, H, W, n]."""

    branches: tuple[ShiftBranch, ...]


Options = (
    ConvOptions
    | DepthwiseOptions
    | PoolOptions
    | FullyConnectedOptions
    | AddOptions
    | SubOptions
    | MulOptions
    | PadOptions
    | MeanOptions
    | SoftmaxOptions
    | TransposeOptions
    | GatherOptions
    | ConcatenationOptions
    | ReduceOptions
    | SliceOptions
    | RemapOptions
    | BlockOptions
    | LeakyReluOptions
    | TableOptions
    | ShiftMaxOptions
)


@dataclass(frozen=True)
class Op:
    """One operator, in execution order. `inputs` are tensor indices, −1 = absent.

    `index` is its place in the file. An operator with several outputs (SPLIT, SPLIT_V, UNPACK) is one Op for each of
    them, all of one index and with the activation as their first input. After a rewrite, that of the last operator it stands for, and `absorbed` the
    places of the others (sorted). A view that a rewrite added shares the index of its neighbour."""

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Options | None
    absorbed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Graph:
    """One int8 model: exactly one input and one output tensor, operators in execution order.

    `folded` are operators of the file whose results are known from shapes and constants alone: they are not run here
    (their outputs are constants of `tensors`), but an interpreter runs them."""

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    folded: tuple[Op, ...] = ()

    @property
    def operators(self) -> tuple[Op, ...]:
        """The operators as the file has them, folded ones too, each once and with all its outputs; `index` is the place
        in this list as long as nothing was rewritten."""
        found: dict[int, Op] = {}
        for op in sorted((*self.ops, *self.folded), key=lambda o: o.index):
            same = found.get(op.index)
            found[op.index] = op if same is None else replace(same, outputs=(*same.outputs, *op.outputs))
        return tuple(found.values())

    @property
    def folded_outputs(self) -> frozenset[int]:
        """Tensors that have data here, but none in the file: results of `folded`."""
        return frozenset(t for op in self.folded for t in op.outputs)

    @property
    def input(self) -> Tensor:
        """The input tensor, int8."""
        return self.tensors[self.inputs[0]]

    @property
    def output(self) -> Tensor:
        """The output tensor, int8."""
        return self.tensors[self.outputs[0]]
