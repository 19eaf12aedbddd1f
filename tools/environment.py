"""The tools' first import: a tool that was started with another Python than the project's goes on with the project's.

`tools/counts …` then works as it is written in README, without an activated environment. Where tools/setup has not run, one
sentence says so. The one module here that does something when it is imported, because what follows could not be imported.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv/bin/python"
NEEDED = ("numpy", "click", "cobs")  # of every tool; what one of them needs besides, it asks for itself
TRIED = "DFTINY_ENVIRONMENT_TRIED"


def enter() -> None:
    """Return where this Python will do; else become the project's, or exit with 2."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if not missing:
        sys.path.insert(0, str(ROOT / "python"))
        return
    if PYTHON.is_file() and TRIED not in os.environ:
        os.environ[TRIED] = "1"  # an environment that lacks them too is not entered for ever
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    name = Path(sys.argv[0]).name
    print(f"tools/{name}: this Python has no {', '.join(missing)}; run tools/setup", file=sys.stderr)
    sys.exit(2)


enter()
