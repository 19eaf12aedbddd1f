"""Fixtures of the tests that boot firmware: each board's echo image is built once a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dftiny.build import build

EchoElf = Callable[[str], Path]


@pytest.fixture(scope="session")
def echo_elf(tmp_path_factory: pytest.TempPathFactory) -> EchoElf:
    """`echo_elf(board)` → the ELF with the echo engine. A missing toolchain fails: tools/setup installs it."""
    folder = tmp_path_factory.mktemp("echo")

    def elf(board: str) -> Path:
        out = folder / board
        if not out.exists():
            build(None, board, out, engine="echo")
        return out / "firmware.elf"

    return elf


@pytest.fixture
def tile() -> bytes:
    """A tile of 128 x 128 x 3 bytes, every value in it."""
    return np.random.default_rng(7).integers(0, 256, 128 * 128 * 3, dtype=np.uint8).tobytes()


@pytest.fixture(scope="session")
def echo() -> Callable[[bytes], list[int]]:
    """What the echo engine answers (firmware/engines/echo/echo.c), as int8 values."""

    def outputs(data: bytes, n: int = 2) -> list[int]:
        x = np.frombuffer(data, np.uint8)
        mixed = (x ^ (np.arange(x.size) & 0xFF).astype(np.uint8)).astype(np.int64)
        return [int(np.uint8(mixed[k::n].sum() & 0xFF).view(np.int8)) for k in range(n)]

    return outputs
