"""Writes frames.json: the golden frames that Python and C encode and decode. Deterministic; run after a change
of spec/protocol.toml. Each good frame is hand-picked for a corner of COBS (runs of 254, zeros, empty) or a message.

Usage: python tests/vectors/make_frames.py [--check]
"""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path
from typing import Any

from cobs import cobs

from dftiny import spec
from dftiny.link import frame, messages

HERE = Path(__file__).resolve().parent
OUT = HERE / "frames.json"
INPUT_BYTES = messages.layout("input").bytes


def good() -> list[dict[str, Any]]:
    """(name, seq, fields) of every message, with the lengths where COBS changes its mind."""
    full = frame.max_payload()
    u32 = 0xFFFFFFFF
    table: list[tuple[str, int, dict[str, Any]]] = [
        ("hello", 0, {"session": 0}),
        ("hello", 255, {"session": u32}),
        (
            "hello_reply",
            7,
            {
                "protocol_digest": bytes(range(8)),
                "bundle_digest": bytes(range(255, 223, -1)),
                "engine": "aot",
                "board": "nucleo_h743zi",
                "caps": 0b1010,
                "tick_hz": 480_000_000,
                "boot_id": 0x01020304,
                "input_bytes": 49152,
                "output_bytes": 1,
                "reset_cause": 0,
                "uid": bytes(range(12)),
                "session": 0x0A0B0C00,
                "window": 8192,
                "baud": 921600,
            },
        ),
        ("input_reply", 3, {"image_id": 1, "received": 1032, "status": messages.status_code("ok")}),
        ("input_reply", 4, {"image_id": u32, "received": 0, "status": messages.status_code("bad_offset")}),
        ("run", 9, {"session": 1, "run_id": 0, "image_id": 0x100, "input_crc": 0xDEADBEEF, "photo_id": 0}),
        (
            "run_reply",
            9,
            {
                **{"run_id": 0, "status": messages.status_code("ok"), "ticks": 2**63 + 5, "output": b"\x80"},
                **{"photo_id": 3, "seen": 2, "evidence": -70000, "decision": 2},
            },
        ),
        (
            "run_reply",
            10,
            {
                **{"run_id": 5, "status": messages.status_code("no_input"), "ticks": 0, "output": b""},
                **{"photo_id": 0, "seen": 0, "evidence": 0, "decision": 0},
            },
        ),
        ("stats", 1, {}),
        (
            "stats_reply",
            1,
            {
                "stack_peak_bytes": 1220,
                "stack_bytes": 8192,
                "arena_bytes": 163424,
                "frames_ok": 70000,
                "frames_bad": 0,
                "runs": 3,
            },
        ),
        ("op_ticks", 2, {"first": 258}),
        ("op_ticks_reply", 2, {"first": 0, "total": 3, "ticks": b"\1\0\0\0\2\0\0\0\0\0\0\1"}),
        ("set_baud", 3, {"baud": 3_000_000}),
        ("set_baud_reply", 3, {"status": 0, "baud": 3_000_000}),
        ("fault", 4, {}),
        (
            "fault_reply",
            4,
            {
                **{
                    "status": 0,
                    "kind": 3,
                    "pc": 0x08001234,
                    "lr": 0xFFFFFFF9,
                    "psr": 0x61000000,
                    "cfsr": 0x8200,
                },
                **{"hfsr": 1 << 30, "mmfar": 0, "bfar": 0x60000000, "sp": 0x20001F00, "boot_id": 17},
            },
        ),
        ("selftest", 5, {"index": 1}),
        (
            "selftest_reply",
            5,
            {"index": 1, "total": 9, "status": 0, "name": "counter moves", "ticks": 1 << 33, "detail": 480},
        ),
        ("photo", 6, {"session": 1, "photo_id": 9, "tiles": 64, "seen": 3, "evidence": -1}),
        ("photo_reply", 6, {"photo_id": 9, "status": 0}),
        ("halt", 200, {}),
        ("halt_reply", 200, {"status": messages.status_code("not_supported")}),
        ("error_reply", 33, {"of_type": 0x7E, "status": messages.status_code("unknown_type")}),
    ]
    for n in (0, 1, 230, 231, 232, 239, 240, 241, 242, 243, 244, 253, 254, 255, 508, full - INPUT_BYTES):
        table.append(("input", n % 256, _piece(2, 4128, bytes(1 + i % 255 for i in range(n)))))
    longest = full - INPUT_BYTES
    table.append(("input", 77, _piece(3, 0, bytes(longest))))
    table.append(("input", 78, _piece(3, 0, bytes((i * 37 + i // 7) % 256 for i in range(longest)))))
    return [_entry(*row) for row in table]


def _piece(image_id: int, offset: int, data: bytes) -> dict[str, Any]:
    where = {"session": 1, "image_id": image_id, "offset": offset}
    return {**where, "raw_bytes": len(data), "coding": messages.coding("raw"), "data": data}


def _entry(name: str, seq: int, fields: dict[str, Any]) -> dict[str, Any]:
    one = messages.encode(name, seq, **fields)
    shown = {k: v.hex() if isinstance(v, bytes) else v for k, v in fields.items()}
    return {
        "message": name,
        "type": one.type,
        "seq": seq,
        "fields": shown,
        "payload": one.payload.hex(),
        "wire": frame.encode(one).hex(),
    }


def bad() -> list[dict[str, str]]:
    """Bytes (delimiter included) that both decoders must drop and count."""
    whole = frame.encode(messages.encode("run", 9, session=0, run_id=1, image_id=2, input_crc=3, photo_id=0))
    body = b"\x01\x00"
    wrong_crc = cobs.encode(body + (zlib.crc32(body) ^ 1).to_bytes(4, "little")) + b"\0"
    long_body = bytes([2, 0]) + bytes([1]) * (frame.max_payload() + 1)
    long_crc = cobs.encode(long_body + zlib.crc32(long_body).to_bytes(4, "little")) + b"\0"
    rows = [
        ("CRC-32 differs by one bit", wrong_crc),
        ("one byte of the middle missing", whole[:6] + whole[7:]),
        ("cut after its first half", whole[: len(whole) // 2] + b"\0"),
        ("a COBS code that points past the end", b"\x05\x11\x22\0"),
        ("shorter than a header and a CRC", cobs.encode(b"\x01\x02\x03\x04\x05") + b"\0"),
        ("one byte of payload too many, CRC right", long_crc),
        ("a flood without a delimiter", bytes([0x55]) * (3 * frame.max_wire_bytes()) + b"\0"),
    ]
    return [{"why": why, "wire": wire.hex()} for why, wire in rows]


def text() -> str:
    """The whole of frames.json."""
    value = {
        "about": "written by make_frames.py from spec/protocol.toml; wire bytes end with the delimiter",
        "protocol_digest": spec.protocol_digest().hex(),
        "good": good(),
        "bad": bad(),
    }
    return json.dumps(value, indent=1) + "\n"


def main() -> int:
    if "--check" in sys.argv[1:]:
        same = OUT.is_file() and OUT.read_text(encoding="utf-8") == text()
        print(
            "frames.json is up to date"
            if same
            else "frames.json is out of date: run tests/vectors/make_frames.py"
        )
        return 0 if same else 1
    OUT.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
