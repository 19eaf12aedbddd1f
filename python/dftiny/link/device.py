"""A board that speaks the protocol: who it is, one inference at a time, retries that are safe.

Every request may be sent again: a piece carries its offset, a run its id whose reply the board keeps. So a
lost, damaged or doubled frame costs time and never a wrong result, and a board that resets in mid-image
costs that image's retry. Knows tiles as bytes; nothing of images, labels or the oracle. Called by bench.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny import spec
from dftiny.errors import CheckFailed, DftError
from dftiny.link import frame, messages
from dftiny.link.messages import Message, MessageError
from dftiny.link.transport import LinkLost, Transport

HELLO_S = 10.0  # how long to wait for a first answer
SILENCE_S = 15.0  # without any valid answer: the board is lost
RUN_S = 120.0  # one inference may take this long
MAX_RESTARTS = 20  # of one tile: a board that resets for ever is lost too
RETRY_FIRST_S = 1.0  # before the first round trip was seen
RETRY_MIN_S = 0.02  # a busy computer's scheduler needs as much
RETRY_MAX_S = 1.0
PIECE_MIN_BYTES = 32
TICK_BYTES = 4


@dataclass(frozen=True)
class Hello:
    """The board's identity, field by field as in protocol.toml; digests are bytes, sizes bytes."""

    protocol_digest: bytes
    bundle_digest: bytes
    engine: str
    board: str
    caps: int
    tick_hz: int
    boot_id: int
    input_bytes: int
    output_bytes: int
    reset_cause: int
    uid: bytes
    session: int
    window: int
    baud: int

    @property
    def claims(self) -> frozenset[str]:
        """Names of the capabilities in `caps`."""
        return messages.cap_names(self.caps)


@dataclass(frozen=True)
class Result:
    """One inference: int8 [output_bytes] and raw ticks (what they mean: Hello.claims and spec/boards)."""

    output: NDArray[np.int8]
    ticks: int


@dataclass(frozen=True)
class Stats:
    """Peaks in bytes and frame counters since the board's boot, field by field as in protocol.toml."""

    stack_peak_bytes: int
    stack_bytes: int
    arena_bytes: int
    frames_ok: int
    frames_bad: int
    runs: int


@dataclass
class LinkCount:
    """What went over the link, counted on the host. `busy_s`: wall clock spent on sending input tiles."""

    bytes_sent: int = 0
    bytes_received: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    frames_bad: int = 0
    retries: int = 0
    resets: int = 0
    input_bytes: int = 0
    busy_s: float = 0.0


class Silent(LinkLost):
    """The channel is there, but no valid answer came over it in time."""


class Stopped(LinkLost):
    """The caller asked for the end of the run."""


class _Patience:
    """When to ask again: smoothed round trip + 4 deviations (RFC 6298), longer after each silence in a row.

    The growth is gentle: on a line of one's own a lost reply means damage, not the congestion that doubling is for.
    """

    def __init__(self) -> None:
        self._smooth_s, self._deviation_s, self._silences = RETRY_FIRST_S, 0.0, 0
        self._known = False

    def wait_s(self) -> float:
        base = max(RETRY_MIN_S, self._smooth_s + 4 * self._deviation_s)
        return min(max(RETRY_MAX_S, base), base * 1.5 ** min(self._silences, 20))

    def answered(self, seconds: float) -> None:
        self._silences = 0
        if not self._known:
            self._known, self._smooth_s, self._deviation_s = True, seconds, seconds / 2
        self._deviation_s += (abs(seconds - self._smooth_s) - self._deviation_s) / 4
        self._smooth_s += (seconds - self._smooth_s) / 8

    def silent(self) -> None:
        self._silences += 1


