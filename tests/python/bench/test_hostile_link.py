"""Whatever comes over the wire: the host board, built with sanitizers, survives it, answers, and still computes."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cobs import cobs

from dftiny.build import build
from dftiny.bundle import Bundle, load_bundle
from dftiny.link import messages
from dftiny.link.boards import host_board
from dftiny.link.device import Device
from dftiny.link.frame import Frame, FrameDecoder, encode, max_payload
from dftiny.link.transport import Transport

ANSWER_S = 5.0
REQUESTS = tuple(n for n in messages.layouts() if not n.endswith("_reply"))
SESSION = 5
PIECE_BYTES = messages.layout("input").bytes


@pytest.fixture(scope="module")
def elf(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sanitized") / "host"
    build(bundle, "host", out, sanitize=True)
    return out / "firmware.elf"


@pytest.fixture
def link(elf: Path) -> Iterator[Transport]:
    """A board that has ended, by a sanitizer or otherwise, makes the next read or write of the transport raise."""
    with host_board(elf) as transport:
        yield transport


def still_well(link: Transport, bundle: Bundle) -> Device:
    """The board says hello, and its first golden tile comes out bit for bit."""
    device = Device(link)
    device.identify(bundle.digest)
    inputs, outputs = bundle.golden()
    assert device.infer(inputs[0].tobytes()).output.tolist() == outputs[0].reshape(-1).tolist()
    return device


def test_the_firmware_is_built_with_sanitizers(elf: Path) -> None:
    assert b"__asan_report" in elf.read_bytes()
    assert b"__ubsan_handle" in elf.read_bytes()


def test_random_bytes(link: Transport, bundle: Path) -> None:
    rng = random.Random(11)
    for _ in range(150):
        n = rng.randrange(1, 3000)
        # Few zeros make frames that are far too long, many make short ones.
        zeros = rng.choice((0.0, 0.002, 0.05, 0.5))
        noise = bytes(0 if rng.random() < zeros else rng.randrange(1, 256) for _ in range(n))
        assert link.write(noise, ANSWER_S)
        link.read(0.0)
    device = still_well(link, load_bundle(bundle))
    assert device.stats().frames_bad > 1000


def damaged_frames(rng: random.Random) -> Iterator[bytes]:
    """Well-formed COBS that is no frame: too long by one and by much, too short, cut off, or with a wrong CRC."""
    for n in (max_payload() + 1, max_payload() + 2, 3 * max_payload(), 70_000):
        body = bytes([rng.randrange(256), 1]) + bytes(rng.choice((0, 7)) for _ in range(n))
        yield cobs.encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\0"
    for n in range(2):  # a right CRC behind less than a header
        yield cobs.encode(bytes(n) + zlib.crc32(bytes(n)).to_bytes(4, "little")) + b"\0"
    for code in (1, 2, 254, 255):  # a block that promises more than comes, or nothing
        yield bytes([code]) * rng.randrange(1, 4) + b"\0"
    good = encode(messages.encode("hello", 1, session=0))
    for cut in range(1, len(good) - 1):
        yield good[:cut] + b"\0"
        yield good[:cut] + bytes([good[cut] ^ 1 or 2]) + good[cut + 1 :]


def test_damaged_frames_are_counted_and_not_answered(link: Transport, bundle: Path) -> None:
    bad = list(damaged_frames(random.Random(12)))
    for one in bad:
        assert link.write(one, ANSWER_S)
    hello = encode(messages.encode("hello", 77, session=0))
    assert link.write(hello, ANSWER_S)
    assert [r.seq for r in replies(link, 77)] == [77]
    assert still_well(link, load_bundle(bundle)).stats().frames_bad == len(bad)


def replies(link: Transport, last: int) -> list[Frame]:
    """Frames up to the reply whose seq is `last`."""
    decoder, found = FrameDecoder(), list[Frame]()
    while not found or found[-1].seq != last:
        data = link.read(ANSWER_S)
        assert data, f"no answer to request {last}"
        found += decoder.feed(data)
    assert decoder.bad == 0
    return found


def hostile(rng: random.Random, input_bytes: int) -> Frame:
    """A request with a right CRC and fields that nobody honest would send; never a well-formed halt."""
    numbers = (
        0,
        1,
        input_bytes - 1,
        input_bytes,
        input_bytes + 1,
        1 << 31,
        (1 << 32) - 1,
        rng.randrange(1 << 32),
    )
    name = rng.choice(REQUESTS)
    kind = rng.choice((messages.layout(name).id,) * 4 + (rng.randrange(256),))
    lengths = (
        0,
        1,
        2,
        3,
        7,
        8,
        9,
        11,
        12,
        13,
        max_payload() - 1,
        max_payload(),
        rng.randrange(max_payload()),
    )
    if name in ("input", "run") and rng.random() < 0.7:
        session, image_id, offset, run_id = (rng.choice(numbers) for _ in range(4))
        session = rng.choice((session, SESSION, SESSION, SESSION))
        data = rng.randbytes(min(rng.choice((*lengths, input_bytes)), max_payload() - PIECE_BYTES))
        raw = rng.choice((len(data), len(data), len(data) + 1, rng.randrange(1 << 16)))
        if name == "run":
            ids = {"session": session, "run_id": run_id, "image_id": image_id, "photo_id": 0}
            return messages.encode(name, 0, **ids, input_crc=rng.choice(numbers))
        where = {"session": session, "image_id": image_id, "offset": offset, "raw_bytes": raw}
        return messages.encode(name, 0, **where, coding=rng.choice((0, 0, 1, 2)), data=data)
    payload = rng.randbytes(rng.choice((*lengths, messages.layout(name).bytes)))
    if kind == messages.layout("hello").id and len(payload) == messages.layout("hello").bytes:
        return messages.encode("hello", 0, session=rng.choice((0, SESSION)))  # another one would take over
    if kind == messages.layout("halt").id:
        payload = payload or b"\0"
    return Frame(kind, 0, payload)


def is_too_long_or_short(frame: Frame, input_bytes: int) -> bool:
    """What `bad_length` is for: a payload that is not its message's, or a piece that ends behind the input."""
    names = {messages.layout(n).id: n for n in REQUESTS}
    name, n = names.get(frame.type), len(frame.payload)
    if name != "input":
        return name is not None and n != messages.layout(name).bytes
    if n < PIECE_BYTES:
        return True
    piece = messages.decode(frame)
    if piece["session"] != SESSION:
        return False
    behind = piece["offset"] + piece["raw_bytes"] > input_bytes
    return behind or (piece["coding"] == messages.coding("raw") and piece["raw_bytes"] != len(piece["data"]))


