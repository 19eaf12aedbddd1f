"""The host's parsers and its whole conversation against a board that lies: any bytes may come, in any order.

What must hold: nothing but results, DftError or CheckFailed comes out; no endless loop; no memory that grows with what is
sent. Time is virtual, so that a second of silence costs nothing. Called by tools/fuzz and tests/python/link.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from dftiny import spec
from dftiny.errors import DftError
from dftiny.link import frame, messages
from dftiny.link.device import Device
from dftiny.link.frame import Frame, FrameDecoder
from dftiny.link.messages import MessageError
from dftiny.link.pack import Geometry
from dftiny.link.rate import raise_rate

STATUSES = len(spec.protocol()["status"])
FINDINGS = Path(__file__).parent / "findings"
TILE = bytes(range(96)) * 4
READS_MAX = 20_000  # of one conversation: more would be an endless loop
OUTPUT_BYTES = 2
TRACED = 8  # to see which lines an input reaches takes long: every eighth is looked at
HELLO = {
    "protocol_digest": spec.protocol_digest(), "bundle_digest": bytes(32), "engine": "aot", "board": "fuzz",
    "caps": 0xFFFF, "tick_hz": 480_000_000, "boot_id": 1, "input_bytes": len(TILE), "output_bytes": OUTPUT_BYTES,
    "reset_cause": 0, "uid": bytes(12), "window": 600, "baud": 115_200,
}  # fmt: skip


class Endless(AssertionError):
    """The host asked for more than any finite conversation needs."""


class Clock:
    """Seconds that pass only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.0)

    def monotonic(self) -> float:
        self.now += 1e-6
        return self.now


@contextmanager
def virtual(clock: Clock) -> Iterator[None]:
    """The link's modules see `clock` instead of the computer's."""
    real = time.monotonic, time.sleep
    time.monotonic, time.sleep = clock.monotonic, clock.sleep  # type: ignore[assignment]
    try:
        yield
    finally:
        time.monotonic, time.sleep = real


