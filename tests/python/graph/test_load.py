"""What the reader accepts and, one sentence each, what it refuses."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tflite
from flatmodel import FlatModel, conv_options

from dftiny import graph, spec
from dftiny.errors import DftError
from dftiny.graph.checks import KINDS


def small() -> FlatModel:
    """conv 3×3/2 → depthwise ×2 → mean → fully connected."""
    m = FlatModel()
    x = m.act((1, 8, 8, 3), 1.0, -128)
    w = m.const(np.ones((4, 3, 3, 3), np.int8), [0.1, 0.2, 0.3, 0.4])
    b = m.const(np.arange(4, dtype=np.int32), [0.1, 0.2, 0.3, 0.4])
    y = m.act((1, 4, 4, 4), 0.5, -128)
    m.op("CONV_2D", (x, w, b), (y,), **conv_options(2, "SAME", 3))
    w = m.const(np.ones((1, 3, 3, 8), np.int8), [0.1] * 8, axis=3)
    z = m.act((1, 2, 2, 8), 0.5, 3)
    m.op("DEPTHWISE_CONV_2D", (y, w, -1), (z,), **conv_options(1, "VALID"), DepthMultiplier=2)
    p = m.act((1, 8), 0.25, 3)
    m.op("MEAN", (z, m.const(np.array([1, 2], np.int32))), (p,), KeepDims=False)
    q = m.act((1, 2), 0.5, 0)
    m.op("FULLY_CONNECTED", (p, m.const(np.ones((2, 8), np.int8), 0.5), -1), (q,))
    return m


def test_reads_types_shapes_options_and_macs() -> None:
    g = graph.load(small().bytes(), name="small")
    assert [o.kind for o in g.ops] == ["CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED"]
    assert g.ops[0].options == graph.ConvOptions(2, 2, 1, 1, "SAME", "RELU6", 1)
    assert g.ops[1].options == graph.DepthwiseOptions(1, 1, 1, 1, "VALID", "NONE", 2)
    assert g.ops[2].options == graph.MeanOptions((1, 2), False)
    assert (g.input.shape, g.input.scale, g.input.zero_point) == ((1, 8, 8, 3), 1.0, -128)
    weights = g.tensors[g.ops[0].inputs[1]]
    assert weights.quant is not None
    assert weights.quant.per_channel
    assert weights.quant.scale.tolist() == np.float32([0.1, 0.2, 0.3, 0.4]).tolist()
    assert weights.data is not None
    assert weights.data.shape == (4, 3, 3, 3)
    assert [graph.macs(g, o) for o in g.ops] == [16 * 4 * 27, 4 * 8 * 9, 0, 16]
    assert graph.total_macs(g) == 16 * 4 * 27 + 4 * 8 * 9 + 16


def test_table_of_operators_and_checks_name_the_same_operators() -> None:
    assert set(spec.ops()["op"]) == KINDS


def refused(data: bytes, *words: str) -> None:
    with pytest.raises(DftError) as e:
        graph.load(data, name="model.tflite")
    text = str(e.value)
    assert "\n" not in text
    assert text.startswith("model.tflite")
    for word in words:
        assert word in text
    assert e.value.exit_code == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["is empty"]),
        (b"# a readme\n" * 9, ["is a text file"]),
        ("größe\n".encode() * 9, ["is a text file"]),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), ["is not a TensorFlow Lite model"]),
        (small().bytes()[:200], ["truncated or damaged"]),
        (small().bytes()[:9], ["truncated or damaged"]),
    ],
)
def test_refuses_files_that_are_no_models(data: bytes, words: list[str]) -> None:
    refused(data, *words)


def test_refuses_a_missing_file_and_a_folder(tmp_path) -> None:
    with pytest.raises(DftError, match="No such file"):
        graph.load(tmp_path / "absent.tflite")
    with pytest.raises(DftError, match="is not a file"):
        graph.load(tmp_path)


def _float(m: FlatModel) -> None:
    for t in m.tensors:
        t.dtype = "float32" if t.dtype == "int8" else t.dtype
        t.data = None


def _unknown(m: FlatModel) -> None:
    m.op("COS", m.ops[-1].outputs, (m.act((1, 2)),))


def _no_quant(m: FlatModel) -> None:
    m.tensors[m.ops[1].outputs[0]].scale = np.zeros(0, np.float32)


def _bad_scale(m: FlatModel) -> None:
    m.tensors[m.ops[0].outputs[0]].scale = np.array([np.nan], np.float32)


def _out_of_range(m: FlatModel) -> None:
    m.ops[0].inputs = (0, 999, 2)


def _unordered(m: FlatModel) -> None:
    m.ops.reverse()


def _cyclic(m: FlatModel) -> None:
    m.ops[0].inputs = (m.ops[1].outputs[0], *m.ops[0].inputs[1:])


def _twice(m: FlatModel) -> None:
    m.ops[1].outputs = m.ops[0].outputs


def _short_data(m: FlatModel) -> None:
    m.tensors[1].data = b"\x01" * 107


def _overflow(m: FlatModel) -> None:
    m.tensors[0].shape = (1, 1 << 20, 1 << 20, 3)


def _huge_dim(m: FlatModel) -> None:
    m.tensors[0].shape = (1, 0x7FFFFFFF, 8, 3)


def _negative_dim(m: FlatModel) -> None:
    m.tensors[0].shape = (1, -8, 8, 3)


def _wrong_shape(m: FlatModel) -> None:
    m.tensors[m.ops[0].outputs[0]].shape = (1, 5, 5, 4)


def _stride(m: FlatModel) -> None:
    m.ops[0].options["StrideH"] = 0


def _fused_tanh(m: FlatModel) -> None:
    m.ops[0].options["FusedActivationFunction"] = 4


def _wrong_axis(m: FlatModel) -> None:
    m.tensors[1].axis = 1


def _bias_length(m: FlatModel) -> None:
    m.tensors[2].shape, m.tensors[2].data, m.tensors[2].scale = (2,), bytes(8), np.array([1], np.float32)
    m.tensors[2].zero_point = np.array([0])


def _bias_scale(m: FlatModel) -> None:
    m.tensors[2].scale = m.tensors[2].scale * 2


def _int64_pads(m: FlatModel) -> None:
    p = m.const(np.zeros((2, 2), np.int64))
    m.op("PAD", (m.ops[-1].outputs[0], p), (m.act((1, 2), 0.5, 0),))


def _two_graphs(m: FlatModel) -> None:
    m.subgraphs = 2


def _two_inputs(m: FlatModel) -> None:
    m.inputs = (0, 0)


def _dynamic_weights(m: FlatModel) -> None:
    m.tensors[1].data = None


def _relu6(m: FlatModel) -> None:
    y = m.act((1, 2), 0.25, 0)
    m.op("RELU6", m.ops[-1].outputs, (y,))


def _int64_gather(m: FlatModel) -> None:
    m.op("GATHER", (m.ops[-1].outputs[0], m.const(np.array([1, 0]))), (m.act((1, 2), 0.5, 0),), Axis=1)


def _gather_range(m: FlatModel) -> None:
    i = m.const(np.array([1, 2], np.int32))
    m.op("GATHER", (m.ops[-1].outputs[0], i), (m.act((1, 2), 0.5, 0),), Axis=1)


def _logistic_scale(m: FlatModel) -> None:
    m.op("LOGISTIC", m.ops[-1].outputs, (m.act((1, 2), 0.5, 0),))


def _tiny_logistic(m: FlatModel) -> None:
    """Found by tools/campaign mutate, seed 960: the input's multiplier would be a right shift."""
    x = m.ops[-1].outputs[0]
    m.tensors[x].scale = np.array([1e-12], np.float32)
    m.op("LOGISTIC", (x,), (m.act((1, 2), 1 / 256, -128),))


