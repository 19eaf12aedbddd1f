"""Source → model.onnx → model.tflite in a folder, passing every gate on the way; an int8 .tflite is taken as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dftiny import graph as graphs
from dftiny import int8
from dftiny.export import gates, onnx, tflite, tiles
from dftiny.export.progress import Progress
from dftiny.export.source import Source

GATE_TILES = 32
FLOAT_GATES = ("float-int8", "int8-reference")


def make_model(
    source: Source, folder: Path, threshold: float, progress: Progress
) -> tuple[graphs.Graph, dict[str, Any]]:
    """Write model.onnx and model.tflite into `folder`; returns the int8 graph and what gates.json will hold.

    Raises DftError when a layer cannot be converted, CheckFailed when a gate fails.
    """
    if source.tflite_path is not None:
        return _take_int8(source, source.tflite_path, folder, progress)
    onnx.require("onnx", "onnxsim", "onnxruntime", "tensorflow", "onnx2tf", "tf_keras")
    real = tiles.spread(source.calibration, GATE_TILES)
    hard = np.concatenate([real, source.golden, tiles.synthetic(source.size)])
    path = folder / "model.onnx"
    passed: list[gates.Gate] = []
    with progress.step("ONNX"):
        passed.append(_to_onnx(source, path, real))
        logits = onnx.run_onnx(path, real)
    with progress.step("int8 TFLite (onnx2tf, TFLiteConverter)"):
        converted = tflite.convert(path, source.calibration, hard)
        (folder / "model.tflite").write_bytes(converted.model)
        g = graphs.load(converted.model, name=source.name)
    passed.append(gates.same_float("onnx-keras", logits, converted.keras[: len(real)]))
    with progress.step(f"gates: oracle, TFLite reference kernels, TFLM on {len(hard)} tiles"):
        x = int8.from_pixels(hard)
        outputs = int8.run(g, x)
        passed.append(_float_int8(g, logits, outputs[: len(real)], threshold))
        passed.append(gates.same_bits("int8-reference", outputs, converted.reference, g))
        passed.append(gates.tflm_bits(converted.model, x, outputs, g))
    return g, _report(passed, progress)


def _take_int8(
    source: Source, path: Path, folder: Path, progress: Progress
) -> tuple[graphs.Graph, dict[str, Any]]:
    """Copy an int8 model and pass the gates that need no float model; the others are named as absent."""
    model = path.read_bytes()
    (folder / "model.tflite").write_bytes(model)
    g = graphs.load(model, name=source.name)
    hard = np.concatenate([source.golden, tiles.synthetic(source.size)])
    without = [gates.Gate(name, "absent", 0, reason="the source is int8 already") for name in FLOAT_GATES]
    with progress.step(f"gates: oracle, TFLM on {len(hard)} tiles"):
        x = int8.from_pixels(hard)
        compared = gates.tflm_bits(model, x, int8.run(g, x), g)
    return g, _report([*without, compared], progress)


def _report(passed: list[gates.Gate], progress: Progress) -> dict[str, Any]:
    for gate in passed:
        progress.say(_line(gate))
    absent = [p.name for p in passed if p.status == "absent"]
    return {"schema": 1, "gates": [p.as_json() for p in passed], "absent": absent}


def _to_onnx(source: Source, path: Path, real: np.ndarray) -> gates.Gate:
    if source.checkpoint is not None:
        onnx.from_checkpoint(source.checkpoint, path)
        return gates.same_float(
            "torch-onnx", run_torch(source.checkpoint.net, real), onnx.run_onnx(path, real)
        )
    assert source.onnx_path is not None
    onnx.from_onnx(
        source.onnx_path, path, normalisation=source.normalisation, layout=source.layout, size=source.size
    )
    before = onnx.run_foreign(source.onnx_path, real, source.normalisation, source.layout)
    return gates.same_float("foreign-onnx", before, onnx.run_onnx(path, real))


def run_torch(net: Any, pixels: np.ndarray) -> np.ndarray:
    """Logits float32[n, K] of uint8 tiles [n, H, W, 3], on one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            batches = (torch.from_numpy(t[None].transpose(0, 3, 1, 2).astype(np.float32)) for t in pixels)
            return np.concatenate([net(b).numpy() for b in batches])
    finally:
        torch.set_num_threads(threads)


def _float_int8(g: graphs.Graph, logits: np.ndarray, outputs: np.ndarray, threshold: float) -> gates.Gate:
    saturated = float(((outputs == 127) | (outputs == -128)).mean())
    return gates.quantised(logits, int8.to_real(g, outputs), threshold, saturated)


def _line(gate: gates.Gate) -> str:
    figures = ", ".join(f"{k.replace('_', ' ')} {v:.3g}" for k, v in gate.figures.items())
    return f"gate {gate.name}: {gate.status}{' — ' + gate.reason if gate.reason else ''} {figures}"
