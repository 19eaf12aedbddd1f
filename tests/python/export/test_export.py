"""The whole export, for real: a net of random weights, a foreign ONNX model, and a layer that cannot be converted."""

from __future__ import annotations

import json
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if not all(find_spec(n) for n in ("torch", "onnx", "tensorflow", "onnx2tf")):
    pytest.skip("the [export] extra is not installed", allow_module_level=True)

from onnxnets import classifier, photo_like

from dftiny import bundle as bundles
from dftiny import int8
from dftiny.errors import CheckFailed, DftError
from dftiny.export import onnx as stage
from dftiny.export import tflm
from dftiny.export.source import Reading

KNOWN = {"CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "MUL", "ADD", "FULLY_CONNECTED", "PAD", "RESHAPE"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> bundles.Bundle:
    """phinet_demo with random weights, exported."""
    import torch

    from dftiny.nets.checkpoint import save_checkpoint
    from dftiny.nets.registry import create

    folder = tmp_path_factory.mktemp("demo")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        net = create("phinet_demo", 128)
        # A few passes give the batch normalisations the statistics of pictures.
        pixels = torch.from_numpy(photo_like(8, 128).astype(np.float32)).permute(0, 3, 1, 2)
        for _ in range(20):
            net(pixels)
    save_checkpoint(
        folder / "checkpoint.safetensors", net.eval(), preset="phinet_demo", tile=128, threshold=0.5
    )
    np.savez(folder / "calibration.npz", tiles=photo_like(24, 128, seed=1))
    bundles.export(folder / "checkpoint.safetensors", out=folder / "bundle", quiet=True)
    return bundles.load_bundle(folder / "bundle")


@pytest.mark.slow
def test_demo_net_converts_to_the_operators_it_was_made_for(demo: bundles.Bundle) -> None:
    kinds = Counter(o.kind for o in demo.ops)
    assert set(kinds) <= KNOWN
    g = demo.graph()
    # The high-pass front end is one depthwise convolution with several outputs a channel, ReLU6 fused.
    assert g.ops[0].kind == "DEPTHWISE_CONV_2D"
    assert g.ops[0].options.multiplier == 2
    assert g.ops[0].options.activation == "RELU6"
    # Its integer kernels survive: each sums to exactly 0, so no brightness leaks.
    weights = g.tensors[g.ops[0].inputs[1]].data
    assert weights.astype(int).sum((0, 1, 2)).tolist() == [0] * 6
    assert (g.input.scale, g.input.zero_point) == (1.0, -128)
    assert demo.name == "phinet_demo_128.own"
    assert demo.threshold == 0.5


@pytest.mark.slow
def test_every_gate_passed_and_is_recorded(demo: bundles.Bundle) -> None:
    gates = json.loads((demo.folder / "gates.json").read_text())
    by_name = {g["name"]: g for g in gates["gates"]}
    assert list(by_name) == [
        "torch-onnx", "onnx-keras", "float-int8", "int8-reference", "int8-tflm", "int8-engine",
    ]  # fmt: skip
    assert by_name["int8-engine"]["tiles"] == by_name["int8-reference"]["tiles"]
    assert by_name["torch-onnx"]["figures"]["max_abs_error"] < 1e-4
    assert by_name["float-int8"]["figures"]["sqnr_db"] > 15
    assert by_name["int8-reference"]["figures"]["differing_tiles"] == 0
    assert gates["absent"] == ([] if tflm.available() else ["int8-tflm"])
    assert demo.manifest.metrics["gates"] == gates
    assert set(demo.manifest.parents) == {"checkpoint", "calibration"}


@pytest.mark.slow
def test_float_int8_and_tflm_agree_on_new_tiles(demo: bundles.Bundle) -> None:
    tiles = photo_like(6, 128, seed=9)
    real = stage.run_onnx(demo.folder / "model.onnx", tiles)
    x = int8.from_pixels(tiles)
    outputs = int8.run(demo.graph(), x)
    if tflm.available():
        assert np.array_equal(outputs, tflm.run_tflm((demo.folder / "model.tflite").read_bytes(), x))
    spread = float(real.max() - real.min())
    assert np.abs(int8.run_oracle(demo.graph(), tiles) - real).max() < max(
        0.5 * spread, 4 * demo.output_scale
    )


@pytest.mark.slow
def test_a_foreign_classifier_with_normalisation(tmp_path: Path) -> None:
    source = classifier(tmp_path / "My Net.onnx", pad=1, nhwc=True)
    np.savez(tmp_path / "tiles.npz", tiles=photo_like(16, 32))
    bundles.export(
        source,
        out=tmp_path / "bundle",
        reading=Reading(
            calibration=tmp_path / "tiles.npz",
            mean="0.485,0.456,0.406",
            std="0.229,0.224,0.225",
            layout="nhwc",
        ),
        quiet=True,
    )
    b = bundles.load_bundle(tmp_path / "bundle")
    assert b.name == "my_net_32.own"
    assert b.classes == ("class 0", "class 1", "class 2", "class 3")
    tiles = photo_like(8, 32, seed=3)
    outside = stage.run_foreign(
        source, tiles, stage.parse_normalisation("0.485,0.456,0.406", "0.229,0.224,0.225"), None
    )
    inside = int8.run_oracle(b.graph(), tiles)
    assert np.abs(inside - outside).max() < 0.1 * np.ptp(outside)


@pytest.mark.slow
def test_an_operator_nobody_knows_is_named_and_nothing_stays(tmp_path: Path) -> None:
    source = classifier(tmp_path / "net.onnx", last="Cos")
    np.savez(tmp_path / "tiles.npz", tiles=photo_like(8, 32))
    with pytest.raises(DftError) as e:
        bundles.export(
            source,
            out=tmp_path / "out" / "bundle",
            reading=Reading(calibration=tmp_path / "tiles.npz"),
            quiet=True,
        )
    assert "COS" in str(e.value).upper()
    assert "\n" not in str(e.value)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("absent.onnx", {}, "nothing at"),
        ("absent", {}, "nothing at"),
        ("absent.safetensors", {}, "nothing at"),
        ("net.onnx", {}, "without calibration"),
        ("notes.txt", {}, "no model that dftiny knows"),
        ("net.onnx", {"reading": Reading(net="phinet_demo")}, "--net is for checkpoints"),
        ("c.safetensors", {"reading": Reading(mean="0,0,0")}, "are for ONNX models"),
        ("c.safetensors", {}, "without calibration"),
        ("c.safetensors", {"fit": bundles.Fit("stm32h7")}, "unknown target"),
    ],
)
def test_wrong_use_is_said_before_anything_slow(tmp_path: Path, name: str, options: dict, words: str) -> None:
    if name != "absent" and not name.startswith("absent."):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DftError, match=words) as e:
        bundles.export(tmp_path / name, out=tmp_path / "out", quiet=True, **options)
    assert not isinstance(e.value, CheckFailed)
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "onnx2tf" else real(n, *a))
    with pytest.raises(DftError, match=r"export needs onnx2tf.*pip install dftiny\[export\]"):
        stage.require("onnx", "onnx2tf")
