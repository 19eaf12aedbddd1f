"""The engine's C on this computer: compiled by its C compiler, with sanitizers where it has them, and run on tiles.

Knows compilers and processes, not what is compared with what: that is export/engine.py, which calls it, and so does
library.py. What a program reads and writes is in firmware/proving/run_model.c.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from dftiny import spec
from dftiny.errors import CheckFailed

COMPILERS = ("cc", "gcc", "clang")
# Sanitizers cost less time at -O2 than at -O1: the run is what takes long, not the compiler.
# A model's C names kernels of m7 wherever the compiler says that it has DSP instructions: here the portable ones run.
FLAGS = ("-std=c11", "-O2", "-U__ARM_FEATURE_DSP")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
PARTS_MAX = 4  # processes at a time
COMPILE_S, RUN_S = 300.0, 900.0
RUNNER = "proving/run_model.c"
_TRIED = """#include <stdio.h>
#include <stdlib.h>
int main(void)
{
    void *memory = aligned_alloc(32, 64);
    free(memory);
    return memory == NULL;
}
"""
# What a person wants to see first of a compiler's or a sanitizer's words.
_WORDS = re.compile(r"runtime error|ERROR: |\berror\b|undefined reference")


@dataclass(frozen=True)
class Compiler:
    """A C compiler whose programs run here. `version` is the first line of --version; `sanitize`: it has sanitizers."""

    path: str
    version: str
    sanitize: bool

    @property
    def flags(self) -> tuple[str, ...]:
        """For compiling and linking."""
        return (*FLAGS, *(SANITIZE if self.sanitize else ()))


def compiler() -> Compiler | None:
    """The first compiler on the PATH that makes programs for this computer, or None."""
    for path in filter(None, map(shutil.which, COMPILERS)):
        for sanitize in (True, False):
            if _makes_programs(path, SANITIZE if sanitize else ()):
                done = subprocess.run(
                    [path, "--version"], capture_output=True, text=True, check=False, timeout=60
                )
                return Compiler(path, (done.stdout.splitlines() or ["unknown"])[0], sanitize)
    return None


def _makes_programs(path: str, flags: Sequence[str]) -> bool:
    """Whether a small program compiles, links and runs: a cross compiler's, or one without its C library, does not."""
    with tempfile.TemporaryDirectory(prefix="dftiny-engine-") as name:
        (Path(name) / "tried.c").write_text(_TRIED, encoding="utf-8")
        for command in ([path, "-std=c11", *flags, "tried.c", "-o", "tried"], [str(Path(name) / "tried")]):
            try:
                done = subprocess.run(
                    command, cwd=name, env=_environment(), capture_output=True, check=False, timeout=60
                )
            except (OSError, subprocess.TimeoutExpired):
                return False
            if done.returncode:
                return False
    return True


def program(
    cc: Compiler,
    sources: Sequence[Path],
    includes: Sequence[Path],
    folder: Path,
    what: str = "the engine's C",
) -> Path:
    """Compile `sources` in `folder`, a few at a time, and link them. CheckFailed, naming `what`, when that fails."""
    flags = [*cc.flags, *(f"-I{p.resolve()}" for p in includes)]
    parts = _parts(len(sources))
    commands, places = [], []
    for n in range(parts):
        places.append(folder / f"part{n}")
        places[-1].mkdir()
        commands.append([cc.path, *flags, "-c", *(str(p.resolve()) for p in sources[n::parts])])
    for place, code in zip(places, _together(commands, places, COMPILE_S), strict=True):
        if code:
            raise CheckFailed(f"{what} does not compile: {_first_words(place)}", "please report the model")
    made = folder / "program"
    objects = [str(p) for place in places for p in sorted(place.glob("*.o"))]
    link = folder / "link"
    link.mkdir()
    if _together([[cc.path, *cc.flags, *objects, "-o", str(made)]], [link], COMPILE_S)[0]:
        raise CheckFailed(f"{what} does not link: {_first_words(link)}", "please report the model")
    return made


def model_program(cc: Compiler, sources: Sequence[str], generated: Path, folder: Path) -> Path:
    """The runner with the model whose C lies in `generated`, and `sources`, files of the firmware tree by path."""
    firmware = spec.firmware_dir()
    includes = [generated, *(firmware / p for p in ("include", "kernels", "engines/aot"))]
    model = sorted(generated.glob("*.c"))
    # The model's own file takes longest: it comes first, so that it shares a process with fewest others.
    return program(cc, [*model, firmware / RUNNER, *(firmware / p for p in sources)], includes, folder)


