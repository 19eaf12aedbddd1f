"""Compile a generated model for this computer and run it. For tests only."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dftiny.codegen.model_c import model_c
from dftiny.graph import Graph
from dftiny.plan import Plan

REPO = Path(__file__).resolve().parents[2]
FIRMWARE = REPO / "firmware"
FLAGS = [
    "-std=c11",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
]
PLAIN = ["-std=c11", "-O2"]  # many large tiles: sanitizers take ten times as long
INCLUDES = [f"-I{FIRMWARE / d}" for d in ("include", "kernels", "engines/aot")]


def build_library(folder: Path, flags: Sequence[str] = FLAGS) -> Path:
    """Kernels, aot engine and the runner, compiled once, with sanitizers unless `flags` are others."""
    sources = [*sorted((FIRMWARE / "kernels").glob("*.c")), *sorted((FIRMWARE / "engines/aot").glob("*.c"))]
    sources.append(FIRMWARE / "proving/run_model.c")
    objects = []
    for source in sources:
        objects.append(folder / f"{source.stem}.o")
        run_tool(["gcc", *flags, *INCLUDES, "-c", str(source), "-o", str(objects[-1])])
    library = folder / "libdft.a"
    run_tool(["ar", "rcs", str(library), *map(str, objects)])
    return library


def run_tool(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


class HostModel:
    """A compiled model."""

    def __init__(
        self, graph: Graph, plan: Plan, library: Path, folder: Path, flags: Sequence[str] = FLAGS
    ) -> None:
        self.graph = graph
        for name, text in model_c(graph, plan, bundle_digest=bytes(range(32))).items():
            (folder / name).write_text(text)
        self.binary = folder / "model"
        source = str(folder / "dft_model.c")
        run_tool(
            ["gcc", *flags, "-O0", *INCLUDES, f"-I{folder}", source, str(library), "-o", str(self.binary)]
        )

    def run(self, x: np.ndarray) -> np.ndarray:
        """int8[n, H, W, C] → int8[n, …]."""
        done = subprocess.run([str(self.binary)], input=x.tobytes(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()[-3000:]
        return np.frombuffer(done.stdout, np.int8).reshape(len(x), *self.graph.output.shape[1:])

    def open_status(self, how: str) -> int:
        """Exit code minus 10 when open is given bad regions."""
        done = subprocess.run([str(self.binary), how], input=b"", capture_output=True, check=False)
        return done.returncode - 10
