"""The wheel: it carries firmware and models, and its base commands need nothing but the base dependencies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# What [train], [export] and [test] bring; the base install has none of it.
NOT_IN_BASE = (
    "torch", "tensorflow", "onnx", "onnxruntime", "onnx2tf", "tflite_micro", "safetensors", "ai_edge_litert",
    "pytest", "hypothesis", "unicorn", "elftools", "capstone", "micromind",
)  # fmt: skip
BLOCK = f"""
import sys
class Without:
    def __init__(self, inner):
        self.inner = inner
    def __getattr__(self, name):
        return getattr(self.inner, name)
    def find_spec(self, name, path=None, target=None):
        absent = name.split(".")[0] in {NOT_IN_BASE!r}
        return None if absent else self.inner.find_spec(name, path, target)
sys.meta_path[:] = [Without(f) for f in sys.meta_path]
from dftiny.cli import main
main()
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("dftiny-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def dftiny(unpacked: Path, cwd: Path, *args: str) -> subprocess.CompletedProcess[str]:
    # -P and PYTHONPATH: the unpacked wheel goes before the editable install of this checkout.
    return subprocess.run(
        [sys.executable, "-c", BLOCK, *args],
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_it_carries_what_build_and_export_need(unpacked: Path) -> None:
    tree = unpacked / "dftiny" / "_tree"
    assert (tree / "CMakeLists.txt").is_file() and (tree / "LICENSE").is_file()
    assert (tree / "firmware" / "boards" / "nucleo_h743zi").is_dir()
    assert (tree / "models" / "phinet_demo_128.demo" / "checkpoint.safetensors").is_file()
    assert (unpacked / "dftiny" / "spec" / "protocol.toml").is_file()
    assert not list(unpacked.rglob("*.pyc"))


@pytest.mark.parametrize(
    "command", [["--help"], ["targets"], ["boards"], ["models"], ["bench", "--help"], ["doctor"]]
)
def test_base_commands_run_without_the_extras(unpacked: Path, tmp_path: Path, command: list[str]) -> None:
    done = dftiny(unpacked, tmp_path, *command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_tree_is_the_wheels_own(unpacked: Path) -> None:
    code = "from dftiny import spec; print(spec.tree_dir())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == unpacked / "dftiny" / "_tree"


@pytest.mark.parametrize("command", [["train"], ["data"], ["evaluate"]])
def test_what_needs_an_extra_says_which(unpacked: Path, tmp_path: Path, command: list[str]) -> None:
    done = dftiny(unpacked, tmp_path, *command)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "dftiny[" in done.stderr or "dftiny-runs" in done.stderr


def test_a_plain_install_goes_from_export_to_bench(unpacked: Path, tmp_path: Path) -> None:
    for command in (
        ["export", "--library", "lib"],
        ["budget"],
        ["build", "--board", "host"],
        ["bench", "--board", "host"],
        ["report"],
    ):
        done = dftiny(unpacked, tmp_path, *command)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    gates = json.loads((tmp_path / "dftiny-runs" / "bundle" / "gates.json").read_text())
    assert set(gates["absent"]) == {
        "float-int8",
        "int8-reference",
        "int8-tflm",
    }  # int8-engine needs a compiler only
    bench = json.loads((tmp_path / "dftiny-runs" / "bench" / "bench.json").read_text())
    assert bench["oracle"]["identical"] == bench["oracle"]["tiles"] > 0