def _other_multiplier(m: FlatModel) -> None:
    """Found with damaged files: TFLM believes the option, and computed something else than the oracle."""
    m.ops[1].options["DepthMultiplier"] = 3


def _pack_count(m: FlatModel) -> None:
    """Likewise: TFLM reads as many operands as the option says, and crashed."""
    y = m.ops[-1].outputs[0]
    m.op("PACK", (y, y), (m.act((1, 2, 2), 0.5, 0),), Axis=1, ValuesCount=3)


def _no_zero_points(m: FlatModel) -> None:
    """Likewise: TFLM then takes the tensor for one without scale."""
    m.tensors[m.ops[0].outputs[0]].zero_point = np.zeros(0, np.int64)


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (_other_multiplier, ["operator 1 (DEPTHWISE_CONV_2D)", "depth multiplier 3, its weights 2"]),
        (_pack_count, ["operator 4 (PACK)", "number do not agree"]),
        (_no_zero_points, ["tensor 3 (t3) has 1 scales and 0 zero points"]),
        (_tiny_logistic, ["operator 4 (LOGISTIC)", "beyond what TFLM's fixed point holds"]),
        (_float, ["float model: tensor t0 is float32", "dftiny export"]),
        (_unknown, ["operator 4 is COS", "does not know"]),
        (_no_quant, ["operator 1 (DEPTHWISE_CONV_2D)", "no quantisation"]),
        (_bad_scale, ["not a positive number"]),
        (_out_of_range, ["not among its"]),
        (_unordered, ["before anything has written it"]),
        (_cyclic, ["operator 0 (CONV_2D) reads"]),
        (_twice, ["already has a value"]),
        (_short_data, ["107 bytes of data, not 108"]),
        (_overflow, ["shape"]),
        (_huge_dim, ["shape"]),
        (_negative_dim, ["shape"]),
        (_wrong_shape, ["not [1, 4, 4, 4]"]),
        (_stride, ["stride 0"]),
        (_fused_tanh, ["fused activation 4"]),
        (_wrong_axis, ["4 scales along dimension 1"]),
        (_bias_length, ["bias of shape [2]"]),
        (_bias_scale, ["bias t2 whose scale"]),
        (_int64_pads, ["constant int32 tensor as input 1"]),
        (_two_graphs, ["2 subgraphs"]),
        (_two_inputs, ["2 inputs"]),
        (_dynamic_weights, ["before anything has written it"]),
        (_relu6, ["operator 4 (RELU6)", "different quantisation"]),
        (_int64_gather, ["int64"]),
        (_gather_range, ["index outside"]),
        (_logistic_scale, ["not 1/256"]),
    ],
)
def test_refuses_models_it_cannot_run(breaks: Callable[[FlatModel], None], words: list[str]) -> None:
    m = small()
    breaks(m)
    refused(m.bytes(), *words)


