"""TFLM, the official interpreter, as an oracle: the PyPI wheel `tflite-micro` (x86-64 Linux only).

It aborts the process on some models and writes its reasons to C's stderr, so `run_tflm` runs it in a child
(this module as a program) and turns what it says into a DftError. `Interpreter` is for tests that know their
models are good and need thousands of runs.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from dftiny import graph
from dftiny.errors import CheckFailed, DftError

TIMEOUT_S = 600
HEADROOM_BYTES = 4 << 20
MAX_ARENA_BYTES = 1 << 31


def available() -> bool:
    """Whether the wheel is installed."""
    return importlib.util.find_spec("tflite_micro") is not None


class Interpreter:
    """One model in this process. `run` takes int8[n, …] and gives int8[n, …], without the batch of 1."""

    def __init__(self, model: bytes) -> None:
        from tflite_micro import runtime

        g = graph.load(model)
        activations = sum(t.nbytes for t in g.tensors if t.data is None)
        arena = min(2 * activations + len(model) + HEADROOM_BYTES, MAX_ARENA_BYTES - 1)
        self._shape = g.input.shape
        self._interpreter: Any = runtime.Interpreter.from_bytes(model, arena_size=arena)

    def run(self, x: np.ndarray) -> np.ndarray:
        """Outputs of all tiles, one after the other."""
        outputs = []
        for tile in x:
            self._interpreter.set_input(np.ascontiguousarray(tile).reshape(self._shape), 0)
            self._interpreter.invoke()
            outputs.append(self._interpreter.get_output(0)[0].copy())
        return np.array(outputs, np.int8)


def run_tflm(model: bytes, x: np.ndarray) -> np.ndarray:
    """TFLM's outputs int8[n, …] for inputs int8[n, H, W, C], computed in a child process.

    DftError when the wheel is not installed; CheckFailed, with TFLM's own words, when it refuses the model.
    """
    if not available():
        raise DftError("tflite-micro is not installed", "pip install dftiny[export] (x86-64 Linux only)")
    with tempfile.TemporaryDirectory(prefix="dftiny-tflm-") as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(model)
        np.save(folder / "inputs.npy", x)
        path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, "-m", "dftiny.export.tflm", name],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)},
            check=False,
        )
        if done.returncode != 0 or not (folder / "outputs.npy").exists():
            lines = [s.strip() for s in done.stderr.splitlines() if s.strip()]
            raise CheckFailed(
                f"TFLM refuses the model: {_reason(lines, done.returncode)}",
                "reformulate the operator it names",
            )
        outputs: np.ndarray = np.load(folder / "outputs.npy")
        return outputs


def _reason(lines: list[str], code: int) -> str:
    """The first line that TFLM itself wrote (Python's traceback follows it and says less)."""
    own = [s for s in lines if not s.startswith(("Traceback", "File ", "^"))]
    return (own[0] if own and code > 0 else f"it crashed (code {code})")[:300]


def _child(folder: Path) -> None:
    outputs = Interpreter((folder / "model.tflite").read_bytes()).run(np.load(folder / "inputs.npy"))
    np.save(folder / "outputs.npy", outputs)


if __name__ == "__main__":
    _child(Path(sys.argv[1]))
