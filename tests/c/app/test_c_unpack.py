"""firmware/src/unpack.c undoes what link/pack.py did, whatever the picture and wherever it is cut; rubbish is refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dftiny.link.pack import Geometry, pack, pays, residuals

SRC = Path(__file__).resolve().parents[3] / "firmware" / "src"
Unpack = Callable[[list[tuple[bytes, int, bytes]]], list[bytes | None]]


@pytest.fixture(scope="module")
def program(compile_c: Callable[[list[Path]], Path]) -> Path:
    return compile_c([Path(__file__).with_name("unpack_main.c"), SRC / "unpack.c"])


@pytest.fixture
def unpack(program: Path, run_c: Callable[[Path, str], str]) -> Unpack:
    def run(pieces: list[tuple[bytes, int, bytes]]) -> list[bytes | None]:
        lines = [f"{before.hex() or '-'} {raw} {data.hex() or '-'}" for before, raw, data in pieces]
        found: list[bytes | None] = []
        for line in run_c(program, "\n".join(lines) + "\n").splitlines():
            good, _, data = line.partition(" ")
            assert "OVERWRITTEN" not in data
            found.append(bytes.fromhex(data) if good == "1" else None)
        assert len(found) == len(pieces)
        return found

    return run


def pictures() -> dict[str, np.ndarray]:
    """int8 [H, W, C]: smooth, noisy, flat, extreme, grey, narrow."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:24, 0:20]
    smooth = (np.stack([3 * x + y, 2 * x + 2 * y, 4 * y], axis=2) + rng.integers(-2, 3, (24, 20, 3))).clip(
        -128, 127
    )
    return {
        "smooth": smooth.astype(np.int8),
        "noise": rng.integers(-128, 128, (16, 16, 3)).astype(np.int8),
        "flat": np.full((16, 16, 3), -128, np.int8),
        "extreme": rng.choice([-128, 127], (16, 16, 3)).astype(np.int8),
        "grey": (np.cumsum(rng.integers(-1, 2, (30, 17, 1)), axis=1)).astype(np.int8),
        "one pixel a row": rng.integers(-20, 20, (40, 1, 3)).astype(np.int8),
    }


@pytest.mark.parametrize("name", pictures())
def test_pieces_of_any_length_come_back(name: str, unpack: Unpack) -> None:
    picture = pictures()[name]
    _, w, c = picture.shape
    geometry, tile = Geometry(w * c, c), picture.tobytes()
    folded, rng = residuals(tile, geometry), random.Random(3)
    pieces, wanted, at = list[tuple[bytes, int, bytes]](), list[bytes](), 0
    while at < len(tile):
        n = min(len(tile) - at, c * rng.choice((1, 2, 10, 11, 32, 100)))
        pieces.append((tile[:at], n, pack(folded[at : at + n], 0, geometry)))
        wanted.append(tile[at : at + n])
        at += n
    assert unpack(pieces) == wanted
    packed = sum(len(p[2]) for p in pieces)
    assert len(pieces) >= 3
    # What cannot be packed grows by no more than the header and three bits a block.
    assert packed <= len(tile) + 5 * len(pieces) + len(tile) // 32


def test_whole_pictures_shrink_as_they_should(unpack: Unpack) -> None:
    for name, most in (("smooth", 0.62), ("flat", 0.17), ("noise", 1.02)):
        picture = pictures()[name]
        geometry = Geometry(picture.shape[1] * 3, 3)
        data = pack(residuals(picture.tobytes(), geometry), 0, geometry)
        assert unpack([(b"", picture.size, data)]) == [picture.tobytes()]
        assert len(data) < most * picture.size


def test_rubbish_is_refused_or_fills_exactly_its_place(unpack: Unpack) -> None:
    """Under sanitizers: random bytes, cut and changed pieces, wild geometry. Never a byte outside of the piece."""
    rng = random.Random(5)
    picture = pictures()["smooth"]
    tile, geometry = picture.tobytes(), Geometry(60, 3)
    folded = residuals(tile, geometry)
    pieces = []
    for _ in range(2500):
        at = 3 * rng.randrange(60)
        n = rng.choice((0, 1, 3, 32, 33, 96, 300))
        data = bytearray(pack(folded[at : at + n], 0, geometry) if n else b"\x3c\0\3")
        for _ in range(rng.randrange(3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        kind = rng.randrange(4)
        data = data[: rng.randrange(len(data) + 1)] if kind == 0 else data
        data = bytearray(rng.randbytes(rng.randrange(60))) if kind == 1 else data
        pieces.append((tile[:at], n + rng.choice((0, 0, 0, 1, -1)) if n else n, bytes(data)))
    found = unpack(pieces)
    assert 300 < sum(f is None for f in found) < 2400
    assert all(f is None or len(f) == p[1] for f, p in zip(found, pieces, strict=True))


def test_packing_pays_by_the_line_and_the_processor() -> None:
    assert pays(2048, 1400, 92_160, 480_000_000)
    assert not pays(2048, 2048, 92_160, 480_000_000)
    assert not pays(2048, 1400, 0, 480_000_000)  # a channel without a rate
    assert not pays(2048, 2040, 300_000, 64_000_000)
