"""`dftiny engines` and what the tflm engine is generated from; its run in QEMU is tests/emu/test_tflm_engine.py."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from dftiny.artifact import write_json
from dftiny.build import Tflm, build
from dftiny.cli import cli
from dftiny.codegen.needs import FirmwareNeeds, RegionNeed, tflm_needs
from dftiny.codegen.tflm_model import operator_kinds, tflm_model_h
from dftiny.engines import engine_row, engines_command, engines_table
from dftiny.errors import CheckFailed, DftError
from dftiny.target import load_target

MODEL = Path(__file__).resolve().parents[3] / "models/phinet_demo_128.demo/model.tflite"


def folder(tmp_path: Path, name: str, **changes: object) -> Path:
    value = {
        "board": {"engine": name, "name": "mps2_an500"},
        "bundle": {"digest": "d1"},
        "oracle": {"tiles": 8, "identical": 8},
        "instructions": {"per_tile": {"mean": 4000.0}, "per_mac": 1.25},
        "memory": {"arena_bytes": 1000, "stack_peak_bytes": 200},
        "size": {"regions": {"flash": {"bytes": 9000}, "axi": {"bytes": 1000}, "dtcm": {"bytes": 500}}},
        **changes,
    }
    out = tmp_path / name
    out.mkdir()
    write_json(out / "bench.json", value)
    return out


def test_the_table_has_every_figure(tmp_path: Path) -> None:
    rows = [engine_row(folder(tmp_path, "aot")), engine_row(folder(tmp_path, "tflm"))]
    assert (rows[0].ram_bytes, rows[0].flash_bytes, rows[0].per_mac) == (1500, 9000, 1.25)
    head, first, second = engines_table(rows).splitlines()
    assert head.split()[:3] == ["bench", "engine", "board"]
    for figure in ("8 of 8", "4,000 instructions", "1.25", "1,000", "1,500", "9,000", "200"):
        assert figure in first
    assert second.startswith("tflm")


def test_what_may_not_be_claimed_is_a_dash(tmp_path: Path) -> None:
    made = folder(tmp_path, "aot", size={"regions": {}}, memory={})
    value = (made / "bench.json").read_text().replace('"instructions"', '"other"')
    (made / "bench.json").write_text(value)
    row = engine_row(made)
    assert (row.per_tile, row.unit, row.flash_bytes, row.ram_bytes, row.arena_bytes) == (
        None,
        "",
        None,
        None,
        None,
    )
    assert engines_table([row]).splitlines()[1].count("–") == 6


def test_different_bundles_and_different_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    aot = folder(tmp_path, "aot")
    with pytest.raises(DftError, match="different bundles"):
        engines_command([aot, folder(tmp_path, "other", bundle={"digest": "d2"})])
    with pytest.raises(CheckFailed, match="engine tflm differs from the int8 oracle on 1 of 8 tiles"):
        engines_command([aot, folder(tmp_path, "tflm", oracle={"tiles": 8, "identical": 7})])
    assert "7 of 8" in capsys.readouterr().out


def test_a_folder_that_is_no_bench(tmp_path: Path) -> None:
    with pytest.raises(DftError, match=r"holds no bench\.json; give a folder that dftiny bench wrote"):
        engine_row(tmp_path)
    with pytest.raises(DftError, match="no finished bench"):
        engine_row(folder(tmp_path, "x", oracle={}))


def test_the_resolver_asks_for_the_models_operators() -> None:
    kinds = operator_kinds(MODEL)
    digest = bytes(32)
    text = tflm_model_h(FirmwareNeeds(49152, 1, (RegionNeed("axi", 160_000, 32),), len(kinds), digest), kinds)
    assert f"#define DFT_TFLM_OPERATORS_N {len(set(kinds))}\n" in text
    assert f"#define DFT_TFLM_OPS_N {len(kinds)}u\n" in text
    assert "r.AddConv2D(tflite::Register_CONV_2D_INT8()) == kTfLiteOk" in text
    assert "r.AddDepthwiseConv2D(tflite::Register_DEPTHWISE_CONV_2D_INT8())" in text
    assert "r.AddMean() == kTfLiteOk" in text
    assert "#define DFT_TFLM_ARENA_BYTES 160000u" in text


def test_an_arena_that_no_region_holds_is_one_sentence(tmp_path: Path) -> None:
    """TFLM takes one block: 163,536 bytes here, and the target's regions are made smaller than that."""
    target = load_target("stm32h743")
    small = replace(target, regions=tuple(replace(r, bytes=min(r.bytes, 131072)) for r in target.regions))
    shutil.copy(MODEL, tmp_path / "model.tflite")
    with pytest.raises(
        CheckFailed, match=r"arena of 164,560 bytes in one piece, the largest region .* has 131,072"
    ):
        tflm_needs(tmp_path, small)


@pytest.mark.parametrize(
    ("root", "board", "words"),
    [
        (None, "mps2_an500", "needs TensorFlow Lite Micro"),
        ("empty", "mps2_an500", "is no checkout of tflite-micro"),
        ("tree", "host", "is built for the Cortex-M7 boards"),
    ],
)
def test_without_the_library_it_is_one_sentence(
    tmp_path: Path, root: str | None, board: str, words: str
) -> None:
    header = tmp_path / "tree/tensorflow/lite/micro/micro_interpreter.h"
    header.parent.mkdir(parents=True)
    header.touch()
    (tmp_path / "empty").mkdir()
    tflm = Tflm(tmp_path / root) if root else None
    with pytest.raises(DftError, match=words):
        build(None, board, tmp_path / "out", engine="tflm", tflm=tflm)
    assert not (tmp_path / "out").exists()


def test_a_checkout_that_was_not_built_is_said(tmp_path: Path) -> None:
    header = tmp_path / "tree/tensorflow/lite/micro/micro_interpreter.h"
    header.parent.mkdir(parents=True)
    header.touch()
    runner = CliRunner(env={"TFLM_ROOT": str(tmp_path / "tree")})
    done = runner.invoke(cli, ["build", str(MODEL.parent), "--board", "mps2_an500", "--engine", "tflm"])
    assert isinstance(done.exception, DftError)  # the model's folder is no bundle: refused before CMake runs
