"""The converter, as a program: ONNX → Keras (onnx2tf, in memory) → int8 .tflite. The only file that imports
tensorflow; started by export/tflite.py in an empty temporary folder, with what it prints going to a log.

Reads request.json; leaves model.tflite, keras.npy (float logits of the gate tiles) and reference.npy (int8
outputs of TFLite's reference kernels on the quantised gate tiles).
"""

from __future__ import annotations

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


def convert(model: Any, tiles: np.ndarray) -> bytes:
    """Full int8, input and output included, calibrated on uint8 tiles [n, H, W, 3]."""
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
    result: bytes = converter.convert()
    return result


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
    model = keras_model(request["onnx"])
    np.save("keras.npy", float_logits(model, gate))
    data = convert(model, np.load(request["calibration"]))
    Path("model.tflite").write_bytes(data)
    np.save("reference.npy", reference(data, (gate.astype(np.int16) - 128).astype(np.int8)))


if __name__ == "__main__":
    main()
