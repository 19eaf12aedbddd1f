"""The engine's gate: the generated C is run at export, and a wrong number in it, wherever it shows, is a failed export."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from click.testing import CliRunner
from flatmodel import FlatModel, conv_options

from dftiny import bundle as bundles
from dftiny import spec
from dftiny.cli import cli
from dftiny.codegen import model_c as generator
from dftiny.errors import CheckFailed
from dftiny.export import engine, host

RELEASED = spec.models_dir() / "phinet_demo_128.demo" / "model.tflite"
Change = Callable[[str], str]


def model() -> bytes:
    """Two convolutions, mean, fully connected; the last layer does not hear channel 1."""
    m = FlatModel()
    rng = np.random.default_rng(0)
    x = m.act((1, 16, 16, 3), 1.0, -128)
    y = m.act((1, 8, 8, 4), 2.0, -128)
    w = m.const(rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8), [0.01] * 4)
    m.op("CONV_2D", (x, w, -1), (y,), **conv_options(2, "SAME", 1))
    z = m.act((1, 8, 8, 4), 2.0, -128)
    v = m.const(rng.integers(1, 128, (4, 1, 1, 4)).astype(np.int8), [0.01] * 4)
    m.op("CONV_2D", (y, v, -1), (z,), **conv_options(1, "SAME", 1))
    p = m.act((1, 4), 2.0, -128)
    m.op("MEAN", (z, m.const(np.array([1, 2], np.int32))), (p,), KeepDims=False)
    q = m.act((1, 2), 1.0, 3)
    last = np.array([[90, 0, 70, -50], [-80, 0, 60, 40]], np.int8)
    m.op("FULLY_CONNECTED", (p, m.const(last, 0.01), -1), (q,))
    return m.bytes()


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of model(), in a folder beside which temporary files are told apart."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    path = tmp_path / "in" / "net.tflite"
    path.parent.mkdir()
    path.write_bytes(model())
    return path


def generate(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """From now on the generator's C goes through `change`."""
    original = generator.model_c

    def changed(*args, **options) -> dict[str, str]:
        texts = original(*args, **options)
        after = change(texts["dft_model.c"])
        assert after != texts["dft_model.c"], "nothing was changed"
        return {**texts, "dft_model.c": after}

    monkeypatch.setattr(generator, "model_c", changed)


def in_constant(params: str, member: str, entry: int, change: Callable[[int], int]) -> Change:
    """Changes one number of the constant that `member` of the parameters called `params` points to."""

    def changed(text: str) -> str:
        (name,) = re.findall(rf" {params} = {{[^}}]*?(?:{{[^}}]*}}[^}}]*?)*?\.{member} = (\w+),", text)
        (found,) = re.finditer(rf" {name}\[\d+\] = {{([^}}]*)}}", text)
        numbers = re.split(r"([-\d]+)", found[1])
        numbers[2 * entry + 1] = str(change(int(numbers[2 * entry + 1])))
        return text[: found.start(1)] + "".join(numbers) + text[found.end(1) :]

    return changed


def refusal(net: Path, tmp_path: Path) -> str:
    """What an export that must fail says; nothing of it stays."""
    with pytest.raises(CheckFailed) as e:
        bundles.export(net, out=tmp_path / "out" / "b", quiet=True)
    assert e.value.exit_code == 1
    assert list((tmp_path / "out").iterdir()) == []
    assert list((tmp_path / "temporary").iterdir()) == []
    assert "\n" not in str(e.value) and str(tmp_path) not in str(e.value)
    return str(e.value)


def test_the_released_model_passes_and_the_gate_is_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = bundles.export(RELEASED, out=tmp_path / "b")
    (gate,) = (g for g in made.metrics["gates"]["gates"] if g["name"] == engine.NAME)
    assert gate["status"] == "passed" and gate["tiles"] == 14
    assert gate["figures"] == {"differing_tiles": 0, "operators": 35, "sanitizers": 1}
    assert json.loads((tmp_path / "b" / bundles.GATES).read_text()) == made.metrics["gates"]
    assert "cc" in made.tools and made.tools["cc"] != "absent"
    said = capsys.readouterr().err
    assert "gate: the engine's C on this computer, with sanitizers (" in said
    assert "gate int8-engine: passed differing tiles 0, operators 35, sanitizers 1" in said


