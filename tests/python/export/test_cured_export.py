"""An export with every cure and the diagnosis, for real: our numbers pass the same gates as the converter's."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if not all(find_spec(n) for n in ("torch", "onnx", "tensorflow", "onnx2tf")):
    pytest.skip("the [export] extra is not installed", allow_module_level=True)

from onnxnets import photo_like
from test_lints import SIZE, lonely

from dftiny import bundle as bundles
from dftiny.artifact import read_manifest
from dftiny.cli import cli
from dftiny.diagnose import Cures
from dftiny.export import tflm
from dftiny.export.source import Reading


@pytest.mark.slow
def test_cures_pass_the_gates_and_the_diagnosis_travels(tmp_path: Path) -> None:
    from click.testing import CliRunner

    source = tmp_path / "net.onnx"
    source.write_bytes(lonely(False).SerializeToString())
    np.savez(tmp_path / "calibration.npz", tiles=photo_like(24, SIZE, seed=1))
    out = tmp_path / "bundle"
    cures = Cures("best", equalise=True, correct_bias=True)
    bundles.export(
        source, out=out, reading=Reading(calibration=tmp_path / "calibration.npz", layout="nchw"), cures=cures, explain=True,
        classes=list("abcde"), quiet=True,
    )  # fmt: skip
    # The lint's rewrite holds: ReLU6 behind a pool would stand alone, and TFLM would compute it wrongly.
    kinds = [o.kind for o in bundles.load_bundle(out).ops]
    assert "RELU6" not in kinds
    assert "DEPTHWISE_CONV_2D" in kinds
    manifest = read_manifest(out, "bundle")
    assert manifest.config["cures"] == {"method": "best", "equalise": True, "correct_bias": True}
    gates = {g["name"]: g for g in json.loads((out / "gates.json").read_text())["gates"]}
    assert gates["int8-reference"]["status"] == "passed"
    assert gates["int8-reference"]["tiles"] > 30
    assert gates["int8-tflm"]["status"] == ("passed" if tflm.available() else "absent")
    found = json.loads((out / "explain.json").read_text())
    assert found["reference"] == "the float model"
    assert {"explain.json", "float.tflite"} <= set(manifest.files)
    assert found["logits_sqnr_db"] > 20
    done = CliRunner().invoke(cli, ["diagnose", str(out)])  # the bundle has its float twin with it
    assert "the float model" in done.output