@dataclass(frozen=True, eq=False)
class Ran:
    """What a program answered: int8[n, bytes] of the tiles it got through, and why it stopped before the last of them."""

    outputs: np.ndarray
    stopped: str = ""


def run(made: Path, x: np.ndarray, out_bytes: int) -> Ran:
    """The model's outputs for inputs int8[n, …], computed in a few processes; `stopped` is of the first that stopped."""
    parts = np.array_split(x, _parts(len(x)))
    with tempfile.TemporaryDirectory(prefix="run-", dir=made.parent) as name:
        places = [Path(name) / str(n) for n in range(len(parts))]
        for place, part in zip(places, parts, strict=True):
            place.mkdir()
            part.tofile(place / "in")
        codes = _together([[str(made)]] * len(parts), places, RUN_S)
        found = []
        for place, part, code in zip(places, parts, codes, strict=True):
            bytes_ = np.fromfile(place / "out", np.int8)
            found.append(bytes_[: len(bytes_) // out_bytes * out_bytes].reshape(-1, out_bytes))
            if code or len(found[-1]) != len(part):
                return Ran(np.concatenate(found), _first_words(place) or f"it ended with code {code}")
        return Ran(np.concatenate(found))


def run_rows(made: Path, x: np.ndarray, row_bytes: Sequence[int]) -> Iterator[tuple[int, int, int, bytes]]:
    """(tile, operator, row, its bytes) of all rows that the engine shows for inputs int8[n, …], in the order in which they
    become complete; operators with `row_bytes` 0 are left out. Ends early where the program does."""
    with tempfile.TemporaryDirectory(prefix="rows-", dir=made.parent) as name:
        for tile, one in enumerate(x):
            one.tofile(Path(name) / "in")
            _together([[str(made), "rows", *map(str, row_bytes)]], [Path(name)], RUN_S)
            data, at = (Path(name) / "out").read_bytes(), 0
            while at + 8 <= len(data):
                op, row = np.frombuffer(data, np.uint32, 2, at).tolist()
                if op >= len(row_bytes):
                    break
                at += 8 + row_bytes[op]
                yield tile, op, row, data[at - row_bytes[op] : at]


def _parts(n: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(n, cores, PARTS_MAX))


def _together(commands: Sequence[Sequence[str]], places: Sequence[Path], timeout_s: float) -> list[int]:
    """Run all commands at once, each in its place: standard input from `in` there, where it is, the others to `out` and
    `said`. Their exit codes; whatever ends this function early ends them too."""
    running: list[subprocess.Popen[bytes]] = []
    with contextlib.ExitStack() as files:

        def opened(path: Path, mode: str) -> IO[bytes]:
            return files.enter_context(path.open(mode))

        try:
            for command, place in zip(commands, places, strict=True):
                source = opened(place / "in", "rb") if (place / "in").exists() else subprocess.DEVNULL
                out, said = opened(place / "out", "wb"), opened(place / "said", "wb")
                running.append(
                    subprocess.Popen(
                        command, cwd=place, env=_environment(), stdin=source, stdout=out, stderr=said
                    )
                )
            return [p.wait(timeout_s) for p in running]
        except (OSError, subprocess.TimeoutExpired) as e:
            raise CheckFailed(f"the engine was not run on this computer: {e}", "try it again") from e
        finally:
            for p in running:
                if p.poll() is None:
                    p.kill()
                p.wait()


def _environment() -> dict[str, str]:
    """English words, and no search for leaks: it needs rights that containers do not give, and nothing here leaks."""
    return {**os.environ, "LC_ALL": "C", "ASAN_OPTIONS": "detect_leaks=0"}


def _first_words(place: Path) -> str:
    """The line of what was said that tells most, without this machine's folders."""
    lines = (place / "said").read_text(encoding="utf-8", errors="replace").splitlines()
    told = [s.strip() for s in lines if s.strip()]
    line = next((s for s in told if _WORDS.search(s)), told[0] if told else "")
    return re.sub(r"(?:/[^/\s:]+)+/(?=[^/\s:]+)", "", re.sub(r"^=*\d*=*", "", line))[:240]
