"""One question, one answer, for commands that ask a board about itself: fault record, self-tests, counters.

No inference and no session: those are link/device.py's. Called by selftest.py, fault.py and share.py.
"""

from __future__ import annotations

import time
from typing import Any

from dftiny.errors import CheckFailed
from dftiny.link import frame, messages
from dftiny.link.messages import Message
from dftiny.link.transport import Transport

TRIES = 4
ANSWER_S = 3.0  # the longest self-test takes half a second and the frames some milliseconds


class Questions:
    """A board at the other end of `transport`; sequence numbers tell an answer from an older one."""

    def __init__(self, transport: Transport, answer_s: float = ANSWER_S) -> None:
        self._transport = transport
        self._decoder = frame.FrameDecoder()
        self._answer_s = answer_s
        self._seq = 0

    def ask(self, name: str, **fields: Any) -> Message:
        """The reply to message `name`. CheckFailed when none comes, or when the board does not know the message."""
        for _ in range(TRIES):
            self._seq = (self._seq + 1) % 256
            # A delimiter first ends whatever an earlier program left in the board's receiver.
            wire = bytes([0]) + frame.encode(messages.encode(name, self._seq, **fields))
            self._transport.write(wire, self._answer_s)
            reply = self._reply(f"{name}_reply")
            if reply is not None:
                return reply
        raise CheckFailed(
            f"the board on {self._transport.name} did not answer {name}",
            "is it the right port, and does another program hold it? Press the board's reset button and try again",
        )

    def _reply(self, wanted: str) -> Message | None:
        end = time.monotonic() + self._answer_s
        while (left := end - time.monotonic()) > 0:
            for one in self._decoder.feed(self._transport.read(left)):
                if one.seq != self._seq:
                    continue
                try:
                    message = messages.decode(one)
                except messages.MessageError:
                    continue
                if message.name == "error_reply":
                    status = messages.status_name(int(message["status"]))
                    raise CheckFailed(
                        f"the board on {self._transport.name} refused {wanted.removesuffix('_reply')}: {status}",
                        "build and flash this version of the firmware: dftiny build, dftiny flash",
                    )
                if message.name == wanted:
                    return message
        return None