def test_a_wrong_bias_is_named_with_tile_output_and_operator(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(monkeypatch, in_constant("p1", "pairs", 0, lambda n: n + 60000))
    said = refusal(net, tmp_path)
    assert re.search(
        r"^gate int8-engine: the engine differs from the reference on \d+ of 12 tiles, first on .+, where output \d is "
        r"-?\d+ instead of -?\d+; operator 1 \(CONV_2D\), row \d+ is the first that differs; nothing was written",
        said,
    ), said


def test_a_wrong_multiplier_is_exit_1(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(monkeypatch, in_constant("p0", "pairs", 2, lambda n: n // 2))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["export", str(net), "--out", "b"])
    assert isinstance(done.exception, CheckFailed) and done.exception.exit_code == 1
    assert "operator 0 (CONV_2D), row" in str(done.exception)
    assert not (tmp_path / "b").exists()


def test_an_error_that_no_answer_shows_is_found(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Channel 1 of the second convolution, which the last layer does not hear: a wrong bias there."""
    generate(monkeypatch, in_constant("p1", "pairs", 1, lambda n: n + 60000))
    said = refusal(net, tmp_path)
    assert (
        "the engine's answer is right on the synthetic tile 'stripes', but operator 1 (CONV_2D), row" in said
    )


def test_a_write_outside_of_the_memory_lent_is_found(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = host.compiler()
    assert found is not None and found.sanitize

    def outside(text: str) -> str:
        (n,) = re.findall(r'\{"\w+", (\d+), \d+\}', text)
        return text.replace(
            "run(int8_t *const *base)\n{\n", f"run(int8_t *const *base)\n{{\n    base[0][{n}] = 1;\n"
        )

    generate(monkeypatch, outside)
    said = refusal(net, tmp_path)
    assert "the engine stopped on golden tile 0: ERROR: AddressSanitizer: heap-buffer-overflow" in said


def test_c_that_does_not_compile_is_one_sentence(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(monkeypatch, lambda text: text + "nonsense here;\n")
    assert re.search(
        r"^the engine's C does not compile: dft_model\.c:\d+:\d+: error: ", refusal(net, tmp_path)
    )


@pytest.mark.parametrize("there", [False, True])
def test_no_compiler_for_this_computer_is_said_and_never_passed(
    there: bool,
    net: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """None at all, and one that makes no programs for this computer, as a cross compiler."""
    tools = tmp_path / "tools"
    tools.mkdir()
    if there:
        (tools / "cc").write_text("#!/bin/sh\nexit 0\n")
        (tools / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    made = bundles.export(net, out=tmp_path / "b", library=tmp_path / "lib")
    assert engine.NAME in made.metrics["gates"]["absent"]
    (gate,) = (g for g in made.metrics["gates"]["gates"] if g["name"] == engine.NAME)
    assert (
        gate["status"] == "absent"
        and gate["tiles"] == 0
        and gate["reason"].startswith("not run: no C compiler")
    )
    assert made.tools["cc"] == "absent"
    said = capsys.readouterr().err
    assert "gate int8-engine: absent — not run: no C compiler (cc, gcc, clang)" in said
    assert "install one (sudo apt install gcc libc6-dev)" in said
    assert "its example not run" in said and "int8-engine: passed" not in said


def test_every_tile_has_a_name_and_large_nets_get_fewer_of_the_calibration() -> None:
    x = np.zeros((10 + 3 + 6, 2, 2, 3), np.int8)
    answered = engine.Answered(x, np.zeros((19, 1), np.int8), calibration=10)
    assert [answered.name(i) for i in (0, 9, 10, 12)] == [
        "calibration tile 0", "calibration tile 9", "golden tile 0", "golden tile 2",
    ]  # fmt: skip
    assert answered.name(13) == "the synthetic tile 'black'"
    assert answered.name(18) == "the synthetic tile 'noise of black and white'"
    assert answered.chosen(1000).tolist() == list(range(19))
    assert answered.chosen(engine.MACS_MAX // 12).tolist() == [0, 4, 9, *range(10, 19)]
    assert answered.chosen(engine.MACS_MAX).tolist() == list(range(10, 19))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")
def test_ctrl_c_ends_the_program_and_leaves_nothing(tmp_path: Path) -> None:
    made = tmp_path / "program"
    made.write_text(f'#!/bin/sh\necho $$ > "{tmp_path}/pid"\nexec sleep 60\n')
    made.chmod(0o755)
    pid = tmp_path / "pid"

    def stop(_number: int, _frame: FrameType | None) -> None:
        if pid.exists() and pid.read_text().strip():
            raise KeyboardInterrupt
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            host.run(made, np.zeros((1, 4), np.int8), 1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pid", "program"]
