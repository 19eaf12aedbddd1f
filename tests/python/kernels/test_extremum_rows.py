"""MAXIMUM and MINIMUM by rows: both twins equal the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from point_graphs import binary, random_map, random_values, tensor
from row_harness import Harness

INSTRUCTIONS_MAX = 2.45
SHAPE = (1, 3, 5, 7)


@pytest.mark.parametrize("kind", ["MAXIMUM", "MINIMUM"])
@pytest.mark.parametrize("second", [SHAPE, (1, 1, 1, 7)])
def test_equals_the_oracle(harness: Harness, kind: str, second) -> None:
    rng = np.random.default_rng(1)
    graph = binary(kind, *(tensor(k, s, 0.1, 3) for k, s in enumerate((SHAPE, second, SHAPE))), None)
    harness.check(graph, random_values(rng, graph))
    harness.check(graph, random_values(rng, graph), rng.integers(-128, 128, 256).astype(np.int8))


@pytest.mark.parametrize("kind", ["MAXIMUM", "MINIMUM"])
@pytest.mark.parametrize("shape", [(7,), SHAPE, (1,)])
def test_constants(harness: Harness, kind: str, shape) -> None:
    rng = np.random.default_rng(2)
    b = tensor(1, shape, 0.1, 3, random_map(rng, shape))
    graph = binary(kind, tensor(0, SHAPE, 0.1, 3), b, tensor(2, SHAPE, 0.1, 3), None)
    harness.check(graph, random_values(rng, graph))


@pytest.mark.parametrize("kind", ["MAXIMUM", "MINIMUM"])
def test_all_pairs_in_few_instructions(harness: Harness, kind: str) -> None:
    shape = (1, 1, 256, 256)
    graph = binary(kind, *(tensor(k, shape, 0.1, 3) for k in range(3)), None)
    every = np.arange(-128, 128).astype(np.int8)
    values = {0: np.tile(every[:, None], (1, 1, 1, 256)), 1: np.tile(every, (1, 1, 256, 1))}
    assert harness.check(graph, values).per_element <= INSTRUCTIONS_MAX
