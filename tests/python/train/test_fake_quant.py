"""Training with int8 rounding: it rounds as the chip does, gradients pass, BatchNorm folds, a run goes on bit by bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")

import torch
from test_training import FAST, data  # noqa: F401 (a fixture)

from dftiny import graph, int8, spec
from dftiny.artifact import read_manifest, write_manifest
from dftiny.bundle import export
from dftiny.errors import DftError
from dftiny.nets.checkpoint import load_checkpoint
from dftiny.nets.predict import predict, to_input
from dftiny.train.fake_quant import FakeQuant, _folded, rounded_activation, rounded_weights
from dftiny.train.recipe import parse_recipe
from dftiny.train.training import train

RELEASED = Path(__file__).resolve().parents[3] / "models/phinet_demo_128.demo"
QAT = {**spec.recipe("phinet_demo_qat"), **FAST}


def test_weights_lie_on_the_grid_of_each_channel() -> None:
    w = torch.randn(4, 3, 2, 2, requires_grad=True)
    made = rounded_weights(w)
    for before, after in zip(w.detach(), made.detach(), strict=True):
        steps = after / (before.abs().max() / 127)
        torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
        assert not torch.equal(before, after)
    made.sum().backward()
    assert torch.equal(w.grad, torch.ones_like(w))


def test_activations_are_cut_and_zero_is_exact() -> None:
    x = torch.tensor([-3.0, -0.5, 0.0, 0.31, 2.0, 9.0], requires_grad=True)
    made = rounded_activation(x, torch.tensor(-1.0), torch.tensor(4.0))
    scale = 5 / 255
    assert made[2] == 0.0
    torch.testing.assert_close(made / scale, (made / scale).round(), atol=1e-3, rtol=0)
    assert float(made.detach()[0]) == pytest.approx(-1, abs=scale)
    assert float(made.detach()[5]) == pytest.approx(4, abs=scale)
    made.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 1, 0]


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released net as the converter makes it: the released int8 file has corrected biases, as rounding in training has not."""
    folder = tmp_path_factory.mktemp("plain")
    plain = Path(shutil.copytree(RELEASED, folder / "model"))
    old = read_manifest(plain, "model")
    config = {k: v for k, v in old.config.items() if k != "cures"}
    write_manifest(
        plain,
        "model",
        files=old.files,
        parents=old.parents,
        config=config,
        metrics=old.metrics,
        tools=old.tools,
    )
    export(plain, out=folder / "bundle")
    return folder / "bundle" / "model.tflite"


@pytest.mark.slow
def test_it_computes_what_int8_computes_and_not_float(converted: Path) -> None:
    """On the released net: nearer to the int8 oracle than float is, by far."""
    net = load_checkpoint(RELEASED).net
    tiles = np.load(RELEASED / "calibration.npz")["tiles"]
    rounding = FakeQuant()
    with torch.no_grad():
        rounding.learn = True
        with rounding.forward_pass(net):  # all tiles at once: the ranges that calibration saw
            rough = net(to_input(tiles)).numpy()
    assert len(rounding.ranges) > 20
    g = graph.load(converted)
    ints = int8.run_oracle(g, tiles)
    real = predict(net, tiles)

    def off(v: np.ndarray) -> float:
        return float(np.square(v - ints).mean())

    assert off(rough) < 0.3 * off(real)


def test_folding_changes_nothing_and_goes_away_again() -> None:
    net = load_checkpoint(RELEASED).net
    tiles = np.load(RELEASED / "calibration.npz")["tiles"][:2]
    with torch.no_grad():
        before = net(to_input(tiles))
        with _folded(net):
            assert any("forward" in m.__dict__ for m in net.modules())
            folded = net(to_input(tiles))
    torch.testing.assert_close(folded, before, rtol=1e-3, atol=1e-3)
    assert not any("forward" in m.__dict__ for m in net.modules())


def test_a_run_learns_and_resumes_with_the_same_bits(data: Path, tmp_path: Path) -> None:  # noqa: F811
    from dftiny.train.run import Run

    recipe = tmp_path / "qat.toml"
    recipe.write_text(parse_recipe(QAT, "qat").toml())
    whole = train(str(recipe), data, tmp_path / "whole", start=RELEASED)
    state = load_checkpoint(whole.checkpoint).net.state_dict()
    start = load_checkpoint(RELEASED).net.state_dict()
    assert any(not torch.equal(state[k], start[k]) for k in state if k.endswith("weight"))
    norms = [k for k in state if "running" in k]
    assert norms
    assert all(torch.equal(state[k], start[k]) for k in norms)  # the statistics are the checkpoint's

    class Stopped(Exception):
        pass

    advance = Run.advance

    def stopping(run: Run, *batch: np.ndarray) -> tuple[float, float]:
        if run.step == 4:
            raise Stopped
        return advance(run, *batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "advance", stopping)
        with pytest.raises(Stopped):
            train(str(recipe), data, tmp_path / "parts", start=RELEASED)
    went_on = train(str(recipe), data, tmp_path / "parts", start=RELEASED)
    assert went_on.resumed_at == 4
    assert went_on.checkpoint.read_bytes() == whole.checkpoint.read_bytes()


def test_a_start_that_does_not_fit_is_refused(data: Path, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(DftError, match="give --start"):
        train("phinet_demo_qat", data, tmp_path / "a")
    other = tmp_path / "other.toml"
    other.write_text(parse_recipe({**QAT, "tile": 64}, "qat").toml())
    with pytest.raises(DftError, match="trains phinet_demo at 64 px"):
        train(str(other), data, tmp_path / "b", start=RELEASED)
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()
