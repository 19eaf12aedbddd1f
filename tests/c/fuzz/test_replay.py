"""The device fuzzer's corpus and findings through the firmware's parsers, with sanitizers, and how much that reaches."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dftiny import spec
from dftiny.codegen.protocol_h import shipped_protocol_h

ROOT = Path(__file__).resolve().parents[3]
FUZZ = ROOT / "tests/fuzz"
sys.path.append(str(FUZZ))

from seeds import write_device  # noqa: E402

SOURCES = ("commands", "crc", "frame", "input", "selftest", "stackmeter", "unpack", "verdict")
PARSERS = ("commands.c", "frame.c", "input.c", "unpack.c")
LINES_REACHED = 0.90


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Seeds, corpus and findings."""
    seeds = tmp_path_factory.mktemp("seeds")
    write_device(seeds)
    findings = sorted(FUZZ.glob("regress/*/device.bin"))
    corpus = sorted((FUZZ / "corpus/device").iterdir())
    assert findings
    assert len(corpus) > 20
    return [*sorted(seeds.iterdir()), *corpus, *findings]


def sources() -> list[Path]:
    firmware = spec.firmware_dir() / "src"
    return [FUZZ / "replay.c", FUZZ / "device.c", *(firmware / f"{name}.c" for name in SOURCES)]


def test_nothing_is_found_again(inputs: list[Path], compile_c: Callable[[list[Path]], Path]) -> None:
    done = subprocess.run(
        [compile_c(sources()), *inputs], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == f"{len(inputs)} replayed\n"


def test_the_inputs_reach_the_parsers_lines(inputs: list[Path], tmp_path: Path) -> None:
    gcov = shutil.which("gcov")
    assert gcov, "gcov comes with gcc: tools/setup installs it"
    (tmp_path / "dft_protocol.h").write_text(shipped_protocol_h(), encoding="utf-8")
    include = ["-I", str(spec.firmware_dir() / "include"), "-I", str(tmp_path)]
    command = ["gcc", "-std=c11", "-O0", "--coverage", *include, *map(str, sources()), "-o", "program"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    subprocess.run(["./program", *inputs], cwd=tmp_path, check=True, timeout=120, stdout=subprocess.DEVNULL)
    subprocess.run(
        [gcov, "--json-format", *tmp_path.glob("*.gcda")], cwd=tmp_path, check=True, capture_output=True
    )
    reached: dict[str, list[bool]] = {}
    for report in tmp_path.glob("*.gcov.json.gz"):
        for file in json.loads(gzip.decompress(report.read_bytes()))["files"]:
            name = Path(file["file"]).name
            if name in PARSERS:
                reached.setdefault(name, []).extend(line["count"] > 0 for line in file["lines"])
    assert sorted(reached) == sorted(PARSERS)
    for name, lines in reached.items():
        assert len(lines) > 20
        assert sum(lines) >= LINES_REACHED * len(lines), f"{name}: {sum(lines)} of {len(lines)} lines"
