"""Generated models compiled for Cortex-M7 and run in unicorn: same bits, and no more instructions than agreed.

Counts are exact and repeatable, so a limit that is passed is a change of the code or the compiler, not noise."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from arm_model import build, run
from random_graphs import KINDS, phinet_like, random_graph

from dftiny import int8
from dftiny.graph import Graph
from dftiny.plan import RegionSpec, plan

REGIONS = [RegionSpec("axi", 512 << 10, 32)]
pytestmark = [
    pytest.mark.emu,
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
    ),
]


def on_the_chip(graph: Graph, folder: Path, seed: int = 0):
    layout = plan(graph, REGIONS)
    x = np.random.default_rng(seed).integers(-128, 128, graph.input.shape[1:]).astype(np.int8)
    y, counts = run(graph, layout, build(graph, layout, folder), x)
    assert np.array_equal(y, int8.run(graph, x[None])[0].reshape(-1))
    return counts


@pytest.mark.parametrize("seed", range(3))
def test_every_operator_gives_the_oracles_bits(seed: int, tmp_path: Path) -> None:
    kinds = np.random.default_rng(seed).permutation(KINDS)
    for part in range(0, len(kinds), 9):
        graph = random_graph(100 * seed + part, list(kinds[part : part + 9]))
        if graph.ops:
            on_the_chip(graph, tmp_path, seed)


@pytest.mark.slow
def test_instructions_of_a_phinet(tmp_path: Path) -> None:
    """Per MAC by kind of operator, and the whole tile: measured 20.3 M (7.7 depthwise, 3.0 convolution)."""
    counts = on_the_chip(phinet_like(), tmp_path)
    instructions: Counter[str] = Counter()
    macs: Counter[str] = Counter()
    for op in counts:
        instructions[op.kind] += op.instructions
        macs[op.kind] += op.macs
    assert instructions["CONV_2D"] / macs["CONV_2D"] < 3.5
    assert instructions["DEPTHWISE_CONV_2D"] / macs["DEPTHWISE_CONV_2D"] < 9
    assert sum(instructions.values()) < 25_000_000
