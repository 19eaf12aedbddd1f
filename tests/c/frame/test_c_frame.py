"""firmware/src/frame.c against the golden frames and, on random bytes, against its Python twin."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from dftiny import spec
from dftiny.link.frame import Frame, FrameDecoder, encode, max_payload

ROOT = Path(__file__).resolve().parents[3]
SRC = ROOT / "firmware" / "src"
VECTORS = json.loads((ROOT / "tests" / "vectors" / "frames.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def program(compile_c: Callable[[list[Path]], Path]) -> Path:
    return compile_c([Path(__file__).with_name("frame_main.c"), SRC / "frame.c", SRC / "crc.c"])


@pytest.fixture
def filter_c(program: Path, run_c: Callable[[Path, str], str]) -> Callable[[list[str]], list[str]]:
    return lambda commands: run_c(program, "\n".join(commands) + "\n").splitlines()


def shown(frame: Frame) -> str:
    return f"{frame.type} {frame.seq} {frame.payload.hex() or '-'}"


def test_vectors_are_of_this_protocol() -> None:
    assert VECTORS["protocol_digest"] == spec.protocol_digest().hex()
    assert len(VECTORS["good"]) > 20
    assert len(VECTORS["bad"]) > 4


def test_golden_frames_encode_to_the_same_bytes(filter_c: Callable[[list[str]], list[str]]) -> None:
    good = VECTORS["good"]
    out = filter_c([f"e {g['type']} {g['seq']} {g['payload'] or '-'}" for g in good])
    assert out == [g["wire"] for g in good]


def test_golden_frames_decode_in_one_stream(filter_c: Callable[[list[str]], list[str]]) -> None:
    good, bad = VECTORS["good"], VECTORS["bad"]
    stream = "".join(g["wire"] for g in good) + "".join(b["wire"] for b in bad) + good[0]["wire"]
    out = filter_c([f"d {stream}"])
    wanted = [f"{g['type']} {g['seq']} {g['payload'] or '-'}" for g in [*good, good[0]]]
    assert out == [*wanted, f"ok {len(good) + 1} bad {len(bad)}"]


LENGTHS = [0, 1, 247, 248, 249, 253, 254, 255, 508, 509, max_payload() - 1, max_payload()]


@pytest.mark.parametrize("n", LENGTHS)
def test_lengths_around_cobs_blocks(filter_c: Callable[[list[str]], list[str]], n: int) -> None:
    for payload in (bytes(n), bytes([7]) * n, bytes(i % 255 + 1 for i in range(n))):
        wire = encode(Frame(9, 200, payload))
        out = filter_c([f"e 9 200 {payload.hex() or '-'}", f"d {wire.hex()}"])
        assert out == [wire.hex(), f"9 200 {payload.hex() or '-'}", "ok 1 bad 0"]


def test_too_long_a_payload_is_refused(filter_c: Callable[[list[str]], list[str]]) -> None:
    assert filter_c([f"e 1 1 {'00' * (max_payload() + 1)}"]) == ["-"]


def damaged(rng: random.Random, wire: bytes) -> bytes:
    data = bytearray(wire)
    for _ in range(rng.choice((0, 0, 1, 1, 3))):
        at = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                del data[at]
            case 1:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                data.insert(at, rng.randrange(256))
            case _:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(max_payload() * 3 // 2)))
        if not data:
            break
    return bytes(data)


def test_both_languages_agree_on_damaged_streams(filter_c: Callable[[list[str]], list[str]]) -> None:
    rng = random.Random(20)
    twin, commands, wanted = FrameDecoder(), [], []
    for _ in range(400):
        payload = bytes(
            rng.choice((0, 0, rng.randrange(256))) for _ in range(rng.choice((0, 3, 40, 300, max_payload())))
        )
        data = damaged(rng, encode(Frame(rng.randrange(256), rng.randrange(256), payload)))
        if not data:
            continue
        commands.append(f"d {data.hex()}")
        wanted += [shown(f) for f in twin.feed(data)] + [f"ok {twin.ok} bad {twin.bad}"]
    assert twin.bad > 50
    assert twin.ok > 50
    assert filter_c(commands) == wanted