def test_hostile_messages_get_one_answer_each(link: Transport, bundle: Path) -> None:
    rng = random.Random(13)
    loaded = load_bundle(bundle)
    claim = messages.encode("hello", 255, session=SESSION)
    assert link.write(encode(claim), ANSWER_S)
    input_bytes = messages.decode(replies(link, 255)[-1])["input_bytes"]
    seen: set[tuple[str, int]] = set()
    for i in range(1500):
        frame = hostile(rng, input_bytes)
        seq = i % 256
        assert link.write(encode(Frame(frame.type, seq, frame.payload)), ANSWER_S)
        answers = replies(link, seq)
        assert [a.seq for a in answers] == [seq]
        reply = messages.decode(answers[0])
        wrong = reply.fields.get("status") == messages.status_code("bad_length")
        assert wrong == is_too_long_or_short(frame, input_bytes), (frame, reply)
        seen.add((reply.name, reply.fields.get("status", 0)))
    status = messages.status_code
    assert {
        *(("error_reply", status(s)) for s in ("bad_length", "unknown_type")),
        *(
            ("input_reply", status(s))
            for s in ("ok", "bad_length", "bad_offset", "bad_coding", "other_session")
        ),
        *(("run_reply", status(s)) for s in ("no_input", "other_session")),
    } <= seen
    assert still_well(link, loaded).stats().frames_bad == 0
