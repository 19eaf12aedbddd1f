"""Compiles the firmware's own C for this computer, with sanitizers, and runs it against vectors."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dftiny import spec
from dftiny.codegen.protocol_h import shipped_protocol_h

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))  # for verdict_models

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    *("-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)

CompileC = Callable[[Sequence[Path]], Path]


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> CompileC:
    """`compile_c([sources…])` → an executable, with the firmware's headers and a fresh dft_protocol.h."""

    def compiled(sources: Sequence[Path]) -> Path:
        tmp_path = tmp_path_factory.mktemp("c")
        compiler = shutil.which("gcc") or shutil.which("cc")
        assert compiler, "no C compiler: tools/setup installs gcc"
        (tmp_path / "dft_protocol.h").write_text(shipped_protocol_h(), encoding="utf-8")
        program = tmp_path / "program"
        include = ["-I", str(spec.firmware_dir() / "include"), "-I", str(tmp_path)]
        command = [compiler, *FLAGS, *include, *map(str, sources), "-o", str(program)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return program

    return compiled


@pytest.fixture
def run_c() -> Callable[[Path, str], str]:
    """`run_c(program, stdin)` → stdout; a non-zero exit (a sanitizer's included) fails with its stderr."""

    def run(program: Path, text: str = "") -> str:
        done = subprocess.run(
            [str(program)], input=text, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    return run
