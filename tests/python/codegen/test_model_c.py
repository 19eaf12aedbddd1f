"""Generated models, compiled with sanitizers on this computer, against the oracle by ==."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from host_model import FLAGS, INCLUDES, HostModel, build_library
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_graphs import KINDS, Builder, grow, phinet_like, random_graph

from dftiny import int8
from dftiny.codegen.model_c import model_c
from dftiny.errors import DftError
from dftiny.graph import Graph, Quant
from dftiny.plan import RegionSpec, plan

REGIONS = [RegionSpec("axi", 512 << 10, 32)]
many = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_library(tmp_path_factory.mktemp("library"))


def tiles(graph: Graph, seed: int, n: int = 6) -> np.ndarray:
    """Random inputs, and all-low, all-high and alternating ones."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (n, *graph.input.shape[1:])).astype(np.int8)
    x[0], x[1] = -128, 127
    x[2] = np.where(rng.integers(0, 2, graph.input.shape[1:]), 127, -128)
    return x


def assert_equal(graph: Graph, library: Path, folder: Path, seed: int = 0, regions=REGIONS) -> np.ndarray:
    x = tiles(graph, seed)
    got = HostModel(graph, plan(graph, regions), library, folder).run(x)
    want = int8.run(graph, x)
    assert np.array_equal(got, want), f"{np.count_nonzero(got != want)} of {got.size} differ"
    return got


@pytest.mark.parametrize("kind", KINDS)
def test_each_operator(kind: str, library: Path, tmp_path: Path) -> None:
    b = Builder(7, (1, 9, 8, 6))
    grow(b, kind)
    grow(b, kind)
    got = assert_equal(b.graph(), library, tmp_path)
    assert len(np.unique(got)) > 1


@pytest.mark.slow
@many
@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
def test_random_graphs(library: Path, tmp_path: Path, seed: int, kinds: list[str]) -> None:
    graph = random_graph(seed, kinds)
    if graph.ops:
        assert_equal(graph, library, tmp_path, seed)


def test_a_whole_phinet_over_two_regions(library: Path, tmp_path: Path) -> None:
    regions = [RegionSpec("dtcm", 16 << 10, 32), RegionSpec("axi", 512 << 10, 64)]
    whole = phinet_like(tile=64, live=True)
    last = whole.ops[-3]  # before the two fully connected layers: many values to compare
    graph = replace(whole, ops=whole.ops[:-2], outputs=last.outputs)
    layout = plan(graph, regions)
    assert set(layout.region_bytes) == {"dtcm", "axi"}
    got = assert_equal(graph, library, tmp_path, regions=regions)
    assert len(np.unique(got)) > 1


def _with_bias(graph: Graph, scale: float, bias: int) -> Graph:
    """A first channel with weights of another scale and a large bias, as dead channels have."""
    op = graph.ops[0]
    tensors = list(graph.tensors)
    w, b = tensors[op.inputs[1]], tensors[op.inputs[2]]
    scales = np.full(w.shape[0], np.float32(0.01))
    scales[0] = np.float32(scale)
    tensors[w.index] = replace(w, quant=Quant(scales, np.zeros(len(scales), np.int64), 0))
    data = b.data.copy()
    data[0] = bias
    tensors[b.index] = replace(b, data=data)
    return replace(graph, tensors=tuple(tensors))


def _conv() -> Graph:
    b = Builder(3, (1, 5, 5, 4))
    b.pick = lambda *v: v[0]  # type: ignore[method-assign]
    b.conv((3, 3), 5)
    return b.graph()


@pytest.mark.parametrize(
    ("scale", "bias"), [(1e-9, 1 << 30), (1e-9, -(1 << 30)), (1e-11, 5000), (1e-7, 1 << 29)]
)
def test_dead_channels(scale: float, bias: int, library: Path, tmp_path: Path) -> None:
    """Channels whose bias leaves no headroom, or whose shift is past the kernels' range, become constants."""
    assert_equal(_with_bias(_conv(), scale, bias), library, tmp_path)


def test_a_channel_without_headroom_takes_the_slow_form(library: Path, tmp_path: Path) -> None:
    """Just between two output values, where one of two is right depending on the input."""
    graph = _conv()
    bias = (1 << 30) + 12_345_678
    between = 20.5 / bias * graph.output.scale / graph.input.scale
    hard = _with_bias(graph, between, bias)
    texts = _texts(hard)
    assert ".flags = 2," in texts["dft_model.c"]
    got = assert_equal(hard, library, tmp_path)
    assert set(np.unique(got[..., 0])) <= {20 + graph.output.zero_point, 21 + graph.output.zero_point}


