"""CMSIS-NN called directly, operator by operator, with folded PADs: the best that its kernels can do.

Operators that the copy at hand lacks (the one in the wheel `bakenn` has convolutions, fully connected and pools) run
through dftiny's portable kernels; tools/versus counts those apart. Called by tools/versus.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from contenders.cases import Case
from contenders.harness import FIRMWARE, OURS, DoesNotBuild, Program, library
from dftiny import int8
from dftiny.codegen.c_text import int_array, struct, struct_array
from dftiny.graph import ConvOptions, DepthwiseOptions, Graph, Op, PoolOptions
from dftiny.kernels.calls import Call, Const, same_pad, step_calls
from dftiny.steps import Step, steps

SCRATCH_BYTES = 256 << 10
HEAD = """
#include "arm_nnfunctions.h"
#include "dft_kernels.h"
static int8_t scratch[{scratch}] __attribute__((aligned(8)));
static const cmsis_nn_context ctx = {{scratch, sizeof scratch}};
int8_t *versus_in, *versus_out;
static void check(arm_cmsis_nn_status status)
{{
    if (status != ARM_CMSIS_NN_SUCCESS) {{
        __builtin_trap();
    }}
}}
"""
TAIL = """
void versus_open(void);
void versus_open(void)
{{
    versus_in = t{first};
    versus_out = t{last};
}}
void versus_invoke(void);
void versus_invoke(void)
{{
{body}
}}
"""
FOLDERS = ("ConvolutionFunctions", "FullyConnectedFunctions", "NNSupportFunctions", "PoolingFunctions")


class Cmsis:
    """CMSIS-NN from `root`, a folder with Include and Source; `core` has cmsis_compiler.h."""

    name = "cmsis-nn"
    levels = ("-O2",)

    def __init__(self, folder: Path, root: Path, core: Path) -> None:
        self.folder = folder
        self.include = (f"-I{root / 'Include'}", f"-I{core}")
        # Only what the operators below call: files of other types would want more of CMSIS.
        self.sources = [p for d in FOLDERS for p in sorted((root / "Source" / d).glob("*.c")) if _int8(p)]
        if not self.sources:
            raise DoesNotBuild(
                f"no CMSIS-NN sources under {root}: give the folder that has Include and Source"
            )

    def program(self, case: Case) -> Program:
        """Straight-line calls; every activation in a buffer of its own."""
        graph = case.graph
        prepared = steps(graph, without=frozenset({"table_behind_operator"}))
        parts, body = [HEAD.format(scratch=SCRATCH_BYTES)], []
        buffers = sorted({prepared.views[t] for t in prepared.views})
        parts += [
            f"static int8_t t{b}[{graph.tensors[b].elements}] __attribute__((aligned(8)));" for b in buffers
        ]
        for i, step in enumerate(prepared.steps):
            maker = _maker(graph, step.op)
            text, call = maker(graph, step, i) if maker else _portable(step_calls(graph, step), i)
            parts.append(text)
            body.append(call)
        first, last = prepared.views[graph.inputs[0]], prepared.views[graph.outputs[0]]
        parts.append(TAIL.format(first=first, last=last, body="\n".join(body)))
        own = library(self.folder, "cmsis", self.sources, self.include)
        portable = library(self.folder, "portable", sorted((FIRMWARE / "kernels").glob("*.c")), OURS)
        return Program("\n".join(parts), (*self.include, *OURS), (own, portable))

    def borrowed(self, function: str) -> bool:
        """Whether a function is dftiny's portable kernel."""
        return function.startswith("dft_")


def _int8(path: Path) -> bool:
    """Sources that int8 needs: no 16-bit or 4-bit variants and no transposed or grouped newcomers' own types."""
    return not any(s in path.stem for s in ("s4", "_s16_s", "_s64", "s16_batch", "svdf")) and (
        not path.stem.endswith("_s16") or path.stem == "arm_nn_mat_mult_kernel_s8_s16"
    )


def _maker(graph: Graph, op: Op):
    per_channel = op.kind == "FULLY_CONNECTED" and graph.tensors[op.inputs[1]].quant.per_channel
    if op.kind == "CONV_2D" and cast(ConvOptions, op.options).groups > 1:
        return None
    if per_channel and graph.tensors[op.inputs[0]].elements != graph.tensors[op.inputs[1]].shape[1]:
        return None
    return {
        "CONV_2D": _conv,
        "DEPTHWISE_CONV_2D": _depthwise,
        # 4.0.0 has no per-channel fully connected layer: a 1x1 convolution over one pixel is the same.
        "FULLY_CONNECTED": _fully_connected_channels if per_channel else _fully_connected,
        "AVERAGE_POOL_2D": _pool,
        "MAX_POOL_2D": _pool,
    }.get(op.kind)


