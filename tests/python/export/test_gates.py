"""A gate that cannot fail is none: each is shown passing and failing."""

from __future__ import annotations

import numpy as np
import pytest
from flatmodel import FlatModel, conv_options

from dftiny import graph
from dftiny.errors import CheckFailed, DftError
from dftiny.export import gates, tflite, tflm

LOGITS = np.array([[3.0], [-2.0], [0.5], [-4.0]], np.float32)


def small(scale: float = 1.0, zero_point: int = -128) -> bytes:
    m = FlatModel()
    x = m.act((1, 8, 8, 3), scale, zero_point)
    y = m.act((1, 8, 8, 2), 0.5, 0)
    m.op("CONV_2D", (x, m.const(np.ones((2, 1, 1, 3), np.int8), 0.01), -1), (y,), **conv_options())
    p = m.act((1, 2), 0.5, 0)
    m.op("MEAN", (y, m.const(np.array([1, 2], np.int32))), (p,), KeepDims=False)
    return m.bytes()


def test_float_gate() -> None:
    assert gates.same_float("a-b", LOGITS, LOGITS + 1e-5).figures["max_abs_error"] < 2e-5
    with pytest.raises(CheckFailed, match="gate a-b"):
        gates.same_float("a-b", LOGITS, LOGITS + 0.1)
    with pytest.raises(CheckFailed):
        gates.same_float("a-b", LOGITS, LOGITS * np.float32(np.nan))


def test_quantisation_gate_measures_and_fails_without_signal() -> None:
    gate = gates.quantised(LOGITS, LOGITS + np.float32([[0.1], [0], [-0.6], [0]]), 0.0, 0.0)
    assert gate.figures["verdicts_equal"] == 0.75
    assert gate.figures["max_abs_error"] == pytest.approx(0.6)
    assert 15 < gate.figures["sqnr_db"] < 20
    with pytest.raises(CheckFailed, match="loses the signal"):
        gates.quantised(LOGITS, -LOGITS, 0.0, 0.0)


def test_bit_gate_counts_tiles() -> None:
    g = graph.load(small())
    a = np.zeros((5, 2), np.int8)
    assert gates.same_bits("x", a, a.copy(), g).status == "passed"
    b = a.copy()
    b[3, 1] = 1
    with pytest.raises(CheckFailed, match="1 of 5 tiles"):
        gates.same_bits("x", a, b, g)


def test_absent_tflm_is_named_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflm, "available", lambda: False)
    g = graph.load(small())
    gate = gates.tflm_bits(small(), np.zeros((1, 8, 8, 3), np.int8), np.zeros((1, 2), np.int8), g)
    assert (gate.status, gate.tiles) == ("absent", 0)
    assert "tflite-micro" in gate.as_json()["reason"]
    with pytest.raises(DftError, match="not installed"):
        tflm.run_tflm(small(), np.zeros((1, 8, 8, 3), np.int8))


@pytest.mark.skipif(not tflm.available(), reason="tflite-micro exists for x86-64 Linux only")
def test_tflm_in_a_child_says_why_it_refuses() -> None:
    x = np.random.default_rng(0).integers(-128, 128, (3, 8, 8, 3)).astype(np.int8)
    assert np.array_equal(tflm.run_tflm(small(), x), tflm.Interpreter(small()).run(x))
    m = FlatModel()
    y = m.act((1, 2, 2, 1, 1, 3), 0.5, 0)
    # A wrong SQUEEZE that the reader does not look into, but TFLM does.
    m.inputs = (m.act((1, 2, 2, 1, 1, 3), 0.5, 0),)
    m.op("SQUEEZE", m.inputs, (y,), SqueezeDims=(1,))
    with pytest.raises(CheckFailed, match=r"TFLM refuses the model: .*squeeze\.cc"):
        tflm.run_tflm(m.bytes(), np.zeros((1, 2, 2, 1, 1, 3), np.int8))


def test_the_input_must_be_pixel_minus_128() -> None:
    tflite.check_edges(graph.load(small()))
    for bad in (small(scale=0.99), small(zero_point=-127)):
        with pytest.raises(CheckFailed, match="not pixel − 128"):
            tflite.check_edges(graph.load(bad))


def test_a_failed_conversion_names_the_layer() -> None:
    log = "noise\n\x1b[31mERROR: onnx_op_name: /blocks.3/Conv\nValueError: depth 7 of 32\nmore\n"
    error = tflite._failure(tflite._ANSI.sub("", log))
    assert "at layer /blocks.3/Conv: ValueError: depth 7 of 32" in str(error)
