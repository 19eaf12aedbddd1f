"""Frames and messages: golden bytes both ways, properties, and a decoder that no bytes can upset."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dftiny import spec
from dftiny.link import frame, messages
from dftiny.link.frame import Frame, FrameDecoder, FrameError

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
GOLDEN = json.loads((VECTORS / "frames.json").read_text(encoding="utf-8"))
frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=1040))


def real_fields(entry: dict[str, Any]) -> dict[str, Any]:
    shape = messages.layout(entry["message"])
    kinds = {**dict(shape.fixed), **({shape.rest: "rest"} if shape.rest else {})}
    raw = {"bytes8", "bytes12", "bytes32", "rest"}
    return {n: bytes.fromhex(v) if kinds[n] in raw else v for n, v in entry["fields"].items()}


def test_golden_file_is_what_its_script_writes() -> None:
    run = subprocess.run(
        [sys.executable, VECTORS / "make_frames.py", "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert GOLDEN["protocol_digest"] == spec.protocol_digest().hex()


@pytest.mark.parametrize("entry", GOLDEN["good"], ids=lambda e: f"{e['message']}-{len(e['payload']) // 2}")
def test_golden_frames_both_ways(entry: dict[str, Any]) -> None:
    one = messages.encode(entry["message"], entry["seq"], **real_fields(entry))
    assert frame.encode(one).hex() == entry["wire"]
    (back,) = FrameDecoder().feed(bytes.fromhex(entry["wire"]))
    assert (back.type, back.seq, back.payload.hex()) == (entry["type"], entry["seq"], entry["payload"])
    assert dict(messages.decode(back).fields) == real_fields(entry)


def test_every_message_has_a_golden_frame() -> None:
    assert {e["message"] for e in GOLDEN["good"]} == set(messages.layouts())


@pytest.mark.parametrize("entry", GOLDEN["bad"], ids=lambda e: e["why"])
def test_bad_frames_are_dropped_counted_and_followed_by_good_ones(entry: dict[str, str]) -> None:
    decoder = FrameDecoder()
    good = bytes.fromhex(GOLDEN["good"][0]["wire"])
    assert len(decoder.feed(bytes.fromhex(entry["wire"]) + good)) == 1
    assert (decoder.ok, decoder.bad) == (1, 1)


@given(st.lists(frames, max_size=5), st.data())
def test_frames_survive_any_cut(sent: list[Frame], data: st.DataObject) -> None:
    wire = b"".join(frame.encode(f) for f in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    decoder = FrameDecoder()
    got = [f for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True) for f in decoder.feed(wire[a:b])]
    assert got == sent
    assert (decoder.bad, decoder.held_bytes) == (0, 0)


@given(frames, st.integers(0, 8 * 1100))
def test_one_flipped_bit_never_gives_another_frame(sent: Frame, position: int) -> None:
    wire = bytearray(frame.encode(sent)[:-1])
    wire[position // 8 % len(wire)] ^= 1 << position % 8
    got = FrameDecoder().feed(bytes(wire) + b"\0")
    assert got == []


@given(st.binary(max_size=4000))
def test_random_bytes_raise_nothing_but_the_declared_error(noise: bytes) -> None:
    decoder = FrameDecoder()
    for one in decoder.feed(noise + b"\0"):
        messages.describe(one)
    assert decoder.held_bytes == 0
    with contextlib.suppress(FrameError):
        frame.decode(noise)


@settings(max_examples=300)
@given(frames)
def test_any_frame_decodes_to_a_message_or_a_message_error(one: Frame) -> None:
    try:
        message = messages.decode(one)
    except messages.MessageError:
        return
    assert message.name in messages.layouts()


def test_a_flood_without_delimiters_keeps_memory_bounded() -> None:
    decoder = FrameDecoder()
    flood = bytes(range(1, 256)) * 16
    tracemalloc.start()
    for _ in range(2000):  # 8 MB
        assert decoder.feed(flood) == []
        assert decoder.held_bytes <= frame.max_wire_bytes()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 1024
    assert len(decoder.feed(b"\0" + frame.encode(Frame(1, 2, b"x")))) == 1


def test_wire_limit_is_tight() -> None:
    longest = frame.encode(Frame(2, 0, bytes([1]) * frame.max_payload()))
    assert len(longest) - 1 == frame.max_wire_bytes()
    with pytest.raises(FrameError, match="exceeds"):
        frame.encode(Frame(2, 0, bytes(frame.max_payload() + 1)))


def test_wrong_fields_are_refused() -> None:
    with pytest.raises(messages.MessageError, match="no message"):
        messages.encode("hallo")
    with pytest.raises(messages.MessageError, match="has the fields"):
        messages.encode("run", run_id=1)
    with pytest.raises(messages.MessageError, match="run"):
        messages.encode("run", session=0, run_id=-1, image_id=0, input_crc=0, photo_id=0)
    with pytest.raises(messages.MessageError, match="unknown message type"):
        messages.decode(Frame(0x7E, 0, b""))
    with pytest.raises(messages.MessageError, match="has 20 bytes"):
        messages.decode(Frame(messages.layout("run").id, 0, b"\0" * 13))


def test_replies_are_their_requests_with_the_top_bit() -> None:
    shapes = messages.layouts()
    for name, shape in shapes.items():
        if not name.endswith("_reply"):
            assert shapes[f"{name}_reply"].id == shape.id | 0x80


def test_trace_lines() -> None:
    line = messages.describe(messages.encode("input_reply", 9, image_id=5, received=7, status=0))
    assert line == "  9 input_reply image_id=5 received=7 status=0"
    assert "type 0x7e" in messages.describe(Frame(0x7E, 1, b"ab"))
