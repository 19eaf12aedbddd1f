"""The gates: every stage compared with the one before, on real tiles; the three int8 answers by ==.

float torch → ONNX → float Keras → int8 are judged by error; numpy oracle, TFLM and TFLite's reference kernels
must agree in every bit or the export fails. What is not installed is a named absence, never a pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dftiny.errors import CheckFailed
from dftiny.export import tflm
from dftiny.graph import Graph

FLOAT_LIMIT = 1e-3
SQNR_LIMIT_DB = 3.0


@dataclass(frozen=True)
class Gate:
    """One comparison. `status` is "passed" or "absent"; a gate that fails raises instead."""

    name: str
    status: str
    tiles: int
    figures: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """For gates.json."""
        value = {"name": self.name, "status": self.status, "tiles": self.tiles, "figures": dict(self.figures)}
        return {**value, "reason": self.reason} if self.reason else value


def same_float(name: str, before: np.ndarray, after: np.ndarray) -> Gate:
    """float[n, K] against float[n, K]: the largest error must stay below FLOAT_LIMIT of the largest logit (or 1)."""
    error = float(np.abs(before.astype(np.float64) - after).max())
    limit = FLOAT_LIMIT * max(1.0, float(np.abs(before).max()))
    if not error <= limit:
        raise CheckFailed(
            f"gate {name}: logits differ by {error:.3g}, more than {limit:.3g}, on {len(before)} tiles",
            "a layer was converted wrongly; look at `dftiny --debug export`",
        )
    return Gate(name, "passed", len(before), {"max_abs_error": error, "limit": limit})


def quantised(real: np.ndarray, approximate: np.ndarray, threshold: float, saturated: float) -> Gate:
    """Float logits [n, K] against dequantised int8 ones: error, agreement of the verdicts, signal to noise.

    Rounding is meant to differ; fails only when int8 has lost the signal (below SQNR_LIMIT_DB).
    """
    error = approximate.astype(np.float64) - real
    noise, power = float((error**2).mean()), float((real.astype(np.float64) ** 2).mean())
    sqnr = 10 * math.log10(power / noise) if noise > 0 and power > 0 else 200.0 if noise == 0 else -200.0
    if real.shape[1] == 1:
        agree = float(((real > threshold) == (approximate > threshold)).mean())
    else:
        agree = float((real.argmax(1) == approximate.argmax(1)).mean())
    figures = {
        "max_abs_error": float(np.abs(error).max()),
        "mean_abs_error": float(np.abs(error).mean()),
        "verdicts_equal": agree,
        "sqnr_db": round(sqnr, 3),
        "outputs_saturated": saturated,
    }
    if sqnr < SQNR_LIMIT_DB:
        raise CheckFailed(
            f"gate float-int8: int8 loses the signal ({sqnr:.1f} dB, at most {figures['max_abs_error']:.3g} off)",
            "give calibration tiles that look like the images to be judged",
        )
    return Gate("float-int8", "passed", len(real), figures)


def same_bits(name: str, oracle: np.ndarray, other: np.ndarray, graph: Graph) -> Gate:
    """int8[n, K] of the numpy oracle against another int8 implementation: equal or CheckFailed."""
    if oracle.shape != other.shape or not np.array_equal(oracle, other):
        differing = int(np.count_nonzero((oracle != other).reshape(len(oracle), -1).any(1)))
        raise CheckFailed(
            f"gate {name}: {differing} of {len(oracle)} tiles differ in {graph.name}",
            "this is a fault of dftiny's oracle or of the converter: please report the model",
        )
    return Gate(name, "passed", len(oracle), {"differing_tiles": 0})


def tflm_bits(model: bytes, x: np.ndarray, oracle: np.ndarray, graph: Graph) -> Gate:
    """The oracle against TFLM, or a named absence where the wheel does not exist."""
    if not tflm.available():
        return Gate("int8-tflm", "absent", 0, reason="tflite-micro is not installed (x86-64 Linux only)")
    return same_bits("int8-tflm", oracle, tflm.run_tflm(model, x), graph)
