"""All passes together (each left out: test_switches): random nets and the released model, by ==."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from exact import assert_same, assert_well_formed, tiles
from randomnets import RandomNet
from small_net import SmallNet

from dftiny import graph, int8
from dftiny.graph import Graph
from dftiny.rewrite import NAMES, PASSES, rewrite

ROOT = Path(__file__).resolve().parents[3]
NETS = 30


def random_net(seed: int) -> Graph:
    return graph.load(RandomNet(seed).model.bytes(), name=f"net {seed}")


def test_random_nets() -> None:
    fired: Counter[str] = Counter()
    answers = set()
    for seed in range(NETS):
        g = random_net(seed)
        x = tiles(g)
        after = rewrite(g)
        assert_well_formed(g, after)
        assert_same(g, after, x)
        answers.add(int8.run(g, x).tobytes())
        fired.update(name for name, apply in PASSES.items() if len(apply(g).ops) < len(g.ops))
    assert fired["layout"] >= 10 and fired["table_from_constants"] > 5
    assert len(answers) > NETS * 0.8


def shuffled_net(seed: int) -> SmallNet:
    """Convolutions of all kinds with shuffles, padding and transposes anywhere between them."""
    net = SmallNet((1, 7, 8, 4))
    rng = np.random.default_rng(seed)
    for choice in rng.integers(0, 8, 9):
        _, h, w, c = net.shape()
        if choice == 0 or c > 24:
            net.conv(int(rng.choice([4, 6, 8])))
        elif choice == 1 and c % 2 == 0:
            net.conv(int(rng.choice([2, 4])) * 2, groups=2)
        elif choice == 2 and c > 1:
            net.conv(c * int(rng.integers(1, 3)), kernel=3, groups=c, padding="SAME")
        elif choice == 3 and min(h, w) > 3:
            net.depthwise(int(rng.integers(1, 3)))
        elif choice == 4:
            net.gather(rng.integers(0, c, c))
        elif choice == 5:
            net.pad((0, 1, 0, 0), (0, 0, 1, 0))
        elif choice == 6:
            net.transpose((0, 2, 1, 3))
        else:
            net.gather(rng.permutation(c))
    net.conv(5)
    return net


def test_shuffles_anywhere() -> None:
    """Each GATHER either goes where it is allowed to, or stays."""
    left: Counter[int] = Counter()
    for seed in range(80):
        g = graph.load(shuffled_net(seed).model.bytes(), name=f"shuffled {seed}")
        after = rewrite(g)
        assert_well_formed(g, after)
        assert_same(g, after, tiles(g, 3))
        gathers, still = (sum(op.kind == "GATHER" for op in one.ops) for one in (g, after))
        left[(still > 0) + (still == gathers)] += gathers > 0
        assert still <= gathers
    assert left[0] > 10 and left[1] > 10, "all of them go, or some of them"


def test_all_switched_off_is_the_graph_itself() -> None:
    g = random_net(0)
    assert rewrite(g, without=frozenset(NAMES)) is g


def test_twice_changes_nothing_more() -> None:
    g = rewrite(random_net(1))
    assert [op.index for op in rewrite(g).ops] == [op.index for op in g.ops]


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="no rewrite is called shift_min"):
        rewrite(random_net(0), without=frozenset({"shift_min"}))


def test_the_released_model_has_nothing_to_rewrite() -> None:
    g = graph.load(ROOT / "models" / "phinet_demo_128.demo" / "model.tflite")
    after = rewrite(g)
    assert [op.index for op in after.ops] == [op.index for op in g.ops]
    x = np.random.default_rng(0).integers(-128, 128, (1, 128, 128, 3)).astype(np.int8)
    assert np.array_equal(int8.run(after, x), int8.run(g, x))
