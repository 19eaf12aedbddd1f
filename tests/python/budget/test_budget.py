"""The budget: what it counts, what it refuses, how it says so."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner
from flatmodel import FlatModel, conv_options
from random_graphs import phinet_like

from dftiny import spec
from dftiny.budget import budget, budget_file
from dftiny.budget_view import budget_text, targets_table
from dftiny.cli import cli
from dftiny.errors import CheckFailed, DftError
from dftiny.graph import Graph, load
from dftiny.target import load_target

H743 = load_target("stm32h743")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return phinet_like()


def conv_model(size: int = 8, channels: int = 4, out: int = 4, kernel: int = 1) -> bytes:
    """One convolution."""
    m = FlatModel()
    x = m.act((1, size, size, channels), 0.1)
    w = m.const(np.ones((out, kernel, kernel, channels), np.int8), 0.01)
    m.op("CONV_2D", (x, w), (m.act((1, size, size, out), 0.1),), **conv_options())
    return m.bytes()


def written(folder: Path, data: bytes, name: str = "model.tflite") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_the_lines_a_user_knows_come_first(graph: Graph) -> None:
    b = budget(graph, H743)
    lines = budget_text(b).splitlines()
    assert (
        lines[1] == f"Flash {b.flash_bytes / 1024:,.1f} KB of 2,048 KB ({100 * b.flash_bytes / 2**21:.1f} %)"
    )
    assert (
        lines[2]
        == f"RAM   {b.ram_used_bytes / 1024:,.1f} KB of 1,024 KB ({100 * b.ram_used_bytes / 2**20:.1f} %)"
    )
    assert lines[3].startswith("MACs  4.52 M of 100 M")
    assert lines[-1] == "fits stm32h743"
    for region in H743.regions:
        assert any(line.strip().startswith(region.name) for line in lines)


def test_the_parts_add_up(graph: Graph) -> None:
    b = budget(graph, H743)
    assert b.fits
    assert b.flash_bytes == b.const.total + b.code_bytes == b.region("flash").used
    assert b.plan is not None and b.ram_bytes == sum(b.plan.region_bytes.values()) == b.plan.total_bytes
    held = b.plan.region_bytes.get("dtcm", 0)  # beside the statics
    assert b.region("axi").used == b.ram_bytes - held
    staging = b.region("d2").used  # the next input is received there
    assert staging == graph.input.nbytes and b.region("itcm").used > 0
    beside = b.region("dtcm").used - held + b.region("itcm").used + staging
    assert b.ram_used_bytes == b.ram_bytes + beside + b.stack_bytes
    assert b.macs == sum(o.macs for o in b.ops)
    assert b.lower_bound_bytes <= b.ram_bytes and max(o.live_bytes for o in b.ops) <= b.ram_bytes
    assert b.const.weights >= sum(
        t.nbytes for t in graph.tensors if t.data is not None and t.dtype == np.int8
    )


def test_json_follows_its_schema() -> None:
    schema = json.loads((spec.SPEC_DIR / "schema" / "budget.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    for size in (8, 512):
        value = json.loads(json.dumps(budget(load(conv_model(size), name="net"), H743).as_json()))
        jsonschema.validate(value, schema)
        assert value["fits"] is (size == 8)


def test_too_large_activations_name_region_operator_and_bytes() -> None:
    b = budget(load(conv_model(512), name="net"), H743)
    over = b.region("axi").used - (512 << 10)
    assert not b.fits
    assert b.plan is None
    assert b.region("axi").used >= 512 * 512 * 4  # the input alone does not fit
    assert b.region("axi").over == over
    assert (
        f"needs {over + (512 << 10):,} bytes of activations, region axi has 524,288: {over:,}" in b.reasons[0]
    )
    with pytest.raises(CheckFailed, match="region axi"):
        b.require()


def test_too_large_constants_name_the_operator_that_passes_the_end(graph: Graph) -> None:
    whole = budget(graph, H743)
    limit = whole.flash_bytes - whole.ops[-1].const_bytes - 1
    regions = tuple(replace(r, bytes=limit) if r.kind == "flash" else r for r in H743.regions)
    b = budget(graph, replace(H743, regions=regions))
    kind = graph.ops[-2].kind
    assert b.reasons[0].startswith(
        f"the constants of operator {len(graph.ops) - 2} ({kind}) pass the end of region flash"
    )
    assert f"{whole.flash_bytes - limit:,} bytes over" in b.reasons[0]


def test_the_mac_limit_can_be_overridden(graph: Graph) -> None:
    total = budget(graph, H743).macs
    assert budget(graph, H743, max_macs=total).fits
    b = budget(graph, H743, max_macs=total - 1)
    assert b.reasons == (
        f"{total:,} MACs, the limit is {total - 1:,}: 1 over; most of them in operator 1 (CONV_2D), 1,572,864",
    )


def test_an_unknown_target_assumes_the_largest_code(graph: Graph, tmp_path: Path) -> None:
    text = (spec.SPEC_DIR / "targets" / "stm32h743.toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('name = "stm32h743"', 'name = "mine"'), encoding="utf-8")
    b = budget(graph, load_target(str(path)))
    assert not b.code_measured
    assert b.flash_bytes >= budget(graph, H743).flash_bytes
    assert "was not measured for mine" in budget_text(b)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("align = 32", "align = 24"), "power of two"),
        (("origin = 0x24000000", "origin = 0x20000000"), "overlap"),
        (("stack_bytes = 8192", "stack_bytes = 0"), "stack"),
        (("arena = true", "arena = false"), "arena"),
        (("max_macs = 100_000_000", ""), "lacks the field"),
    ],
)
def test_a_malformed_target_is_refused(change: tuple[str, str], expected: str, tmp_path: Path) -> None:
    text = (spec.SPEC_DIR / "targets" / "stm32h743.toml").read_text(encoding="utf-8")
    assert change[0] in text
    path = tmp_path / "broken.toml"
    path.write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(DftError, match=expected):
        load_target(str(path))


def unknown_operator() -> bytes:
    m = FlatModel()
    x = m.act((1, 4, 4, 2), 0.1)
    m.op("L2_NORMALIZATION", (x,), (m.act((1, 4, 4, 2), 0.1),))
    return m.bytes()


def float_model() -> bytes:
    m = FlatModel()
    x = m.act((1, 4, 4, 2), None, dtype="float32")
    m.op("RELU", (x,), (m.act((1, 4, 4, 2), None, dtype="float32"),))
    return m.bytes()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (conv_model()[:200], "truncated"),
        (conv_model()[:6], "TensorFlow Lite"),
        (b"", "empty"),
        (b"pixels and words\n" * 40, "text file"),
        (float_model(), "float32"),
        (unknown_operator(), "L2_NORMALIZATION"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(data: bytes, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, data)
    with pytest.raises(DftError) as e:
        budget_file(path)
    assert not isinstance(e.value, CheckFailed)
    assert words in str(e.value)
    assert "\n" not in str(e.value)
    assert str(path) in str(e.value)


def test_missing_files_and_folders_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(DftError, match=r"holds no model\.tflite"):
        budget_file(tmp_path)
    with pytest.raises(DftError, match=r"there is nothing at .*absent\.tflite; run dftiny export first"):
        budget_file(tmp_path / "absent.tflite")
    with pytest.raises(DftError, match="unknown target"):
        budget_file(written(tmp_path, conv_model()), "stm32h999")


def test_a_bundle_folder_is_its_model(tmp_path: Path) -> None:
    written(tmp_path, conv_model())
    assert budget_file(tmp_path).macs == 8 * 8 * 4 * 4


def test_the_command_exits_1_with_the_table_when_it_does_not_fit(tmp_path: Path) -> None:
    path = written(tmp_path, conv_model(size=512))
    runner = CliRunner()
    done = runner.invoke(cli, ["budget", str(path)])
    assert isinstance(done.exception, CheckFailed) or done.exit_code == 1
    assert "region" in done.output
    assert "does not fit stm32h743" in done.output
    done = runner.invoke(cli, ["budget", str(path), "--json"])
    assert json.loads(done.stdout)["fits"] is False


def test_targets_lists_every_chip() -> None:
    text = targets_table()
    for name in spec.names("targets"):
        assert name in text
    assert "2,048 KB" in text


def test_a_large_model_takes_less_than_two_seconds_and_no_torch(tmp_path: Path) -> None:
    """1.4 MB of weights; CPU seconds of a fresh process, all imports included."""
    path = written(tmp_path, conv_model(size=8, channels=400, out=400, kernel=3))
    assert path.stat().st_size > 1_400_000
    code = (
        "import sys; from pathlib import Path; from dftiny.budget_view import budget_command\n"
        "from dftiny.budget.whatif import Question; from dftiny.budget.limits import Limits\n"
        "budget_command(Question(Path(sys.argv[1]), limits=Limits(macs=10**9)))\n"
        "assert not {'torch', 'tensorflow', 'scipy', 'sklearn'} & set(sys.modules)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert after.ru_utime - before.ru_utime < 2.0
