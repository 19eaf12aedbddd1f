"""Whole nets of random operators: oracle and TFLM agree on the output, whatever stands next to what."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from randomnets import RandomNet
from widenets import WideNet

from dftiny import graph, int8, spec
from dftiny.export import tflm

NETS = 120


@pytest.mark.skipif(not tflm.available(), reason="tflite-micro exists for x86-64 Linux only")
def test_random_nets_equal_tflm() -> None:
    kinds: Counter[str] = Counter()
    answers = set()
    for seed in range(NETS):
        model = (WideNet if seed % 2 else RandomNet)(seed).model.bytes()
        g = graph.load(model, name=f"net {seed}")
        kinds.update(op.kind for op in g.ops)
        x = np.random.default_rng(seed).integers(-128, 128, (4, *g.input.shape[1:])).astype(np.int8)
        x[0] = 127
        got, expected = int8.run(g, x), tflm.Interpreter(model).run(x)
        assert np.array_equal(got, expected), f"seed {seed}"
        answers.add(got.tobytes())
    # The nets must cover the operators and must not all answer the same.
    assert set(kinds) >= set(spec.ops()["op"]) - {"SQUEEZE", "EXPAND_DIMS"}
    assert len(answers) > NETS * 0.8


def test_tiles_are_independent_of_the_batch_they_came_in() -> None:
    g = graph.load(RandomNet(3, side=40).model.bytes())
    x = np.random.default_rng(0).integers(-128, 128, (70, 40, 40, 3)).astype(np.int8)
    together = int8.run(g, x)
    assert np.array_equal(
        together[[0, 33, 69]], np.concatenate([int8.run(g, x[i : i + 1]) for i in (0, 33, 69)])
    )
    everything = int8.run_all(g, x[:3])
    assert np.array_equal(everything[g.outputs[0]], together[:3])
    assert set(everything) == {g.inputs[0], *(op.outputs[0] for op in g.ops)}
