"""The README's commands: those that need no board are run as they stand, the others are at least understood."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def commands(language: str) -> list[str]:
    """The dftiny commands of all fenced blocks of that language, explanations behind three blanks cut off."""
    found, inside = [], None
    for line in README.splitlines():
        if line.startswith("```"):
            inside = line[3:].strip() if inside is None else None
        elif inside == language and line.startswith("dftiny "):
            found.append(re.split(r"\s{3,}", line)[0])
    return found


def run(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        shlex.split(command),
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.slow
@pytest.mark.emu
def test_commands_without_a_board_run_as_printed(tmp_path: Path) -> None:
    said = {}
    for command in commands("sh"):
        done = run(command, tmp_path)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"
        said[command] = done.stdout
    assert "of 2,048 KB" in said["dftiny budget"]
    assert (tmp_path / "dftiny-runs" / "build" / "nucleo_h743zi" / "firmware.hex").is_file()
    assert (tmp_path / "dftiny-runs" / "bench" / "report.html").is_file()


def test_there_are_commands() -> None:
    assert len(commands("sh")) >= 6
    assert "dftiny bench --port /dev/ttyACM0 --share my-board.json" in commands("")


@pytest.mark.parametrize("command", sorted({*commands(""), *commands("sh")}))
def test_every_command_is_understood(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)
    done = run(shlex.join([*words, "--help"]), tmp_path)
    assert done.returncode == 0
    options = [w.split("=")[0] for w in words[2:] if w.startswith("--")]
    assert [o for o in options if o not in done.stdout] == []
