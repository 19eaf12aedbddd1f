"""First inputs for the fuzzers: honest conversations and what is left of them. Called by tools/fuzz."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from dftiny.link import frame, messages
from dftiny.link.pack import Geometry, pack, residuals

TILE = (np.arange(300) * 7 % 61).astype(np.int8).tobytes()
MODES = (1, 3, 5, 7)  # messages; with staging; with a hook; with both
SESSION = 9


def message(name: str, **fields: Any) -> bytes:
    """TYPE LENGTH PAYLOAD, as device.c takes it."""
    one = messages.encode(name, 0, **fields)
    return bytes([one.type]) + len(one.payload).to_bytes(2, "little") + one.payload


def piece(image_id: int, offset: int, raw: int, coding: str, data: bytes) -> bytes:
    """One input message."""
    ids = {"session": SESSION, "image_id": image_id, "offset": offset, "raw_bytes": raw}
    return message("input", **ids, coding=messages.coding(coding), data=data)


def run(run_id: int, image_id: int, photo_id: int = 0) -> bytes:
    """One run message on TILE."""
    ids = {"session": SESSION, "run_id": run_id, "image_id": image_id, "photo_id": photo_id}
    return message("run", **ids, input_crc=zlib.crc32(TILE))


def conversations() -> list[bytes]:
    """Sequences of messages that reach every handler."""
    hello = message("hello", session=SESSION)
    folded, geometry = residuals(TILE, Geometry(30, 3)), Geometry(30, 3)
    raw = [piece(1, at, 100, "raw", TILE[at : at + 100]) for at in (0, 100, 200)]
    packed = [piece(2, at, 150, "packed", pack(folded[at : at + 150], 0, geometry)) for at in (0, 150)]
    photo = message("photo", session=SESSION, photo_id=5, tiles=2, seen=0, evidence=-3)
    asked = [message("stats"), message("op_ticks", first=0), message("fault"), message("selftest", index=0)]
    rates = [message("set_baud", baud=b) for b in (921_600, 4_000_000)]
    return [
        hello + b"".join(raw) + run(1, 1) + run(1, 1) + message("op_ticks", first=1),
        hello + b"".join(packed) + run(2, 2) + b"".join(raw) + run(3, 1),
        hello + photo + b"".join(raw) + run(4, 1, 5) + b"".join(packed) + run(5, 2, 5) + run(6, 2, 6),
        hello + b"".join(asked) + message("selftest", index=900) + b"".join(rates) + message("halt"),
        hello
        + raw[1]
        + raw[0]
        + piece(1, 50, 100, "raw", TILE[50:150])
        + raw[0]
        + piece(1, 0, 3, "packed", b""),
        raw[0] + run(1, 1) + photo + hello + b"".join(raw) + raw[0] + packed[0] + message("hello", session=3),
    ]


def write_device(folder: Path) -> None:
    """Seed files for the device's fuzzer."""
    for i, talk in enumerate(conversations()):
        for mode in MODES:
            (folder / f"seed-{i}-{mode}").write_bytes(bytes([mode]) + talk)
    hello = frame.encode(messages.encode("hello", 1, session=SESSION))
    flood = bytes([0x55]) * (frame.max_wire_bytes() + 300)
    for i, wire in enumerate(
        (hello, hello[:-1] + hello, flood + b"\0" + hello, b"\0\0\xff" + bytes(range(1, 250)) + b"\0")
    ):
        (folder / f"wire-{i}").write_bytes(b"\0" + wire)
