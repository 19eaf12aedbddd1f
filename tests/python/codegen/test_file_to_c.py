"""From a .tflite file to C on this computer, against TFLM by ==: operators whose places in the file and in the engine
differ, because they have several outputs or are computed by the reader.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flatmodel import FlatModel
from host_model import HostModel, build_library
from widenets import WideNet

from dftiny import budget, graph, int8
from dftiny.codegen.proofs_c import operators_c
from dftiny.errors import DftError
from dftiny.export import tflm
from dftiny.plan import RegionSpec, Wishes, plan
from dftiny.target import load_target

REGIONS = [RegionSpec("axi", 1 << 20, 32)]
needs_tflm = pytest.mark.skipif(not tflm.available(), reason="tflite-micro exists for x86-64 Linux only")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_library(tmp_path_factory.mktemp("library"))


def ints(m: FlatModel, *values: int) -> int:
    return m.const(np.array(values, np.int32))


def keras_reshape(batch: int = 1) -> FlatModel:
    """MEAN, then the SHAPE, STRIDED_SLICE, PACK and RESHAPE that Keras writes, then MUL with the map and a SPLIT."""
    m = FlatModel()
    x = m.act((1, 4, 5, 6), 0.5, 3)
    mean = m.act((1, 6), 0.25, -3)
    m.op("MEAN", (x, ints(m, 1, 2)), (mean,), KeepDims=False)
    shape, first, packed = (m.act(s, None, dtype="int32") for s in ((2,), (), (4,)))
    m.op("SHAPE", (mean,), (shape,))
    m.op(
        "STRIDED_SLICE",
        (shape, ints(m, 0), ints(m, batch), ints(m, 1)),
        (first,),
        ShrinkAxisMask=1,
    )
    one, channels = (m.const(np.array(v, np.int32)) for v in (1, 6))
    m.op("PACK", (first, one, one, channels), (packed,), Axis=0, ValuesCount=4)
    gate = m.act((1, 1, 1, 6), 0.25, -3)
    m.op("RESHAPE", (mean, packed), (gate,))
    product = m.act((1, 4, 5, 6), 1.5, 9)
    m.op("MUL", (x, gate), (product,))
    parts = [m.act((1, 4, 5, n), 1.5, 9) for n in (2, 1, 3)]
    m.op("SPLIT_V", (product, ints(m, 2, 1, 3), ints(m, 3)), parts, NumSplits=3)
    m.op("CONCATENATION", (parts[2], parts[0], parts[1]), (m.act((1, 4, 5, 6), 1.5, 9),), Axis=-1)
    return m


def tiles(g: graph.Graph) -> np.ndarray:
    return np.random.default_rng(1).integers(-128, 128, (5, *g.input.shape[1:])).astype(np.int8)


@needs_tflm
def test_what_shapes_alone_say_is_folded_and_a_cut_is_one_operator(library: Path, tmp_path: Path) -> None:
    model = keras_reshape().bytes()
    g = graph.load(model)
    assert [op.kind for op in g.folded] == ["SHAPE", "STRIDED_SLICE", "PACK"]
    assert [op.index for op in g.ops] == [0, 4, 5, 6, 6, 6, 7]
    assert [op.index for op in g.operators] == list(range(8))
    assert [len(op.outputs) for op in g.operators] == [1] * 6 + [3, 1]
    x = tiles(g)
    want = tflm.Interpreter(model).run(x)
    assert np.array_equal(int8.run(g, x), want)
    # The runner stops where the engine's hook names an operator that the engine did not announce.
    assert np.array_equal(HostModel(g, plan(g, REGIONS), library, tmp_path).run(x), want)


def test_the_budget_has_one_line_for_every_operator_of_the_file() -> None:
    g = graph.load(keras_reshape().bytes())
    for engine in ("aot", "tflm"):
        rows = budget.budget(g, load_target("stm32h743"), engine=engine, file_bytes=4000).ops
        assert [r.index for r in rows] == list(range(8))
        assert sum(r.macs for r in rows) == graph.total_macs(g) == 120


def test_a_shape_that_the_file_denies_is_not_folded() -> None:
    m = keras_reshape()
    m.tensors[m.ops[3].outputs[0]].shape = (3,)
    with pytest.raises(DftError, match=r"operator 3 \(PACK\)"):
        graph.load(m.bytes())


@needs_tflm
@pytest.mark.parametrize("seed", range(6))
def test_whole_files_of_further_operators(seed: int, library: Path, tmp_path: Path) -> None:
    model = WideNet(seed, steps=5).model.bytes()
    g = graph.load(model)
    x = tiles(g)
    want = tflm.Interpreter(model).run(x)
    assert np.array_equal(HostModel(g, plan(g, REGIONS), library, tmp_path).run(x), want)


def test_proofs_of_a_net_that_takes_its_input_by_rows() -> None:
    """Found by tools/campaign engine: the operator that fetches rows is none that the oracle runs. Of the operator
    behind it no row can be seen, so nothing is claimed of it."""
    g = graph.load(keras_reshape().bytes())
    texts = [operators_c(plan(g, REGIONS, Wishes(input_by_rows=by_rows))) for by_rows in (False, True)]
    whole, by_rows = (text.splitlines() for text in texts)
    differ = [(a, b) for a, b in zip(whole, by_rows, strict=True) if a != b]
    assert len(differ) == 1
    assert differ[0][0] != differ[0][1] == "    {0u, 0x00000000u},"