def _dims(name: str, n: int, h: int, w: int, c: int) -> str:
    return struct("cmsis_nn_dims", name, (("n", n), ("h", h), ("w", w), ("c", c)))


def _map_dims(name: str, shape: Sequence[int]) -> str:
    return _dims(name, *shape)


def _bounds(graph: Graph, op: Op) -> tuple[tuple[str, int], ...]:
    low, high = int8.activation_range(getattr(op.options, "activation", "NONE"), graph.tensors[op.outputs[0]])
    return (("min", int(low)), ("max", int(high)))


def _pad(graph: Graph, step: Step, kernel: tuple[int, int]) -> tuple[int, int]:
    """Rows above and columns before."""
    op, o = step.op, cast("ConvOptions | PoolOptions", step.op.options)
    if o.padding == "VALID":
        return step.pad[0], step.pad[2]
    x, y = graph.tensors[step.sources[0]].shape, graph.tensors[op.outputs[0]].shape
    dilation = (getattr(o, "dilation_h", 1), getattr(o, "dilation_w", 1))
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    strides = (o.stride_h, o.stride_w)
    top, left = (same_pad(x[1 + i], y[1 + i], extents[i], strides[i]) for i in range(2))
    return top, left


def _quantisation(graph: Graph, op: Op, i: int) -> list[str]:
    y = graph.tensors[op.outputs[0]]
    multipliers, shifts = int8.output_multipliers(graph, op)
    n = y.shape[-1]
    data = (
        graph.tensors[op.inputs[2]].data
        if len(op.inputs) > 2 and op.inputs[2] >= 0
        else np.zeros(n, np.int32)
    )
    weights = graph.tensors[op.inputs[1]].data
    assert weights is not None and data is not None
    return [
        int_array("int32_t", f"m{i}", np.broadcast_to(multipliers, (n,))),
        int_array("int32_t", f"s{i}", np.broadcast_to(shifts, (n,))),
        int_array("int32_t", f"b{i}", data),
        int_array("int8_t", f"w{i}", weights),
        f"static const cmsis_nn_per_channel_quant_params q{i} = {{(int32_t *)m{i}, (int32_t *)s{i}}};",
        _dims(f"db{i}", 1, 1, 1, n),
    ]


def _conv_params(graph: Graph, step: Step, i: int, kind: str, kernel: tuple[int, int], extra=()) -> str:
    op, o = step.op, cast("ConvOptions | DepthwiseOptions", step.op.options)
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    top, left = _pad(graph, step, kernel)
    fields = (
        ("input_offset", -x.zero_point),
        ("output_offset", y.zero_point),
        *extra,
        ("stride", (("w", o.stride_w), ("h", o.stride_h))),
        ("padding", (("w", left), ("h", top))),
        ("dilation", (("w", o.dilation_w), ("h", o.dilation_h))),
        ("activation", _bounds(graph, op)),
    )
    return struct(kind, f"p{i}", fields)


def _conv(graph: Graph, step: Step, i: int) -> tuple[str, str]:
    op = step.op
    x, w, y = (graph.tensors[t].shape for t in (step.sources[0], op.inputs[1], op.outputs[0]))
    parts = [
        *_quantisation(graph, op, i),
        _conv_params(graph, step, i, "cmsis_nn_conv_params", w[1:3]),
        _map_dims(f"dx{i}", x),
        _map_dims(f"dw{i}", w),
        _map_dims(f"dy{i}", y),
    ]
    return "\n".join(parts), _product(step, i, "arm_convolve_wrapper_s8")


def _product(step: Step, i: int, function: str) -> str:
    x, y = f"t{step.reads[0]}", f"t{step.writes}"
    return f"    check({function}(&ctx, &p{i}, &q{i}, &dx{i}, {x}, &dw{i}, w{i}, &db{i}, b{i}, &dy{i}, {y}));"


def _depthwise(graph: Graph, step: Step, i: int) -> tuple[str, str]:
    op, o = step.op, cast(DepthwiseOptions, step.op.options)
    x, w, y = (graph.tensors[t].shape for t in (step.sources[0], op.inputs[1], op.outputs[0]))
    extra = (("ch_mult", o.multiplier),)
    parts = [
        *_quantisation(graph, op, i),
        _conv_params(graph, step, i, "cmsis_nn_dw_conv_params", w[1:3], extra),
        _map_dims(f"dx{i}", x),
        _map_dims(f"dw{i}", w),
        _map_dims(f"dy{i}", y),
    ]
    return "\n".join(parts), _product(step, i, "arm_depthwise_conv_wrapper_s8")


