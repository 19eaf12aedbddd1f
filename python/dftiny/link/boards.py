"""Boards that live on this computer: the host process on a pseudo terminal, and QEMU's mps2-an500.

Each is a context manager that gives a transport and always ends its process. Called by bench and tests.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dftiny.errors import CheckFailed, DftError
from dftiny.link.transport import FdTransport, LinkLost, Transport, open_pty, open_socket

START_S = 20.0  # an emulator on a loaded computer
END_S = 2.0
QEMU = "qemu-system-arm"
UART_BYTES_PER_S = 7000.0  # QEMU takes one byte a turn of its loop: 7-14 kB/s, whatever the baud rate


def require_elf(elf: Path) -> Path:
    """The ELF, or DftError that says how to build it."""
    if not elf.is_file():
        raise DftError(
            f"there is no firmware at {elf}",
            "build it first: dftiny build BUNDLE --board host (or mps2_an500)",
        )
    return elf.resolve()


class _Running:
    """A child process whose stderr is kept, so that its last line can explain its end."""

    def __init__(self, argv: Sequence[str | Path], *, title: str, stdout: int) -> None:
        self.title = title
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in end()
        try:
            self.process = subprocess.Popen(
                [str(a) for a in argv],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=self._stderr,
                # Ctrl-C belongs to bench: it ends the board itself, after it has kept what there is.
                start_new_session=True,
            )
        except OSError as e:
            self._stderr.close()
            raise DftError(f"cannot start {title}: {e.strerror}", "build it again for this computer") from e

    def trouble(self) -> str:
        """Why the process is gone, "" while it lives."""
        code = self.process.poll()
        if code is None:
            return ""
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        return f"{self.title} ended {how}" + (f": {lines[-1]}" if lines else "")

    def end(self) -> None:
        """Stop the process whatever it does: asked first, then killed."""
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.2)  # closing its channel may already have ended it
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(END_S)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._stderr.close()


@contextmanager
def host_board(elf: Path, flags: Sequence[str] = ()) -> Iterator[Transport]:
    """Start the host board (`flags`: --drop=P --flip=P --stall=MS --reset-at=N …) and give its pseudo terminal."""
    elf = require_elf(elf)
    # It ends with this process even if that is killed.
    argv: list[str | Path] = [elf, f"--parent={os.getpid()}", *flags]
    running = _Running(argv, title="the host board", stdout=subprocess.PIPE)
    try:
        transport = open_pty(_announced_pty(running), baud=_rate(flags), trouble=running.trouble)
        try:
            yield transport
        finally:
            transport.close()
    finally:
        running.end()


def _rate(flags: Sequence[str]) -> int:
    """The rate in --baud=N or --baud=N:MAX, 0 without one; nonsense is the board's to refuse."""
    for flag in flags:
        name, _, value = flag.partition("=")
        number = value.partition(":")[0]
        if name == "--baud" and number.isdecimal():
            return int(number)
    return 0


def _announced_pty(running: _Running) -> str:
    """The path in the line `pty: /dev/pts/N` that the process prints first."""
    out, line, end = running.process.stdout, b"", time.monotonic() + START_S
    assert out is not None
    while not line.endswith(b"\n") and time.monotonic() < end:
        if select.select([out], [], [], 0.1)[0]:
            byte = os.read(out.fileno(), 1)
            if not byte:
                break
            line += byte
    text = line.decode("utf-8", "replace").strip()
    if text.startswith("pty: "):
        return text.removeprefix("pty: ")
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.process.wait(0.5)
    why = running.trouble()
    # Exit code 2 of the board means flags that it does not know: wrong use, as for dftiny itself.
    if running.process.poll() == 2:
        raise DftError(why, "its own line above says which flags it knows")
    raise CheckFailed(why or f"the host board said {text!r} instead of its pseudo terminal", "build it again")


def _qemu_argv(elf: Path, semihosting: str, serial: str) -> list[str | Path]:
    """QEMU's command line. `-icount shift=0`: one instruction is one nanosecond, counts repeat exactly."""
    qemu = shutil.which(QEMU)
    if qemu is None:
        raise DftError(f"{QEMU} was not found", "install it: sudo apt install qemu-system-arm")
    config = f"enable=on,target=native,arg=dftiny{semihosting}"
    machine = ["-M", "mps2-an500", "-icount", "shift=0", "-display", "none", "-monitor", "none"]
    return [qemu, *machine, "-serial", serial, "-semihosting-config", config, "-kernel", elf]


@contextmanager
def qemu_board(elf: Path, channel: str = "fifo") -> Iterator[Transport]:
    """Start QEMU's mps2-an500; `channel` is "fifo" (semihosting, fast) or "uart" (7-14 kB/s)."""
    if channel not in ("fifo", "uart"):
        raise DftError(f"unknown channel {channel!r}", "known: fifo, uart")
    with _qemu_fifo(require_elf(elf)) if channel == "fifo" else _qemu_uart(require_elf(elf)) as transport:
        yield transport


@contextmanager
def _qemu_fifo(elf: Path) -> Iterator[Transport]:
    with tempfile.TemporaryDirectory(prefix="dftiny-") as folder:
        base = Path(folder) / "link"
        to_board, from_board = Path(f"{base}.in"), Path(f"{base}.out")
        os.mkfifo(to_board)
        os.mkfifo(from_board)
        # In this order and these modes neither open blocks, whether or not QEMU is there yet.
        write_fd = os.open(to_board, os.O_RDWR | os.O_NONBLOCK)
        read_fd = os.open(from_board, os.O_RDONLY | os.O_NONBLOCK)
        try:
            running = _Running(
                _qemu_argv(elf, f",arg=fifo={base}", "none"), title="QEMU", stdout=subprocess.DEVNULL
            )
        except DftError:
            os.close(write_fd)
            os.close(read_fd)
            raise
        transport = FdTransport("QEMU (FIFOs)", read_fd, write_fd, trouble=running.trouble, eof_is_end=False)
        try:
            yield transport
        finally:
            transport.close()
            running.end()


@contextmanager
def _qemu_uart(elf: Path) -> Iterator[Transport]:
    with socket.socket() as probe:  # a free port; QEMU takes it a moment later
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serial = f"tcp:127.0.0.1:{port},server=on,wait=on"
    running = _Running(_qemu_argv(elf, "", serial), title="QEMU", stdout=subprocess.DEVNULL)
    try:
        transport = _connect(port, running)
        try:
            yield transport
        finally:
            transport.close()
    finally:
        running.end()


def _connect(port: int, running: _Running) -> Transport:
    """Connect as soon as QEMU listens; its own error when it ends instead."""
    end = time.monotonic() + START_S
    while True:
        try:
            return open_socket("127.0.0.1", port, bytes_per_s=UART_BYTES_PER_S, trouble=running.trouble)
        except DftError:
            why = running.trouble()
            if why:
                raise LinkLost(why) from None
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
