"""Lints: each construct is seen where it is and not where it is not; every rewrite computes the same floats."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if not all(find_spec(n) for n in ("onnx", "onnxruntime", "onnxsim")):
    pytest.skip("the [export] extra is not installed", allow_module_level=True)

import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxnets import photo_like

from dftiny.export import lints
from dftiny.export.onnx import linted, run_onnx

SIZE = 16


def constant(name: str, *shape: int, seed: int = 0) -> onnx.TensorProto:
    rng = np.random.default_rng(seed + len(name))
    return numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), name)


def model(nodes: list[Any], constants: list[Any], out: tuple[int, ...]) -> Any:
    """A net from "pixels" [1, 3, 16, 16] to "logits" of shape `out`."""
    g = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, list(out))],
        constants,
    )
    m = helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(m)
    return m


SIX = [numpy_helper.from_array(np.float32(v), n) for n, v in (("zero", 0.0), ("six", 6.0))]


def switched_off(groups: int = 4) -> Any:
    """Conv to 8 channels, a split, a 3×3 convolution a part, a concatenation, mean."""
    parts = [f"p{i}" for i in range(groups)]
    nodes = [
        helper.make_node("Conv", ["pixels", "w", "b"], ["x"], pads=[1, 1, 1, 1], name="first"),
        helper.make_node("Split", ["x"], parts, axis=1, name="split"),
        *(
            helper.make_node("Conv", [p, f"w{p}", f"b{p}"], [f"y{p}"], pads=[1, 1, 1, 1], name=f"conv_{p}")
            for p in parts
        ),
        helper.make_node("Concat", [f"y{p}" for p in parts], ["z"], axis=1, name="join"),
        helper.make_node("GlobalAveragePool", ["z"], ["logits"]),
    ]
    constants = [constant("w", 8, 3, 3, 3), constant("b", 8)]
    for i, p in enumerate(parts):
        constants += [constant(f"w{p}", 3, 8 // groups, 3, 3, seed=i), constant(f"b{p}", 3, seed=i + 50)]
    return model(nodes, constants, (1, 3 * groups, 1, 1))


def lonely(shared: bool) -> Any:
    """ReLU6 behind a pool; or behind a convolution that somebody else reads too."""
    nodes = [helper.make_node("Conv", ["pixels", "w", "b"], ["x"], name="first")]
    if not shared:
        nodes.append(
            helper.make_node("MaxPool", ["x"], ["m"], kernel_shape=[2, 2], strides=[2, 2], name="pool")
        )
    nodes.append(helper.make_node("Clip", ["x" if shared else "m", "zero", "six"], ["r"], name="clip"))
    if shared:
        nodes.append(helper.make_node("Add", ["r", "x"], ["s"], name="sum"))
    nodes.append(helper.make_node("GlobalAveragePool", ["s" if shared else "r"], ["logits"]))
    return model(nodes, [constant("w", 5, 3, 3, 3), constant("b", 5), *SIX], (1, 5, 1, 1))


def fused() -> Any:
    """Nothing to find: ReLU6 right behind its convolution, asymmetric padding at stride 2."""
    nodes = [
        helper.make_node(
            "Conv", ["pixels", "w", "b"], ["x"], pads=[0, 0, 1, 1], strides=[2, 2], name="first"
        ),
        helper.make_node("Clip", ["x", "zero", "six"], ["r"], name="clip"),
        helper.make_node("GlobalAveragePool", ["r"], ["logits"]),
    ]
    return model(nodes, [constant("w", 5, 3, 3, 3), constant("b", 5), *SIX], (1, 5, 1, 1))


def floats(m: Any, path: Path) -> np.ndarray:
    path.write_bytes(m.SerializeToString())
    return run_onnx(path, photo_like(3, SIZE))


@pytest.mark.parametrize(
    ("make", "construct", "before", "after"),
    [
        (switched_off, "grouped convolution switched off", {"Conv": 5, "Split": 1, "Concat": 1}, {"Conv": 2}),
        (lambda: switched_off(8), "grouped convolution switched off", {"Conv": 9}, {"Conv": 2}),
        (lambda: lonely(False), "stand-alone ReLU6", {"Conv": 1}, {"Conv": 2}),
        (lambda: lonely(True), "stand-alone ReLU6", {"Conv": 1}, {"Conv": 2}),
    ],
)
def test_exact_rewrites(make: Any, construct: str, before: dict, after: dict, tmp_path: Path) -> None:
    m = make()
    answers = floats(m, tmp_path / "before.onnx")
    assert np.std(answers) > 1e-2
    assert {k: v for k, v in Counter(n.op_type for n in m.graph.node).items() if k in before} == before
    found = linted(m)
    assert [(f.construct, f.done) for f in found] == [(construct, True)]
    onnx.checker.check_model(m)
    assert Counter(n.op_type for n in m.graph.node)["Conv"] == after["Conv"]
    assert not {"Split", "Concat"} & {n.op_type for n in m.graph.node}
    np.testing.assert_allclose(floats(m, tmp_path / "after.onnx"), answers, rtol=1e-4, atol=1e-4)
    assert lints.lints(m) == ()


def test_a_sound_net_has_no_lint() -> None:
    m = fused()
    before = m.SerializeToString()
    assert linted(m) == ()
    assert m.SerializeToString() == before


def test_branches_that_differ_stay() -> None:
    m = switched_off()
    odd = next(n for n in m.graph.node if n.name == "conv_p2")
    odd.attribute.append(helper.make_attribute("dilations", [1, 1]))
    assert lints.lints(m) == ()  # written differently: left alone rather than guessed at


@pytest.mark.parametrize(
    ("nodes", "construct", "word"),
    [
        ([helper.make_node("Conv", ["pixels", "w"], ["x"], pads=[1] * 4, strides=[2, 2], name="c")], "symmetric padding at stride 2", "train"),
        ([helper.make_node("HardSwish", ["pixels"], ["x"], name="h")], "hard-swish", "--calibration-method"),
        ([helper.make_node("Sigmoid", ["pixels"], ["s"], name="s"), helper.make_node("Mul", ["pixels", "s"], ["x"])], "swish", "train"),
        ([helper.make_node("Erf", ["pixels"], ["x"], name="e")], "Erf", "train"),
    ],
)  # fmt: skip
def test_what_only_another_net_cures(nodes: list[Any], construct: str, word: str) -> None:
    m = model(
        [*nodes, helper.make_node("GlobalAveragePool", ["x"], ["logits"])],
        [constant("w", 3, 3, 3, 3)],
        (1, 3, 1, 1),
    )
    (found,) = linted(m)
    assert (found.construct, found.done) == (construct, False)
    assert word in found.remedy
    assert "try:" in found.line()


def test_int64_indices_are_turned() -> None:
    indices = numpy_helper.from_array(np.array([2, 0], np.int64), "indices")
    nodes = [
        helper.make_node("Gather", ["pixels", "indices"], ["x"], axis=1, name="pick"),
        helper.make_node("GlobalAveragePool", ["x"], ["logits"]),
    ]
    m = model(nodes, [indices], (1, 2, 1, 1))
    (found,) = linted(m)
    assert (found.construct, found.node, found.done) == ("int64 indices", "pick", True)
    assert lints.lints(m) == ()


def test_one_line_a_kind() -> None:
    lint = lints.Lint("hard-swish", "a", "why", "what")
    assert list(lints.lines((lint, lint, lint))) == ["lint: hard-swish at a: why; try: what (and 2 more)"]
