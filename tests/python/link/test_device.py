"""What the host does with answers that no sound firmware gives: sentences, not tracebacks, and no endless waits."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from fake_board import DIGEST, NO_PHOTO, FakeBoard, Reply, connected

from dftiny import spec
from dftiny.errors import CheckFailed, DftError
from dftiny.link import frame, messages
from dftiny.link.device import Device, Hello, LinkCount, Stats
from dftiny.link.transport import LinkLost

TILE = bytes(range(100))


def test_typed_replies_have_the_fields_of_the_protocol() -> None:
    for cls, name in ((Hello, "hello_reply"), (Stats, "stats_reply")):
        assert [f.name for f in dataclasses.fields(cls)] == [n for n, _ in messages.layout(name).fixed]


def test_one_inference() -> None:
    with connected(FakeBoard()) as link:
        device = Device(link)
        hello = device.identify(DIGEST)
        result = device.infer(TILE)
        assert device.op_ticks() is None
    assert (hello.engine, hello.input_bytes) == ("fake", 100)
    assert (result.output.tolist(), result.output.dtype, result.ticks) == ([0], np.int8, 5)
    assert (device.count.retries, device.count.resets, device.count.input_bytes) == (0, 0, 100)
    assert device.count.frames_sent == device.count.frames_received == 4


def test_trace_shows_every_frame() -> None:
    lines: list[str] = []
    with connected(FakeBoard()) as link:
        Device(link, trace=lines.append).identify(DIGEST)
    assert len(lines) == 2
    assert "→   1 hello" in lines[0]
    assert "engine=fake" in lines[1]


def test_another_model_is_refused_in_one_sentence() -> None:
    with connected(FakeBoard()) as link, pytest.raises(DftError, match="runs another model") as e:
        Device(link).identify(bytes(32), hint="run this command")
    assert e.value.exit_code == 2
    assert "digest 000102030405…, expected 000000000000…" in e.value.cause
    assert e.value.hint == "run this command"


def test_another_protocol_is_refused() -> None:
    board = FakeBoard()
    fields = {**board.on_hello(messages.Message("hello", {}))[1], "protocol_digest": bytes(8)}
    board.override = lambda _: ("hello_reply", fields)
    with connected(board) as link, pytest.raises(DftError, match="another version of the protocol") as e:
        Device(link).identify(DIGEST)
    assert spec.protocol_digest().hex() in e.value.cause


def test_something_else_on_the_port() -> None:
    board = FakeBoard(lambda _: b"login: ")
    with connected(board) as link, pytest.raises(DftError, match="is not a dftiny board") as e:
        Device(link, hello_s=0.5).identify(DIGEST)
    assert e.value.exit_code == 2


def test_nothing_on_the_port() -> None:
    with (
        connected(FakeBoard(lambda _: None)) as link,
        pytest.raises(DftError, match="nothing on fake answered") as e,
    ):
        Device(link, hello_s=0.3).identify(DIGEST)
    assert e.value.exit_code == 2


def test_a_board_that_falls_silent_is_lost() -> None:
    board = FakeBoard()
    with connected(board) as link:
        device = Device(link, silence_s=0.5)
        device.identify(DIGEST)
        board.override = lambda m: None if m.name == "input" else "usual"
        with pytest.raises(LinkLost, match="stopped answering") as e:
            device.infer(TILE)
    assert e.value.exit_code == 1
    assert device.count.retries >= 1


def test_a_board_whose_output_is_short_is_refused() -> None:
    def short(m: messages.Message) -> Reply | str:
        if m.name != "run":
            return "usual"
        return "run_reply", {"run_id": m["run_id"], "status": 0, "ticks": 0, **NO_PHOTO, "output": b""}

    with connected(FakeBoard(short)) as link:
        device = Device(link)
        device.identify(DIGEST)
        with pytest.raises(CheckFailed, match="0 output bytes instead of 1"):
            device.infer(TILE)


def test_a_board_that_cannot_run_is_a_failed_check() -> None:
    def fails(m: messages.Message) -> Reply | str:
        if m.name != "run":
            return "usual"
        status = messages.status_code("engine_failed")
        return "run_reply", {"run_id": m["run_id"], "status": status, "ticks": 0, **NO_PHOTO, "output": b""}

    with connected(FakeBoard(fails)) as link, pytest.raises(CheckFailed, match="engine_failed"):
        Device(link).infer(TILE)


def test_a_board_that_always_forgets_is_lost_in_the_end() -> None:
    def forgets(m: messages.Message) -> Reply | str:
        if m.name != "run":
            return "usual"
        status = messages.status_code("no_input")
        return "run_reply", {"run_id": m["run_id"], "status": status, "ticks": 0, **NO_PHOTO, "output": b""}

    with connected(FakeBoard(forgets)) as link, pytest.raises(LinkLost, match="keep resetting"):
        Device(link).infer(TILE)


def test_why_it_restarted_is_remembered() -> None:
    """A board whose watchdog bites in mid-run: the tile is sent again, and the cause is kept for who reports it."""
    board = FakeBoard()
    usual = board.on_hello
    watchdog = spec.protocol()["reset_cause"]["watchdog"]

    def bitten(asked: messages.Message) -> Reply:
        name, fields = usual(asked)
        return name, {**fields, "reset_cause": watchdog if board.boot_id == 2 else 1}

    def loses_the_first_tile(m: messages.Message) -> Reply | str:
        if m.name != "run" or board.boot_id == 2:
            return "usual"
        board.boot_id = 2
        status = messages.status_code("other_session")
        return "run_reply", {"run_id": m["run_id"], "status": status, "ticks": 0, **NO_PHOTO, "output": b""}

    board.on_hello = bitten  # type: ignore[method-assign]
    board.override = loses_the_first_tile
    with connected(board) as link:
        device = Device(link)
        assert messages.cause_name(device.identify(DIGEST).reset_cause) == "power_on"
        device.infer(TILE)
        assert (device.count.resets, dict(device.causes)) == (1, {"watchdog": 1})


def test_a_board_swapped_in_mid_run_is_noticed() -> None:
    board = FakeBoard()
    swapped = {**board.on_hello(messages.Message("hello", {}))[1], "bundle_digest": bytes(32)}

    def swap(m: messages.Message) -> Reply | str:
        if m.name == "run":
            return "run_reply", {
                "run_id": m["run_id"],
                "status": messages.status_code("no_input"),
                "ticks": 0,
                **NO_PHOTO,
                "output": b"",
            }
        return ("hello_reply", swapped) if m.name == "hello" and board.boot_id == 2 else "usual"

    board.override = swap
    with connected(board) as link:
        device = Device(link)
        device.identify(DIGEST)
        board.boot_id = 2
        with pytest.raises(CheckFailed, match="came back with another model"):
            device.infer(TILE)


def test_late_replies_are_not_taken_for_new_ones() -> None:
    """Each answer comes one question late as well: the doubled one must be dropped by its seq."""
    board = FakeBoard()
    last: list[bytes] = [b""]

    def doubled(m: messages.Message) -> bytes:
        name, fields = getattr(board, f"on_{m.name}")(m)
        now = frame.encode(messages.encode(name, board.seq, **fields))
        before, last[0] = last[0], now
        return before + now

    board.override = doubled
    with connected(board) as link:
        device = Device(link)
        outputs = [int(device.infer(bytes([i]) + TILE[1:]).output[0]) for i in range(100)]
    assert outputs == list(range(100))
    assert isinstance(device.count, LinkCount)
    assert device.count.retries == 0


def test_a_board_that_never_has_more_is_lost_in_the_end() -> None:
    """It answers every piece, and `received` stands still: no silence, no reset, and still no endless loop."""
    for status in ("ok", "bad_offset"):
        code = messages.status_code(status)

        def stuck(m: messages.Message, code: int = code) -> Reply | str:
            fields = {"image_id": m.fields.get("image_id"), "received": 0, "status": code}
            return ("input_reply", fields) if m.name == "input" else "usual"

        with connected(FakeBoard(stuck)) as link, pytest.raises(LinkLost, match="keep resetting"):
            Device(link).infer(TILE)


def test_what_a_repeated_request_left_on_the_line_does_not_spoil_the_next() -> None:
    """A busy board's receiver keeps the first bytes of a repeated request: the next one begins with a delimiter."""
    first = [True]

    def busy_once(m: messages.Message) -> str | None:
        if m.name == "run" and first[0]:
            first[0] = False
            return None
        return "usual"

    sent: list[bytes] = []
    with connected(FakeBoard(busy_once)) as link:
        write = link.write
        link.write = lambda data, s: (sent.append(bytes(data)), write(data, s))[1]  # type: ignore[method-assign]
        device = Device(link)
        device.identify(DIGEST)
        device.infer(TILE)
        device.infer(TILE)
    # hello, input, run, run again; input, run
    assert [data[0] == 0 for data in sent] == [False, False, False, True, True, True]


def test_a_run_is_not_a_retry_while_the_board_says_that_it_is_running() -> None:
    """It was accepted: asking what became of it is no sign of a bad line, and the result may come unasked."""
    running = messages.status_code("running")

    def slow(m: messages.Message) -> bytes | str:
        if m.name != "run":
            return "usual"
        accepted = {"run_id": m["run_id"], "status": running, "ticks": 0, **NO_PHOTO, "output": b""}
        theirs = board.peer
        theirs.sendall(frame.encode(messages.encode("run_reply", board.seq, **accepted)))
        time.sleep(0.3)
        name, fields = board.on_run(m)
        return frame.encode(messages.encode(name, board.seq, **fields))

    board = FakeBoard(slow)
    with connected(board) as link:
        device = Device(link)
        outputs = [int(r.output[0]) for r in device.run(bytes([i]) + TILE[1:] for i in range(4))]
    assert outputs == [0, 1, 2, 3]
    assert device.count.retries == 0
