"""Small ONNX classifiers for tests: with and without padding, NCHW and NHWC, fixed and open input size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def classifier(
    path: Path,
    *,
    pad: int = 0,
    nhwc: bool = False,
    groups: int = 1,
    size: int | str = 32,
    classes: int = 4,
    last: str | None = None,
    seed: int = 0,
) -> Path:
    """Conv 3×3/2 → ReLU → 1×1 conv → global average pool → fully connected; `last` is one more operator's type."""
    rng = np.random.default_rng(seed)

    def constant(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(
            rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32), name
        )

    constants = [
        constant("w0", 6, 3 // groups, 3, 3),
        constant("b0", 6),
        constant("w1", 8, 6, 1, 1),
        constant("w2", classes, 8),
        constant("b2", classes),
        numpy_helper.from_array(np.array([0, 8], np.int64), "flat"),
    ]
    nodes = [
        helper.make_node("Transpose", ["image"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "Conv",
            ["nchw" if nhwc else "image", "w0", "b0"],
            ["c0"],
            strides=[2, 2],
            pads=[pad] * 4,
            group=groups,
        ),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1"], ["c1"]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("GlobalAveragePool", ["r1"], ["p"]),
        helper.make_node("Reshape", ["p", "flat"], ["v"]),
        helper.make_node("Gemm", ["v", "w2", "b2"], ["y" if last is None else "z"], transB=1),
    ][0 if nhwc else 1 :]
    if last is not None:
        nodes.append(helper.make_node(last, ["z"], ["y"], name="the_last"))
    shape = ["n", size, size, 3] if nhwc else ["n", 3, size, size]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", classes])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def photo_like(n: int, size: int, seed: int = 0) -> np.ndarray:
    """Smooth random pictures with some noise, uint8 [n, size, size, 3]."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(np.cumsum(rng.normal(0, 1, (n, size, size, 3)), 1), 2)
    low, high = walk.min((1, 2, 3), keepdims=True), walk.max((1, 2, 3), keepdims=True)
    return np.clip((walk - low) / (high - low) * 255 + rng.normal(0, 4, walk.shape), 0, 255).astype(np.uint8)
