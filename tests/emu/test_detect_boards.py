"""`dftiny detect` with the released model: oracle, host board and QEMU give the same verdicts after the same tiles."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dftiny import int8, spec
from dftiny.build import build
from dftiny.bundle import Bundle, export, load_bundle
from dftiny.detect import detect_command
from dftiny.detect.engines import Board, Oracle
from dftiny.errors import CheckFailed
from dftiny.link.boards import host_board
from dftiny.link.device import Device

pytestmark = pytest.mark.emu

RELEASED = spec.models_dir() / "phinet_demo_128.demo"
SAME = ("verdict", "by_tiles", "p_real", "tiles", "offered", "evidence", "warnings")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("released") / "bundle"
    export(RELEASED / "model.tflite", out=out, quiet=True)
    return load_bundle(out)


@pytest.fixture(scope="module")
def firmware(released: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("firmware")

    def built(board: str) -> Path:
        if not (folder / board).exists():
            build(released.folder, board, folder / board)
        return folder / board

    return built


def pictures() -> dict[str, NDArray[np.uint8]]:
    """Mosaics of golden tiles: fake ones, real ones, both, and one too flat to be judged."""
    with np.load(RELEASED / "golden.npz") as packed:
        tiles, real = packed["tiles"], packed["labels"] == 1
    kinds = {"fake": tiles[~real], "real": tiles[real], "mixed": tiles}
    made = {}
    for name, chosen in kinds.items():
        rows = [
            np.concatenate([chosen[(3 * i + j) % len(chosen)] for j in range(4)], axis=1) for i in range(4)
        ]
        made[name] = np.concatenate(rows)
    made["flat"] = np.full((256, 256, 3), 77, np.uint8)
    return made


def judged(paths: list[Path], capsys: pytest.CaptureFixture[str], **options: Any) -> list[dict[str, Any]]:
    detect_command(paths, runs=Path("unused"), as_json=True, **options)
    return [{k: p[k] for k in SAME} for p in json.loads(capsys.readouterr().out)["photos"]]


def test_the_same_verdicts_everywhere(
    released: Bundle, firmware: Callable[[str], Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    paths = []
    for name, pixels in pictures().items():
        paths.append(tmp_path / f"{name}.png")
        Image.fromarray(pixels).save(paths[-1])
    wanted = judged(paths, capsys)
    assert wanted == judged(paths, capsys, model=released.folder)
    assert wanted[0]["by_tiles"] == "fake"
    assert wanted[0]["tiles"] < wanted[0]["offered"] == 16
    assert wanted[1]["evidence"] > 0
    for board in ("host", "mps2_an500"):
        folder = firmware(board)
        capsys.readouterr()
        found = judged(paths, capsys, model=released.folder, board=board, build_dir=folder)
        assert found == wanted, board


def test_the_board_is_sent_no_tile_that_it_does_not_need(
    released: Bundle, firmware: Callable[[str], Path]
) -> None:
    assert released.verdict is not None
    pixels = pictures()["fake"]
    tiles = pixels.reshape(4, 128, 4, 128, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 128, 128, 3)
    with host_board(firmware("host") / "firmware.elf") as transport:
        device = Device(transport)
        device.identify(released.digest)
        outcome = Board(device).decide(released.verdict, tiles)
        assert device.stats().runs == outcome.seen < len(tiles)
        assert (
            Board(device).outputs(tiles[:2]).tolist() == Oracle(released.graph()).outputs(tiles[:2]).tolist()
        )
    first = int8.run(released.graph(), int8.from_pixels(tiles[:1]))[0, 0]
    assert outcome.evidence < 0
    assert first < 0


def test_a_board_that_counts_otherwise_is_found_out(
    released: Bundle, firmware: Callable[[str], Path]
) -> None:
    assert released.verdict is not None
    other = dataclasses.replace(released.verdict, evidence=released.verdict.evidence + np.int16(1))
    tiles = np.repeat(pictures()["real"][None, :128, :128], 3, axis=0)
    with host_board(firmware("host") / "firmware.elf") as transport:
        device = Device(transport)
        device.identify(released.digest)
        with pytest.raises(CheckFailed, match="counts"):
            Board(device).decide(other, tiles)


@pytest.mark.parametrize("flag", ["--reset-at=250000", "--drop=0.0002"])
def test_a_reset_or_lost_frames_change_no_verdict(
    released: Bundle, firmware: Callable[[str], Path], flag: str
) -> None:
    """The evidence lives on the board; after a reset it is told again what it had seen."""
    assert released.verdict is not None
    pixels = pictures()["real"]
    tiles = pixels.reshape(4, 128, 4, 128, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 128, 128, 3)
    wanted = Oracle(released.graph()).decide(released.verdict, tiles)
    assert wanted.seen > 3
    with host_board(firmware("host") / "firmware.elf", [flag]) as transport:
        device = Device(transport)
        device.identify(released.digest)
        assert Board(device).decide(released.verdict, tiles) == wanted
        assert device.count.resets == (1 if "reset" in flag else 0)
