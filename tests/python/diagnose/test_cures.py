"""Diagnosis and cures on a small net: what float does not notice, what int8 loses, and that it comes back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from flatmodel import FlatModel, conv_options
from twins import POINTWISE, Twins, damaged, twins, weights

from dftiny import graph, int8
from dftiny.diagnose import METHODS, Cures
from dftiny.diagnose.bias import bias_corrected
from dftiny.diagnose.causes import causes
from dftiny.diagnose.cure import cured
from dftiny.diagnose.equalise import chains, equalised
from dftiny.diagnose.explain import diagnose, lines
from dftiny.diagnose.floats import dequantised, input_values, real, run
from dftiny.diagnose.measure import answer_db, measured
from dftiny.diagnose.ranges import chosen_range, observe
from dftiny.diagnose.requantise import Numbers, affine, numbers, requantised, scale_groups, written
from dftiny.diagnose.twin import float_twin
from dftiny.errors import DftError
from dftiny.export import tflm

needs_tflm = pytest.mark.skipif(not tflm.available(), reason="tflite-micro is not installed")


@pytest.fixture(scope="module")
def sound() -> Twins:
    return twins(weights(6))


@pytest.fixture(scope="module")
def ill() -> Twins:
    return twins(damaged(weights(6), channel=4, factor=300))


def logits(t: Twins) -> np.ndarray:
    return run(t.net, input_values(t.graph, t.tiles))[t.graph.outputs[0]].reshape(-1, 1)


def agreement(t: Twins, model: bytes) -> float:
    return answer_db(logits(t), int8.run_oracle(graph.load(model), t.tiles))


@needs_tflm
def test_float_execution_is_that_of_tflms_float_kernels(sound: Twins) -> None:
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(sound.floats)
    answers = []
    for x in input_values(sound.graph, sound.tiles[:6])[sound.graph.inputs[0]]:
        interpreter.set_input(np.ascontiguousarray(x), 0)
        interpreter.invoke()
        answers.append(interpreter.get_output(0)[0].copy())
    assert np.std(answers) > 1e-3
    np.testing.assert_allclose(logits(sound)[:6, 0], np.array(answers).reshape(-1), rtol=1e-4, atol=1e-5)


@needs_tflm
@pytest.mark.parametrize("method", METHODS)
def test_numbers_of_our_own_are_exact_in_tflm(sound: Twins, method: str) -> None:
    made = cured(sound.model, sound.floats, sound.tiles, Cures(method, True, True), "twin").model  # type: ignore[arg-type]
    x = int8.from_pixels(sound.tiles)
    outputs = int8.run(graph.load(made), x)
    assert len(np.unique(outputs)) > 4
    assert made != sound.model
    assert np.array_equal(outputs, tflm.run_tflm(made, x))


def test_damage_is_invisible_in_float_and_ruins_int8(sound: Twins, ill: Twins) -> None:
    np.testing.assert_allclose(logits(ill), logits(sound), rtol=1e-4, atol=1e-4)
    assert agreement(sound, sound.model) > 20
    assert agreement(ill, ill.model) < 12


@pytest.mark.parametrize(("channel", "factor"), [(3, 30), (5, 30), (0, 300), (7, 300), (4, 1000), (10, 1000)])
def test_the_damaged_channel_is_among_the_first_two_causes(channel: int, factor: float) -> None:
    t = twins(damaged(weights(6), channel, factor))
    found = causes(t.graph, measured(t.graph, t.net, t.tiles))[:2]
    assert ("outlier channel", POINTWISE, channel) in [(c.kind, c.op, c.channel) for c in found]
    assert all(c.attempt.startswith("--equalise") for c in found if c.kind == "outlier channel")


def test_it_is_found_without_the_float_model_too(ill: Twins) -> None:
    found = diagnose(ill.graph, ill.tiles)
    assert not found.measured.net.exact
    assert (found.causes[0].op, found.causes[0].channel) == (POINTWISE, 4)


def test_a_sound_net_has_no_outlier(sound: Twins) -> None:
    assert "outlier channel" not in [
        c.kind for c in causes(sound.graph, measured(sound.graph, sound.net, sound.tiles))
    ]


def test_equalisation_changes_nothing_in_float_and_undoes_the_damage(sound: Twins, ill: Twins) -> None:
    whole, factors = equalised(sound.net, observe(sound.net, sound.tiles))
    healed, _ = equalised(ill.net, observe(ill.net, ill.tiles))
    assert factors
    assert any(v.max() > 1.5 * v.min() for v in factors.values())
    for net in (whole, healed):
        after = run(net, input_values(sound.graph, sound.tiles))[sound.graph.outputs[0]].reshape(-1, 1)
        np.testing.assert_allclose(after, logits(sound), rtol=1e-4, atol=1e-4)
    made = cured(ill.model, ill.floats, ill.tiles, Cures(equalise=True), "ill").model
    other = graph.load(cured(sound.model, sound.floats, sound.tiles, Cures(equalise=True), "sound").model)
    for t, u in zip(graph.load(made).tensors, other.tensors, strict=True):
        if t.data is not None and t.dtype == np.int8:  # what comes out does not depend on the damage
            assert np.abs(t.data.astype(int) - u.data).max() <= 1
    assert agreement(ill, made) > agreement(sound, sound.model) - 5
    again = cured(ill.model, ill.floats, ill.tiles, Cures("mse", True, True), "ill")
    twin = float_twin(graph.load(again.model), again.floats)  # the cured model has a twin again
    after = run(twin, input_values(twin.graph, ill.tiles))[twin.graph.outputs[0]].reshape(-1, 1)
    np.testing.assert_allclose(after, logits(sound), rtol=1e-4, atol=1e-4)


def test_chains_end_where_scaling_would_change_the_answer(sound: Twins) -> None:
    found = {t for c in chains(sound.graph) for t in c.tensors}
    g = sound.graph
    assert not found & {*g.inputs, *g.outputs}
    assert g.ops[POINTWISE].outputs[0] in found
    clipped = tuple(
        replace(op, options=replace(op.options, activation="RELU6")) if i == POINTWISE else op  # type: ignore[type-var]
        for i, op in enumerate(g.ops)
    )
    assert g.ops[POINTWISE].outputs[0] not in {t for c in chains(replace(g, ops=clipped)) for t in c.tensors}


def test_bias_correction_gives_the_means_back(sound: Twins) -> None:
    before = measured(sound.graph, sound.net, sound.tiles)
    last = sound.graph.outputs[0]
    shifted = dict(sound.net.constants)
    bias = sound.graph.ops[0].inputs[2]
    shifted[bias] = shifted[bias] + 0.1
    crooked = requantised(
        sound.model, replace(sound.net, constants=shifted), observe(sound.net, sound.tiles), "minmax"
    )
    g = graph.load(crooked)
    made = graph.load(bias_corrected(crooked, g, sound.net, sound.tiles))

    def shift(of: graph.Graph) -> float:
        values = int8.run_all(of, int8.from_pixels(sound.tiles))[last]
        return abs(float((real(of.tensors[last], values[:, None]) - before.floats[last]).mean()))

    assert shift(g) > 4 * shift(made)


def test_ranges(sound: Twins) -> None:
    seen = observe(sound.net, sound.tiles)[sound.graph.ops[0].outputs[0]]
    low, high = chosen_range(seen, "minmax")
    assert (low, high) == (0.0, pytest.approx(seen.high))
    counts = seen.counts.copy()
    counts[-1], counts[1:-1] = 1, 0  # one value far out, all others at the bottom
    counts[:40] = 5000
    rare = replace(seen, counts=counts)
    assert chosen_range(rare, "percentile")[1] < 0.1 * seen.high
    # The best of h²/255²/12 a value and (high − h)² for the one: 200,000 values at the bottom.
    assert chosen_range(rare, "mse")[1] == pytest.approx(seen.high / (1 + 200_000 / 255**2 / 12), rel=0.05)


def test_zero_is_exact_and_the_range_is_carried() -> None:
    for low, high in ((-1.0, 3.0), (0.0, 6.0), (-5.0, -1.0), (0.0, 0.0), (-1e-12, 1e-12)):
        q = affine(low, high)
        step, zero = float(q.scale[0]), int(q.zero_point[0])
        assert step > 0
        assert -128 <= zero <= 127
        assert step * (-128 - zero) <= low + step
        assert step * (127 - zero) >= max(high, 0) - step


def test_operators_that_move_values_share_their_scale() -> None:
    m = FlatModel()
    x, c, p, y = (
        m.act((1, 4, 4, 3), 1.0, -128),
        m.act((1, 4, 4, 2), 0.5),
        m.act((1, 2, 2, 2), 0.5),
        m.act((1, 8), 0.5),
    )
    m.op("CONV_2D", (x, m.const(np.ones((2, 1, 1, 3), np.int8), 0.1), -1), (c,), **conv_options())
    m.op("MAX_POOL_2D", (c,), (p,), Padding=1, StrideH=2, StrideW=2, FilterHeight=2, FilterWidth=2)
    m.op("RESHAPE", (p, m.const(np.array([1, 8], np.int32))), (y,))
    g = graph.load(m.bytes())
    groups = scale_groups(g)
    assert groups[c] == groups[p] == groups[y] != groups[x]
    net = dequantised(g)
    tiles = np.random.default_rng(0).integers(0, 256, (4, 4, 4, 3), np.uint8)
    found = numbers(net, observe(net, tiles), "minmax").quants
    assert found[c].same(found[p])
    assert found[c].same(found[y])
    assert x not in found


def test_a_constant_joined_with_a_map_shares_its_scale() -> None:
    """Joined with the pixels it keeps theirs; joined with a map it widens the map's range."""
    m = FlatModel()
    x, p, c = m.act((1, 4, 4, 3), 1.0, -128), m.act((1, 5, 4, 3), 1.0, -128), m.act((1, 5, 4, 2), 0.5)
    row = m.const(np.full((1, 1, 4, 3), -8, np.int8), 1.0, -128)
    m.op("CONCATENATION", (x, row), (p,), Axis=1)
    m.op("CONV_2D", (p, m.const(np.ones((2, 1, 1, 3), np.int8), 0.001), -1), (c,), **conv_options())
    far, y = m.const(np.full((1, 1, 4, 2), 100, np.int8), 0.5), m.act((1, 6, 4, 2), 0.5)
    m.op("CONCATENATION", (c, far), (y,), Axis=1)
    model = m.bytes()
    g = graph.load(model)
    tiles = np.random.default_rng(0).integers(0, 256, (4, 4, 4, 3), np.uint8)
    made = requantised(model, dequantised(g), observe(dequantised(g), tiles), "minmax")
    again = graph.load(made)
    assert (again.tensors[row].data == -8).all()
    assert again.tensors[row].scale == 1.0
    step = again.tensors[far].scale
    assert real(again.tensors[far], again.tensors[far].data).max() == pytest.approx(50, abs=step)
    if tflm.available():
        x8 = int8.from_pixels(tiles)
        assert np.array_equal(int8.run(again, x8), tflm.run_tflm(made, x8))


