"""Float execution, new scales and equalisation over every operator the reader knows, on nets of random operators."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from randomnets import RandomNet
from widenets import WideNet

from dftiny import graph, int8, spec
from dftiny.diagnose import METHODS
from dftiny.diagnose.equalise import equalised
from dftiny.diagnose.floats import dequantised, input_values, real, run, run_op
from dftiny.diagnose.ranges import observe
from dftiny.diagnose.requantise import requantised
from dftiny.errors import DftError
from dftiny.export import tflm

NETS = 40
VIEWS = {"SQUEEZE", "EXPAND_DIMS"}
# Steps of the output by which an operator's float result may differ from its int8 one, which rounds twice.
STEPS = 3.0


def net(seed: int) -> tuple[bytes, graph.Graph, np.ndarray]:
    """(file, graph, uint8 inputs [4, H, W, 3])."""
    model = (WideNet if seed % 2 else RandomNet)(seed).model.bytes()
    g = graph.load(model, name=f"net {seed}")
    return model, g, np.random.default_rng(seed).integers(0, 256, (4, *g.input.shape[1:]), np.uint8)


def test_every_operator_in_float_is_its_int8_without_rounding() -> None:
    kinds: Counter[str] = Counter()
    for seed in range(NETS):
        _, g, tiles = net(seed)
        floats = dequantised(g)
        ints = {
            t: real(g.tensors[t], q.reshape(-1, *g.tensors[t].shape))
            for t, q in int8.run_all(g, int8.from_pixels(tiles)).items()
        }
        for op in g.ops:
            t = g.tensors[op.outputs[0]]
            low, high = t.scale * (-128 - t.zero_point), t.scale * (127 - t.zero_point)
            got = np.clip(run_op(floats, op, ints)[0], low, high)
            off = np.abs(got - ints[t.index]).max() / t.scale
            assert off < STEPS, f"seed {seed}, operator {op.index} ({op.kind}): {off:.1f} steps"
            kinds[op.kind] += 1
    assert set(kinds) >= set(spec.ops()["op"]) - VIEWS


def test_equalisation_of_random_nets_keeps_their_function() -> None:
    scaled = 0
    for seed in range(NETS):
        _, g, tiles = net(seed)
        before = dequantised(g)
        after, factors = equalised(before, observe(before, tiles))
        a, b = (run(n, input_values(g, tiles))[g.outputs[0]].astype(np.float64) for n in (before, after))
        assert np.abs(a - b).max() <= 1e-3 * max(np.abs(a).max(), 1e-3), f"seed {seed}"
        scaled += any(np.ptp(f) > 0 for f in factors.values())
    assert scaled > 3


@pytest.mark.skipif(not tflm.available(), reason="tflite-micro exists for x86-64 Linux only")
def test_new_scales_on_random_nets_equal_tflm() -> None:
    made = refused = 0
    for seed in range(NETS):
        model, g, tiles = net(seed)
        floats = dequantised(g)
        seen = observe(floats, tiles)
        try:
            again = requantised(model, floats, seen, METHODS[seed % 3])
        except DftError:
            refused += 1  # a scale that TFLM cannot run: said, not written
            continue
        made += 1
        x = int8.from_pixels(tiles)
        assert np.array_equal(int8.run(graph.load(again), x), tflm.Interpreter(again).run(x)), f"seed {seed}"
    assert made > 0.6 * NETS, (made, refused)
