"""Writes further_nets.npz: five small nets of nets_further.py with inputs and TFLM's outputs.

Run where the converter and tflite-micro are installed: `python tests/vectors/make_further_nets.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))

import nets_further  # noqa: E402

from dftiny.export import tflm  # noqa: E402

NAMES = ("pnet_like", "shufflenet_v2_like", "superresolution_like", "tcn_like", "unet_like")


def main() -> None:
    """Nets model_NAME (the .tflite's bytes), input_NAME int8[2, H, W, C], output_NAME int8[2, …]."""
    arrays = {}
    for name in NAMES:
        model = nets_further.model(name, HERE.parents[1] / "build/nets_int8")
        x = nets_further.samples(name, 2, seed=3)
        arrays[f"model_{name}"] = np.frombuffer(model, np.uint8)
        arrays[f"input_{name}"] = x
        arrays[f"output_{name}"] = tflm.run_tflm(model, x)
    np.savez_compressed(HERE / "further_nets.npz", **arrays)


if __name__ == "__main__":
    main()
