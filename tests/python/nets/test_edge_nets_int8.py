"""MicroNet-M1 and the blocks of the thesis' PhiNet, converted for real: oracle, TFLM and generated C agree in every bit."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if not all(find_spec(n) for n in ("torch", "onnx", "onnxsim", "tensorflow", "onnx2tf")):
    pytest.skip("the [export] extra is not installed", allow_module_level=True)

import torch
from host_model import HostModel, build_library
from onnxnets import photo_like
from torch import Tensor, nn

from dftiny import graph as graphs
from dftiny import int8
from dftiny.export import onnx, tflite, tflm
from dftiny.nets.checkpoint import Checkpoint
from dftiny.nets.micronet import MicroNet
from dftiny.nets.phinet_thesis import PhiNetThesis
from dftiny.plan import RegionSpec, plan
from dftiny.rewrite import PASSES, rewrite

TILE = 64


class Both(nn.Module):
    """MicroNet-M1 and a small PhiNet of the thesis' kind, their logits added: one conversion for both."""

    def __init__(self) -> None:
        super().__init__()
        self.micronet = MicroNet()
        self.phinet = PhiNetThesis(alpha=0.35, beta=0.75, t_zero=3.0, num_layers=4, down=())

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.micronet(pixels) + self.phinet(pixels)
        return logits


def lit(n: int, seed: int) -> np.ndarray:
    """Pictures from dark and flat to bright and full of contrast: random nets hardly tell others apart."""
    gain = np.linspace(0.05, 1.0, n).reshape(n, 1, 1, 1)
    return (photo_like(n, TILE, seed=seed) * gain).astype(np.uint8)


def trained_on(pixels: Tensor) -> Both:
    """Random weights, statistics of `pixels`, and logits that spread: so that a wrong bit anywhere can be seen."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(5)
        net = Both()
        for _ in range(10):
            net(pixels)
        net.eval()
        for part in (net.micronet, net.phinet):
            logits = part(pixels)
            part.head.logit.weight /= logits.std()
            part.head.logit.bias.copy_((part.head.logit.bias - logits.mean()) / logits.std())
    return net


def assert_rewrites_are_exact(graph: graphs.Graph, x: np.ndarray) -> None:
    """All passes together and each alone: every activation that is left is the original's, and little is left."""
    want = int8.run_all(graph, x)
    for apply in (rewrite, *PASSES.values()):
        got = int8.run_all(apply(graph), x)
        shared = set(got) & set(want)
        assert shared >= set(graph.outputs)
        assert all(np.array_equal(got[t], want[t]) for t in shared)
    before, after = (Counter(op.kind for op in g.ops) for g in (graph, rewrite(graph)))
    print(f"{before.total()} operators, {after.total()} after the rewrites: {dict(after)}")
    assert before.total() > 340 and after.total() <= 240
    assert after["SHIFT_MAX"] == 15 and not after.keys() & {"MAXIMUM", "SUB", "TRANSPOSE", "CONCATENATION"}
    assert after["GATHER"] <= 1


@pytest.mark.slow
def test_three_int8_answers_are_one(tmp_path: Path) -> None:
    calibration = lit(16, seed=1)
    net = trained_on(torch.from_numpy(calibration.transpose(0, 3, 1, 2).astype(np.float32)))
    path = tmp_path / "model.onnx"
    onnx.from_checkpoint(Checkpoint(net, "both", TILE, 0.0, ("fake", "real"), ""), path)
    tiles = np.concatenate([calibration[::3], lit(6, seed=2)])
    converted = tflite.convert(path, calibration, tiles)  # refuses an int8 input that is not pixel - 128
    graph = graphs.load(converted.model, name="both")
    kinds = Counter(op.kind for op in graph.ops)
    assert kinds["GATHER"] == 30 and kinds["MAXIMUM"] == 8
    assert kinds["TRANSPOSE"] <= 3  # none of MicroNet's shuffles is transposed to and fro
    assert {"LOGISTIC", "HARD_SWISH", "CONCATENATION"} <= kinds.keys()
    x = int8.from_pixels(tiles)
    assert_rewrites_are_exact(graph, x[:2])
    outputs = int8.run(graph, x)
    assert len(set(outputs.ravel().tolist())) > 3
    assert np.array_equal(outputs, converted.reference)
    if tflm.available():
        assert np.array_equal(outputs, tflm.run_tflm(converted.model, x))
    model = HostModel(graph, plan(graph, [RegionSpec("axi", 512 << 10)]), build_library(tmp_path), tmp_path)
    assert np.array_equal(outputs, model.run(x))