def _fully_connected_channels(graph: Graph, step: Step, i: int) -> tuple[str, str]:
    op = step.op
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    out_n, in_n = graph.tensors[op.inputs[1]].shape
    one = (("w", 1), ("h", 1))
    fields = (
        ("input_offset", -x.zero_point),
        ("output_offset", y.zero_point),
        ("stride", one),
        ("padding", (("w", 0), ("h", 0))),
        ("dilation", one),
        ("activation", _bounds(graph, op)),
    )
    parts = [
        *_quantisation(graph, op, i),
        struct("cmsis_nn_conv_params", f"p{i}", fields),
        _dims(f"dx{i}", 1, 1, 1, in_n),
        _dims(f"dw{i}", out_n, 1, 1, in_n),
        _dims(f"dy{i}", 1, 1, 1, out_n),
    ]
    return "\n".join(parts), _product(step, i, "arm_convolve_wrapper_s8")


def _fully_connected(graph: Graph, step: Step, i: int) -> tuple[str, str]:
    op = step.op
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    out_n, in_n = graph.tensors[op.inputs[1]].shape
    rows = x.elements // in_n
    multipliers, shifts = int8.output_multipliers(graph, op)
    fields = (
        ("input_offset", -x.zero_point),
        ("filter_offset", 0),
        ("output_offset", y.zero_point),
        ("activation", _bounds(graph, op)),
    )
    quant = (("multiplier", int(multipliers.flat[0])), ("shift", int(shifts.flat[0])))
    parts = [
        *_quantisation(graph, op, i)[2:4],
        struct("cmsis_nn_fc_params", f"p{i}", fields),
        struct("cmsis_nn_per_tensor_quant_params", f"q{i}", quant),
        _dims(f"dx{i}", rows, 1, 1, in_n),
        _dims(f"dw{i}", in_n, 1, 1, out_n),
        _dims(f"db{i}", 1, 1, 1, out_n),
        _dims(f"dy{i}", rows, 1, 1, out_n),
    ]
    return "\n".join(parts), _product(step, i, "arm_fully_connected_s8")


def _pool(graph: Graph, step: Step, i: int) -> tuple[str, str]:
    op, o = step.op, cast(PoolOptions, step.op.options)
    x, y = (graph.tensors[t].shape for t in (step.sources[0], op.outputs[0]))
    top, left = _pad(graph, step, (o.filter_h, o.filter_w))
    fields = (
        ("stride", (("w", o.stride_w), ("h", o.stride_h))),
        ("padding", (("w", left), ("h", top))),
        ("activation", _bounds(graph, op)),
    )
    parts = [
        struct("cmsis_nn_pool_params", f"p{i}", fields),
        _map_dims(f"dx{i}", x),
        _dims(f"dw{i}", 1, o.filter_h, o.filter_w, 1),
        _map_dims(f"dy{i}", y),
    ]
    function = "arm_max_pool_s8" if op.kind == "MAX_POOL_2D" else "arm_avgpool_s8"
    ends = f"&dx{i}, t{step.reads[0]}, &dw{i}, &dy{i}, t{step.writes}"
    return "\n".join(parts), f"    check({function}(&ctx, &p{i}, {ends}));"


def _portable(calls: Sequence[Call], i: int) -> tuple[str, str]:
    """dftiny's own kernels for an operator that CMSIS-NN lacks."""
    parts, body = [], []
    for n, call in enumerate(calls):
        pointers = []
        for member, const in call.pointers:
            name = f"k{i}_{n}_{member}"
            parts.append(_constant(name, const))
            pointers.append((member, name))
        parts.append(struct(call.struct, f"p{i}_{n}", (*call.fields, *pointers)))
        arguments = []
        for j, source in enumerate((*call.inputs, call.output)):
            if isinstance(source, Const):
                parts.append(_constant(f"a{i}_{n}_{j}", source))
                arguments.append(f"a{i}_{n}_{j}")
            else:
                arguments.append(f"t{source}")
        body.append(f"    {call.function}(&p{i}_{n}, {', '.join(arguments)});")
    return "\n".join(parts), "\n".join(body)


def _constant(name: str, const: Const) -> str:
    if const.ctype == "dft_channel":
        return struct_array("dft_channel", name, const.values.tolist())
    return int_array(const.ctype, name, const.values)