@pytest.mark.parametrize("kind", sorted(spec.ops()["instead"]))
def test_what_stays_outside_is_refused_with_the_nearest_rewrite(kind: str) -> None:
    m = small()
    m.op(kind, m.ops[-1].outputs, (m.act((1, 2)),))
    refused(m.bytes(), f"operator 4 is {kind}, which dftiny does not know; {spec.ops()['instead'][kind]}")
    assert kind not in spec.ops()["op"]


def test_int8_inside_and_float_at_the_edges_says_how_to_convert() -> None:
    m = small()
    x = m.act((1, 8, 8, 3), None, dtype="float32")
    m.op("QUANTIZE", (x,), (0,))
    m.ops.insert(0, m.ops.pop())
    m.inputs = (x,)
    refused(m.bytes(), "is a float model", "inference_input_type = inference_output_type = int8")


def test_an_operator_of_constants_alone_is_refused() -> None:
    m = small()
    two = (m.const(np.ones((1, 2), np.int8), 0.5) for _ in range(2))
    total = m.act((1, 2), 0.5, 0)
    m.op("ADD", tuple(two), (total,))
    m.op("ADD", (m.ops[3].outputs[0], total), (m.act((1, 2), 0.5, 0),))
    refused(m.bytes(), "operator 4 (ADD) reads constants only")


def test_of_two_operator_codes_the_larger_counts_as_in_tflm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found with damaged files: the reader saw the deprecated code alone, TFLM ran another operator."""
    m = small()
    m.op("ADD", m.ops[-1].outputs * 2, (m.act((1, 2), 0.5, 0),))
    monkeypatch.setattr(tflite.BuiltinOperator, "ADD", tflite.BuiltinOperator.COS)
    monkeypatch.setattr("flatmodel.min", lambda *_: 0, raising=False)  # the deprecated byte says ADD still
    refused(m.bytes(), "operator 4 is COS")


def test_names_a_custom_operator() -> None:
    m = small()
    m.op("CUSTOM", m.ops[-1].outputs, (m.act((1, 2)),))
    refused(m.bytes(), "operator 4 is CUSTOM:")


@pytest.mark.parametrize("seed", range(4))
def test_only_dft_errors_come_out_of_damaged_files(seed: int) -> None:
    """A few hundred mutations: bytes and whole words changed, pieces cut out; each loads or is a DftError."""
    rng = random.Random(seed)
    good = small().bytes()
    messages = []
    for _ in range(250):
        data = bytearray(good)
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(8, len(data) - 4)
            match rng.randrange(4):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    word = rng.choice(
                        (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0xFFFF, len(data), rng.getrandbits(32))
                    )
                    data[at : at + 4] = word.to_bytes(4, "little")
                case 2:
                    del data[at : at + rng.randrange(1, 64)]
                case _:
                    data[at : at + 2] = rng.getrandbits(16).to_bytes(2, "little")
            if len(data) < 64:
                break
        try:
            graph.load(bytes(data), name="mutant.tflite")
        except DftError as e:
            messages.append(str(e))
    assert len(messages) > 100
    assert not [t for t in messages if "\n" in t]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_what_may_never_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tflite")
    for path in (tmp_path / "pipe.tflite", Path("/dev/zero")):
        with pytest.raises(DftError, match="is not a file"):
            graph.load(path)
