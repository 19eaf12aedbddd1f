"""ONNX → int8 .tflite through the worker process, and what its log means.

The worker runs in a temporary folder; TensorFlow and onnx2tf print hundreds of lines, which go to a log that
is only shown behind --debug (as the cause of the DftError).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dftiny import graph
from dftiny.errors import CheckFailed, DftError
from dftiny.export.onnx import require
from dftiny.export.tiles import with_extremes

TIMEOUT_S = 1800
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Converted:
    """`model` is the int8 .tflite, `separate` the same with a buffer for each constant (for dftiny.diagnose, which
    writes into it), `floats` the float .tflite it was quantised from; `keras` float32[n, K] and `reference` int8[n, K]
    are the gate tiles' outputs of the float Keras model and of TFLite's reference kernels."""

    model: bytes
    separate: bytes
    floats: bytes
    keras: np.ndarray
    reference: np.ndarray


class ConverterLog(RuntimeError):
    """The end of what the converter printed: the cause of a DftError, seen with --debug."""


def convert(onnx: Path, calibration: np.ndarray, gate: np.ndarray) -> Converted:
    """Convert `onnx` (as export/onnx wrote it) to int8, calibrated on uint8 tiles [n, H, W, 3].

    DftError names the layer when the converter fails; CheckFailed when the int8 input is not pixel − 128.
    """
    require("tensorflow", "onnx2tf", "tf_keras")
    with tempfile.TemporaryDirectory(prefix="dftiny-convert-") as name:
        folder = Path(name)
        np.save(folder / "calibration.npy", with_extremes(calibration))
        np.save(folder / "gate.npy", gate)
        request = {"onnx": str(onnx.resolve()), "calibration": "calibration.npy", "gate": "gate.npy"}
        _work(folder, request)
        converted = Converted(
            (folder / "model.tflite").read_bytes(),
            (folder / "separate.tflite").read_bytes(),
            (folder / "float.tflite").read_bytes(),
            np.load(folder / "keras.npy").astype(np.float32),
            np.load(folder / "reference.npy"),
        )
    check_edges(graph.load(converted.model, name="the converted model"))
    return converted


def reference(model: bytes, gate: np.ndarray) -> np.ndarray:
    """int8[n, K]: what TFLite's reference kernels answer for uint8 tiles [n, H, W, 3]."""
    with tempfile.TemporaryDirectory(prefix="dftiny-reference-") as name:
        folder = Path(name)
        (folder / "given.tflite").write_bytes(model)
        np.save(folder / "gate.npy", gate)
        _work(folder, {"model": "given.tflite", "gate": "gate.npy"})
        outputs: np.ndarray = np.load(folder / "reference.npy")
        return outputs


def _work(folder: Path, request: Mapping[str, object]) -> None:
    """Have the worker do what `request` says, in `folder`; its failures become one sentence."""
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    log, code = _run(folder)
    if code < 0:
        raise CheckFailed(
            f"the converter was ended by signal {-code}", "free some memory, or use a smaller model"
        ) from ConverterLog(log[-6000:])
    if code != 0 or not (folder / "reference.npy").exists():
        raise _failure(log) from ConverterLog(log[-6000:])


def _run(folder: Path) -> tuple[str, int]:
    """(everything the worker printed, its exit code)."""
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {
        **os.environ,
        "PYTHONPATH": path.rstrip(os.pathsep),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_USE_LEGACY_KERAS": "1",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    with (folder / "log.txt").open("wb") as log:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "dftiny.export.tflite_worker"],
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as e:
            raise CheckFailed(
                f"the converter took more than {TIMEOUT_S // 60} minutes", "use a smaller model"
            ) from e
    return _ANSI.sub("", (folder / "log.txt").read_text(encoding="utf-8", errors="replace")), done.returncode


def _failure(log: str) -> DftError:
    """One sentence out of the converter's log, with the layer that it stumbled over."""
    lines = [s.strip() for s in log.splitlines() if s.strip()]
    layer = next((s.split("onnx_op_name:")[1].strip() for s in lines if "onnx_op_name:" in s), None)
    errors = [s for s in lines if re.match(r"(\w+\.)*\w*(Error|Exception)\b", s)]
    reason = (errors[-1] if errors else lines[-1] if lines else "it ended without a word")[:240]
    where = f" at layer {layer}" if layer else ""
    return DftError(
        f"the converter failed{where}: {reason}",
        "reformulate that layer; `dftiny --debug export` shows the log",
    )


def check_edges(g: graph.Graph) -> None:
    """The input must be int8 [1, H, W, 3] with value pixel − 128, the output [1, K]. CheckFailed otherwise."""
    if (g.input.scale, g.input.zero_point) != (1.0, -128):
        raise CheckFailed(
            f"the int8 input is not pixel − 128 (scale {g.input.scale:g}, zero point {g.input.zero_point})",
            "the model must take pixels 0…255: give --mean and --std if it normalises outside",
        )
    if len(g.input.shape) != 4 or g.input.shape[3] != 3 or len(g.output.shape) != 2:
        raise CheckFailed(
            f"the model maps {list(g.input.shape)} to {list(g.output.shape)}, not [1, H, W, 3] to [1, K]"
        )
