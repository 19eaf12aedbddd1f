"""phinet_h743 converted for real: nothing but the chip's operators, no PAD left over, oracle and TFLM agree."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if not all(find_spec(n) for n in ("torch", "onnx", "onnxsim", "tensorflow", "onnx2tf")):
    pytest.skip("the [export] extra is not installed", allow_module_level=True)

import torch
from onnxnets import photo_like
from torch import nn

from dftiny import graph as graphs
from dftiny import int8
from dftiny.export import onnx, tflite, tflm
from dftiny.nets.checkpoint import Checkpoint
from dftiny.nets.registry import create

TILE = 64


def with_statistics_of(pixels: torch.Tensor) -> nn.Module:
    """Random weights, statistics of `pixels`, and logits that spread over the tiles: so that a wrong bit shows."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(5)
        net = create("phinet_h743", TILE)
        for _ in range(10):
            net(pixels)
        logits = net.eval()(pixels)
        net.logit.weight /= logits.std()
        net.logit.bias.copy_((net.logit.bias - logits.mean()) / logits.std())
    return net


@pytest.mark.slow
def test_the_chips_phinet_converts(tmp_path: Path) -> None:
    gain = np.linspace(0.05, 1.0, 16).reshape(16, 1, 1, 1)
    tiles = (photo_like(16, TILE, seed=1) * gain).astype(np.uint8)
    net = with_statistics_of(torch.from_numpy(tiles.transpose(0, 3, 1, 2).astype(np.float32)))
    path = tmp_path / "model.onnx"
    onnx.from_checkpoint(Checkpoint(net, "phinet_h743", TILE, 0.0, ("fake", "real"), ""), path)
    converted = tflite.convert(path, tiles, tiles[::4])
    graph = graphs.load(converted.model, name="phinet_h743")
    kinds = {op.kind for op in graph.ops}
    assert kinds - {"TRANSPOSE"} == {"CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "MUL", "ADD", "FULLY_CONNECTED"}
    x = int8.from_pixels(tiles)
    outputs = int8.run(graph, x)
    assert len(set(outputs.ravel().tolist())) > 5
    assert np.array_equal(outputs[::4], converted.reference)
    if tflm.available():
        assert np.array_equal(outputs, tflm.run_tflm(converted.model, x))
