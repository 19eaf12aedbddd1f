"""Runs where emx-onnx-cgen is installed: LAYER.npz OUT.c makes an ONNX model of one QLinearConv and its C.
Started by contenders/foreign.py; without arguments it only proves that the packages are there."""

import sys
from pathlib import Path

import emx_onnx_cgen.cli
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(layer: dict[str, np.ndarray]) -> onnx.ModelProto:
    """One QLinearConv, int8 in and out."""
    values = {
        "xs": layer["quant"][0], "xz": layer["zero"][0], "w": layer["weights"], "ws": layer["w_scale"],
        "wz": np.zeros(len(layer["w_scale"]), np.int8), "ys": layer["quant"][1], "yz": layer["zero"][1], "b": layer["bias"],
    }  # fmt: skip
    node = helper.make_node(
        "QLinearConv",
        ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"],
        ["y"],
        kernel_shape=layer["weights"].shape[2:],
        pads=layer["pads"].tolist(),
        strides=layer["strides"].tolist(),
        group=int(layer["groups"]),
    )
    x, y = (
        helper.make_tensor_value_info(n, TensorProto.INT8, layer[f"{n}_shape"].tolist()) for n in ("x", "y")
    )
    constants = [numpy_helper.from_array(np.asarray(v), n) for n, v in values.items()]
    graph = helper.make_graph([node], "layer", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if len(sys.argv) > 1:
    source = Path(sys.argv[2])
    onnx.save(model(dict(np.load(sys.argv[1]))), source.with_suffix(".onnx"))
    options = ["--model-name", "model", "--large-temp-threshold", "0", "--large-weight-threshold", "0"]
    sys.argv = ["emx", "compile", *options, str(source.with_suffix(".onnx")), str(source)]
    sys.exit(emx_onnx_cgen.cli.main())
