"""Nets of further families, converted for real: reader, oracle, TFLM and the generated C agree in every bit.

Everyday, five small ones from tests/vectors/further_nets.npz (made by make_further_nets.py); all of them where the
converter is installed and slow tests are asked for.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import nets_further
import numpy as np
import pytest
from host_model import HostModel, build_library

from dftiny import graph as graphs
from dftiny import int8
from dftiny.export import tflm
from dftiny.plan import RegionSpec, plan

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / "build/nets_int8"
VECTORS = ROOT / "tests/vectors/further_nets.npz"
REGIONS = [RegionSpec("axi", 1 << 20, 32)]
# What each net is in the list for; the reader must have met it there.
BRINGS = {
    "autoencoder": {"FULLY_CONNECTED"},
    "densenet_like": {"CONCATENATION", "MUL", "ADD"},
    "efficientnet_like": {"LOGISTIC", "MUL", "SHAPE", "PACK", "STRIDED_SLICE"},
    "efficientnet_lite_like": {"DEPTHWISE_CONV_2D", "ADD"},
    "mbv3_small_like": {"HARD_SWISH", "MUL", "MEAN"},
    "pnet_like": {"PRELU", "MAX_POOL_2D", "SOFTMAX"},
    "shufflenet_v2_like": {"SPLIT", "TRANSPOSE", "CONCATENATION"},
    "squeezenet_like": {"CONCATENATION", "MAX_POOL_2D"},
    "superresolution_like": {"TANH", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE"},
    "tcn_like": {"CONV_2D", "PAD", "STRIDED_SLICE"},
    "unet_like": {"RESIZE_NEAREST_NEIGHBOR", "CONCATENATION", "LOGISTIC"},
    "yolo_like": {"LEAKY_RELU", "RESIZE_NEAREST_NEIGHBOR"},
}
SMALL = ("pnet_like", "shufflenet_v2_like", "superresolution_like", "tcn_like", "unet_like")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_library(tmp_path_factory.mktemp("library"))


def agree(name: str, model: bytes, x: np.ndarray, want: np.ndarray, library: Path, folder: Path) -> None:
    """Oracle and host engine give `want`, which tells inputs apart, so that a wrong bit can be seen."""
    graph = graphs.load(model, name=name)
    assert {op.kind for op in graph.operators} >= BRINGS[name]
    assert np.array_equal(int8.run(graph, x), want)
    assert np.array_equal(HostModel(graph, plan(graph, REGIONS), library, folder).run(x), want)
    assert len({y.tobytes() for y in want}) == len(want)


def test_the_list_of_nets_is_the_list_of_tests() -> None:
    assert set(BRINGS) == set(nets_further.names())


@pytest.mark.parametrize("name", SMALL)
def test_recorded_net(name: str, library: Path, tmp_path: Path) -> None:
    with np.load(VECTORS) as v:
        model, x, want = v[f"model_{name}"].tobytes(), v[f"input_{name}"], v[f"output_{name}"]
    agree(name, model, x, want, library, tmp_path)
    if tflm.available():
        assert np.array_equal(tflm.run_tflm(model, x), want)


@pytest.mark.slow
@pytest.mark.skipif(
    not all(find_spec(n) for n in ("tensorflow", "tf_keras", "tflite_micro")),
    reason="the [export] extra is not installed",
)
@pytest.mark.parametrize("name", sorted(BRINGS))
def test_converted_net(name: str, library: Path, tmp_path: Path) -> None:
    model = nets_further.model(name, CACHE)
    x = nets_further.samples(name, 4, seed=3)
    agree(name, model, x, tflm.run_tflm(model, x), library, tmp_path)
