"""tools/nets: what cannot be made is one sentence and exit 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[3] / "tools" / "nets"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nonsense"], "no net 'nonsense'"),
        (["held_mbv1_05"], ", held_mbv1_050,"),
        (["phinet_thesis:abc"], "names no tile size"),
        (["kws", "--out", "FILE/below"], "cannot make the folder"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(args: list[str], words: str, tmp_path: Path) -> None:
    (tmp_path / "FILE").write_text("a file")
    done = subprocess.run(
        [sys.executable, TOOL, *args], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2, done.stderr
    assert words in done.stderr and len(done.stderr.strip().splitlines()) == 1
