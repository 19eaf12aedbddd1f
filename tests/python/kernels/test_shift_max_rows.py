"""Shift-Max by rows: portable twin and Cortex-M7 twin against the oracle by ==, and the instructions counted."""

from __future__ import annotations

import numpy as np
import pytest
from row_harness import Harness
from shift_max_layer import Layer, layer, quant

from dftiny import int8
from dftiny.graph import ShiftBranch, ShiftTerm
from dftiny.kernels import lines


def made(
    seed: int, shape: tuple[int, int, int], branches: int = 2, out_c: int | None = None, **changed: object
) -> Layer:
    """Scales as a converted MicroNet has them; `changed`: scales of products and activations to try others."""
    rng = np.random.default_rng(seed)
    n = shape[2] if out_c is None else out_c
    x = rng.integers(-128, 128, shape).astype(np.int8)
    zero = [int(z) for z in rng.integers(-40, 40, 8)]
    scales = changed.get("products", (0.0007372, 1.387e-05))
    made_branches = []
    for b in range(branches):
        terms = tuple(
            ShiftTerm(tuple(int(i) for i in rng.integers(0, shape[2], n)), float(np.float32(s)), z, "NONE")
            for s, z in zip(scales, (zero[b], zero[4 + b]), strict=True)
        )
        kind = "SUB" if b == 0 else "ADD"
        scale = float(np.float32(changed.get("out", 0.0007193)))
        made_branches.append(ShiftBranch(kind, terms, scale, -10, changed.get("activation", "NONE")))  # type: ignore[arg-type]
    vectors = rng.integers(-128, 128, (2 * branches, n)).astype(np.int8)
    quants = [quant(s, z) for s, z in ((0.004097, -128), (0.0003091, -18)) * branches]
    return layer(x, quant(0.0007134, -9), vectors, quants, tuple(made_branches))


def assert_twins_equal(
    harness: Harness, made_layer: Layer, *, fast: bool = True, least: int = 10
) -> tuple[float, float]:
    """Both twins == the oracle, in the fast form or the general one; instructions an element on the Cortex-M7,
    row by row and with the map as one row."""
    want = made_layer.oracle()
    assert len(np.unique(want)) > least, "a dead case proves nothing"
    counted = []
    for flat in (False, True):
        case = made_layer.case(flat=flat)
        assert ("sums" in dict(case.call.pointers)) == fast
        np.testing.assert_array_equal(harness.host(case)[0], want.reshape(case.lane.shape.rows, -1))
        got, instructions = harness.arm(case)
        np.testing.assert_array_equal(got, want.reshape(case.lane.shape.rows, -1))
        counted.append(instructions / want.size)
    return counted[0], counted[1]


@pytest.mark.parametrize("branches", [1, 2])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 3, 8), (5, 7, 3), (2, 1, 33), (4, 12, 6)])
def test_twins(shape: tuple[int, int, int], branches: int, harness: Harness) -> None:
    assert_twins_equal(harness, made(sum(shape), shape, branches), least=0 if shape == (1, 1, 1) else 10)


@pytest.mark.parametrize(
    "changed",
    [
        {"out_c": 12},
        {"activation": "RELU"},
        {"products": (0.00002, 0.00003), "out": 0.00004},
        {"products": (0.05, 0.03), "out": 0.001},
    ],
)
def test_general_form(changed: dict[str, object], harness: Harness) -> None:
    """Other channels out than in, activations, scales out of the fast form's range."""
    case = made(5, (4, 5, 7), **changed)  # type: ignore[arg-type]
    assert_twins_equal(harness, case, fast=False, least=3)


@pytest.mark.parametrize("seed", range(6))
def test_many_scales(seed: int, harness: Harness) -> None:
    rng = np.random.default_rng(seed)
    first, second = (float(s) for s in 0.0006 * 2 ** rng.uniform([-1, -5], [1, 0]))
    assert_twins_equal(harness, made(seed, (6, 6, 64), products=(first, second), out=0.0008))


@pytest.mark.parametrize(
    ("multiplier", "shift"), [(2146964861, -8), (1103143642, -7), (1536117955, -6), (1092468188, -5)]
)
@pytest.mark.parametrize("zeros", [(-19, -128, -19), (4, 36, 25), (0, 127, -128)])
def test_lines_are_the_products(multiplier: int, shift: int, zeros: tuple[int, int, int]) -> None:
    """All 256 × 256 products, as the kernel computes them from the lines."""
    zero_x, zero_c, zero_out = zeros
    found = lines.products(multiplier, shift, *zeros)
    assert found is not None
    every = np.arange(-128, 128, dtype=np.int64)
    c, x = every - zero_c, every - zero_x
    slope = ((c * found.slope + (1 << lines.FINER >> 1)) >> lines.FINER) + found.fixes
    values = lines.bent(slope[:, None] * every - (zero_x * slope)[:, None], -shift) + found.start
    assert np.abs(values).max() < 1 << 31
    want = int8.requantize((c[:, None] * x).astype(np.int32), multiplier, shift, zero_out, -128, 127)
    assert np.array_equal(np.clip(values >> lines.PRODUCT_BITS, -128, 127), want)


@pytest.mark.parametrize(
    ("shape", "branches", "limits"),
    [
        ((6, 6, 192), 2, (43.5, 41)),
        ((24, 24, 8), 1, (18.5, 17.5)),
        ((12, 12, 32), 2, (41, 39)),
        ((3, 3, 384), 2, (53, 48)),
    ],
)
def test_instructions(
    shape: tuple[int, int, int], branches: int, limits: tuple[float, float], harness: Harness
) -> None:
    rows, flat = assert_twins_equal(harness, made(1, shape, branches))
    print(f"{shape}, {branches} branches: {rows:.1f} by rows, {flat:.1f} at once, instructions an element")
    assert rows <= limits[0] and flat <= limits[1]
