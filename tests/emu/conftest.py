"""Fixtures of the tests that boot firmware: each board's images are built once a session."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dftiny import bundle as bundles
from dftiny.artifact import new_folder
from dftiny.build import build

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))  # for flatmodel

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


def small_model() -> bytes:
    """A .tflite with a convolution, a mean and a fully connected layer on 32 x 32 x 3."""
    from flatmodel import FlatModel, conv_options

    m = FlatModel()
    rng = np.random.default_rng(0)
    x = m.act((1, 32, 32, 3), 1.0, -128)
    y = m.act((1, 16, 16, 8), 0.5, -128)
    w = m.const(rng.integers(-127, 128, (8, 3, 3, 3)).astype(np.int8), [0.01] * 8)
    m.op("CONV_2D", (x, w, -1), (y,), **conv_options(2, "SAME", 1))
    p = m.act((1, 8), 0.5, -128)
    m.op("MEAN", (y, m.const(np.array([1, 2], np.int32))), (p,), KeepDims=False)
    q = m.act((1, 1), 0.25, 3)
    m.op("FULLY_CONNECTED", (p, m.const(rng.integers(-127, 128, (1, 8)).astype(np.int8), 0.01), -1), (q,))
    return m.bytes()


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> bundles.Bundle:
    """A bundle of `small_model` with four golden tiles of noise."""
    out = tmp_path_factory.mktemp("bundle") / "small"
    golden = np.random.default_rng(1).integers(-128, 128, (4, 32, 32, 3)).astype(np.int8)
    with new_folder(out) as folder:
        (folder / bundles.MODEL).write_bytes(small_model())
        labels = bundles.Labels("small_32.test", ("fake", "real"), "real", 0.0)
        bundles.write_bundle(folder, labels, golden)
    return bundles.load_bundle(out)


@pytest.fixture(scope="session")
def aot_elf(tmp_path_factory: pytest.TempPathFactory, bundle: bundles.Bundle) -> EchoElf:
    """`aot_elf(board)` → the ELF that runs `bundle`."""
    folder = tmp_path_factory.mktemp("aot")

    def elf(board: str) -> Path:
        out = folder / board
        if not out.exists():
            build(bundle.folder, board, out)
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
