"""The oracle against recorded answers of TFLM: runs where tflite-micro does not exist."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dftiny import graph, int8
from dftiny.errors import DftError

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "int8_nets.npz"


def test_recorded_nets() -> None:
    kinds = set()
    with np.load(VECTORS) as v:
        seeds = sorted(int(k.split("_")[1]) for k in v.files if k.startswith("model_"))
        for seed in seeds:
            g = graph.load(v[f"model_{seed}"].tobytes(), name=f"net {seed}")
            kinds.update(op.kind for op in g.ops)
            assert np.array_equal(int8.run(g, v[f"input_{seed}"]), v[f"output_{seed}"]), f"net {seed}"
    assert len(seeds) == 8
    assert len(kinds) >= 15


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (1 << 30, 1)),
        (0.5, (1 << 30, 0)),
        (0.75, (3 << 29, 0)),
        (1 - 2**-40, (1 << 30, 1)),  # the mantissa rounds up to 2^31 and is halved
        (2.0**-33, (0, 0)),
        (2.0**40, ((1 << 31) - 1, 30)),
    ],
)
def test_quantize_multiplier(real: float, expected: tuple[int, int]) -> None:
    assert int8.quantize_multiplier(real) == expected


@pytest.mark.parametrize(
    ("value", "shift", "expected"),
    [
        (5, -1, 2),
        (-5, -1, -1),
        (3, -1, 1),
        (2, -2, 0),
        (6, -2, 1),
        (-6, -2, -1),
        (7, -2, 1),
        (10, 1, 10),
        (0, -31, 0),
    ],
)
def test_halves_are_rounded_twice(value: int, shift: int, expected: int) -> None:
    """Multiplier 1/2: the high product rounds halves up, the shift after it away from zero: 5 and −5 differ."""
    assert int(int8.multiply(np.array([value]), 1 << 30, shift)[0]) == expected
    one = int8.requantize(np.array([value], np.int32), 1 << 30, shift, 0, -128, 127)
    assert int(one[0]) == expected


def test_pixels_become_pixel_minus_128_and_wrong_inputs_are_refused() -> None:
    pixels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(int8.from_pixels(pixels).astype(int), np.arange(256) - 128)
    with np.load(VECTORS) as v:
        g = graph.load(v["model_0"].tobytes())
    with pytest.raises(DftError, match=r"takes int8 \[10, 10, 3\], not uint8"):
        int8.run(g, np.zeros((1, 10, 10, 3), np.uint8))
