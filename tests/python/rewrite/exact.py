"""One pass on one small model, held to the original and to TFLM by ==. For tests only."""

from __future__ import annotations

from collections import Counter

import numpy as np
from small_net import SmallNet

from dftiny import graph, int8
from dftiny.export import tflm
from dftiny.graph import Graph
from dftiny.rewrite import PASSES


def tiles(g: Graph, n: int = 5) -> np.ndarray:
    """Random tiles, and an all-low and an all-high one."""
    x = np.random.default_rng(1).integers(-128, 128, (n, *g.input.shape[1:])).astype(np.int8)
    x[0], x[1] = -128, 127
    return x


def assert_same(g: Graph, after: Graph, x: np.ndarray) -> None:
    """Both graphs agree in the answer and in every activation that both compute."""
    assert (after.inputs, after.outputs) == (g.inputs, g.outputs)
    want, got = int8.run_all(g, x), int8.run_all(after, x)
    shared = set(want) & set(got)
    assert shared >= {*g.inputs, *g.outputs}
    for t in shared:
        assert np.array_equal(want[t], got[t]), f"tensor {t} differs"
    assert np.array_equal(int8.run(after, x), want[g.outputs[0]])


def assert_well_formed(g: Graph, after: Graph) -> None:
    """Order and numbering: indices rise and are the file's, nobody is absorbed by two or both absorbed and there;
    only views, and what were outputs of one operator, may share an index."""
    indices = [op.index for op in after.ops]
    absorbed = [i for op in after.ops for i in op.absorbed]
    assert indices == sorted(indices)
    outputs, moving = (Counter(op.index for op in one.ops if op.kind != "RESHAPE") for one in (g, after))
    assert all(n <= max(1, outputs[index]) for index, n in moving.items())
    assert len(absorbed) == len(set(absorbed)) and not set(absorbed) & set(indices)
    assert {*absorbed, *indices} <= {op.index for op in g.ops}
    ready = set(g.inputs)
    for op in after.ops:
        assert all(t < 0 or t in ready or after.tensors[t].data is not None for t in op.inputs)
        ready.update(op.outputs)


def applied(name: str, net: SmallNet) -> Graph:
    """The graph of `net` after pass `name` alone: checked against the original and TFLM, not trivial."""
    model = net.model.bytes()
    g = graph.load(model)
    x = tiles(g)
    after = PASSES[name](g)
    assert_well_formed(g, after)
    assert_same(g, after, x)
    answer = int8.run(g, x)
    assert len(np.unique(answer)) > 4, "a dead net proves nothing"
    if tflm.available():
        assert np.array_equal(answer, tflm.Interpreter(model).run(x))
    return after


def kinds(g: Graph) -> list[str]:
    return [op.kind for op in g.ops]
