"""The collapse campaign in short: one draw on the released net, through the real converter; and its parts."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if not all(find_spec(n) for n in ("torch", "onnx", "tensorflow", "onnx2tf")):
    pytest.skip("the [export] extra is not installed", allow_module_level=True)

import collapse
import collapse_campaign as campaign

from dftiny.diagnose import Cures
from dftiny.export import onnx as stage
from dftiny.nets.checkpoint import load_checkpoint

LAYER, CHANNEL, FACTOR = "/blocks/blocks.3/project/project.0/Conv", 40, 117.0


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> campaign.Subject:
    """The released net; its labels are what float says of the tiles, so that no data folder is needed."""
    path = tmp_path_factory.mktemp("collapse") / "released.onnx"
    stage.from_checkpoint(load_checkpoint(campaign.RELEASED), path)
    tiles = np.load(campaign.RELEASED / "calibration.npz")["tiles"]
    logits = stage.run_onnx(path, tiles)[:, 0]
    labels = (logits > np.median(logits)).astype(int)
    sound = campaign.auc_of((campaign.RELEASED / "model.tflite").read_bytes(), tiles, labels)
    return campaign.Subject("released", path, tiles, tiles, labels, sound)


def test_a_collapse_changes_nothing_in_float(released: campaign.Subject, tmp_path: Path) -> None:
    model = collapse.load(released.onnx)
    found = collapse.sites(model)
    assert len(found) >= 5
    assert {s.reader_kind for s in found} >= {"conv", "gemm"}
    wanted = stage.run_onnx(released.onnx, released.tiles[:4])
    for i, site in enumerate(found):
        damaged = collapse.collapse(model, site, i % site.channels, 300.0)
        path = tmp_path / f"{i}.onnx"
        path.write_bytes(damaged.SerializeToString())
        assert path.read_bytes() != released.onnx.read_bytes()
        np.testing.assert_allclose(stage.run_onnx(path, released.tiles[:4]), wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_one_collapse_is_found_named_and_cured(released: campaign.Subject) -> None:
    site = next(s for s in collapse.sites(collapse.load(released.onnx)) if s.layer == LAYER)
    o = campaign.run_draw(released, site, CHANNEL, FACTOR)
    assert o is not None
    assert 1 <= o.named <= 2
    assert o.cured
    assert o.attempt.startswith("--equalise")
    assert o.tflm_equal is not False


def test_printed_options_are_read_as_the_command_line_would() -> None:
    assert campaign.attempt_of("--equalise --correct-bias") == Cures(equalise=True, correct_bias=True)
    assert campaign.attempt_of("--calibration-method mse") == Cures("mse")
    assert campaign.attempt_of("nothing to do") == Cures()
