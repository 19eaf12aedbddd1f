"""The converter, as a program: ONNX → Keras (onnx2tf, in memory) → int8 .tflite. The only file that imports
tensorflow; started by export/tflite.py in an empty temporary folder, with what it prints going to a log.

Reads request.json; leaves model.tflite, separate.tflite (the same, every constant with a buffer of its
own), float.tflite (the float model that the quantiser was given), keras.npy (float logits of the gate tiles) and reference.npy (int8 outputs of TFLite's reference kernels on the quantised gate
tiles). A request that names a "model" instead of an ONNX file only gets the last one.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

# Offline, onnx2tf dies for want of this file, though the calibration data are ours and it is never used.
SAMPLE = "calibration_image_sample_data_20x128x128x3_float32.npy"


def keras_model(onnx: str) -> Any:
    """The float model, NHWC."""
    import onnx2tf

    np.save(SAMPLE, np.zeros((20, 128, 128, 3), np.float32))
    return onnx2tf.convert(
        input_onnx_file_path=onnx,
        output_folder_path="onnx2tf",
        not_use_onnxsim=True,
        disable_model_save=True,
        verbosity="warn",
    )


def float_logits(model: Any, tiles: np.ndarray) -> np.ndarray:
    """Outputs of the Keras model for uint8 tiles [n, H, W, 3]."""
    import tensorflow as tf

    call = tf.function(model)  # eager calls take ten times as long
    return np.concatenate([call(t[None].astype(np.float32)).numpy() for t in tiles])


def convert(model: Any, tiles: np.ndarray) -> tuple[bytes, bytes]:
    """(full int8, input and output included, calibrated on uint8 tiles [n, H, W, 3]; the float model before it)."""
    import tensorflow as tf

    def samples() -> Iterator[list[np.ndarray]]:
        for tile in tiles:
            yield [tile[None].astype(np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    floats: list[bytes] = []
    quantise = converter._quantize  # the only place where the float model can be had without converting twice

    def keeping(result: bytes, *rest: Any) -> Any:
        floats.append(bytes(result))
        return quantise(result, *rest)

    converter._quantize = keeping
    return bytes(converter.convert()), floats[0]


def unshared(model: bytes) -> bytes:
    """The same model where no two tensors share a buffer, so that each constant can be written by itself."""
    from tensorflow.lite.tools import flatbuffer_utils

    tree = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    taken: set[int] = set()
    for tensor in tree.subgraphs[0].tensors:
        buffer = tree.buffers[tensor.buffer]
        if tensor.buffer in taken and buffer.data is not None and len(buffer.data):
            tree.buffers.append(copy.copy(buffer))
            tensor.buffer = len(tree.buffers) - 1
        taken.add(tensor.buffer)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(tree))


def reference(model: bytes, x: np.ndarray) -> np.ndarray:
    """int8 outputs of TFLite's reference kernels for int8 tiles; its default kernels differ by 1."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(
        model_content=model,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    index_in = interpreter.get_input_details()[0]["index"]
    index_out = interpreter.get_output_details()[0]["index"]
    outputs = []
    for tile in x:
        interpreter.set_tensor(index_in, tile[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(index_out)[0])
    return np.array(outputs, np.int8)


def main() -> None:
    """Do what request.json asks for."""
    request = json.loads(Path("request.json").read_text(encoding="utf-8"))
    gate = np.load(request["gate"])
    if "model" in request:
        data = Path(request["model"]).read_bytes()
    else:
        model = keras_model(request["onnx"])
        np.save("keras.npy", float_logits(model, gate))
        data, before = convert(model, np.load(request["calibration"]))
        Path("separate.tflite").write_bytes(unshared(data))
        Path("float.tflite").write_bytes(unshared(before))
        Path("model.tflite").write_bytes(data)
    np.save("reference.npy", reference(data, (gate.astype(np.int16) - 128).astype(np.int8)))


if __name__ == "__main__":
    main()
