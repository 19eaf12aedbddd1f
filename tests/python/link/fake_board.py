"""A board in Python on one end of a socket, for answers that the real firmware cannot be made to give.

Everything the real host board can show is tested with the real host board (../bench).
"""

from __future__ import annotations

import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dftiny import spec
from dftiny.link import frame, messages
from dftiny.link.transport import SocketTransport

Reply = tuple[str, dict[str, Any]]
DIGEST = bytes(range(32))
NO_PHOTO = {"photo_id": 0, "seen": 0, "evidence": 0, "decision": 0}


class FakeBoard:
    """Answers in order; `override` may replace the reply to a message, or return None to stay silent."""

    def __init__(
        self, override: Callable[[messages.Message], Reply | bytes | str | None] = lambda _: "usual"
    ) -> None:
        self.override = override
        self.boot_id = 1
        self.input = b""
        self.image_id = -1
        self.session = 0
        self.peer: socket.socket
        self.seq = 0  # of the request that is being answered

    def reply(self, asked: messages.Message) -> Reply | bytes | None:
        other = self.override(asked)
        if not isinstance(other, str):
            return other
        return getattr(self, f"on_{asked.name}")(asked)

    def on_hello(self, asked: messages.Message) -> Reply:
        self.session = asked.fields.get("session") or self.session
        return "hello_reply", {
            "protocol_digest": spec.protocol_digest(), "bundle_digest": DIGEST, "engine": "fake", "board": "fake",
            "caps": 0, "tick_hz": 0, "boot_id": self.boot_id, "input_bytes": 100, "output_bytes": 1, "reset_cause": 0,
            "uid": bytes(12), "session": self.session, "window": 0, "baud": 0,
        }  # fmt: skip

    def on_input(self, asked: messages.Message) -> Reply:
        if asked["image_id"] != self.image_id:
            self.image_id, self.input = asked["image_id"], b""
        if asked["offset"] == len(self.input):
            self.input += asked["data"]
        return "input_reply", {"image_id": self.image_id, "received": len(self.input), "status": 0}

    def on_run(self, asked: messages.Message) -> Reply:
        good = zlib.crc32(self.input) == asked["input_crc"]
        status = messages.status_code("ok" if good else "bad_crc")
        return "run_reply", {
            "run_id": asked["run_id"],
            "status": status,
            "ticks": 5,
            **NO_PHOTO,
            "output": bytes([self.input[0]]),
        }

    def on_op_ticks(self, _: messages.Message) -> Reply:
        return "error_reply", {"of_type": 5, "status": messages.status_code("not_supported")}


@contextmanager
def connected(board: FakeBoard) -> Iterator[SocketTransport]:
    """The host's end of a socket whose other end `board` answers in a thread."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(5)
    board.peer = theirs

    def serve() -> None:
        decoder = frame.FrameDecoder()
        while data := theirs.recv(65536):
            for one in decoder.feed(data):
                board.seq = one.seq
                answer = board.reply(messages.decode(one))
                if isinstance(answer, bytes):
                    theirs.sendall(answer)
                elif answer is not None:
                    name, fields = answer
                    theirs.sendall(frame.encode(messages.encode(name, one.seq, **fields)))

    thread = threading.Thread(target=serve)
    thread.start()
    transport = SocketTransport("fake", ours)
    try:
        yield transport
    finally:
        transport.close()
        thread.join()
        theirs.close()
