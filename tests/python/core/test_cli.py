"""The command line: help everywhere, one sentence for what is wrong, the right exit code."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dftiny.cli import cli
from dftiny.errors import DftError


def dftiny(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dftiny.cli", *args], capture_output=True, text=True, cwd=cwd, check=False
    )


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_help_has_examples(command: str) -> None:
    done = dftiny(command, "--help")
    assert done.returncode == 0
    assert f"dftiny {command}" in done.stdout.split("Examples:")[1]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["budget", "nowhere.tflite"], "nowhere.tflite"),
        (["build", "nowhere"], "nowhere"),
        (["bench", "--port", "/dev/nowhere", "--bundle", "nowhere"], "nowhere"),
        (["report", "nowhere"], "nowhere"),
        (["flash", "nowhere"], "nowhere"),
        (["train", "--data", "nowhere"], "nowhere"),
        (["evaluate", "nowhere"], "nowhere"),
        (["reproduce", "thesis", "--data", "nowhere"], "nowhere"),
        (["reproduce", "thesis", "--report", "--out", "nowhere"], "nowhere"),
        (["export", "nowhere.onnx"], "nowhere"),
        (["budget", "--target", "z80", "x"], "z80"),
        (["bench", "--port", "/dev/nowhere", "--jobs", "2"], "--jobs"),
    ],
)
def test_what_is_not_there_is_one_sentence(tmp_path: Path, args: list[str], words: str) -> None:
    done = dftiny(*args, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stderr.startswith("dftiny: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "args", [["--nonsense"], ["nonsense"], ["bench", "--limit", "0"], ["train", "--seed", "x"]]
)
def test_wrong_use_is_one_sentence_and_exit_2(args: list[str]) -> None:
    done = dftiny(*args)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("dftiny: ")
    assert "--help" in done.stderr


def test_debug_shows_the_traceback() -> None:
    done = dftiny("budget", "nowhere.tflite", "--debug")
    assert "Traceback" in done.stderr
    assert done.returncode == 2


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs POSIX signals")
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_every_way_to_be_stopped_cleans_up(number: str, tmp_path: Path) -> None:
    # A shell's background job ignores SIGINT, under nohup also SIGHUP, and children inherit that: start from the default.
    code = (
        "import os, signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\nfrom pathlib import Path\nfrom dftiny import cli\nfrom dftiny.artifact import new_folder\n"
        "@cli.cli.command()\ndef wait():\n with new_folder(Path('out')):\n"
        f"  os.kill(os.getpid(), signal.{number})\n  signal.pause()\n"
        "sys.argv = ['dftiny', 'wait']\ncli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.strip().startswith("dftiny: stopped")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["targets", "boards", "models", "doctor"])
def test_tables(command: str) -> None:
    done = dftiny(command)
    assert done.stdout.strip(), done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "args",
    [["export", "--threshold"], ["budget", "--max-ms"], ["budget", "--compare", "old", "--max-growth"]],
    ids=lambda args: args[-1],
)
def test_a_limit_is_a_number(args: list[str], number: str) -> None:
    """No limit would stop "nan", and a threshold of it failed with a traceback once every gate had passed."""
    with pytest.raises(click.BadParameter, match=r"finite|range"):
        cli.main([*args, number], standalone_mode=False)


def test_a_hint_behind_a_question_stands_as_it_is() -> None:
    assert str(DftError("which board?", "give --port")) == "which board? give --port"
    assert str(DftError("no board", "give --port")) == "no board; give --port"
    assert "'export'? see" in dftiny("exprot").stderr


def test_a_stage_that_is_not_there_yet_is_named(tmp_path: Path) -> None:
    done = dftiny("build", cwd=tmp_path)
    assert "run `dftiny export` first" in done.stderr and done.returncode == 2
