"""Writes int8_nets.npz: random nets with inputs and TFLM's outputs, so that every platform can check the oracle.

Run where tflite-micro is installed: `python tests/vectors/make_int8_nets.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))

from randomnets import RandomNet  # noqa: E402

from dftiny.export import tflm  # noqa: E402

SEEDS = (0, 2, 5, 6, 10, 11, 16, 17)


def main() -> None:
    """Nets model_S (the .tflite's bytes), input_S int8[3, H, W, 3], output_S int8[3, 4]."""
    arrays = {}
    for seed in SEEDS:
        model = RandomNet(seed, steps=8, side=10).model.bytes()
        x = np.random.default_rng(seed).integers(-128, 128, (3, 10, 10, 3)).astype(np.int8)
        arrays[f"model_{seed}"] = np.frombuffer(model, np.uint8)
        arrays[f"input_{seed}"] = x
        arrays[f"output_{seed}"] = tflm.Interpreter(model).run(x)
    np.savez_compressed(HERE / "int8_nets.npz", **arrays)


if __name__ == "__main__":
    main()
