"""DESIGN's page on porting, followed: two tables and two files make a board of which `dftiny build` makes firmware."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OLD, NEW = "nucleo_h743zi", "my_board"
CHIP, NEW_CHIP = "stm32h743", "my_chip"


def ported(tree: Path) -> None:
    """The NUCLEO's port under another name: what is named on the page, and nothing else."""
    specs = tree / "python/dftiny/spec"
    for source, to in (
        (specs / f"targets/{CHIP}.toml", specs / f"targets/{NEW_CHIP}.toml"),
        (specs / f"boards/{OLD}.toml", specs / f"boards/{NEW}.toml"),
    ):
        text = (
            source.read_text(encoding="utf-8")
            .replace(f'"{CHIP}"', f'"{NEW_CHIP}"')
            .replace(f'"{OLD}"', f'"{NEW}"')
        )
        to.write_text(text, encoding="utf-8")
    boards = tree / "firmware/boards"
    shutil.copytree(boards / OLD, boards / NEW)
    (boards / NEW / f"{OLD}.c").rename(boards / NEW / f"{NEW}.c")
    for path in (boards / NEW).iterdir():
        path.write_text(path.read_text(encoding="utf-8").replace(OLD, NEW), encoding="utf-8")


def test_a_new_board_is_two_tables_and_two_files(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("python/dftiny", "firmware"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "CMakeLists.txt", tree)
    ported(tree)
    command = [
        sys.executable,
        "-m",
        "dftiny.cli",
        "build",
        "--board",
        NEW,
        "--engine",
        "echo",
        "--out",
        "built",
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tree / "python")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    image = (tmp_path / "built/firmware.bin").read_bytes()
    assert NEW.encode() in image  # what its hello says
    assert OLD.encode() not in image
