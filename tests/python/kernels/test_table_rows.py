"""Pointwise functions by rows: both twins equal the oracle, a fused table included."""

from __future__ import annotations

import numpy as np
import pytest
from point_graphs import random_values, tensor, unary
from row_harness import Harness

INSTRUCTIONS_MAX = 3.3


@pytest.mark.parametrize("kind", ["RELU", "HARD_SWISH", "LOGISTIC", "QUANTIZE"])
@pytest.mark.parametrize("shape", [(1, 3, 9, 7), (1, 2, 4, 8), (1, 1, 1, 5), (1, 4, 1, 1)])
def test_equals_the_oracle(harness: Harness, kind: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(kind) + shape[2])
    scale, zero = (1 / 256, -128) if kind == "LOGISTIC" else (0.04, -20)
    graph = unary(kind, tensor(0, shape, 0.05, -3), tensor(1, shape, scale, zero))
    harness.check(graph, random_values(rng, graph))


def test_with_a_function_behind(harness: Harness) -> None:
    rng = np.random.default_rng(2)
    graph = unary("RELU", tensor(0, (1, 2, 3, 7), 0.05, -3), tensor(1, (1, 2, 3, 7), 0.04, -20))
    harness.check(graph, random_values(rng, graph), rng.integers(-128, 128, 256).astype(np.int8))


def test_few_instructions(harness: Harness) -> None:
    shape = (1, 4, 24, 24)
    graph = unary("HARD_SWISH", tensor(0, shape, 0.05, -3), tensor(1, shape, 0.04, -20))
    checked = harness.check(graph, random_values(np.random.default_rng(1), graph))
    assert checked.per_element <= INSTRUCTIONS_MAX
