"""The firmware without `dftiny build`: CMake presets alone, and the host board's command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dftiny import spec

TREE = spec.tree_dir()


def configure(preset: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["cmake", "--preset", preset, "-B", str(folder), f"-DDFT_PYTHON={sys.executable}", *options]
    return subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=False, timeout=120)


def test_there_is_a_preset_for_every_board() -> None:
    presets = json.loads((TREE / "CMakePresets.json").read_text(encoding="utf-8"))
    named = {p["name"] for p in presets["configurePresets"] if not p.get("hidden")}
    assert named == set(spec.names("boards")) == {p["name"] for p in presets["buildPresets"]}


def test_every_board_has_firmware() -> None:
    folders = {p.parent.name for p in (TREE / "firmware" / "boards").glob("*/board.cmake")}
    assert folders == set(spec.names("boards"))


@pytest.fixture(scope="module")
def host_elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preset")
    done = configure("host", folder, "-DDFT_ENGINE=echo")
    assert done.returncode == 0, done.stderr
    built = subprocess.run(
        ["cmake", "--build", folder], capture_output=True, text=True, check=False, timeout=120
    )
    assert built.returncode == 0, built.stdout
    return folder / "firmware.elf"


def test_the_host_board_says_its_terminal_and_ends_on_request(host_elf: Path) -> None:
    with subprocess.Popen(
        [host_elf, "--seed", "3", "--drop=0.5"], stdout=subprocess.PIPE, text=True
    ) as board:
        assert board.stdout is not None
        line = board.stdout.readline()
        assert line.startswith("pty: /dev/")
        assert Path(line.split()[1]).exists()
        board.send_signal(signal.SIGTERM)
        assert board.wait(10) == 0


@pytest.mark.parametrize(
    "flags",
    [
        ["--drop"],
        ["--drop", "2"],
        ["--flip=x"],
        ["--stall", "-1"],
        ["--stall=5:9"],
        ["--reset-at", "5,4"],
        ["--bogus"],
    ],
)
def test_flags_that_make_no_sense(host_elf: Path, flags: list[str]) -> None:
    done = subprocess.run([host_elf, *flags], capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == 2
    assert "usage:" in done.stderr
    assert done.stdout == ""


def test_the_network_needs_a_bundle(tmp_path: Path) -> None:
    done = configure("host", tmp_path)
    assert done.returncode != 0
    assert "needs a bundle" in done.stderr
