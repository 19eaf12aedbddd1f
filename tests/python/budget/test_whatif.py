"""What if: other tiles, targets, engines and limits, from one .tflite file."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner
from flatmodel import FlatModel, conv_options
from graph_file import tflite_bytes
from random_graphs import phinet_like

from dftiny import spec
from dftiny.budget.limits import Limits
from dftiny.budget.whatif import Question, answers, engines_of, listed, tiles_of
from dftiny.cli import cli
from dftiny.errors import CheckFailed, DftError
from dftiny.graph import Graph, load
from dftiny.graph.resize import at_tile


def shapes(graph: Graph) -> list[tuple[str, list[tuple[int, ...]]]]:
    return [(op.kind, [graph.tensors[t].shape for t in op.outputs]) for op in graph.operators]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whatif") / "model.tflite"
    path.write_bytes(tflite_bytes(phinet_like(tile=32)))
    return path


def test_a_net_at_another_tile_is_the_net_exported_there(model: Path) -> None:
    for tile in (48, 64):
        assert shapes(at_tile(model.read_bytes(), "net", tile)) == shapes(phinet_like(tile=tile))
    assert shapes(at_tile(model.read_bytes(), "net", 32)) == shapes(load(model))


def image(m: FlatModel, size: int = 8, channels: int = 2) -> int:
    return m.act((1, size, size, channels), 0.1)


def test_a_window_over_the_whole_map_stays_one() -> None:
    m = FlatModel()
    m.op("AVERAGE_POOL_2D", (image(m),), (m.act((1, 1, 1, 2), 0.1),), FilterHeight=8, FilterWidth=8, StrideH=8, StrideW=8, Padding=1)  # fmt: skip
    assert shapes(at_tile(m.bytes(), "net", 24)) == [("AVERAGE_POOL_2D", [(1, 1, 1, 2)])]


def test_a_constant_border_follows_when_it_is_the_same_all_along() -> None:
    for values, fits in (
        (np.full((1, 1, 8, 2), 3, np.int8), True),
        (np.arange(16, dtype=np.int8).reshape(1, 1, 8, 2), False),
    ):
        m = FlatModel()
        parts = image(m), m.const(values, 0.1, 0)
        m.op("CONCATENATION", parts, (m.act((1, 9, 8, 2), 0.1),), Axis=1)
        if fits:
            assert shapes(at_tile(m.bytes(), "net", 16)) == [("CONCATENATION", [(1, 17, 16, 2)])]
        else:
            with pytest.raises(DftError, match=r"operator 0 \(CONCATENATION\) joins a constant"):
                at_tile(m.bytes(), "net", 16)


def flattened() -> bytes:
    m = FlatModel()
    x, flat = image(m), m.act((1, 128), 0.1)
    m.op("RESHAPE", (x, m.const(np.array([1, 128], np.int32))), (flat,))
    m.op("FULLY_CONNECTED", (flat, m.const(np.ones((4, 128), np.int8), 0.01)), (m.act((1, 4), 0.1),))
    return m.bytes()


def gathered() -> bytes:
    m = FlatModel()
    m.op(
        "GATHER",
        (image(m), m.const(np.arange(8, dtype=np.int32)[::-1].copy())),
        (m.act((1, 8, 8, 2), 0.1),),
        Axis=1,
    )
    return m.bytes()


def too_small() -> bytes:
    m = FlatModel()
    x, w = image(m, 32), m.const(np.ones((2, 17, 17, 2), np.int8), 0.01)
    m.op("CONV_2D", (x, w), (m.act((1, 16, 16, 2), 0.1),), **conv_options(padding="VALID"))
    return m.bytes()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (flattened(), r"operator 0 \(RESHAPE\) fixes the size: it turns \[1, 8, 8, 2\] into \[1, 128\]"),
        (gathered(), r"operator 0 \(GATHER\) takes places of a dimension that changes"),
        (too_small(), r"operator 0 \(CONV_2D\) would make a map of \[1, 0, 0, 2\]"),
    ],
)
def test_what_fixes_the_size_is_named(data: bytes, words: str) -> None:
    with pytest.raises(DftError, match=words):
        at_tile(data, "net", 16)


def test_no_square_image_has_no_tile() -> None:
    m = FlatModel()
    m.op("RELU", (m.act((1, 8, 4, 2), 0.1),), (m.act((1, 8, 4, 2), 0.1),))
    with pytest.raises(DftError, match="no square image"):
        at_tile(m.bytes(), "net", 16)


def test_options_of_several_values() -> None:
    assert listed(("a,b", "c", "a"), "--target") == ("a", "b", "c")
    assert tiles_of(("96, 128", "160")) == (96, 128, 160) and tiles_of(()) == ()
    assert engines_of(("tflm,aot",)) == ("tflm", "aot")


@pytest.mark.parametrize("text", ["", "96,", "4", "2048", "-96", "9e1", "٩٦", "0x60"])
def test_a_wrong_tile_is_one_sentence(text: str) -> None:
    with pytest.raises(DftError, match="--tile"):
        tiles_of((text,))


def test_every_combination_is_answered(model: Path) -> None:
    found = answers(Question(model, ("stm32h743", "stm32u585"), ("aot", "tflm"), (32, 40)))
    assert [(b.model[-2:], b.target, b.engine) for b in found][:3] == [
        ("te", "stm32h743", "aot"), ("te", "stm32h743", "tflm"), ("te", "stm32u585", "aot"),
    ]  # fmt: skip
    assert len(found) == 8 and found[4].model.endswith("at 40") and found[4].macs > found[0].macs


def test_the_command_makes_one_table_or_one_object(model: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(cli, ["budget", str(model), "--tile", "32,40", "--engine", "aot,tflm"])
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.output.splitlines() if " stm32h743 " in line]
    assert len(rows) == 4 and all(row[-1] == "yes" for row in rows)
    done = runner.invoke(cli, ["budget", str(model), "--tile", "32,40", "--json"])
    budgets = json.loads(done.stdout)["budgets"]
    for b in budgets:
        jsonschema.validate(b, spec.schema("budget"))
    assert len(budgets) == 2
    done = runner.invoke(cli, ["budget", str(model), "--json", "--reserve", "flash=1K"])
    one = json.loads(done.stdout)
    jsonschema.validate(one, spec.schema("budget"))
    assert next(r for r in one["regions"] if r["name"] == "flash")["application"] == 1024


def test_some_that_do_not_fit_fail_the_command(model: Path) -> None:
    done = CliRunner().invoke(cli, ["budget", str(model), "--tile", "32,40", "--max-macs", "300000"])
    assert isinstance(done.exception, CheckFailed) and "do not fit" in str(done.exception)
    assert "MACs, the limit is 300,000" in done.output


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--target", "stm32h743,nowhere"], "unknown target"),
        (["--engine", "glow"], "no budget for engine"),
        (["--tile", "32,40", "--plan"], "about one"),
        (["--tile", "32,40", "--elf", "x.elf"], "--elf is one firmware"),
        (["--map", "absent.map"], "cannot read absent.map"),
        (["--engine", "tflm", "--max-ms", "3"], "milliseconds cannot be limited"),
        (["--engine", "tflm", "--max-instructions", "3"], "instructions cannot be limited"),
    ],
)
def test_wrong_use_is_one_sentence(model: Path, more: list[str], words: str) -> None:
    done = CliRunner().invoke(cli, ["budget", str(model), *more])
    assert isinstance(done.exception, DftError) and not isinstance(done.exception, CheckFailed)
    assert words in str(done.exception) and "\n" not in str(done.exception)


def test_estimated_limits_name_the_heaviest_operator(model: Path) -> None:
    (b,) = answers(Question(model, limits=Limits(instructions=1, ms=0.001)))
    assert b.instructions_estimated is not None and b.ms_estimated is not None
    assert f"an estimated {b.instructions_estimated:,} instructions, the limit is 1" in b.reasons[0]
    assert "never checked on silicon" in b.reasons[1]
    (b,) = answers(Question(model, limits=Limits(instructions=10**9, ms=1e6)))
    assert b.fits
