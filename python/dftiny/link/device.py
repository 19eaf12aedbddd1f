"""A board that speaks the protocol: who it is, tiles through it, retries that are safe.

Every request may be sent again: a piece carries its offset, a run its id whose reply the board keeps. So a
lost, damaged or doubled frame costs time and never a wrong result, and a board that resets in mid-image
costs that image's retry. Knows tiles as bytes; nothing of images, labels or the oracle. Called by bench and detect.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny import spec
from dftiny.errors import CheckFailed, DftError
from dftiny.link import messages
from dftiny.link.channel import Channel, LinkCount, Received
from dftiny.link.conveyor import BUSY_S, MAX_RESTARTS, Conveyor
from dftiny.link.messages import Message
from dftiny.link.pack import Geometry
from dftiny.link.patience import Patience
from dftiny.link.replies import Hello, Result, Stats
from dftiny.link.transfer import Coder, Transfer, pace
from dftiny.link.transport import LinkLost, Transport

__all__ = ["Device", "Hello", "LinkCount", "Result", "Silent", "Stats", "Stopped"]

HELLO_S = 10.0  # how long to wait for a first answer
SILENCE_S = 15.0  # without any valid answer: the board is lost
RUN_S = 120.0  # one inference may take this long
FALL_BACK_S = 2.0  # of silence at a raised rate
TICK_BYTES = 4


class Silent(LinkLost):
    """The channel is there, but no valid answer came over it in time."""


class Stopped(LinkLost):
    """The caller asked for the end of the run."""


@dataclass
class _Photo:
    """The photograph whose evidence the board adds up, and how far the host has seen it."""

    photo_id: int
    tiles: int
    seen: int
    evidence: int


class Device:
    """The board at the other end of `transport`. `trace` is given one line for every frame.

    `stop` is asked before each request: True ends the run with Stopped, whatever thread it runs in. `geometry` says how
    a tile's bytes lie, which allows to pack them where that saves time.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        trace: Callable[[str], None] | None = None,
        stop: Callable[[], bool] | None = None,
        silence_s: float = SILENCE_S,
        hello_s: float = HELLO_S,
        geometry: Geometry | None = None,
    ) -> None:
        self.transport = transport
        self.channel = Channel(transport, trace)
        self.geometry = geometry
        # A run takes as long as its network does; all other requests are answered at once.
        self.link_patience, self.run_patience = Patience(), Patience()
        # Random, so that two hosts on one port are told apart; 0 would only ask.
        self.session = int.from_bytes(os.urandom(4), "little") | 1
        self.identity: Hello | None = None
        self._stop = stop
        self._silence_s, self._hello_s = silence_s, hello_s
        # Ids start anywhere, so that a reply kept from an earlier session is never taken for ours.
        self._next_id = int.from_bytes(os.urandom(4), "little")
        self._pace = pace(0)
        self._photo: _Photo | None = None
        self.usual_baud = 0  # the rate to fall back to, 0 where it was not changed
        self._run_s = RUN_S
        self.causes: Counter[str] = Counter()  # of the resets that were noticed

    @property
    def name(self) -> str:
        """The port or channel, for messages."""
        return self.channel.name

    @property
    def count(self) -> LinkCount:
        """What went over the link so far."""
        return self.channel.count

    @property
    def overlaps(self) -> bool:
        """The board receives the next tile while it computes one."""
        return self.identity is not None and "overlap" in self.identity.claims

    # --- one question, one answer -------------------------------------------------------------------

    def check_stop(self) -> None:
        """Stopped when the caller wants the end."""
        if self._stop is not None and self._stop():
            raise Stopped(f"the run on {self.name} was stopped")

    def check_silence(self, attempts: int) -> None:
        """Silent when nothing sound has come for too long; one lost frame alone proves nothing."""
        if attempts > 1 and time.monotonic() - self.channel.heard_s >= self._silence_s:
            raise Silent(f"the board on {self.name} stopped answering")

    def exchange(self, name: str, *, limit_s: float | None = None, **fields: Any) -> Message:
        """Ask until answered. Silent after `limit_s` (default: the silence limit) without an answer."""
        end = time.monotonic() + (self._silence_s if limit_s is None else limit_s)
        seq, again = self.channel.next_seq(), False
        while True:
            self.check_stop()
            start = time.monotonic()
            wait_s = self.link_patience.wait_s() + self.channel.line_s(300)
            self.channel.send(name, seq, fields, wait_s)
            reply = self._reply(name, seq, start + wait_s)
            if reply is not None:
                if not again:  # Karn: the reply to a repeated request may belong to its first copy
                    self.link_patience.answered(time.monotonic() - start)
                self.link_patience.heard()
                return reply
            self.channel.doubt()
            self.link_patience.silent()
            if again and time.monotonic() >= end:  # one lost frame alone proves nothing
                raise Silent(f"the board on {self.name} stopped answering")
            self.count.retries += 1
            again = True

    def _reply(self, name: str, seq: int, end: float) -> Message | None:
        """The first reply to this request before `end`; others are kept for who waits for them."""
        others: list[Received] = []
        found: Message | None = None
        while found is None:
            for received in self.channel.receive(end - time.monotonic()):
                if found is None and received.seq == seq and self._fits(name, received):
                    found = received.message
                else:
                    others.append(received)
            if time.monotonic() >= end:
                break
        self.channel.keep(others)
        return found

    def _fits(self, name: str, received: Received) -> bool:
        if received.type not in (messages.layout(f"{name}_reply").id, messages.layout("error_reply").id):
            return False
        if received.message is None and name == "hello":  # the CRC is right: a firmware of another protocol
            raise self._other_protocol("unknown")
        return received.message is not None

    # --- identity -----------------------------------------------------------------------------------

    def hello(self, *, session: int | None = None) -> Hello:
        """Poll until something answers. DftError when nothing, or something else, is there."""
        asked = self.session if session is None else session
        try:
            reply = self.exchange("hello", limit_s=self._hello_s, session=asked)
        except Silent:
            raise self._nobody() from None
        if reply.name != "hello_reply":
            raise self._other_protocol("unknown")
        return Hello(**reply.fields)

    def _nobody(self) -> DftError:
        if self.count.bytes_received:
            n = self.count.bytes_received
            return DftError(
                f"what is on {self.name} is not a dftiny board ({n} bytes came, no valid answer to hello)",
                "check the port and the baud rate, or flash the firmware: dftiny flash",
            )
        return DftError(
            f"nothing on {self.name} answered hello within {self._hello_s:.0f} s",
            "check the port (dftiny doctor), reset the board, or flash the firmware: dftiny flash",
        )

    def _other_protocol(self, found: str) -> DftError:
        return DftError(
            f"the firmware on {self.name} speaks another version of the protocol "
            f"({found}, expected {spec.protocol_digest().hex()})",
            "build and flash it with this dftiny: dftiny build && dftiny flash",
        )

    def identify(self, bundle_digest: bytes, *, hint: str = "") -> Hello:
        """hello, and the refusal of a board with another protocol or another model (DftError)."""
        hello = self.hello()
        if hello.protocol_digest != spec.protocol_digest():
            raise self._other_protocol(hello.protocol_digest.hex())
        if hello.bundle_digest != bundle_digest:
            raise DftError(
                f"the device on {self.name} runs another model "
                f"(digest {hello.bundle_digest.hex()[:12]}…, expected {bundle_digest.hex()[:12]}…)",
                hint or "build and flash this one: dftiny build && dftiny flash, or give the right --bundle",
            )
        self._know(hello)
        return hello

    def _know(self, hello: Hello) -> None:
        if self.identity is None:
            self._pace = pace(hello.window)
        self.identity = hello

    def fall_back(self) -> bool:
        """Silence at a raised rate: a board that was reset is at its usual one again. True when there is one to try."""
        if not self.usual_baud or time.monotonic() - self.channel.heard_s < FALL_BACK_S:
            return False
        self.transport.set_baud(self.usual_baud)
        self.usual_baud = 0
        self.channel.heard_s = time.monotonic()
        return True

    def take_again(self) -> None:
        """The board lost what it had: is it still the same one, and still ours? CheckFailed when not."""
        known, now = self.identity, self.hello(session=0)
        if known is not None and (now.bundle_digest, now.protocol_digest) != (
            known.bundle_digest,
            known.protocol_digest,
        ):
            raise CheckFailed(
                f"the board on {self.name} came back with another model", "do not flash while bench runs"
            )
        if now.session not in (0, self.session):
            raise CheckFailed(
                f"another program has taken over the board on {self.name}",
                "close it: one board serves one host at a time",
            )
        if known is not None and now.boot_id != known.boot_id:
            self.count.resets += 1
            self.causes[messages.cause_name(now.reset_cause)] += 1
        self.session = (
            int.from_bytes(os.urandom(4), "little") | 1
        )  # the board drops what it has of the old one
        self._know(self.hello())

    # --- inference ----------------------------------------------------------------------------------

    def infer(self, tile: bytes) -> Result:
        """Run one tile: its int8 bytes, row-major, `input_bytes` long. LinkLost, CheckFailed."""
        return next(self.run([tile]))

    def run(self, tiles: Iterable[bytes]) -> Iterator[Result]:
        """Run tiles, their results in order; where the board can, one is sent while another is computed."""
        if self.identity is None:
            self._know(self.hello())
        for result in Conveyor(self, iter(tiles)).results():
            if self._photo is not None:
                self._photo.seen, self._photo.evidence = result.seen, result.evidence
            yield result

    def new_transfer(self, tile: bytes) -> Transfer:
        """A tile to be sent, under an id of its own."""
        return Transfer(tile, self.new_id(), self._pace, self._coder())

    def _coder(self) -> Coder | None:
        rate, known = self.transport.bytes_per_s, self.identity
        if self.geometry is None or not rate or known is None or "packed" not in known.claims:
            return None
        return Coder(self.geometry, rate, known.tick_hz)

    def new_id(self) -> int:
        """An id of an image, a run or a photo; never 0."""
        self._next_id = self._next_id % (2**32 - 1) + 1
        return self._next_id

    def run_limit_s(self) -> float:
        """So long may one tile take."""
        return self._run_s

    def run_took(self, seconds: float) -> None:
        """A board that has shown how long it takes need not be waited for as long as an unknown one."""
        self._run_s = min(RUN_S, max(self._silence_s, 20 * seconds))

    # --- photographs --------------------------------------------------------------------------------

    def photo(self, tiles: int) -> None:
        """From now on results belong to a new photograph of `tiles` tiles, whose evidence the board adds up."""
        self._photo = _Photo(self.new_id(), tiles, 0, 0)
        self.begin_photo()

    def end_photo(self) -> None:
        """From now on results belong to no photograph."""
        self._photo = None

    @property
    def photo_id(self) -> int:
        """The photograph that runs are part of, 0 for none."""
        return self._photo.photo_id if self._photo else 0

    def begin_photo(self) -> None:
        """Tell the board of the photograph, with what is known of it: after a reset it goes on from there.

        LinkLost when the board is busy for longer than a run may take, or forgets its session again and again.
        """
        p, end, forgotten = self._photo, time.monotonic() + self.run_limit_s(), 0
        while p is not None:
            fields = {"photo_id": p.photo_id, "tiles": p.tiles, "seen": p.seen, "evidence": p.evidence}
            status = self.status(self.exchange("photo", session=self.session, **fields))
            if status == "ok":
                return
            if status not in ("other_session", "busy"):
                raise CheckFailed(f"the board on {self.name} did not begin a photograph: {status}")
            forgotten += status == "other_session"
            if forgotten > MAX_RESTARTS or time.monotonic() >= end:
                raise LinkLost(f"the board on {self.name} does not begin a photograph: {status} every time")
            if status == "other_session":
                self.take_again()
            else:
                time.sleep(BUSY_S)

    def status(self, reply: Message) -> str:
        """The name of a reply's status."""
        name = messages.status_name(reply["status"])
        return f"{name} (not understood)" if reply.name == "error_reply" else name

    # --- the rest -----------------------------------------------------------------------------------

    def stats(self) -> Stats:
        """Memory peaks and frame counters since the board's boot."""
        reply = self.exchange("stats")
        if reply.name != "stats_reply":
            raise CheckFailed(f"the board on {self.name} has no statistics: {self.status(reply)}")
        return Stats(**reply.fields)

    def op_ticks(self) -> NDArray[np.uint32] | None:
        """Ticks of each operator in the last run, uint32 [ops]; None where the engine does not count them."""
        ticks = np.zeros(0, dtype=np.uint32)
        while True:
            reply = self.exchange("op_ticks", first=len(ticks))
            if reply.name != "op_ticks_reply":
                return None
            piece = np.frombuffer(
                reply["ticks"][: len(reply["ticks"]) // TICK_BYTES * TICK_BYTES], dtype="<u4"
            )
            ticks = np.concatenate([ticks, piece.astype(np.uint32)])
            if len(ticks) >= reply["total"] or not len(piece):
                return ticks

    def halt(self) -> None:
        """Ask an emulated board to stop; one that cannot, or has gone already, is left alone."""
        try:
            self.exchange("halt", limit_s=1.0)
        except LinkLost:
            return