def test_values_far_from_zero_are_named() -> None:
    w = weights(6)
    w["e"] *= 0.001
    w["e_bias"][:] = 2.0
    w["f"] *= 1000
    t = twins(w)
    found = causes(t.graph, measured(t.graph, t.net, t.tiles))
    assert ("far from zero", 6) in [(c.kind, c.op) for c in found[:2]]


def test_dead_channels_and_tiny_weights_do_not_overflow() -> None:
    w = weights(6)
    w["c"][2], w["c_bias"][2] = 1e-12, 3.0  # a bias that its weights' scale could not hold
    w["c"][3], w["c_bias"][3] = 0.0, 0.0
    t = twins(w)
    assert agreement(t, t.model) > 20
    made = cured(t.model, t.floats, t.tiles, Cures("best", True, True), "dead").model
    assert agreement(t, made) > 20
    if tflm.available():
        x = int8.from_pixels(t.tiles)
        assert np.array_equal(int8.run(graph.load(made), x), tflm.run_tflm(made, x))


def test_a_shared_buffer_is_refused_not_overwritten() -> None:
    m = FlatModel()
    x, y, z = m.act((1, 4, 4, 3), 1.0, -128), m.act((1, 4, 4, 2)), m.act((1, 4, 4, 2))
    w = m.const(np.ones((2, 1, 1, 3), np.int8), 0.1)
    v = m.const(np.ones((2, 1, 1, 2), np.int8), 0.1)
    m.op("CONV_2D", (x, w, -1), (y,), **conv_options())
    m.op("CONV_2D", (y, v, -1), (z,), **conv_options())
    model = m.bytes()
    g = graph.load(model)
    both = Numbers({}, {w: np.full((2, 1, 1, 3), 7, np.int8), v: np.full((2, 1, 1, 2), 5, np.int8)})
    again = graph.load(written(model, g, both))
    assert (again.tensors[w].data == 7).all()
    assert (again.tensors[v].data == 5).all()


def test_a_stranger_is_no_twin(sound: Twins) -> None:
    with pytest.raises(DftError, match="is not the float model"):
        float_twin(sound.graph, twins(weights(5)).floats)
    with pytest.raises(DftError, match="no TFL3 mark"):
        float_twin(sound.graph, b"x" * 64)


def test_text_and_json_say_the_same(ill: Twins) -> None:
    found = diagnose(ill.graph, ill.tiles, model=ill.model, floats=ill.floats, name="ill")
    text, value = "\n".join(lines(found)), found.as_json()
    assert f"operator {POINTWISE} " in text
    assert "channel 4" in text
    assert "try: --equalise" in text
    assert "--equalise" in value["trials"][0]["options"]
    assert value["trials"][0]["logits_db"] > value["logits_sqnr_db"] + 6
    assert len(value["layers"]) == len(ill.graph.ops)
    assert value["causes"][0]["channel"] == 4
