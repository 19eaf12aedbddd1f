"""The oracle: int8 inference in numpy, equal with == to TFLM's reference kernels on every operator of ops.toml,
and the two operators that rewrites make of several.

Used by the export's gates, by the bench to check what a board answers, and by the C generator, which takes
its multipliers, tables and bounds from here so that the generated C cannot disagree.
"""

from __future__ import annotations

import numpy as np

from dftiny.errors import DftError
from dftiny.graph import Graph, Op
from dftiny.int8 import arith, conv, layout, pointwise
from dftiny.int8.arith import (
    mean_params,
    mul_params,
    prelu_params,
    softmax_exponentials,
    softmax_params,
    sum_of_params,
    sum_params,
)
from dftiny.int8.conv import output_multipliers, padding_before
from dftiny.int8.fixed import activation_range, multiply, quantize_multiplier, requantize
from dftiny.int8.pointwise import KINDS as POINTWISE
from dftiny.int8.pointwise import table
from dftiny.int8.shift_max import branch_graph, shift_max

__all__ = [
    "POINTWISE",
    "activation_range",
    "branch_graph",
    "from_pixels",
    "mean_params",
    "mul_params",
    "multiply",
    "output_multipliers",
    "padding_before",
    "prelu_params",
    "quantize_multiplier",
    "requantize",
    "run",
    "run_all",
    "run_oracle",
    "softmax_exponentials",
    "softmax_params",
    "sum_of_params",
    "sum_params",
    "table",
    "to_real",
]

# Elements of the largest activation worked on at once: measured fastest on one core with 2 MB of cache.
_CHUNK_ELEMENTS = 1 << 20


def run(graph: Graph, x: np.ndarray) -> np.ndarray:
    """Outputs int8[n, …] for inputs int8[n, H, W, C] (the shapes of the graph without their batch of 1)."""
    _check_input(graph, x)
    out = graph.output
    result = np.empty((len(x), *out.shape[1:]), np.int8)
    last = {t: position for position, op in enumerate(graph.ops) for t in op.inputs}
    step = _chunk(graph)
    for start in range(0, len(x), step):
        values = {graph.inputs[0]: x[start : start + step].reshape(-1, *graph.input.shape)}
        for position, op in enumerate(graph.ops):
            values[op.outputs[0]] = _run_op(graph, op, values)
            for t in op.inputs:
                if last.get(t) == position and t != graph.outputs[0]:
                    values.pop(t, None)
        result[start : start + step] = values[graph.outputs[0]].reshape(-1, *out.shape[1:])
    return result


def run_all(graph: Graph, x: np.ndarray) -> dict[int, np.ndarray]:
    """Every activation by tensor index, int8[n, …], for inputs int8[n, H, W, C]; where a tensor's first dimension is
    the batch of 1, it is left out."""
    _check_input(graph, x)
    values = {graph.inputs[0]: x.reshape(-1, *graph.input.shape)}
    for op in graph.ops:
        values[op.outputs[0]] = _run_op(graph, op, values)
    return {t: v[:, 0] if graph.tensors[t].shape[:1] == (1,) else v for t, v in values.items()}


def _check_input(graph: Graph, x: np.ndarray) -> None:
    if x.dtype != np.int8 or x.shape[1:] != graph.input.shape[1:]:
        raise DftError(
            f"{graph.name} takes int8 {list(graph.input.shape[1:])}, not {x.dtype.name} {list(x.shape[1:])}"
        )


def _chunk(graph: Graph) -> int:
    largest = max(graph.tensors[t].elements for op in graph.ops for t in op.outputs)
    return max(1, _CHUNK_ELEMENTS // largest)


def _operand(graph: Graph, values: dict[int, np.ndarray], t: int) -> np.ndarray:
    """An activation int8[n, *shape], or a constant int8[1, *shape]."""
    data = graph.tensors[t].data
    return values[t] if data is None else data[None]


def _run_op(graph: Graph, op: Op, values: dict[int, np.ndarray]) -> np.ndarray:
    """One operator: arrays int8[n, *shape of the tensor]."""
    x = _operand(graph, values, op.inputs[0])
    shape = graph.tensors[op.outputs[0]].shape
    match op.kind:
        case "CONV_2D":
            y = conv.conv(graph, op, x[:, 0])
        case "DEPTHWISE_CONV_2D":
            y = conv.depthwise(graph, op, x[:, 0])
        case "FULLY_CONNECTED":
            y = conv.fully_connected(graph, op, x)
        case "ADD" | "SUB":
            y = arith.add_or_sub(graph, op, *_pair(graph, op, values))
        case "MUL":
            y = arith.mul(graph, op, *_pair(graph, op, values))
        case "MAXIMUM" | "MINIMUM":
            y = arith.extremum(op, *_pair(graph, op, values))
        case "MEAN" | "SUM":
            y = arith.mean_or_sum(graph, op, x)
        case "REDUCE_MAX" | "REDUCE_MIN":
            y = arith.reduce_extremum(op, x)
        case "PRELU":
            y = arith.prelu(graph, op, *_pair(graph, op, values))
        case "MAX_POOL_2D" | "AVERAGE_POOL_2D":
            y = arith.pool(graph, op, x[:, 0])
        case "SOFTMAX":
            y = arith.softmax(graph, op, x)
        case kind if kind in POINTWISE:
            y = pointwise.lookup(graph, op, x)
        case "SHIFT_MAX":
            y = shift_max(graph, op, x, [_operand(graph, values, t) for t in op.inputs[1:]])
        case "CONCATENATION" | "PACK":
            y = layout.join(op, [_operand(graph, values, t) for t in op.inputs])
        case _:
            y = layout.move(graph, op, x)
    return y.reshape(-1, *shape)


def _pair(graph: Graph, op: Op, values: dict[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Both operands with the same number of dimensions, so that numpy broadcasts them as TFLite does."""
    a, b = (_operand(graph, values, t) for t in op.inputs)
    rank = max(a.ndim, b.ndim)
    a, b = (v.reshape(len(v), *(1,) * (rank - v.ndim), *v.shape[1:]) for v in (a, b))
    return a, b


def from_pixels(tiles: np.ndarray) -> np.ndarray:
    """The network's input: uint8 pixels → int8, pixel − 128."""
    return (tiles ^ np.uint8(0x80)).view(np.int8)


def to_real(graph: Graph, outputs: np.ndarray) -> np.ndarray:
    """int8 outputs → float32 logits of the same shape."""
    out = graph.output
    real: np.ndarray = (outputs.astype(np.float32) - np.float32(out.zero_point)) * np.float32(out.scale)
    return real


def run_oracle(graph: Graph, tiles: np.ndarray) -> np.ndarray:
    """Logits float32[n, …] of uint8 tiles [n, H, W, 3]."""
    return to_real(graph, run(graph, from_pixels(tiles)))
