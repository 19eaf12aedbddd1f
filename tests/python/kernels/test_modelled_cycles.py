"""The hottest blocks of the Cortex-M7 assembly keep to their modelled cycles: an order in which every instruction waits for
the one before it computes the same and is seen nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from host_model import FIRMWARE
from test_spills import functions, innermost

from dftiny.counting import cycles
from dftiny.counting.cores import core
from dftiny.counting.listing import Instruction

# Source, function or label → instructions of a turn, and cycles of llvm-mca's steady state, rounded up. Epilogues are no loops:
# all but the jump to the next tile.
TURNS = {
    ("depthwise_s1", "dft_depthwise_s1_table_9"): (54, 47),
    ("depthwise_s1", "dft_depthwise_s1_relu_9"): (45, 47),
    ("depthwise_r1", "dft_depthwise_r1_table_9"): (52, 46),
    ("depthwise_s2", "dft_depthwise_s2_table_9"): (55, 47),
    ("depthwise_s2r2", "dft_depthwise_s2r2_table_9"): (57, 51),
    ("depthwise_planes", "dft_depthwise_p1_table_9"): (54, 47),
    ("depthwise_planes", "dft_depthwise_p2_table_9"): (59, 53),
    ("gate_run", "dft_gate_run"): (50, 45),
    ("matvec_run", "four"): (30, 25),
    ("conv_epilogue", "dft_conv_relu_9"): (31, 23),
    ("conv_epilogue", "dft_conv_linear_9"): (39, 30),
    ("conv_epilogue", "dft_conv_relu_table_9"): (40, 28),
    ("conv_epilogue", "dft_conv_linear_table_9"): (48, 35),
    ("conv_epilogue", "dft_conv_linear_table_planes_9"): (48, 35),
}


def turn(stem: str, code: list[Instruction]) -> list[Instruction]:
    """The first innermost loop, or an epilogue without its last instruction."""
    return code[:-1] if stem == "conv_epilogue" else innermost(code)[0]


@pytest.mark.skipif(cycles.find_mca() is None, reason="llvm-mca of LLVM 22 is not installed")
def test_hot_blocks_wait_for_little(tmp_path: Path) -> None:
    mca = cycles.find_mca()
    assert mca is not None
    stems = {stem for stem, _ in TURNS}
    code = {stem: functions(FIRMWARE / "kernels" / "m7" / f"{stem}.S", tmp_path) for stem in stems}
    blocks = {key: turn(key[0], code[key[0]][key[1]]) for key in TURNS}
    assert {key: len(block) for key, block in blocks.items()} == {key: n for key, (n, _) in TURNS.items()}
    texts = {key: cycles.assembly(block) for key, block in blocks.items()}
    model = cycles.Estimator(mca, core("m7"), tmp_path / "cache.json")
    found = model.cycles(list(texts.values()))
    assert model.failed == 0  # such a block counts a cycle an instruction, fewer than some may take
    slow = {key: found[texts[key]] for key, (_, most) in TURNS.items() if not 0 < found[texts[key]] <= most}
    assert not slow
