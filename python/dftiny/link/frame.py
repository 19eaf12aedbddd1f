"""Frames: COBS( type | seq | payload | CRC-32 ) and a zero byte. Pure; knows nothing of messages or ports.

The C twin is firmware/src/frame.c; both are held to tests/vectors/frames.json. Called by device.py.
COBS: Cheshire and Baker, "Consistent overhead byte stuffing", 1999. CRC-32 is zlib's.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from cobs import cobs

from dftiny import spec
from dftiny.errors import DftError

HEADER_BYTES = 2  # type and seq
CRC_BYTES = 4


class FrameError(DftError):
    """Bytes that are not a frame: bad COBS, bad CRC, too short or too long."""


@dataclass(frozen=True)
class Frame:
    """One frame as both sides see it. `type` and `seq` are 0..255, `payload` at most `max_payload()` bytes."""

    type: int
    seq: int
    payload: bytes


def max_payload() -> int:
    """Bytes between seq and CRC, either direction, from protocol.toml."""
    return int(spec.protocol()["max_payload"])


def max_wire_bytes() -> int:
    """Longest frame on the wire without its delimiter: COBS adds one byte for each 254 begun."""
    body = HEADER_BYTES + max_payload() + CRC_BYTES
    return body + body // 254 + 1


def _delimiter() -> bytes:
    return bytes([int(spec.protocol()["delimiter"])])


def encode(frame: Frame) -> bytes:
    """Bytes for the wire, delimiter included. FrameError when the payload is too long."""
    if len(frame.payload) > max_payload():
        raise FrameError(f"a payload of {len(frame.payload)} bytes exceeds {max_payload()}")
    body = bytes([frame.type, frame.seq]) + frame.payload
    wire: bytes = cobs.encode(body + zlib.crc32(body).to_bytes(CRC_BYTES, "little"))
    return wire + _delimiter()


def decode(wire: bytes) -> Frame:
    """The frame in `wire` (no delimiter). FrameError says what is wrong with anything else."""
    if len(wire) > max_wire_bytes():
        raise FrameError(f"{len(wire)} bytes without a delimiter exceed {max_wire_bytes()}")
    try:
        body = cobs.decode(wire)
    except cobs.DecodeError as e:
        raise FrameError(f"not COBS: {e}") from e
    if len(body) < HEADER_BYTES + CRC_BYTES:
        raise FrameError(f"a frame of {len(body)} bytes is too short")
    if len(body) > HEADER_BYTES + max_payload() + CRC_BYTES:
        raise FrameError(f"a frame of {len(body)} bytes is too long")
    content, crc = body[:-CRC_BYTES], int.from_bytes(body[-CRC_BYTES:], "little")
    if zlib.crc32(content) != crc:
        raise FrameError("CRC-32 differs")
    return Frame(content[0], content[1], content[HEADER_BYTES:])


class FrameDecoder:
    """Bytes in, frames out, at any cut. Holds at most one frame's bytes and starts afresh at each delimiter.

    `ok` and `bad` count frames; a bad frame is counted and dropped, for the request is sent again anyway.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._overrun = False
        self._delimiter = _delimiter()
        self._limit = max_wire_bytes()
        self.ok = 0
        self.bad = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of a frame not yet ended; never more than `max_wire_bytes()`."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Frame]:
        """Frames completed by `data`, in order. Never raises on any bytes."""
        frames: list[Frame] = []
        *ended, rest = data.split(self._delimiter)
        for piece in ended:
            self._hold(piece)
            self._end(frames)
        self._hold(rest)
        return frames

    def _hold(self, piece: bytes) -> None:
        if self._overrun or len(self._held) + len(piece) > self._limit:
            self._overrun = True
            self._held.clear()
        else:
            self._held += piece

    def _end(self, frames: list[Frame]) -> None:
        """A delimiter came: what is held is a frame, nothing (idle delimiters are fine) or rubbish."""
        wire, overrun = bytes(self._held), self._overrun
        self._held.clear()
        self._overrun = False
        if not wire and not overrun:
            return
        try:
            if overrun:
                raise FrameError("no delimiter within a frame's length")
            frames.append(decode(wire))
            self.ok += 1
        except FrameError:
            self.bad += 1