def test_a_multiplier_above_one_takes_the_slow_form(library: Path, tmp_path: Path) -> None:
    """An output scale so small that the accumulator is shifted left without room."""
    graph = _conv()
    tensors = list(graph.tensors)
    out = tensors[graph.outputs[0]]
    tensors[out.index] = replace(out, quant=Quant(np.float32([1e-8]), np.zeros(1, np.int64), 0))
    assert_equal(replace(graph, tensors=tuple(tensors)), library, tmp_path)


def test_a_pixel_without_headroom_is_a_matrix_product(library: Path, tmp_path: Path) -> None:
    """What squeeze-and-excitation becomes behind units that never answered while a net was calibrated: shifts to the left
    by 14 and more, which wrap."""
    b = Builder(3, (1, 1, 1, 37))
    b.pick = lambda *v: v[0]  # type: ignore[method-assign]
    b.conv((1, 1), 9)
    graph = b.graph()
    out = graph.tensors[graph.outputs[0]]
    dead = replace(out, quant=Quant(np.float32([1e-8]), np.zeros(1, np.int64), 0))
    graph = replace(graph, tensors=tuple(dead if t.index == out.index else t for t in graph.tensors))
    text = _texts(graph)["dft_model.c"]
    assert "dft_fully_connected_s8(" in text
    assert ".flags = 2," in text
    got = assert_equal(graph, library, tmp_path)
    assert len(np.unique(got)) > 1


def test_an_accumulator_past_32_bits_is_refused_by_name() -> None:
    with pytest.raises(DftError, match=r"operator 0 \(CONV_2D\).*pass 32 bits"):
        plan(_with_bias(_conv(), 0.01, (1 << 31) - 1), REGIONS)


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL", "MEAN", "SUM", "MEAN_APART", "PRELU"])
def test_an_output_scale_far_too_small_is_refused_by_name(kind: str) -> None:
    b = Builder(3, (1, 5, 6, 4))
    grow(b, kind)
    graph = b.graph()
    kind = kind.removesuffix("_APART")
    op = next(o for o in graph.ops if o.kind == kind)
    tensors = list(graph.tensors)
    out = tensors[op.outputs[0]]
    tensors[out.index] = replace(out, quant=Quant(np.float32([1e-12]), np.zeros(1, np.int64), 0))
    with pytest.raises(DftError, match=rf"operator {op.index} \({kind}\).*far too small"):
        plan(replace(graph, tensors=tuple(tensors)), REGIONS)


def _texts(graph: Graph) -> dict[str, str]:
    return model_c(graph, plan(graph, REGIONS), bundle_digest=bytes(range(32)))


def test_generated_twice_is_the_same_text_without_floats_or_paths() -> None:
    graph = random_graph(11, KINDS, live=False)
    texts = _texts(graph)
    assert texts == _texts(random_graph(11, KINDS, live=False))
    source = texts["dft_model.c"]
    assert not re.search(r"\d\.\d|\bfloat\b|\bdouble\b", source)
    assert str(Path.home()) not in source
    assert "0, 1, 2, 3, 4, 5, 6, 7," in source  # the digest


def test_other_kernels_stop_the_compiler(tmp_path: Path) -> None:
    import subprocess

    texts = _texts(_conv())
    (tmp_path / "dft_model.h").write_text(texts["dft_model.h"])
    (tmp_path / "dft_model.c").write_text(
        texts["dft_model.c"].replace("DFT_KERNELS_VERSION != ", "DFT_KERNELS_VERSION != 9")
    )
    command = [
        "gcc",
        *FLAGS,
        *INCLUDES,
        f"-I{tmp_path}",
        "-c",
        str(tmp_path / "dft_model.c"),
        "-o",
        "/dev/null",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "generated for other kernels" in done.stderr


def test_the_engine_refuses_at_open(library: Path, tmp_path: Path) -> None:
    graph = _conv()
    model = HostModel(graph, plan(graph, REGIONS), library, tmp_path)
    region_error = 1  # DFT_ERR_REGION
    for how in ("short", "missing", "misaligned"):
        assert model.open_status(how) == region_error, how


def test_a_digest_of_another_length_is_a_bug() -> None:
    graph = _conv()
    with pytest.raises(ValueError, match="32 bytes"):
        model_c(graph, plan(graph, REGIONS), bundle_digest=b"short")
