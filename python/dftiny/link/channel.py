"""Messages over a transport: frames numbered, counted and shown; what nobody waited for yet is kept in order.

Knows no rule of the protocol but the frame. Called by device.py and conveyor.py.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dftiny.link import frame, messages
from dftiny.link.messages import Message, MessageError
from dftiny.link.transport import Transport

DOUBTFUL_FRAMES = 16  # after a loss begin with a delimiter: any of them may meet a half frame


@dataclass
class LinkCount:
    """What went over the link, counted on the host. `busy_s`: wall clock spent on sending input tiles; `input_bytes`: of
    their raw bytes; `packed_bytes`: what those were sent as."""

    bytes_sent: int = 0
    bytes_received: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    frames_bad: int = 0
    retries: int = 0
    resets: int = 0
    input_bytes: int = 0
    packed_bytes: int = 0
    busy_s: float = 0.0


@dataclass(frozen=True)
class Received:
    """A message with its seq; `message` is None where the frame is sound and its payload is not (another protocol)."""

    type: int
    seq: int
    message: Message | None


class Channel:
    """One end of the link. `trace` is given one line for every frame."""

    def __init__(self, transport: Transport, trace: Callable[[str], None] | None) -> None:
        self.transport = transport
        self.count = LinkCount()
        self.heard_s = time.monotonic()  # when the last sound frame came
        self._doubtful = 0  # so many frames yet begin with a delimiter
        self._decoder = frame.FrameDecoder()
        self._trace = trace
        self._seq = 0
        self._kept: deque[Received] = deque()

    @property
    def name(self) -> str:
        """The port or channel, for messages."""
        return self.transport.name

    def line_s(self, n: int) -> float:
        """Seconds that n bytes take on the wire, 0 where no rate is known."""
        rate = self.transport.bytes_per_s
        return n / rate if rate else 0.0

    def next_seq(self) -> int:
        """A number for a new request."""
        self._seq = (self._seq + 1) % 256
        return self._seq

    def send(self, name: str, seq: int, fields: dict[str, Any], deadline_s: float) -> int:
        """Bytes on the wire of this message, 0 when the other side did not take them in time."""
        request = messages.encode(name, seq, **fields)
        # A zero first ends whatever half frame an earlier attempt left on the line.
        wire = (b"\0" if self._doubtful else b"") + frame.encode(request)
        self._doubtful = max(0, self._doubtful - 1)
        self._show("→", request)
        if not self.transport.write(wire, deadline_s):
            self.doubt()
            return 0
        self.count.frames_sent += 1
        self.count.bytes_sent += len(wire)
        return len(wire)

    def doubt(self) -> None:
        """A request was not answered: part of it, or of its repetition, may still lie before the board."""
        self._doubtful = DOUBTFUL_FRAMES

    def receive(self, deadline_s: float) -> list[Received]:
        """What has come, kept messages first; waits at most `deadline_s` for it."""
        if self._kept:
            found = list(self._kept)
            self._kept.clear()
            return found
        data = self.transport.read(max(0.0, deadline_s))
        self.count.bytes_received += len(data)
        frames = self._decoder.feed(data)
        self.count.frames_received, self.count.frames_bad = self._decoder.ok, self._decoder.bad
        if frames:
            self.heard_s = time.monotonic()
        return [self._received(one) for one in frames]

    def keep(self, others: list[Received]) -> None:
        """Messages for somebody else: the next receive() gives them first."""
        self._kept.extend(others)

    def _received(self, one: frame.Frame) -> Received:
        self._show("←", one)
        try:
            return Received(one.type, one.seq, messages.decode(one))
        except MessageError:
            return Received(one.type, one.seq, None)

    def _show(self, arrow: str, one: frame.Frame) -> None:
        if self._trace:
            self._trace(f"{self.name} {arrow} {messages.describe(one)}")
