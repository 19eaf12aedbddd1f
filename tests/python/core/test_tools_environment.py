"""A tool started with a Python that lacks the project's packages: one sentence, or the project's own Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[3] / "tools"
BARE = [sys.executable, "-S"]  # without site-packages: none of the project's packages


def started(tree: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A tool in `tree` that prints which interpreter it ends up in, started by a bare Python."""
    (tree / "tools").mkdir(parents=True, exist_ok=True)
    shutil.copy(TOOLS / "environment.py", tree / "tools")
    (tree / "tools/show").write_text("import sys\nimport environment\nprint(sys.argv[1:], 'went on')\n")
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [*BARE, str(tree / "tools/show"), "--x", "1"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean | env, timeout=120)


def test_without_an_environment_it_is_one_sentence(tmp_path: Path) -> None:
    done = started(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "tools/show: this Python has no numpy, click, cobs; run tools/setup\n"


def test_the_projects_python_takes_over_with_the_same_arguments(tmp_path: Path) -> None:
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    done = started(tmp_path)
    assert (done.returncode, done.stdout) == (0, "['--x', '1'] went on\n"), done.stderr


def test_an_environment_that_lacks_them_too_is_not_entered_for_ever(tmp_path: Path) -> None:
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    python.chmod(0o755)
    assert started(tmp_path).returncode == 2


def test_every_tool_that_needs_packages_enters_it() -> None:
    scripts = [
        p
        for p in TOOLS.iterdir()
        if p.is_file() and p.suffix == "" and "python3" in p.read_text().split("\n", 1)[0]
    ]
    using = [p for p in scripts if re.search(r"^from dftiny|^import numpy", p.read_text(), re.MULTILINE)]
    assert len(using) > 8
    for path in using:
        if path.name == "stack":  # works from the standard library alone, before anything is installed
            continue
        first = re.search(r"^import (\w+)", path.read_text(), re.MULTILINE)
        assert first and first[1] == "environment", path.name
