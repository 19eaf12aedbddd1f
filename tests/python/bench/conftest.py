"""A small model as a bundle, its firmware for the host board and QEMU, and a few labelled images: built once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flatmodel import FlatModel, conv_options
from PIL import Image

from dftiny import bundle as bundles
from dftiny.artifact import new_folder, write_manifest
from dftiny.build import build
from dftiny.data.index import DataIndex, ImageRow, save_index

TILE = 64  # three pieces of the link: a reset can come between them
IMAGES = 8


def small_model() -> bytes:
    """A 3x3 convolution, mean and one output, whose logit grows with brightness."""
    rng = np.random.default_rng(5)
    m = FlatModel()
    x = m.act((1, TILE, TILE, 3), 1.0, -128)
    y = m.act((1, TILE // 2, TILE // 2, 8), 16.0, -128)
    w = m.const(rng.integers(-20, 128, (8, 3, 3, 3)).astype(np.int8), [0.01] * 8)
    m.op("CONV_2D", (x, w, -1), (y,), **conv_options(2, "SAME", 1))
    p = m.act((1, 8), 16.0, -128)
    m.op("MEAN", (y, m.const(np.array([1, 2], np.int32))), (p,), KeepDims=False)
    q = m.act((1, 1), 100.0, -128)
    m.op("FULLY_CONNECTED", (p, m.const(np.full((1, 8), 100, np.int8), 0.01), -1), (q,))
    return m.bytes()


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model's bundle, with four golden tiles."""
    out = tmp_path_factory.mktemp("bundle") / "bundle"
    golden = np.random.default_rng(1).integers(-128, 128, (4, TILE, TILE, 3)).astype(np.int8)
    labels = bundles.Labels("bright_64.test", ("fake", "real"), "real", 14000.0)
    with new_folder(out) as folder:
        (folder / bundles.MODEL).write_bytes(small_model())
        bundles.write_bundle(folder, labels, golden)
        files = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]
        write_manifest(folder, "bundle", files=[f for f in files if f != "manifest.json"])
    return out


@pytest.fixture(scope="session")
def built(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`built(board, engine="aot")` → a build folder of the small model."""
    root = tmp_path_factory.mktemp("build")

    def folder(board: str, engine: str = "aot") -> Path:
        out = root / f"{board}-{engine}"
        if not out.exists():
            build(bundle, board, out, engine=engine)
        return out

    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images of 2 x 2 tiles: bright ones are called real, dark ones fake, one of each is called wrongly."""
    out = tmp_path_factory.mktemp("data") / "data"
    rng = np.random.default_rng(3)
    rows = []
    with new_folder(out) as folder:
        (folder / "images").mkdir()
        for i in range(IMAGES):
            bright = i % 2 == 0
            label = "real" if bright != (i >= IMAGES - 2) else "fake"
            pixels = rng.integers(
                150 if bright else 0, 256 if bright else 100, (2 * TILE + 6, 2 * TILE, 3)
            ).astype(np.uint8)
            file = f"images/{i}.png"
            Image.fromarray(pixels).save(folder / file)
            sha = hashlib.sha256((folder / file).read_bytes()).hexdigest()
            kind = "real" if label == "real" else "tconv"
            rows.append(ImageRow(f"p{i}.{kind}", "test", f"p{i // 2}", label, kind, True, "pre", file, sha))
        save_index(folder, DataIndex("bright", TILE, tuple(rows)))
        write_manifest(folder, "data", files=["index.json", *(r.file for r in rows)])
    return out


@pytest.fixture(scope="session")
def three_classes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle whose model has three outputs that are not real and fake, and its host build."""
    root = tmp_path_factory.mktemp("three")
    m = FlatModel()
    x = m.act((1, 8, 8, 3), 1.0, -128)
    p = m.act((1, 3), 1.0, -128)
    m.op("MEAN", (x, m.const(np.array([1, 2], np.int32))), (p,), KeepDims=False)
    q = m.act((1, 3), 2.0, -128)
    m.op("FULLY_CONNECTED", (p, m.const(np.eye(3, dtype=np.int8), 1.0), -1), (q,))
    golden = np.zeros((4, 8, 8, 3), np.int8)
    for i in range(4):
        golden[i, :, :, i % 3] = 100
    with new_folder(root / "bundle") as folder:
        (folder / bundles.MODEL).write_bytes(m.bytes())
        labels = bundles.Labels("colours_8.test", ("red", "green", "blue"), "blue", 0.0)
        bundles.write_bundle(folder, labels, golden)
        files = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]
        write_manifest(folder, "bundle", files=[f for f in files if f != "manifest.json"])
    build(root / "bundle", "host", root / "build")
    return root / "bundle", root / "build"
