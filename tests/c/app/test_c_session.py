"""firmware/src/commands.c: every rule of the protocol that keeps a retry safe, with sanitizers."""

from __future__ import annotations

import random
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dftiny import spec
from dftiny.link import messages
from dftiny.link.frame import Frame, max_payload

ROOT = Path(__file__).resolve().parents[3]
SRC = ROOT / "firmware" / "src"
TILE = bytes(range(40))
STATUS = spec.protocol()["status"]
OK, BAD_LENGTH, UNKNOWN, BAD_OFFSET = (STATUS[n] for n in ("ok", "bad_length", "unknown_type", "bad_offset"))
NO_INPUT, BAD_CRC, ENGINE_FAILED = (STATUS[n] for n in ("no_input", "bad_crc", "engine_failed"))
NOT_SUPPORTED, BUSY, RUNNING = (STATUS[n] for n in ("not_supported", "busy", "running"))
SESSION = 77
REQUESTS = [n for n in messages.layouts() if not n.endswith("_reply")]
SOURCES = ("commands", "crc", "input", "selftest", "stackmeter", "unpack", "verdict")
DFT_ERR_REGION, DFT_ERR_SIZE = 1, 5


class Session:
    """One device: `ask` sends a message by name, `raw` any bytes."""

    def __init__(self, program: Path, inputs: int, outputs: int, trouble: str) -> None:
        self.process = subprocess.Popen(
            [program, str(inputs), str(outputs), trouble],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.opened = int(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1][-3000:]
        return line

    def raw(self, kind: int, payload: bytes) -> messages.Message:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{kind} {payload.hex() or '-'}\n")
        self.process.stdin.flush()
        return self.reply()

    def reply(self) -> messages.Message:
        reply, data, halt = self._line().split()
        self.halted = halt == "1"
        return messages.decode(Frame(int(reply), 0, b"" if data == "-" else bytes.fromhex(data)))

    def ask(self, name: str, **fields: object) -> messages.Message:
        frame = messages.encode(name, 0, **fields)
        return self.raw(frame.type, frame.payload)

    def piece(self, image_id: int, offset: int, data: bytes) -> tuple[int, int]:
        where = {"session": SESSION, "image_id": image_id, "offset": offset}
        coded = {"raw_bytes": len(data), "coding": messages.coding("raw"), "data": data}
        reply = self.ask("input", **where, **coded)
        assert reply["image_id"] == image_id
        return reply["status"], reply["received"]

    def run(self, run_id: int, image_id: int, data: bytes = TILE) -> messages.Message:
        ids = {"session": SESSION, "run_id": run_id, "image_id": image_id, "photo_id": 0}
        reply = self.ask("run", **ids, input_crc=zlib.crc32(data))
        return self.reply() if reply["status"] == RUNNING else reply

    def end(self) -> None:
        _, errors = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, errors[-3000:]


@pytest.fixture(scope="module")
def program(compile_c: Callable[[list[Path]], Path]) -> Path:
    sources = (SRC / f"{name}.c" for name in (SOURCES))
    return compile_c([Path(__file__).with_name("session_main.c"), *sources])


@pytest.fixture
def start(program: Path) -> Iterator[Callable[..., Session]]:
    sessions: list[Session] = []

    def started(inputs: int = len(TILE), outputs: int = 4, trouble: str = "none") -> Session:
        sessions.append(Session(program, inputs, outputs, trouble))
        sessions[-1].ask("hello", session=SESSION)
        return sessions[-1]

    yield started
    for session in sessions:
        session.end()


def sent(session: Session, image_id: int = 1, data: bytes = TILE) -> None:
    for offset in range(0, len(data), 16):
        piece = data[offset : offset + 16]
        assert session.piece(image_id, offset, piece) == (OK, offset + len(piece))


def test_hello_names_and_cuts(start: Callable[..., Session]) -> None:
    hello = start().ask("hello", session=0)
    assert hello["protocol_digest"] == spec.protocol_digest()
    assert hello["bundle_digest"] == bytes([1, 2, 3]) + bytes(29)
    assert hello["engine"] == "a name that is far too long for its field"[:15]
    assert (hello["board"], hello["input_bytes"], hello["output_bytes"]) == ("fake", 40, 4)
    caps = spec.protocol()["caps"]
    names = ("halt", "op_ticks", "packed", "baud", "selftest", "fault_record", "verdict")
    assert hello["caps"] == sum(caps[n] for n in names)


def test_a_run_gives_output_and_ticks(start: Callable[..., Session]) -> None:
    session = start()
    sent(session)
    reply = session.run(5, 1)
    assert (reply["run_id"], reply["status"], reply["output"]) == (5, OK, bytes([1, 2, 3, 4]))
    assert reply["ticks"] == 40  # start, three operators, end: ten a look


def test_the_same_run_again_returns_the_kept_reply(start: Callable[..., Session]) -> None:
    session = start()
    sent(session)
    first = session.run(5, 1)
    assert session.run(5, 1) == first
    assert session.ask("stats")["runs"] == 1


def test_another_run_on_an_overwritten_input_is_refused(start: Callable[..., Session]) -> None:
    session = start()
    sent(session)
    session.run(5, 1)
    assert session.run(6, 1)["status"] == NO_INPUT
    sent(session)  # the same image again is a new input
    assert session.run(6, 1)["output"] == bytes([1, 2, 3, 4])


def test_a_kept_reply_survives_the_next_input(start: Callable[..., Session]) -> None:
    session = start()
    sent(session)
    first = session.run(5, 1)
    sent(session, 2, TILE[::-1])
    assert session.run(5, 1) == first
    assert session.run(6, 2, TILE[::-1])["output"] == bytes([40, 39, 38, 37])


def test_pieces_may_repeat_but_leave_no_hole(start: Callable[..., Session]) -> None:
    session = start()
    assert session.piece(1, 16, TILE[16:]) == (BAD_OFFSET, 0)
    assert session.piece(1, 0, TILE[:16]) == (OK, 16)
    assert session.piece(1, 0, TILE[:16]) == (OK, 16)
    assert session.piece(1, 20, TILE[20:]) == (BAD_OFFSET, 16)
    assert session.run(1, 1)["status"] == NO_INPUT
    assert session.piece(1, 10, TILE[10:]) == (OK, 40)
    assert session.piece(1, 0, TILE[:8]) == (OK, 40)
    assert session.piece(1, 40, b"") == (OK, 40)
    assert session.run(1, 1)["status"] == OK


def test_lengths_are_checked_before_anything_is_stored(start: Callable[..., Session]) -> None:
    session = start()
    for offset, n in ((0, 41), (40, 1), (41, 0), (0xFFFFFFFF, 2), (0x80000000, 1000), (39, 2)):
        assert session.piece(9, offset, bytes(n))[0] == BAD_LENGTH
    assert session.piece(9, 0, TILE) == (OK, 40)
    assert session.piece(9, 0xFFFFFFF0, bytes(32)) == (BAD_LENGTH, 40)


def test_another_image_starts_afresh(start: Callable[..., Session]) -> None:
    session = start()
    session.piece(1, 0, TILE[:16])
    assert session.piece(2, 16, TILE[16:]) == (BAD_OFFSET, 0)
    assert session.piece(1, 16, TILE[16:32]) == (OK, 32)
    assert session.piece(2, 0, TILE[:8]) == (OK, 8)
    assert session.piece(1, 32, TILE[32:]) == (BAD_OFFSET, 0)
    assert session.run(1, 1)["status"] == NO_INPUT


def test_a_wrong_input_crc_drops_the_input(start: Callable[..., Session]) -> None:
    session = start()
    sent(session)
    assert session.run(1, 1, TILE + b"x")["status"] == BAD_CRC
    assert session.run(1, 1)["status"] == NO_INPUT
    sent(session)
    assert session.run(1, 1)["status"] == OK


def test_an_engine_that_fails_says_so_and_keeps_saying_it(start: Callable[..., Session]) -> None:
    session = start(trouble="invoke")
    sent(session)
    reply = session.run(3, 1)
    assert (reply["status"], reply["output"]) == (ENGINE_FAILED, b"")
    assert session.run(3, 1) == reply
    assert session.ask("stats")["runs"] == 1


def test_an_engine_that_refused_its_memory_still_says_hello(start: Callable[..., Session]) -> None:
    session = start(trouble="open")
    assert session.opened == DFT_ERR_REGION
    assert session.ask("hello", session=0)["input_bytes"] == 0
    assert session.piece(1, 0, TILE)[0] == BAD_LENGTH
    assert session.run(1, 1)["status"] == ENGINE_FAILED
    assert session.ask("stats")["arena_bytes"] == 0


def test_an_output_that_fits_no_reply_is_refused_at_open(start: Callable[..., Session]) -> None:
    longest = max_payload() - messages.layout("run_reply").bytes
    assert start(outputs=longest).opened == 0
    assert start(outputs=longest + 1).opened == DFT_ERR_SIZE


def test_operator_ticks(start: Callable[..., Session]) -> None:
    session = start()
    assert session.ask("op_ticks", first=0)["total"] == 0  # nothing has run yet
    sent(session)
    session.run(1, 1)
    reply = session.ask("op_ticks", first=1)
    assert (reply["first"], reply["total"]) == (1, 3)
    assert reply["ticks"] == (10).to_bytes(4, "little") * 2
    assert session.ask("op_ticks", first=0xFFFF)["ticks"] == b""


def test_halt_where_it_is_possible(start: Callable[..., Session]) -> None:
    session = start()
    assert session.ask("halt")["status"] == OK
    assert session.halted
    session = start(trouble="nohalt")
    assert session.ask("halt")["status"] == NOT_SUPPORTED
    assert not session.halted


def test_requests_of_wrong_length_or_type(start: Callable[..., Session]) -> None:
    session = start()
    lengths = {n: messages.layout(n).bytes + 1 for n in REQUESTS} | {"input": 14, "run": 19}
    assert len(lengths) == 10
    for name, n in lengths.items():
        reply = session.raw(messages.layout(name).id, bytes(n))
        assert (reply.name, reply["of_type"], reply["status"]) == (
            "error_reply",
            messages.layout(name).id,
            BAD_LENGTH,
        )
    reply = session.raw(0x44, b"abc")
    assert (reply.name, reply["of_type"], reply["status"]) == ("error_reply", 0x44, UNKNOWN)


def test_the_longest_request_is_taken_whole(start: Callable[..., Session]) -> None:
    data = bytes(i % 251 for i in range(max_payload() - messages.layout("input").bytes))
    session = start(inputs=len(data))
    assert session.piece(1, 0, data) == (OK, len(data))
    assert session.run(1, 1, data)["status"] == OK
    assert session.ask("stats")["runs"] == 1


def test_random_requests_are_always_answered(start: Callable[..., Session]) -> None:
    session = start()
    rng = random.Random(3)
    kinds = [messages.layout(n).id for n in ("hello", "input", "run", "stats", "op_ticks")]
    for _ in range(1500):
        n = rng.choice((0, 1, 2, 8, 12, 20, 48, 49, rng.randrange(max_payload() + 1)))
        payload = bytes(rng.choice((0, 0, 1, rng.randrange(256))) for _ in range(n))
        session.raw(rng.choice([*kinds, rng.randrange(256)]), payload)
        if session.halted:
            session.halted = False
    assert session.ask("hello", session=0)["input_bytes"] == len(TILE)


def test_another_session_is_told_so_and_the_last_hello_wins(start: Callable[..., Session]) -> None:
    session = start()
    sent(session)
    assert session.ask("hello", session=0)["session"] == SESSION  # asking alone takes nothing over
    assert session.ask("hello", session=5)["session"] == 5
    assert session.piece(1, 0, TILE[:16]) == (STATUS["other_session"], 0)
    assert session.run(1, 1)["status"] == STATUS["other_session"]
    session.ask("hello", session=SESSION)
    assert session.run(1, 1)["status"] == NO_INPUT  # what the first one had sent is gone


def test_a_complete_image_is_not_pushed_out_by_the_next(start: Callable[..., Session]) -> None:
    """Its run may have been lost on the way."""
    session = start()
    sent(session)
    assert session.piece(2, 0, TILE[:16]) == (BUSY, 0)
    assert session.run(1, 1)["status"] == OK
    assert session.piece(2, 0, TILE[:16]) == (OK, 16)


def photo(session: Session, photo_id: int, tiles: int, seen: int = 0, evidence: int = 0) -> int:
    fields = {"photo_id": photo_id, "tiles": tiles, "seen": seen, "evidence": evidence}
    return int(session.ask("photo", session=SESSION, **fields)["status"])


def run_of(session: Session, photo_id: int, run_id: int, data: bytes) -> tuple[int, ...]:
    """status, seen, evidence, decision of a run that belongs to a photograph."""
    sent(session, run_id, data)
    ids = {"session": SESSION, "run_id": run_id, "image_id": run_id, "photo_id": photo_id}
    reply = session.ask("run", **ids, input_crc=zlib.crc32(data))
    reply = session.reply() if reply["status"] == RUNNING else reply
    return tuple(int(reply[f]) for f in ("status", "seen", "evidence", "decision"))


def test_evidence_is_counted_once_a_run_and_resumed(start: Callable[..., Session]) -> None:
    """The engine adds one to each byte and puts out the first: its own evidence, real from 100 on."""
    none, real = (spec.protocol()["decision"][n] for n in ("none", "real"))
    session = start(outputs=1)
    tile = bytes([39]) + TILE[1:]
    assert photo(session, 9, 4) == OK
    assert run_of(session, 9, 1, tile) == (OK, 1, 40, none)
    ids = {"session": SESSION, "run_id": 1, "image_id": 1, "photo_id": 9}
    assert session.ask("run", **ids, input_crc=0)["evidence"] == 40  # the kept reply
    assert photo(session, 9, 4) == OK  # begun twice: goes on
    assert run_of(session, 9, 2, tile) == (OK, 2, 80, none)
    assert run_of(session, 0, 3, tile) == (OK, 0, 0, none)  # belongs to none
    assert run_of(session, 9, 4, tile) == (OK, 3, 120, real)
    assert run_of(session, 8, 5, tile)[0] == STATUS["no_photo"]
    session = start(outputs=1)  # after a reset
    assert photo(session, 9, 4, seen=2, evidence=80) == OK
    assert run_of(session, 9, 5, tile) == (OK, 3, 120, real)


def test_a_photo_needs_an_id_and_the_session(start: Callable[..., Session]) -> None:
    session = start()
    assert photo(session, 0, 4) == STATUS["no_photo"]
    session.ask("hello", session=5)
    assert photo(session, 9, 4) == STATUS["other_session"]


def test_rates_faults_and_self_tests(start: Callable[..., Session]) -> None:
    session = start(trouble="faulted")
    assert dict(session.ask("set_baud", baud=921_600).fields) == {"status": OK, "baud": 921_600}
    assert dict(session.ask("set_baud", baud=4_000_000).fields) == {"status": NOT_SUPPORTED, "baud": 0}
    fault = session.ask("fault")
    assert (fault["status"], fault["kind"], fault["pc"], fault["boot_id"]) == (OK, 2, 0x08001234, 6)
    first = session.ask("selftest", index=0)
    assert first["total"] >= 2
    assert first["status"] == spec.protocol()["selftest"]["passed"]
    assert session.ask("selftest", index=first["total"])["status"] == BAD_OFFSET
    assert start().ask("fault")["status"] == NO_INPUT


def test_a_self_test_takes_what_was_received(start: Callable[..., Session]) -> None:
    session = start()
    sent(session)
    session.ask("selftest", index=0)
    assert session.run(1, 1)["status"] == NO_INPUT
