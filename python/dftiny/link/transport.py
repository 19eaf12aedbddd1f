"""Byte channels to a board: serial port, TCP socket, pseudo terminal, pair of FIFOs. Bytes only, no frames.

Every wait has a deadline. A channel that is gone raises LinkLost (exit 1), one that cannot be opened
DftError (exit 2). pyserial is imported only for real serial ports. Called by device.py and boards.py.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from dftiny.errors import CheckFailed, DftError

READ_BYTES = 65536
BITS_PER_BYTE = 10  # start, eight data, stop


class LinkLost(CheckFailed):
    """The channel is gone or silent: the run cannot go on."""


class Transport(Protocol):
    """What device.py needs of a channel. `bytes_per_s` is 0 where nothing limits the rate that we know of."""

    name: str
    bytes_per_s: float

    def read(self, deadline_s: float) -> bytes:
        """Whatever has come; waits at most `deadline_s` for the first byte; b"" when none came. LinkLost."""

    def write(self, data: bytes, deadline_s: float) -> bool:
        """Send all of `data`; False when the other side did not take it in time (part may be out). LinkLost."""

    def set_baud(self, baud: int) -> bool:
        """Change the rate at this end; False where the channel cannot have that one, and nothing changed."""

    def close(self) -> None:
        """Release the channel; safe to call twice."""


def _nothing_wrong() -> str:
    return ""


class FdTransport:
    """File descriptors of this computer: a pseudo terminal, a pair of FIFOs or a socket.

    `trouble()` says why the process at the other end is gone, "" while it lives: a FIFO alone cannot tell.
    """

    def __init__(
        self,
        name: str,
        read_fd: int,
        write_fd: int,
        *,
        bytes_per_s: float = 0.0,
        trouble: Callable[[], str] = _nothing_wrong,
        close: Callable[[], None] | None = None,
        eof_is_end: bool = True,
    ) -> None:
        self.name = name
        self.bytes_per_s = bytes_per_s
        self._read_fd, self._write_fd = read_fd, write_fd
        self._trouble = trouble
        self._close = close or self._close_fds
        self._eof_is_end = eof_is_end
        self._open = True

    def read(self, deadline_s: float) -> bytes:
        """See Transport."""
        end = time.monotonic() + deadline_s
        while self._open:
            ready, _, _ = select.select([self._read_fd], [], [], max(0.0, end - time.monotonic()))
            data = self._take() if ready else b""
            if data or not ready:
                if not data:
                    self._raise_if_gone()
                return data
            if time.monotonic() >= end:
                return b""
            time.sleep(0.002)  # a FIFO whose writer has not opened it yet reads as ended: no busy loop
        raise LinkLost(f"{self.name} is closed")

    def _take(self) -> bytes:
        try:
            data = os.read(self._read_fd, READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as e:  # EIO: the other side of the pseudo terminal closed
            raise self._gone(str(e.strerror)) from e
        if not data:
            self._raise_if_gone()
            if self._eof_is_end:
                raise self._gone("closed by the other side")
        return data

    def _raise_if_gone(self) -> None:
        if self._trouble():
            raise self._gone("")

    def _gone(self, reason: str) -> LinkLost:
        return LinkLost(f"the board on {self.name} is gone ({self._trouble() or reason})")

    def write(self, data: bytes, deadline_s: float) -> bool:
        """See Transport."""
        end = time.monotonic() + deadline_s
        left = memoryview(data)
        while left and self._open:
            _, ready, _ = select.select([], [self._write_fd], [], max(0.0, end - time.monotonic()))
            if not ready:
                self._raise_if_gone()
                return False
            try:
                left = left[os.write(self._write_fd, left) :]
            except BlockingIOError:
                continue
            except OSError as e:
                raise self._gone(str(e.strerror)) from e
        if left:
            raise LinkLost(f"{self.name} is closed")
        return True

    def set_baud(self, baud: int) -> bool:
        """See Transport. Only a terminal has a rate: a pseudo terminal carries it to the board behind it."""
        if not self.bytes_per_s or not set_speed(self._read_fd, baud):
            return False
        self.bytes_per_s = baud / BITS_PER_BYTE
        return True

    def close(self) -> None:
        """See Transport."""
        if self._open:
            self._open = False
            self._close()

    def _close_fds(self) -> None:
        for fd in {self._read_fd, self._write_fd}:
            with contextlib.suppress(OSError):
                os.close(fd)


class SerialTransport:
    """A serial port through pyserial (Linux, macOS, Windows)."""

    def __init__(self, port: str, baud: int) -> None:
        import serial

        self.name = port
        self.bytes_per_s = baud / BITS_PER_BYTE
        try:
            # exclusive: two programs on one port would each get half of the bytes.
            self._serial = serial.Serial(port, baud, timeout=0, write_timeout=0, exclusive=_exclusive())
        except (serial.SerialException, ValueError, OSError) as e:
            raise _cannot_open(port, e) from e
        self._errors = (serial.SerialException, OSError)
        self._timeout_error = serial.SerialTimeoutException

    def read(self, deadline_s: float) -> bytes:
        """See Transport."""
        try:
            self._serial.timeout = deadline_s
            first: bytes = self._serial.read(1)
            return first + self._serial.read(self._serial.in_waiting) if first else b""
        except self._errors as e:
            raise LinkLost(f"the board on {self.name} is gone (unplugged?)") from e
        except TypeError as e:  # pyserial's own read of a port that close() took away under it
            raise LinkLost(f"{self.name} is closed") from e

    def write(self, data: bytes, deadline_s: float) -> bool:
        """See Transport."""
        try:
            self._serial.write_timeout = max(deadline_s, 0.001)
            self._serial.write(data)
        except self._timeout_error:
            return False
        except self._errors as e:
            raise LinkLost(f"the board on {self.name} is gone (unplugged?)") from e
        return True

    def set_baud(self, baud: int) -> bool:
        """See Transport."""
        try:
            self._serial.baudrate = baud
        except (ValueError, *self._errors):
            return False
        self.bytes_per_s = baud / BITS_PER_BYTE
        return True

    def close(self) -> None:
        """See Transport."""
        self._serial.close()


def _exclusive() -> bool | None:
    return None if sys.platform == "win32" else True


def ports_found() -> list[tuple[str, str]]:
    """(device, description) of every serial port that the operating system lists."""
    from serial.tools import list_ports

    return sorted((p.device, p.description or "") for p in list_ports.comports())


def _ports_text() -> str:
    found = [f"{device} ({text})" if text and text != "n/a" else device for device, text in ports_found()]
    return (
        f"ports found: {', '.join(found[:6])}"
        if found
        else "no serial port was found: is the board plugged in?"
    )


def _cannot_open(port: str, error: Exception) -> DftError:
    """One sentence for a port that does not open, and what to do about it."""
    text, code = str(error), getattr(error, "errno", None)
    if code == errno.ENOENT or "FileNotFoundError" in text:
        return DftError(f"there is no port {port}", _ports_text())
    if (
        code == errno.EBUSY
        or "exclusively lock" in text
        or (sys.platform == "win32" and "PermissionError" in text)
    ):
        return in_use(port)
    if code == errno.EACCES or "Permission denied" in text:
        return DftError(f"no permission to open {port}", permission_hint(port))
    if "Inappropriate ioctl" in text or "Is a directory" in text:
        return DftError(f"{port} is not a serial port", _ports_text())
    return DftError(f"cannot open {port}: {error}", _ports_text())


def permission_hint(port: str) -> str:
    """What gives this user the right to open `port`: membership of the group that owns it."""
    group = "dialout"
    with contextlib.suppress(ImportError, OSError, KeyError):
        import grp

        group = grp.getgrgid(Path(port).stat().st_gid).gr_name
    return f"run `sudo usermod -aG {group} $USER`, then log in again"


def set_speed(fd: int, baud: int) -> bool:
    """Give a terminal this rate; False where it is none, or knows no such rate."""
    try:
        import termios

        mode = termios.tcgetattr(fd)
        mode[4] = mode[5] = getattr(termios, f"B{baud}")
        termios.tcsetattr(fd, termios.TCSANOW, mode)
    except (ImportError, AttributeError, OSError, termios.error):
        return False
    return True


def open_pty(path: str, *, baud: int = 0, trouble: Callable[[], str] = _nothing_wrong) -> FdTransport:
    """The slave side of a pseudo terminal, raw and ours alone. `baud`: of a board that keeps to a rate. DftError when it
    cannot be opened."""
    try:
        import tty
    except ImportError as e:
        raise DftError(
            "pseudo terminals do not exist on this system", "use a serial port or socket://"
        ) from e
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        lock(fd, path)
        tty.setraw(fd)
        if baud and not set_speed(fd, baud):
            raise DftError(f"{path} cannot have a rate of {baud}", "try 115200, 921600 or 3000000")
    except OSError as e:
        raise DftError(
            f"cannot open the pseudo terminal {path}: {e.strerror}", "is the board's process running?"
        ) from e
    return FdTransport(path, fd, fd, bytes_per_s=baud / BITS_PER_BYTE, trouble=trouble)


def lock(fd: int, path: str) -> None:
    """Take a terminal for this program alone, as pyserial does: two hosts would each get half of the bytes."""
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        os.close(fd)
        raise in_use(path) from e


def in_use(path: str) -> DftError:
    """Somebody else has this port."""
    return DftError(
        f"{path} is in use by another program",
        "close it (a terminal, a monitor, another dftiny) and try again",
    )


def open_socket(
    host: str, port: int, *, bytes_per_s: float = 0.0, trouble: Callable[[], str] = _nothing_wrong
) -> FdTransport:
    """A TCP connection (an emulator's UART, ser2net). DftError when nobody listens."""
    name = f"socket://{host}:{port}"
    try:
        link = socket.create_connection((host, port), timeout=5)
    except OSError as e:
        raise DftError(
            f"cannot connect to {name}: {e.strerror or e}", "start the board or the emulator first"
        ) from e
    link.setblocking(False)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return SocketTransport(name, link, bytes_per_s=bytes_per_s, trouble=trouble)


class SocketTransport(FdTransport):
    """A connected, non-blocking socket. Windows cannot os.read a socket, hence its own two calls."""

    def __init__(self, name: str, link: socket.socket, **options: Any) -> None:
        super().__init__(name, link.fileno(), link.fileno(), close=link.close, **options)
        self._link = link

    def _take(self) -> bytes:
        try:
            data = self._link.recv(READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as e:
            raise self._gone(str(e.strerror)) from e
        if not data:
            self._raise_if_gone()
            raise self._gone("closed by the other side")
        return data

    def write(self, data: bytes, deadline_s: float) -> bool:
        """See Transport."""
        end = time.monotonic() + deadline_s
        left = memoryview(data)
        while left:
            _, ready, _ = select.select([], [self._link], [], max(0.0, end - time.monotonic()))
            if not ready:
                self._raise_if_gone()
                return False
            try:
                left = left[self._link.send(left) :]
            except BlockingIOError:
                continue
            except OSError as e:
                raise self._gone(str(e.strerror)) from e
        return True


def open_port(port: str, baud: int) -> Transport:
    """A channel from what the user typed: /dev/ttyACM0, COM3, socket://host:port or pty:/dev/pts/N.

    Raises DftError, one sentence with what to do, when it does not open.
    """
    if port.startswith("socket://"):
        host, _, number = port.removeprefix("socket://").rpartition(":")
        if not host or not number.isdecimal() or not 0 < int(number) < 65536:
            raise DftError(f"{port} is not socket://HOST:PORT", "for instance socket://127.0.0.1:3456")
        return open_socket(host.strip("[]"), int(number))
    if port.startswith("pty:"):
        return open_pty(port.removeprefix("pty:"))
    if "://" in port:
        raise DftError(
            f"{port} is not a kind of port that dftiny knows",
            "give /dev/ttyACM0, COM3, socket://HOST:PORT or pty:/dev/pts/N",
        )
    return SerialTransport(port, baud)
