"""selftest and fault on a board that runs here, and what the host adds to a board's own outcomes."""

from __future__ import annotations

import dataclasses
import functools
import socket
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from dftiny.build import build
from dftiny.cli import cli
from dftiny.errors import CheckFailed, DftError
from dftiny.fault import FaultRecord, fault_text, lines_of, reasons
from dftiny.link.device import Device, Hello
from dftiny.selftest import LOADS, Outcome, Report, fault_command, judged, selftest_command, text

RECORD = FaultRecord(
    "memory", 0x08001234, 0x08000101, 1 << 24, 1 << 1 | 1 << 7, 1 << 30, 0x10, 0, 0x20000F00, 7
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of the host board with the echo engine."""
    out = tmp_path_factory.mktemp("host") / "build"
    build(None, "host", out, engine="echo")
    return out


def test_the_host_board_passes(host: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = selftest_command(runs=tmp_path, board="host", build_dir=host)
    status = {o.name: o.status for o in report.outcomes}
    assert status["crc"] == "passed" and status["stack peak"] == "absent"
    assert (report.failed, report.fault) == ((), None)
    said = capsys.readouterr().out
    assert "host, engine echo" in said and said.count("\n") == len(report.outcomes) + 1
    assert fault_command(runs=tmp_path, board="host", build_dir=host) is None
    assert "no fault since power-on" in capsys.readouterr().out


def test_a_failed_test_is_a_failed_check(host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "dftiny.selftest.judged",
        lambda raw, _build: replace(raw, status="failed") if raw.name == "crc" else raw,
    )
    with pytest.raises(CheckFailed, match=r"1 of \d+ self-tests failed: crc") as e:
        selftest_command(runs=tmp_path, board="host", build_dir=host)
    assert e.value.exit_code == 1


@pytest.mark.parametrize(
    ("caps", "ticks", "says"),
    [
        (0, (900, 700), "faster with build --paired-loads"),
        (0, (700, 900), "faster without build"),
        (1, (7, 9), "real board"),
    ],
)
def test_the_faster_loop_is_named_where_ticks_are_time(caps: int, ticks: tuple[int, int], says: str) -> None:
    fields = {f.name: 0 for f in dataclasses.fields(Hello)} | {
        "board": "b",
        "engine": "aot",
        "uid": b"",
        "caps": caps,
    }
    hello = Hello(**fields)  # type: ignore[arg-type]
    pair = tuple(Outcome(n, "passed", 2000, t, 0.0, "") for n, t in zip(LOADS, ticks, strict=True))
    said = text(Report(hello, None, pair), None)
    assert f"pointwise LDRD {ticks[0]} ticks, LDR {ticks[1]} ticks" in said and says in said
    failed = (replace(pair[0], status="failed"), pair[1])
    assert "LDRD 7" not in text(Report(hello, None, failed), None).replace("LDRD  ", "")


@pytest.mark.parametrize("command", [selftest_command, fault_command])
def test_something_else_on_the_port_is_told_so(
    command: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A modem, a login prompt, a loop of wire: what comes is not a board's answer to hello."""
    monkeypatch.setattr("dftiny.selftest.Device", functools.partial(Device, hello_s=0.3))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def repeat_what_comes() -> None:
            client, _ = server.accept()
            with client:
                while data := client.recv(4096):
                    client.sendall(data + b"login: ")

        thread = threading.Thread(target=repeat_what_comes)
        thread.start()
        with pytest.raises(DftError, match="is not a dftiny board") as e:
            command(runs=tmp_path, port=f"socket://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert e.value.exit_code == 2


def test_which_board_must_be_said(tmp_path: Path) -> None:
    for options in ({}, {"port": "/dev/ttyACM9", "board": "host"}):
        with pytest.raises(DftError, match="which board"):
            selftest_command(runs=tmp_path, **options)  # type: ignore[arg-type]
    done = CliRunner().invoke(cli, ["selftest", "--help"])
    assert done.exit_code == 0 and "--build" in done.output


@pytest.mark.parametrize(
    ("seconds", "status"), [(0.3, "failed"), (0.5, "passed"), (0.55, "passed"), (0.8, "failed")]
)
def test_the_clock_is_held_against_ours(seconds: float, status: str) -> None:
    raw = Outcome("half a second", "passed", 240_000_000, 240_000_000, seconds, "")
    assert judged(raw, None).status == status
    assert judged(replace(raw, status="absent"), None).status == "absent"


def test_the_flash_is_held_against_the_build(tmp_path: Path) -> None:
    raw = Outcome("flash image", "passed", 1, zlib.crc32(b"image"), 0.1, "")
    assert "give --build" in judged(raw, None).note
    (tmp_path / "firmware.bin").write_bytes(b"image")
    assert judged(raw, tmp_path).status == "passed"
    (tmp_path / "firmware.bin").write_bytes(b"other")
    assert judged(raw, tmp_path).status == "failed"


def test_a_fault_in_words() -> None:
    assert reasons(RECORD) == ["an access that memory protection forbids", "at 0x00000010"]
    said = fault_text(RECORD, None)
    assert "fault: memory, in boot 7" in said and "pc 0x08001234" in said and "give --build" in said
    assert lines_of(Path("nowhere.elf"), [1, 2]) == ["", ""]
