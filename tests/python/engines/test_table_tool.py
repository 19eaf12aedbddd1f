"""tools/engines: its rows go into README's table, where nets that were not run keep theirs; what it needs is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from dftiny.engines import EngineRow
from dftiny.errors import DftError

ROOT = Path(__file__).resolve().parents[3]
TOOL = ROOT / "tools/engines"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """The tool as a module; it has no ending by which Python would know it."""
    sys.path.append(str(TOOL.parent))  # where a script finds its neighbours
    loader = SourceFileLoader("tool_engines", str(TOOL))
    made = module_from_spec(spec_from_loader("tool_engines", loader))  # type: ignore[arg-type]
    loader.exec_module(made)
    return made


def row(engine: str, instructions: float | None) -> EngineRow:
    return EngineRow(
        "b", engine, "mps2_an500", "d", 8, 8, "instructions", instructions, 1.0, 1000, 2000, 98480, 700
    )


def test_a_row_has_both_engines_figures_and_dashes_for_what_is_missing(tool: ModuleType) -> None:
    assert (
        tool.line("net.demo", row("aot", 5_584_085.0), row("tflm", 45_619_865.0))
        == "| `net.demo` | 5.58 M | 45.6 M | 1,000 | 1,000 | 98,480 | 98,480 |"
    )
    assert "| 5.58 M | does not fit | 1,000 | – | 98,480 | – |" in tool.line(
        "net", row("aot", 5_584_085.0), None
    )
    assert "| – | 12.0 M |" in tool.line("net", row("aot", None), row("tflm", 12e6))
    assert "| 245 M | 1.00 M |" in tool.line("net", row("aot", 245.2e6), row("tflm", 1e6))


def test_readmes_table_takes_the_rows_and_keeps_the_others(tool: ModuleType) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    old = next(one for one in text.splitlines() if one.startswith("| `resnet8` |") and one.count("|") == 8)
    changed = "| `resnet8` | 1 M | 2 M | 3 | 4 | 5 | 6 |"
    made = tool.with_rows(text, ["| `new.demo` | 1 | 2 | 3 | 4 | 5 | 6 |", changed])
    assert made.count("| `new.demo` |") == 1
    assert changed in made and old not in made
    assert len(made.splitlines()) == len(text.splitlines()) + 1
    assert tool.with_rows(made, [old]).replace("| `new.demo` | 1 | 2 | 3 | 4 | 5 | 6 |\n", "") == text
    with pytest.raises(DftError, match="no table of engines"):
        tool.with_rows("# nothing\n", [changed])


def test_every_released_model_is_taken_when_none_is_named(tool: ModuleType) -> None:
    names = [name for name, _ in tool.nets([])]
    assert names == sorted(p.parent.name for p in (ROOT / "models").glob("*/manifest.json"))
    assert all(file.is_file() for _, file in tool.nets([]))


@pytest.mark.parametrize("given", [[], ["--tflm-root", "/nowhere"]])
def test_without_tflm_it_is_one_sentence(given: list[str]) -> None:
    clean = {k: v for k, v in os.environ.items() if k != "TFLM_ROOT"}
    done = subprocess.run(
        [sys.executable, TOOL, *given], capture_output=True, text=True, check=False, env=clean, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.startswith("tools/engines: no ")
    assert "Traceback" not in done.stderr