class Device:
    """The board at the other end of `transport`. `trace` is given one line for every frame.

    `stop` is asked before each request: True ends the run with Stopped, whatever thread it runs in.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        trace: Callable[[str], None] | None = None,
        stop: Callable[[], bool] | None = None,
        silence_s: float = SILENCE_S,
        hello_s: float = HELLO_S,
    ) -> None:
        self.transport = transport
        self.count = LinkCount()
        self._decoder = frame.FrameDecoder()
        self._trace = trace
        self._stop = stop
        self._silence_s, self._hello_s = silence_s, hello_s
        self._seq = 0
        # A run takes as long as its network does; all other requests are answered at once.
        self._link_patience, self._run_patience = _Patience(), _Patience()
        # Part of a request that nobody answered may still lie before the board, in front of the next one.
        self._doubtful = False
        self._piece_max = frame.max_payload() - messages.layout("input").bytes
        self._piece = self._piece_max
        # Ids start anywhere, so that a reply kept from an earlier session is never taken for ours.
        self._next_id = int.from_bytes(os.urandom(4), "little")
        self._session = int.from_bytes(os.urandom(4), "little") | 1  # 0 would only ask
        self._identity: Hello | None = None
        self._run_s = RUN_S

    @property
    def name(self) -> str:
        """The port or channel, for messages."""
        return self.transport.name

    # --- one question, one answer -------------------------------------------------------------------

    def _ask(self, name: str, again: bool, fields: dict[str, Any]) -> Message | None:
        """Send one request and wait for its reply; None when none came in time."""
        if self._stop is not None and self._stop():
            raise Stopped(f"the run on {self.name} was stopped")
        request = messages.encode(name, self._seq, **fields)
        # A zero first ends whatever half frame an earlier attempt left on the line.
        wire = (b"\0" if self._doubtful else b"") + frame.encode(request)
        patience = self._run_patience if name == "run" else self._link_patience
        start = time.monotonic()
        wait_s = patience.wait_s() + self._line_s(len(wire) + 64)
        self._show("→", request)
        if not self.transport.write(wire, wait_s):
            self._doubtful = True
            patience.silent()
            return None
        self.count.frames_sent += 1
        self.count.bytes_sent += len(wire)
        reply = self._reply(name, start + wait_s)
        took_s = time.monotonic() - start
        if reply is None:
            self._doubtful = True
            patience.silent()
        elif not again:  # Karn: the reply to a repeated request may belong to its first copy
            self._doubtful = False
            patience.answered(max(0.0, took_s - self._line_s(len(wire))))
        return reply

    def _line_s(self, n: int) -> float:
        rate = self.transport.bytes_per_s
        return n / rate if rate else 0.0

    def _reply(self, name: str, end: float) -> Message | None:
        """The first reply to this request before `end`; late and strange frames are dropped."""
        while True:
            data = self.transport.read(max(0.0, end - time.monotonic()))
            self.count.bytes_received += len(data)
            found: Message | None = None
            for one in self._decoder.feed(data):
                self._show("←", one)
                found = found or self._wanted(name, one)
            self.count.frames_received, self.count.frames_bad = self._decoder.ok, self._decoder.bad
            if found or time.monotonic() >= end:
                return found

    def _wanted(self, name: str, one: frame.Frame) -> Message | None:
        if one.seq != self._seq:
            return None
        if one.type == messages.layout(f"{name}_reply").id or one.type == messages.layout("error_reply").id:
            try:
                return messages.decode(one)
            except MessageError:
                if name == "hello":  # the CRC is right: a firmware of another protocol
                    raise self._other_protocol("unknown") from None
        return None

    def _show(self, arrow: str, one: frame.Frame) -> None:
        if self._trace:
            self._trace(f"{self.name} {arrow} {messages.describe(one)}")

    def _exchange(self, name: str, *, limit_s: float | None = None, **fields: Any) -> Message:
        """Ask until answered. LinkLost after `limit_s` (default: the silence limit) without an answer."""
        end = time.monotonic() + (self._silence_s if limit_s is None else limit_s)
        self._seq = (self._seq + 1) % 256
        again = False
        start = time.monotonic()
        while True:
            reply = self._ask(name, again, fields)
            if reply is not None:
                # However often it was asked for, a run was done once: it took no longer than this.
                if again and name == "run":
                    self._run_patience.answered(time.monotonic() - start)
                return reply
            if again and time.monotonic() >= end:  # one lost frame alone proves nothing
                raise Silent(f"the board on {self.name} stopped answering")
            self.count.retries += 1
            again = True

    # --- identity -----------------------------------------------------------------------------------

    def hello(self) -> Hello:
        """Poll until something answers. DftError when nothing, or something else, is there."""
        try:
            reply = self._exchange("hello", limit_s=self._hello_s, session=self._session)
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
        self._identity = hello
        return hello

    def _after_reset(self) -> None:
        """The board lost what it had: is it still the same one? Then the tile is sent again."""
        known = self._identity
        now = self.hello()
        if known is None:
            self._identity = now
            return
        if now.bundle_digest != known.bundle_digest or now.protocol_digest != known.protocol_digest:
            raise CheckFailed(
                f"the board on {self.name} came back with another model", "do not flash while bench runs"
            )
        if now.boot_id != known.boot_id:
            self.count.resets += 1
        self._identity = now

    # --- inference ----------------------------------------------------------------------------------

    def infer(self, tile: bytes) -> Result:
        """Run one tile: its int8 bytes, row-major, `input_bytes` long. LinkLost, CheckFailed."""
        crc = zlib.crc32(tile)
        for _ in range(MAX_RESTARTS):
            start = time.monotonic()
            image_id = self._new_id()
            if not self._send(tile, image_id):
                self._after_reset()
                continue
            self.count.busy_s += time.monotonic() - start
            self.count.input_bytes += len(tile)
            start = time.monotonic()
            reply = self._run(image_id, crc)
            # A board that has shown how long it takes need not be waited for as long as an unknown one.
            self._run_s = min(RUN_S, max(self._silence_s, 20 * (time.monotonic() - start)))
            status = self._status(reply)
            if status == "ok":
                return self._result(reply)
            if status not in ("no_input", "bad_crc", "other_session"):
                raise CheckFailed(
                    f"the board on {self.name} could not run the model: {status}",
                    "see its log, or bench with --trace",
                )
            self._after_reset()
        raise LinkLost(
            f"the board on {self.name} lost the same tile {MAX_RESTARTS} times (does it keep resetting?)"
        )

    def _run(self, image_id: int, crc: int) -> Message:
        """The outcome of one run; `running` only says that it was accepted."""
        ids = {"session": self._session, "run_id": self._new_id(), "image_id": image_id}
        end = time.monotonic() + self._run_s
        reply = self._exchange("run", limit_s=self._run_s, **ids, input_crc=crc, photo_id=0)
        while self._status(reply) == "running":
            if time.monotonic() >= end:
                raise Silent(f"the board on {self.name} does not come to an end of one tile")
            later = self._reply("run", time.monotonic() + self._run_patience.wait_s())
            reply = later or self._exchange("run", limit_s=self._run_s, **ids, input_crc=crc, photo_id=0)
        return reply

    def _result(self, reply: Message) -> Result:
        output = np.frombuffer(reply["output"], dtype=np.int8).copy()
        if self._identity is not None and len(output) != self._identity.output_bytes:
            wanted = self._identity.output_bytes
            raise CheckFailed(f"the board on {self.name} sent {len(output)} output bytes instead of {wanted}")
        return Result(output, int(reply["ticks"]))

    def _new_id(self) -> int:
        self._next_id = (self._next_id + 1) % 2**32
        return self._next_id

    def _send(self, tile: bytes, image_id: int) -> bool:
        """Send the tile piece by piece; False when the board lost pieces that it had (it was reset)."""
        received, end = 0, time.monotonic() + self._silence_s
        self._seq = (self._seq + 1) % 256
        attempts = 0
        while received < len(tile):
            piece = tile[received : received + self._piece]
            where = {"session": self._session, "image_id": image_id, "offset": received}
            coded = {"raw_bytes": len(piece), "coding": messages.coding("raw"), "data": piece}
            reply = self._ask("input", attempts > 0, where | coded)
            attempts = attempts + 1 if reply is None else 0
            if reply is None:
                if attempts > 1 and time.monotonic() >= end:
                    raise Silent(f"the board on {self.name} stopped answering")
                self.count.retries += 1
                # On a line that damages single bytes, a shorter piece has a better chance to pass whole.
                self._piece = max(
                    PIECE_MIN_BYTES, self._piece * 3 // 4 if attempts == 1 else self._piece // 2
                )
                continue
            self._piece = min(self._piece_max, self._piece + max(16, self._piece // 16))
            self._seq = (self._seq + 1) % 256
            end = time.monotonic() + self._silence_s
            status = self._status(reply)
            if status in ("other_session", "busy"):
                return False
            if status not in ("ok", "bad_offset"):
                raise CheckFailed(f"the board on {self.name} refused a tile of {len(tile)} bytes: {status}")
            # A sound board that had the piece before now has this one too.
            if reply["image_id"] != image_id or reply["received"] <= received:
                return False
            received = int(reply["received"])
        return True

    def _status(self, reply: Message) -> str:
        name = messages.status_name(reply["status"])
        return f"{name} (not understood)" if reply.name == "error_reply" else name

    # --- the rest -----------------------------------------------------------------------------------

    def stats(self) -> Stats:
        """Memory peaks and frame counters since the board's boot."""
        reply = self._exchange("stats")
        if reply.name != "stats_reply":
            raise CheckFailed(f"the board on {self.name} has no statistics: {self._status(reply)}")
        return Stats(**reply.fields)

    def op_ticks(self) -> NDArray[np.uint32] | None:
        """Ticks of each operator in the last run, uint32 [ops]; None where the engine does not count them."""
        ticks = np.zeros(0, dtype=np.uint32)
        while True:
            reply = self._exchange("op_ticks", first=len(ticks))
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
            self._exchange("halt", limit_s=1.0)
        except LinkLost:
            return
