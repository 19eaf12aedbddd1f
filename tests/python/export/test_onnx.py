"""Foreign ONNX models: the normalisation goes into the graph exactly; bad files get one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the [export] extra is not installed")

from onnxnets import classifier, photo_like  # noqa: E402

from dftiny.errors import DftError  # noqa: E402
from dftiny.export import onnx as stage  # noqa: E402

IMAGENET = stage.parse_normalisation("0.485,0.456,0.406", "0.229,0.224,0.225")


def made(source: Path, out: Path, layout: str | None = None, size: tuple[int, int] | None = None):
    stage.from_onnx(source, out, normalisation=IMAGENET, layout=layout, size=size)
    return onnx.load(str(out))


@pytest.mark.parametrize("nhwc", [False, True])
@pytest.mark.parametrize(("pad", "groups"), [(0, 1), (1, 1), (0, 3)])
def test_normalisation_inside_equals_normalisation_outside(
    tmp_path: Path, pad: int, groups: int, nhwc: bool
) -> None:
    source = classifier(tmp_path / "net.onnx", pad=pad, groups=groups, nhwc=nhwc)
    model = made(source, tmp_path / "model.onnx")
    tiles = photo_like(4, 32)
    before = stage.run_foreign(source, tiles, IMAGENET, None)
    after = stage.run_onnx(tmp_path / "model.onnx", tiles)
    assert np.abs(before - after).max() < 1e-4
    assert before.std() > 1e-2
    kinds = [n.op_type for n in model.graph.node]
    # Folded into the first convolution where nothing is padded, one 1×1 depthwise in front of it otherwise.
    assert kinds.count("Conv") == (2 if pad == 0 else 3)
    assert "Transpose" not in kinds
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 32, 32]


def test_without_normalisation_the_model_takes_pixels(tmp_path: Path) -> None:
    source = classifier(tmp_path / "net.onnx")
    stage.from_onnx(source, tmp_path / "model.onnx", normalisation=None, layout=None, size=None)
    tiles = photo_like(2, 32)
    before = stage.run_foreign(source, tiles, None, None)
    assert np.allclose(before, stage.run_onnx(tmp_path / "model.onnx", tiles), rtol=1e-5)


def test_open_sizes_are_filled_in(tmp_path: Path) -> None:
    source = classifier(tmp_path / "net.onnx", size="h")
    assert stage.input_size(source) is None
    model = made(source, tmp_path / "model.onnx", size=(48, 48))
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 48, 48]
    with pytest.raises(DftError, match="leaves its input size open"):
        made(source, tmp_path / "model.onnx")


def test_equal_bytes_twice_and_no_machine_in_them(tmp_path: Path) -> None:
    source = classifier(tmp_path / "net.onnx", pad=1)
    made(source, tmp_path / "a.onnx")
    made(source, tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert str(tmp_path).encode() not in (tmp_path / "a.onnx").read_bytes()


def test_says_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not an onnx file at all" * 9)
    with pytest.raises(DftError, match=r"broken\.onnx is not a valid ONNX model"):
        stage.input_size(broken)
    with pytest.raises(DftError, match="cannot read"):
        stage.input_size(tmp_path / "absent.onnx")
    three = classifier(tmp_path / "three.onnx", size=3)
    with pytest.raises(DftError, match="--layout"):
        made(three, tmp_path / "model.onnx")
    grey = classifier(tmp_path / "grey.onnx")
    with pytest.raises(DftError, match="not one RGB image in NHWC"):
        made(grey, tmp_path / "model.onnx", layout="nhwc")


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [
        ("1,2", None, "--mean 1,2"),
        ("a,b,c", None, "--mean"),
        (None, "1,0,1", "positive"),
        ("nan,0,0", None, "--mean"),
    ],
)
def test_refuses_means_and_deviations_that_are_none(mean: str | None, std: str | None, words: str) -> None:
    with pytest.raises(DftError, match=words):
        stage.parse_normalisation(mean, std)


def test_a_gather_with_int64_indices_becomes_int32(tmp_path: Path) -> None:
    from onnx import helper, numpy_helper

    source = classifier(tmp_path / "net.onnx")
    model = onnx.load(str(source))
    model.graph.initializer.append(numpy_helper.from_array(np.array([5, 0, 3, 1, 2, 4], np.int64), "order"))
    model.graph.node.insert(2, helper.make_node("Gather", ["r0", "order"], ["g0"], axis=1))
    model.graph.node[3].input[0] = "g0"
    onnx.save(model, str(source))
    result = made(source, tmp_path / "model.onnx")
    indices = next(n.input[1] for n in result.graph.node if n.op_type == "Gather")
    kinds = {i.name: i.data_type for i in result.graph.initializer}
    assert kinds[indices] == onnx.TensorProto.INT32
    tiles = photo_like(2, 32)
    assert np.allclose(
        stage.run_foreign(source, tiles, IMAGENET, None),
        stage.run_onnx(tmp_path / "model.onnx", tiles),
        atol=1e-4,
    )
