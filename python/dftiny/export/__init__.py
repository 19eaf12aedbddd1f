"""From a checkpoint or an ONNX model to int8 TFLite, and the gates between the stages.

onnx (torch → ONNX, normalisation folded in) · tflite + tflite_worker (the converter, in a process of its own,
the only file that imports tensorflow) · tflm (the official interpreter) · gates (each stage against the one
before) · tiles (calibration and golden tiles). Composed by dftiny.bundle.
"""
