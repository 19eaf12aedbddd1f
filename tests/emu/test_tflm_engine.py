"""The tflm engine in QEMU, with every library that was built under TFLM_ROOT: our link, TFLM's kernels, the same bits.

Runs where TFLM_ROOT is set (TFLM comes in no package that tools/setup could install), and then nothing is forgiven.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dftiny.artifact import read_manifest
from dftiny.bench.run import bench_command
from dftiny.budget.tflm_arena import tflm_arena
from dftiny.build import Tflm, build
from dftiny.bundle import Bundle
from dftiny.engines import engine_row, engines_command

pytestmark = [
    pytest.mark.emu,
    pytest.mark.outside("TFLM_ROOT", "the tflm engine, which needs TFLM's library"),
]


def libraries() -> list[Path]:
    if "TFLM_LIBRARY" in os.environ:
        return [Path(os.environ["TFLM_LIBRARY"])]
    found = Path(os.environ.get("TFLM_ROOT", "/nowhere")).glob("gen/cortex_m_generic_cortex-m7*/lib/*.a")
    return sorted(found)


def bench(bundle: Bundle, built: Path, out: Path) -> Path:
    bench_command(
        runs=out.parent, bundle=bundle.folder, out=out, board="mps2_an500", build_dir=built, golden=True
    )
    return out


def test_there_is_a_library() -> None:
    assert libraries(), (
        "TFLM_ROOT is set, but no libtensorflow-microlite.a for cortex-m7 lies under its gen folder"
    )


def test_tflm_and_our_engine_give_the_same_bits(bundle: Bundle, tmp_path: Path) -> None:
    build(bundle.folder, "mps2_an500", tmp_path / "aot")
    folders = [bench(bundle, tmp_path / "aot", tmp_path / "bench-aot")]
    for i, library in enumerate(libraries()):
        made = tmp_path / f"tflm{i}"
        build(
            bundle.folder,
            "mps2_an500",
            made,
            engine="tflm",
            tflm=Tflm(Path(os.environ["TFLM_ROOT"]), library),
        )
        assert len(read_manifest(made, "build").tools["libtensorflow-microlite.a"]) == 64
        folders.append(bench(bundle, made, tmp_path / f"bench-tflm{i}"))
    ours, *theirs = engines_command(folders)
    assert ours.engine == "aot" and theirs and all(r.engine == "tflm" for r in theirs)
    for row in (ours, *theirs):
        assert row.tiles == row.identical > 0
        assert row.unit == "instructions" and row.per_tile and row.arena_bytes and row.flash_bytes
    arena = tflm_arena(bundle.graph())
    for library, row in zip(libraries(), theirs, strict=True):
        extra = row.arena_bytes - arena.total  # type: ignore[operator]
        assert 0 <= extra <= 1024 and (extra == 0 or "cmsis_nn" in str(library)), (library, extra)
    assert all(r.per_tile > ours.per_tile for r in theirs)  # type: ignore[operator]


def test_operators_are_timed_one_by_one(bundle: Bundle, tmp_path: Path) -> None:
    library = libraries()[0]
    build(
        bundle.folder,
        "mps2_an500",
        tmp_path / "b",
        engine="tflm",
        tflm=Tflm(Path(os.environ["TFLM_ROOT"]), library),
    )
    out = bench(bundle, tmp_path / "b", tmp_path / "bench")
    value = json.loads((out / "bench.json").read_text())
    counts = [op["instructions"] for op in value["ops"]]
    assert len(counts) == len(bundle.ops) and all(c > 0 for c in counts)
    assert sum(counts) <= (engine_row(out).per_tile or 0)
