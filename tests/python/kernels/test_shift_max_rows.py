"""Shift-Max by rows: portable twin and Cortex-M7 twin against the oracle by ==, and the instructions counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shift_max_layer import Layer, layer, quant, run_on_arm, run_on_host

from dftiny import int8
from dftiny.graph import ShiftBranch, ShiftTerm
from dftiny.kernels import lines

NARROW = ShiftTerm((), 0.0005, 3, "NONE")


def oracle(case: Layer) -> np.ndarray:
    vectors = [v.reshape(1, 1, 1, 1, -1) for v in case.vectors]
    return int8.shift_max(case.graph, case.graph.ops[0], case.x[None, None], vectors)[0, 0]


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


def assert_twins_equal(case: Layer, folder: Path) -> int:
    want = oracle(case)
    assert len(np.unique(want)) > 10, "a dead case proves nothing"
    assert np.array_equal(run_on_host(case, folder), want)
    got, instructions = run_on_arm(case, folder)
    assert np.array_equal(got, want), f"{np.count_nonzero(got != want)} of {want.size} differ"
    return instructions


@pytest.mark.parametrize("branches", [1, 2])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 3, 8), (5, 7, 3), (2, 1, 33), (4, 12, 6)])
def test_twins(shape: tuple[int, int, int], branches: int, tmp_path: Path) -> None:
    case = made(sum(shape), shape, branches)
    if case.x.size < 100:
        assert np.array_equal(run_on_host(case, tmp_path), oracle(case))
        assert np.array_equal(run_on_arm(case, tmp_path)[0], oracle(case))
        return
    assert "fixes" in dict(case.call.pointers)
    assert_twins_equal(case, tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"out_c": 12},
        {"activation": "RELU"},
        {"products": (0.00002, 0.00003), "out": 0.00004},
        {"products": (0.05, 0.03), "out": 0.001},
    ],
)
def test_general_form(changed: dict[str, object], tmp_path: Path) -> None:
    """Other channels out than in, activations, scales out of the fast form's range."""
    case = made(5, (4, 5, 7), **changed)  # type: ignore[arg-type]
    assert "fixes" not in dict(case.call.pointers)
    want = oracle(case)
    assert np.array_equal(run_on_host(case, tmp_path), want)
    assert np.array_equal(run_on_arm(case, tmp_path)[0], want)


@pytest.mark.parametrize("seed", range(6))
def test_many_scales(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    first, second = (float(s) for s in 0.0006 * 2 ** rng.uniform([-1, -5], [1, 1]))
    assert_twins_equal(made(seed, (6, 6, 64), products=(first, second), out=0.0008), tmp_path)


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
    has = found.fixes[:, 0] != lines.NONE
    assert 40 < has.sum() <= 256
    slope = ((every - zero_c) * found.slope >> 6) + found.fixes[:, 0]
    offset = found.start + (found.fixes[:, 1] << lines.FIX_BITS) - zero_x * slope
    values = slope[:, None] * every + offset[:, None]
    assert np.abs(values[has]).max() < 1 << 31
    want = int8.requantize(
        ((every - zero_c)[:, None] * (every - zero_x)).astype(np.int32),
        multiplier,
        shift,
        zero_out,
        -128,
        127,
    )
    assert np.array_equal(np.clip(values >> lines.SLOPE_BITS, -128, 127)[has], want[has])


@pytest.mark.parametrize(
    ("shape", "branches", "limit"),
    [((6, 6, 192), 2, 75), ((24, 24, 8), 1, 29), ((12, 12, 32), 2, 59), ((3, 3, 384), 2, 110)],
)
def test_instructions(shape: tuple[int, int, int], branches: int, limit: int, tmp_path: Path) -> None:
    case = made(1, shape, branches)
    instructions = assert_twins_equal(case, tmp_path)
    print(shape, branches, instructions / case.x.size)
    assert instructions < limit * case.x.size
