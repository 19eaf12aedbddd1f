"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED on batches, exact through floating-point matrix products.

Every product and partial sum is an integer. A float32 holds integers below 2^24 exactly and a float64 below
2^53, so when Σ|w| · max|x − zero point| stays below that bound, BLAS gives the very integer whatever order
it sums in. `_exact_type` proves the bound for each layer and picks the type.
"""

from __future__ import annotations

import numpy as np

from dftiny.graph import ConvOptions, DepthwiseOptions, FullyConnectedOptions, Graph, Op, Tensor, window_out
from dftiny.int8.fixed import activation_range, quantize_multiplier, requantize


def output_multipliers(graph: Graph, op: Op) -> tuple[np.ndarray, np.ndarray]:
    """(multiplier int32[n], shift int32[n]) of a convolution or fully connected layer, one per output channel.

    The products of scales are those of TFLite: in double per channel, while FULLY_CONNECTED with one scale
    multiplies input and weight scale in float32 first (GetQuantizedConvolutionMultipler).
    """
    x, w, out = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    assert w.quant is not None
    channels = out.shape[-1]
    if op.kind == "FULLY_CONNECTED" and not w.quant.per_channel:
        real = [float(np.float32(x.scale) * np.float32(w.scale)) / out.scale] * channels
    else:
        scales = np.broadcast_to(w.quant.scale, (channels,))
        real = [x.scale * float(s) / out.scale for s in scales]
    pairs = [quantize_multiplier(r) for r in real]
    return np.array([m for m, _ in pairs], np.int32), np.array([s for _, s in pairs], np.int32)


def padding_before(graph: Graph, op: Op) -> tuple[int, int]:
    """Rows above and columns left of the image that the window covers (TFLite's SAME puts the odd one after)."""
    o = op.options
    assert isinstance(o, ConvOptions | DepthwiseOptions)
    x, w = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]]
    if o.padding == "VALID":
        return 0, 0
    before = []
    for size, taps, stride, dilation in (
        (x.shape[1], w.shape[1], o.stride_h, o.dilation_h),
        (x.shape[2], w.shape[2], o.stride_w, o.dilation_w),
    ):
        extent = (taps - 1) * dilation + 1
        total = max(0, (window_out(size, extent, stride, "SAME") - 1) * stride + extent - size)
        before.append(total // 2)
    return before[0], before[1]


def _exact_type(weights: np.ndarray, axes: tuple[int, ...], x: Tensor) -> type[np.float32] | type[np.float64]:
    reach = max(127 - x.zero_point, x.zero_point + 128)
    bound = int(np.abs(weights.astype(np.int64)).sum(axis=axes).max()) * reach
    return np.float32 if bound < 1 << 24 else np.float64


def _bias(graph: Graph, op: Op, channels: int) -> np.ndarray:
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        return np.zeros(channels, np.int32)
    data = graph.tensors[op.inputs[2]].data
    assert data is not None
    return data


def _finish(graph: Graph, op: Op, acc: np.ndarray, activation: tuple[int, int]) -> np.ndarray:
    """Float accumulators of exact integers → int8, with the bias."""
    out = graph.tensors[op.outputs[0]]
    m, shift = output_multipliers(graph, op)
    total = acc.astype(np.int32)
    total += _bias(graph, op, acc.shape[-1])
    return requantize(total, m, shift, out.zero_point, *activation)


def _padded(graph: Graph, op: Op, x: np.ndarray, dtype: type) -> np.ndarray:
    """x − zero point with zeros around it, so that every window lies inside: [n, H', W', C]."""
    o = op.options
    assert isinstance(o, ConvOptions | DepthwiseOptions)
    w, t = graph.tensors[op.inputs[1]], graph.tensors[op.inputs[0]]
    out = graph.tensors[op.outputs[0]]
    top, left = padding_before(graph, op)
    height = (out.shape[1] - 1) * o.stride_h + (w.shape[1] - 1) * o.dilation_h + 1
    width = (out.shape[2] - 1) * o.stride_w + (w.shape[2] - 1) * o.dilation_w + 1
    rows, cols = min(x.shape[1], height - top), min(x.shape[2], width - left)
    if (top, left, rows, cols) == (0, 0, height, width):
        return np.subtract(x[:, :rows, :cols], t.zero_point, dtype=dtype)
    padded: np.ndarray = np.zeros((x.shape[0], height, width, x.shape[3]), dtype)
    np.subtract(
        x[:, :rows, :cols], t.zero_point, out=padded[:, top : top + rows, left : left + cols], dtype=dtype
    )
    return padded


def conv(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """CONV_2D: x int8[n, H, W, C] → int8[n, H', W', K]."""
    o = op.options
    assert isinstance(o, ConvOptions)
    out = graph.tensors[op.outputs[0]]
    w = graph.tensors[op.inputs[1]].data
    assert w is not None
    dtype = _exact_type(w, (1, 2, 3), graph.tensors[op.inputs[0]])
    columns = _columns(_padded(graph, op, x, dtype), w.shape[1:3], o, out.shape[1:3])
    if o.groups == 1:
        acc = columns.reshape(-1, w[0].size) @ w.reshape(len(w), -1).T.astype(dtype)
    else:
        acc = _grouped(columns, w.astype(dtype), o.groups)
    return _finish(graph, op, acc.reshape(-1, *out.shape[1:]), activation_range(o.activation, out))


def _columns(x: np.ndarray, window: tuple[int, ...], o: ConvOptions, size: tuple[int, ...]) -> np.ndarray:
    """im2col: [n, H', W', kh, kw, C]; a view when the window is 1×1."""
    if window == (1, 1):
        return x[:, :: o.stride_h, :: o.stride_w, None, None, :]
    n, _, _, c = x.shape
    s0, s1, s2, s3 = x.strides
    return np.lib.stride_tricks.as_strided(
        x,
        (n, *size, *window, c),
        (s0, s1 * o.stride_h, s2 * o.stride_w, s1 * o.dilation_h, s2 * o.dilation_w, s3),
        writeable=False,
    )


def _grouped(columns: np.ndarray, w: np.ndarray, groups: int) -> np.ndarray:
    """One matrix product a group: [n·H'·W', K] with the groups' outputs side by side."""
    n, h, wd, kh, kw, c = columns.shape
    per_group = c // groups
    split = columns.reshape(n, h, wd, kh, kw, groups, per_group)
    stacked = np.ascontiguousarray(np.moveaxis(split, 5, 0)).reshape(groups, n * h * wd, kh * kw * per_group)
    kernels = w.reshape(groups, len(w) // groups, -1).transpose(0, 2, 1)
    return np.moveaxis(stacked @ kernels, 0, 1).reshape(n * h * wd, len(w))


def depthwise(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """DEPTHWISE_CONV_2D: x int8[n, H, W, C] → int8[n, H', W', C·multiplier], a sum over shifted planes."""
    o = op.options
    assert isinstance(o, DepthwiseOptions)
    out = graph.tensors[op.outputs[0]]
    w = graph.tensors[op.inputs[1]].data
    assert w is not None
    dtype = _exact_type(w, (0, 1, 2), graph.tensors[op.inputs[0]])
    if o.multiplier > 1:  # output channel c·multiplier + m reads input channel c
        x = np.repeat(x, o.multiplier, axis=3)
    padded = _padded(graph, op, x, dtype)
    acc = _shifted_sums(padded, w[0].astype(dtype), o, (len(x), *out.shape[1:]))
    return _finish(graph, op, acc.reshape(len(x), *out.shape[1:]), activation_range(o.activation, out))


def _shifted_sums(
    padded: np.ndarray, taps: np.ndarray, o: DepthwiseOptions, shape: tuple[int, ...]
) -> np.ndarray:
    """Σ over the window of shifted image × tap, float[n, H', W', C]; taps are [kh, kw, C]."""
    n, height, width, channels = shape
    if o.stride_w == 1:
        # Whole rows of W·C values at once: numpy's inner loop is slow on a few channels.
        padded = padded.reshape(n, padded.shape[1], -1, 1)
        taps = np.tile(taps, (1, 1, width))[..., None]
        unit, span = channels, width * channels
    else:
        unit, span = 1, (width - 1) * o.stride_w + 1
    step = 1 if o.stride_w == 1 else o.stride_w
    acc: np.ndarray | None = None
    product: np.ndarray | None = None
    for i in range(taps.shape[0]):
        rows = slice(i * o.dilation_h, i * o.dilation_h + (height - 1) * o.stride_h + 1, o.stride_h)
        for j in range(taps.shape[1]):
            left = j * o.dilation_w * unit
            view = padded[:, rows, left : left + span : step]
            if acc is None:
                acc = view * taps[i, j]
                product = np.empty_like(acc)
            else:
                acc += np.multiply(view, taps[i, j], out=product)
    assert acc is not None
    return acc


def fully_connected(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """FULLY_CONNECTED: x int8[n, …] → int8[n, rows, units] shaped as the output without its batch."""
    o = op.options
    assert isinstance(o, FullyConnectedOptions)
    t, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    w = graph.tensors[op.inputs[1]].data
    assert w is not None
    dtype = _exact_type(w, (1,), t)
    rows = np.subtract(x.reshape(-1, w.shape[1]), t.zero_point, dtype=dtype)
    acc = (rows @ w.T.astype(dtype)).reshape(len(x), *out.shape)
    return _finish(graph, op, acc, activation_range(o.activation, out))
