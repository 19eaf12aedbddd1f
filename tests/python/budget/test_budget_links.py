"""What the budget says before the build against what the linker needs: never below, at most 2 % above."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from firmware_of import linked
from random_graphs import KINDS, phinet_like, random_graph

from dftiny.budget import budget
from dftiny.graph import Graph
from dftiny.target import load_target

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
    ),
]


def assert_close(graph: Graph, board: str, target: str, folder: Path) -> None:
    b = budget(graph, load_target(target))
    sizes = linked(graph, board, target, folder)["regions"]
    for name in sizes:
        predicted, used = b.region(name).used, sizes[name]["bytes"]
        hint = (
            f"{name}: {predicted} predicted, {used} linked; after a change of firmware/ run tools/code_size"
        )
        assert used <= predicted <= used * 1.02, hint
    assert b.stack_bytes == sizes["dtcm"]["reserved"]


@pytest.mark.parametrize(("board", "target"), [("nucleo_h743zi", "stm32h743"), ("mps2_an500", "mps2_an500")])
def test_a_phinet(board: str, target: str, tmp_path: Path) -> None:
    assert_close(phinet_like(), board, target, tmp_path)


@pytest.mark.parametrize("seed", [3, 8])
def test_every_operator_at_once(seed: int, tmp_path: Path) -> None:
    assert_close(random_graph(seed, KINDS, live=False), "nucleo_h743zi", "stm32h743", tmp_path)


def test_one_operator(tmp_path: Path) -> None:
    assert_close(random_graph(1, ["DEPTHWISE_CONV_2D"], live=False), "nucleo_h743zi", "stm32h743", tmp_path)
