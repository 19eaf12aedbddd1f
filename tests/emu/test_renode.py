"""The unmodified NUCLEO ELF in Renode, by tools/renode/nucleo_h743zi.robot. Runs where renode-test is installed (it is in no
package that tools/setup could install), and then nothing is forgiven."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dftiny.bundle import Bundle

pytestmark = [pytest.mark.emu, pytest.mark.outside("renode-test", "the NUCLEO's firmware in Renode")]
ROBOT = Path(__file__).resolve().parents[2] / "tools/renode/nucleo_h743zi.robot"


def test_hello_golden_tiles_and_bench(aot_elf: Callable[[str], Path], bundle: Bundle, tmp_path: Path) -> None:
    variables = {
        "ELF": aot_elf("nucleo_h743zi"),
        "BUNDLE": bundle.folder,
        "PYTHON": sys.executable,
        "OUT": tmp_path / "bench",
    }
    command = ["renode-test", *(f"--variable={k}:{v}" for k, v in variables.items()), str(ROBOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "bench/bench.json").read_text())
    assert result["board"]["name"] == "nucleo_h743zi"
    assert result["oracle"]["identical"] == result["oracle"]["tiles"] == len(bundle.golden()[0])
