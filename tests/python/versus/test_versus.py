"""tools/versus: its harness counts exactly, sees a wrong bit, and says in one sentence what is missing."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
TOOL = ROOT / "tools/versus"
sys.path.insert(0, str(ROOT / "tools"))

from contenders import cases, harness  # noqa: E402
from contenders.ours import Ours  # noqa: E402

pytestmark = [
    pytest.mark.emu,
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
    ),
]
COUNTED = """
static signed char a[4], b[4];
signed char *versus_in = a, *versus_out = b;
void versus_open(void);
void versus_open(void) { }
void versus_invoke(void);
void __attribute__((naked)) versus_invoke(void)
{
    __asm__("movs r0, #10\\n1: subs r0, r0, #1\\n bne.n 1b\\n movw r1, #4660\\n bx lr\\n");
}
"""


def versus(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_instructions_are_counted_one_by_one(tmp_path: Path) -> None:
    """1 + 10 * 2 + 1 (four bytes wide) + 1."""
    got = harness.measure(harness.Program(COUNTED), tmp_path, "counted", np.zeros((2, 4), np.int8), (1, 4))
    assert got.instructions == 23
    assert dict(got.by_function) == {"versus_invoke": 23}


def test_a_layer_is_exact_and_a_wrong_bit_is_seen(tmp_path: Path) -> None:
    case = cases.Layer("CONV_2D", (6, 6, 8), 16).case()
    got = harness.measure(Ours(tmp_path).program(case), tmp_path, "ours", case.x, case.graph.output.shape)
    assert np.array_equal(got.outputs, case.expected)
    assert 0.5 < got.instructions / case.macs < 10
    other = cases.Layer("CONV_2D", (6, 6, 8), 16).case(seed=2)
    wrong = harness.measure(Ours(tmp_path).program(other), tmp_path, "wrong", case.x, case.graph.output.shape)
    assert not np.array_equal(wrong.outputs, case.expected)


@pytest.mark.parametrize("layer", cases.layers(), ids=lambda x: x.name)
def test_every_layer_has_lively_outputs(layer: cases.Layer) -> None:
    made = layer.case()
    assert made.macs > 0
    assert not np.array_equal(made.expected[0], made.expected[1])


def test_the_table_and_the_json_say_the_same(tmp_path: Path) -> None:
    done = versus(
        "--layers", "--filter", "fully connected 64", "--only", "dftiny", "--json", tmp_path / "v.json"
    )
    assert done.returncode == 0, done.stderr
    (case,) = json.loads((tmp_path / "v.json").read_text())["cases"]
    (result,) = case["results"]
    assert case["macs"] == 64 * 12 and result["exact"] is True and result["worst"] == 0
    assert f"{result['instructions'] / case['macs']:.2f}" in done.stdout


def test_a_missing_package_is_one_sentence() -> None:
    """emx-onnx-cgen cannot live beside the converter's packages, so nobody has it here without --packages."""
    done = versus("--layers", "--filter", "fully connected 64", "--only", "emx")
    assert done.returncode == 2
    assert done.stderr == "tools/versus: emx_onnx_cgen is not installed: " + done.stderr.split(": ", 2)[2]
    assert "pip install" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "tflm"), "no engine is called tflm"),
        (("--only", "dftiny", "--layers", "--filter", "nothing"), "no case is called 'nothing'"),
        (("--only", "dftiny", "--model", "absent.tflite"), "absent.tflite"),
        (("--only", "cmsis-nn", "--cmsis-nn", "nowhere", "--cmsis-core", "nowhere"), "no CMSIS-NN sources"),
    ],
)
def test_wrong_use_is_one_sentence(arguments: tuple[str, ...], words: str) -> None:
    done = versus(*arguments)
    assert done.returncode == 2
    assert words in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.skipif(
    importlib.util.find_spec("bakenn") is None, reason="bakenn is not installed ([bench] extra)"
)
@pytest.mark.parametrize(
    "name", ["pointwise 8->16 s1 6x6", "depthwise 3x3 256 s2 6x6", "conv 3x3 64->64 s1 8x8"]
)
def test_cmsis_nn_is_exact_where_it_is_at_hand(name: str, tmp_path: Path) -> None:
    done = versus("--layers", "--filter", name, "--only", "dftiny,cmsis-nn", "--json", tmp_path / "v.json")
    assert done.returncode == 0, done.stderr
    (case,) = json.loads((tmp_path / "v.json").read_text())["cases"]
    assert all(r["exact"] for r in case["results"])
    assert [r["engine"] for r in case["results"]] == ["dftiny", "cmsis-nn"]
