"""`dftiny diagnose`, and the export's gate that explains itself when it fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner
from threadpoolctl import threadpool_info, threadpool_limits
from twins import POINTWISE, Twins, damaged, twins, weights

from dftiny import graph, int8, spec
from dftiny.cli import cli
from dftiny.diagnose import Cures
from dftiny.diagnose.causes import Kind
from dftiny.diagnose.floats import input_values, run
from dftiny.errors import CheckFailed, DftError
from dftiny.export import stages
from dftiny.export.progress import Progress
from dftiny.export.source import Source
from dftiny.export.tflite import Converted

RELEASED = Path(__file__).resolve().parents[3] / "models/phinet_demo_128.demo"


@pytest.fixture(scope="module")
def ill() -> Twins:
    return twins(damaged(weights(6), channel=4, factor=900))


class Listening(Progress):
    """Keeps what would be printed."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def source_of(t: Twins) -> Source:
    return Source("ill", None, None, None, None, None, None, 0.0, t.tiles, t.tiles[:8], {})


def gate(t: Twins, progress: Listening, logits: np.ndarray) -> Any:
    converted = Converted(t.model, t.model, t.floats, logits, np.zeros((0, 1), np.int8))
    outputs = int8.run(t.graph, int8.from_pixels(t.tiles))
    return stages._float_gate(source_of(t), converted, logits, outputs, 0.0, False, progress)


def test_a_failing_gate_names_layer_channel_and_option(ill: Twins) -> None:
    logits = run(ill.net, input_values(ill.graph, ill.tiles))[ill.graph.outputs[0]].reshape(-1, 1)
    progress = Listening()
    # The gate judges raw power, so the constant that all logits share is taken away on both sides.
    mean = logits.mean()
    bias = ill.graph.ops[-1].inputs[2]
    shifted = replace(
        ill.net, constants={**ill.net.constants, bias: ill.net.constants[bias] - np.float32(mean)}
    )
    assert shifted is not ill.net
    with pytest.raises(
        CheckFailed, match=r"loses the signal.*outlier channel at operator 2, channel 4; try dftiny"
    ):
        gate(ill, progress, -logits)  # logits that int8 cannot be near
    assert any("likely causes" in s for s in progress.said)
    assert any(f"operator {POINTWISE} " in s and "channel 4" in s for s in progress.said)


def test_a_doubtful_gate_says_how_to_look() -> None:
    t = twins(weights(6))
    logits = run(t.net, input_values(t.graph, t.tiles))[t.graph.outputs[0]].reshape(-1, 1)
    sound, doubtful = Listening(), Listening()
    assert gate(t, sound, logits).status == "passed"
    assert not any("--explain" in s for s in sound.said)
    assert gate(t, doubtful, logits * np.float32(0.7)).status == "passed"
    assert any("--explain" in s for s in doubtful.said)


def test_cures_are_refused_for_a_model_that_has_no_float_weights(tmp_path: Path, ill: Twins) -> None:
    path = tmp_path / "ill.tflite"
    path.write_bytes(ill.model)
    source = replace(source_of(ill), tflite_path=path)
    with pytest.raises(DftError, match="is int8 already"):
        stages.make_model(source, tmp_path, 0.0, Listening(), cures=stages.Cures(equalise=True))
    stages.make_model(source, tmp_path, 0.0, Listening(), explain=True)
    assert json.loads((tmp_path / "explain.json").read_text())["causes"][0]["channel"] == 4


def test_numbers_of_our_own_do_not_depend_on_the_threads(monkeypatch: pytest.MonkeyPatch, ill: Twins) -> None:
    """Sums of floats in another order gave the released PhiNet 11,959 other bytes on two threads."""

    class Seen(Exception):
        pass

    def look(*_: object) -> None:
        raise Seen({p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"})

    monkeypatch.setattr(stages, "cured", look)
    converted = Converted(ill.model, ill.model, ill.floats, np.zeros((0, 1)), np.zeros((0, 1), np.int8))
    cures = stages.Cures(correct_bias=True)
    with threadpool_limits(2, user_api="blas"), pytest.raises(Seen) as seen:
        stages._improved(source_of(ill), converted, ill.tiles, cures, Listening())
    assert seen.value.args == ({1},)


def test_diagnose_with_and_without_the_float_model(tmp_path: Path, ill: Twins) -> None:
    for name, data in (("ill.tflite", ill.model), ("float.tflite", ill.floats)):
        (tmp_path / name).write_bytes(data)
    np.savez(tmp_path / "tiles.npz", tiles=ill.tiles)
    command = ["diagnose", str(tmp_path / "ill.tflite"), "--tiles", str(tmp_path / "tiles.npz")]
    for more, told in (([], "own weights"), (["--float", str(tmp_path / "float.tflite")], "the float model")):
        done = CliRunner().invoke(cli, [*command, *more, "--json", str(tmp_path / "d.json")])
        assert done.exit_code == 0, done.output
        assert "outlier channel: operator 2" in done.output
        assert told in done.output
        value = json.loads((tmp_path / "d.json").read_text())
        jsonschema.validate(value, dict(spec.schema("explain")))
        assert value["causes"][0]["op"] == POINTWISE
    assert "tried on the calibration tiles" in done.output


def test_the_command_line_asks_for_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("dftiny.bundle.export", lambda *_, **options: asked.update(options))
    assert CliRunner().invoke(cli, ["export"]).exit_code == 0
    assert (asked["cures"], asked["explain"]) == (Cures(), False)
    for cures in (Cures("mse"), Cures("best", True, True), Cures(equalise=True), Cures(correct_bias=True)):
        done = CliRunner().invoke(cli, ["export", "--explain", *cures.options.split()])
        assert done.exit_code == 0, done.output
        assert (asked["cures"], asked["explain"]) == (cures, True)


def test_the_schema_knows_every_cause() -> None:
    known = spec.schema("explain")["$defs"]["kind"]["enum"]
    assert set(known) == set(get_args(Kind))


def test_the_released_model_is_diagnosed_on_its_own_tiles() -> None:
    done = CliRunner().invoke(cli, ["diagnose", str(RELEASED)])
    assert done.exit_code == 0
    assert "outlier" not in done.output
    assert "calibration.npz" in done.output


def test_bad_input_is_one_sentence(tmp_path: Path, ill: Twins) -> None:
    (tmp_path / "ill.tflite").write_bytes(ill.model)
    (tmp_path / "cut.tflite").write_bytes(ill.floats[:900])
    other = tmp_path / "other.tflite"
    other.write_bytes(twins(weights(5)).floats)
    for args, told in (
        ([str(tmp_path)], "holds no model"),
        ([str(tmp_path / "none.tflite")], "cannot read"),
        ([str(tmp_path / "ill.tflite"), "--float", str(tmp_path / "none")], "cannot read"),
        ([str(tmp_path / "ill.tflite"), "--float", str(tmp_path / "cut.tflite")], "truncated"),
        ([str(tmp_path / "ill.tflite"), "--float", str(other)], "is not the float model"),
        ([str(tmp_path / "ill.tflite"), "--float", str(tmp_path / "ill.tflite")], "is not the float model"),
        ([str(tmp_path / "ill.tflite"), "--tiles", str(tmp_path / "none")], "nothing at"),
    ):
        done = CliRunner().invoke(cli, ["diagnose", *args], standalone_mode=False)
        assert isinstance(done.exception, DftError), (args, done.output)
        assert told in str(done.exception), str(done.exception)
    assert graph.load(tmp_path / "ill.tflite").ops
