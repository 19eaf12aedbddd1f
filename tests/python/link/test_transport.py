"""Ports that do not open are one sentence with what to do; channels that end are noticed."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path

import pytest

from dftiny.errors import DftError
from dftiny.link import transport
from dftiny.link.boards import host_board, qemu_board
from dftiny.link.transport import FdTransport, LinkLost, open_port, permission_hint


def refusal(port: str) -> DftError:
    with pytest.raises(DftError) as e:
        open_port(port, 115200)
    assert e.value.exit_code == 2
    return e.value


def test_no_such_port_lists_those_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        transport, "ports_found", lambda: [("/dev/ttyACM7", "STLINK-V3"), ("/dev/ttyS0", "n/a")]
    )
    e = refusal("/dev/ttyNOPE")
    assert e.cause == "there is no port /dev/ttyNOPE"
    assert e.hint == "ports found: /dev/ttyACM7 (STLINK-V3), /dev/ttyS0"
    monkeypatch.setattr(transport, "ports_found", list)
    assert "is the board plugged in?" in refusal("/dev/ttyNOPE").hint


@pytest.mark.parametrize(
    ("error", "cause", "hint"),
    [
        (OSError(errno.EACCES, "Permission denied"), "no permission to open", "usermod -aG"),
        (OSError(errno.EBUSY, "Device or resource busy"), "in use by another program", "try again"),
        (OSError(errno.EIO, "Input/output error"), "cannot open", "port"),
    ],
)
def test_reasons(error: OSError, cause: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import serial

    def fail(*_args: object, **_kw: object) -> None:
        raise serial.SerialException(error.errno, f"could not open port: {error}")

    monkeypatch.setattr(serial, "Serial", fail)
    e = refusal("/dev/ttyACM0")
    assert cause in e.cause
    assert hint in e.hint


@pytest.mark.skipif(sys.platform != "linux", reason="pseudo terminals of Linux")
def test_a_port_that_is_open_elsewhere_is_busy() -> None:
    controller, terminal = os.openpty()
    path = os.ttyname(terminal)
    first = open_port(path, 115200)
    assert "in use by another program" in refusal(path).cause
    first.close()
    second = open_port(path, 115200)
    os.write(controller, b"hi")
    assert second.read(1.0) in (b"h", b"hi")
    os.close(controller)
    os.close(terminal)
    with pytest.raises(LinkLost, match="is gone"):
        read_on(second)
    second.close()


def read_on(link: transport.Transport) -> None:
    """Reads what may still lie in the queue, and then the end."""
    for _ in range(3):
        link.read(0.5)


def test_the_hint_names_the_group_that_owns_the_port(tmp_path: Path) -> None:
    port = tmp_path / "tty"
    port.touch()
    import grp

    assert f"-aG {grp.getgrgid(port.stat().st_gid).gr_name} " in permission_hint(str(port))
    assert "-aG dialout " in permission_hint("/dev/nope")


@pytest.mark.parametrize(
    "port", ["socket://", "socket://host", "socket://host:99999", "socket://:12", "socket://h:x"]
)
def test_malformed_sockets(port: str) -> None:
    assert "is not socket://HOST:PORT" in refusal(port).cause


def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert "cannot connect to" in refusal(f"socket://127.0.0.1:{port}").cause


def test_other_schemes_and_missing_terminals() -> None:
    assert "not a kind of port" in refusal("http://board").cause
    assert "cannot open the pseudo terminal" in refusal("pty:/dev/pts/99999").cause


def test_a_closed_socket_is_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = open_port(f"socket://127.0.0.1:{server.getsockname()[1]}", 0)
        peer, _ = server.accept()
        peer.sendall(b"abc")
        assert link.read(1.0) == b"abc"
        assert link.read(0.01) == b""
        peer.close()
        with pytest.raises(LinkLost, match="is gone"):
            link.read(1.0)
        link.close()
        link.close()


def test_a_full_pipe_times_out_instead_of_blocking() -> None:
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    os.set_blocking(write_fd, False)
    link = FdTransport("pipe", read_fd, write_fd)
    assert link.write(b"x" * 10, 0.1)
    assert not link.write(b"x" * 10_000_000, 0.1)
    link.close()
    with pytest.raises(LinkLost, match="is closed"):
        link.write(b"x", 0.1)


def test_boards_that_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = tmp_path / "none.elf"
    with pytest.raises(DftError, match="no firmware at"), host_board(nothing):
        pass
    with pytest.raises(DftError, match="unknown channel"), qemu_board(nothing, "smoke"):
        pass
    text = tmp_path / "text.elf"
    text.write_text("not a program")
    with pytest.raises(DftError, match="cannot start the host board"), host_board(text):
        pass
    text.write_text("#!/bin/sh\necho hello; echo why >&2; exit 3\n")
    text.chmod(0o755)
    with pytest.raises(DftError, match="ended with code 3: why"), host_board(text):
        pass
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DftError, match="qemu-system-arm was not found"), qemu_board(text):
        pass