class Liar:
    """A transport whose board answers soundly, wrongly, late, twice, or with rubbish, as the bytes of `script` say."""

    def __init__(self, script: bytes, clock: Clock) -> None:
        self.name, self.bytes_per_s = "fuzz", 11520.0
        self._script, self._at, self._clock = script, 0, clock
        self._decoder = FrameDecoder()
        self._out = bytearray()
        self._late = b""
        self._received, self._image, self._session, self._reads = 0, -1, 0, 0
        self._always: dict[str, int] = {}  # replies by name that have this status from now on
        self._mute: set[str] = set()  # replies by name that never come again

    def _byte(self) -> int:
        """The next byte of the script; behind its end the board is honest."""
        self._at += 1
        return self._script[self._at - 1] if self._at <= len(self._script) else 0

    def read(self, deadline_s: float) -> bytes:
        self._reads += 1
        if self._reads > READS_MAX:
            raise Endless
        if not self._out:
            self._clock.sleep(deadline_s)
            return b""
        n = self._byte() or len(self._out)
        data, self._out = bytes(self._out[:n]), self._out[n:]
        return data

    def write(self, data: bytes, deadline_s: float) -> bool:
        if self._byte() == 255:
            self._clock.sleep(deadline_s)
            return False
        for one in self._decoder.feed(data):
            self._answer(one)
        return True

    def set_baud(self, baud: int) -> bool:
        self.bytes_per_s = baud / 10
        return self._byte() % 4 != 3

    def close(self) -> None:
        return

    def _answer(self, one: Frame) -> None:
        asked = messages.decode(one)
        name, fields = self._honest(asked)
        kind = self._byte()
        if kind == 10 and "status" in fields:
            self._always[name] = self._byte() % (STATUSES + 1)
        if kind == 11:
            self._mute.add(name)
        if name in self._always:
            fields = {**fields, "status": self._always[name]}
        if name in self._mute:
            return
        if kind in (1, 2):  # lost, or late
            self._late = b"" if kind == 1 else self._wire(name, one.seq, fields)
            return
        if kind == 9 and "status" in fields:
            fields = {**fields, "status": self._byte() % (STATUSES + 1)}
        if kind == 3:
            name, fields = self._lie(name, fields)
        wire = self._wire(name, one.seq ^ (kind == 4), fields)
        if kind == 5:
            wire += wire
        if kind == 6:
            at = self._byte() % len(wire)
            wire = wire[:at] + bytes([self._byte()]) + wire[at + 1 :]
        if kind == 7:
            wire = bytes(self._byte() for _ in range(self._byte())) + b"\0"
        if kind == 8:
            payload = bytes(self._byte() for _ in range(self._byte()))
            wire = frame.encode(Frame(self._byte(), one.seq, payload))
        self._out += wire + self._late
        self._late = b""

    @staticmethod
    def _wire(name: str, seq: int, fields: dict[str, Any]) -> bytes:
        return frame.encode(messages.encode(name, seq & 0xFF, **fields))

    def _honest(self, asked: messages.Message) -> tuple[str, dict[str, Any]]:
        if asked.name == "hello":
            self._session = asked["session"] or self._session
            return "hello_reply", {**HELLO, "session": self._session}
        if asked.name == "input":
            if asked["image_id"] != self._image:
                self._image, self._received = asked["image_id"], 0
            here = asked["offset"] <= self._received
            self._received = (
                max(self._received, asked["offset"] + asked["raw_bytes"]) if here else self._received
            )
            fields = {"image_id": self._image, "received": self._received}
            return "input_reply", {**fields, "status": messages.status_code("ok" if here else "bad_offset")}
        if asked.name == "run":
            fields = {"run_id": asked["run_id"], "status": 0, "ticks": 1, "photo_id": asked["photo_id"]}
            return "run_reply", {**fields, "seen": 1, "evidence": 0, "decision": 0, "output": b"\1\2"}
        if asked.name == "photo":
            return "photo_reply", {"photo_id": asked["photo_id"], "status": 0}
        if asked.name == "set_baud":
            return "set_baud_reply", {"status": 0, "baud": asked["baud"]}
        if asked.name == "op_ticks":
            return "op_ticks_reply", {"first": asked["first"], "total": 3, "ticks": bytes(12)}
        return "error_reply", {"of_type": 1, "status": messages.status_code("not_supported")}

    def _lie(self, name: str, fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """One number of the reply is another one, or its output has another length."""
        numbers = [k for k, v in fields.items() if isinstance(v, int)]
        field = numbers[self._byte() % len(numbers)]
        kinds = dict(messages.layout(name).fixed)
        bits = {"u8": 8, "u16": 16, "u32": 32, "u64": 64, "i32": 31}[kinds[field]]
        value = (self._byte(), (1 << bits) - 1, int(fields[field]) ^ self._byte())[self._byte() % 3]
        changed = {**fields, field: max(0, value) & ((1 << bits) - 1)}
        if "output" in fields and self._byte() % 4 == 1:
            changed["output"] = bytes(self._byte() % 8)
        return name, changed


def parse(data: bytes) -> int:
    """Bytes as they may come from a port: every frame decoded and described; how many there were."""
    decoder, n = FrameDecoder(), 0
    for at in range(0, len(data), 7):
        for one in decoder.feed(data[at : at + 7]):
            n += 1
            messages.describe(one)
            messages.describe(Frame(one.type, one.seq, one.payload[:-1]))
            try:
                messages.decode(one)
            except MessageError:
                continue
    assert decoder.held_bytes <= frame.max_wire_bytes()
    return n


def talk(script: bytes) -> str:
    """A whole conversation with a board that follows `script`; how it ended."""
    clock = Clock()
    with virtual(clock):
        device = Device(Liar(script, clock), geometry=Geometry(24, 3), silence_s=3.0, hello_s=3.0)
        try:
            device.identify(HELLO["bundle_digest"])
            raise_rate(device)
            device.photo(3)
            n = sum(1 for _ in device.run([TILE] * 3))
            device.op_ticks()
            device.halt()
        except DftError as e:  # CheckFailed, LinkLost and MessageError are DftErrors too
            return type(e).__name__
        assert n == 3
        return "done"


def one(data: bytes) -> str:
    """What both fuzzers do with one input."""
    parse(data)
    return talk(data)


def mutated(rng: random.Random, corpus: list[bytes]) -> bytes:
    """One of the corpus, or two, changed here and there; or honest with a few lies."""
    data = bytearray(rng.choice(corpus)) if corpus and rng.random() < 0.7 else bytearray(rng.randrange(200))
    for _ in range(rng.choice((0, 1, 2, 5, 20))):
        if data:
            data[rng.randrange(len(data))] = rng.choice(
                (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255, rng.randrange(256))
            )
    if corpus and rng.random() < 0.2:
        data += rng.choice(corpus)[: rng.randrange(100)]
    return bytes(data[: rng.randrange(1, 600)] if rng.random() < 0.2 else data)


def seeds() -> list[bytes]:
    """Golden frames, frames that are none, and scripts with one kind of lie at each place."""
    vectors = json.loads((Path(__file__).parents[1] / "vectors/frames.json").read_text(encoding="utf-8"))
    bad = [bytes.fromhex(v["wire"]) for v in vectors["bad"]]
    replies = [("hello_reply", {**HELLO, "session": 1}), ("photo_reply", {"photo_id": 1, "status": 0})]
    wires = [frame.encode(messages.encode(name, 3, **fields)) for name, fields in replies]
    scripts = [bytes(at) + bytes([kind, 1, 2, 0, 3]) for kind in range(1, 9) for at in range(2, 60, 3)]
    scripts += [bytes(at) + bytes([9, status]) for status in range(STATUSES) for at in range(2, 100, 4)]
    scripts += [bytes(30) + bytes([9, 11, 1] * n) for n in (10, 60)]
    scripts += [bytes(at) + bytes([10, status]) for status in range(STATUSES) for at in (2, 6, 10, 24)]
    scripts += [bytes(at) + bytes([11]) for at in range(2, 30, 3)]
    return [*wires, *bad, b"".join(wires), b"\0" * 40, *scripts]


def kept() -> list[bytes]:
    """Inputs that reached lines which no seed reaches, from earlier hours."""
    return [f.read_bytes() for f in sorted((Path(__file__).parent / "corpus/host").iterdir())]


def fuzz(seconds: int, seed: int, keep: Path | None) -> int:
    """Mutate for so long. With `keep`, inputs that reached new lines are put there. 1 on a finding, which is printed."""
    rng, corpus, ends, n = random.Random(seed), [*seeds(), *kept()], dict[str, int](), 0
    known = len(corpus)
    reached: set[tuple[str, int]] = set()
    start, cpu = time.monotonic(), time.process_time()
    while time.process_time() - cpu < seconds:
        data = corpus[n] if n < len(corpus) else mutated(rng, corpus)
        fresh: set[tuple[str, int]] = set()
        try:
            with lines(reached) if n < known or n % TRACED == 0 else nullcontext(fresh) as fresh:
                end = one(data)
        except KeyboardInterrupt:
            break  # what was done so far counts
        except Exception as e:  # noqa: BLE001 - whatever it is, it is the finding
            FINDINGS.mkdir(exist_ok=True)
            (FINDINGS / "host.bin").write_bytes(data)
            print(
                f"finding after {n} inputs: {type(e).__name__}: {e}; see {FINDINGS / 'host.bin'}\n{data.hex()}"
            )
            return 1
        if fresh and n >= known:
            corpus.append(data)
            if keep is not None:
                (keep / hashlib.sha1(data).hexdigest()).write_bytes(data)
        ends[end] = ends.get(end, 0) + 1
        n += 1
    took = time.process_time() - cpu
    print(
        f"{n} conversations in {took:.0f} s of CPU ({time.monotonic() - start:.0f} s), nothing found; ends: {ends}"
    )
    print(f"{len(reached)} lines of dftiny/link reached, {len(corpus)} inputs in the corpus")
    return 0


@contextmanager
def lines(reached: set[tuple[str, int]]) -> Iterator[set[tuple[str, int]]]:
    """Adds to `reached` the lines of dftiny/link that run in the block; gives those that are new."""
    import sys

    fresh: set[tuple[str, int]] = set()

    def on_line(f: Any, event: str, _: Any) -> Any:
        if event == "line":
            key = (f.f_code.co_filename, f.f_lineno)
            if key not in reached:
                reached.add(key)
                fresh.add(key)
        return on_line

    def on_call(f: Any, _event: str, _arg: Any) -> Any:
        return on_line if "/dftiny/link/" in f.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        yield fresh
    finally:
        sys.settrace(before)
