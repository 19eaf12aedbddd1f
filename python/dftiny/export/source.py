"""What is to be exported: a checkpoint or an ONNX model, with its classes, threshold and tiles.

A folder of the train stage, a released model's folder, a checkpoint file or an .onnx file; everything else is
refused here, before anything slow begins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dftiny.artifact import MANIFEST, read_manifest, sha256_file
from dftiny.errors import DftError
from dftiny.export import onnx
from dftiny.export.tiles import load_tiles

if TYPE_CHECKING:
    from dftiny.nets.checkpoint import Checkpoint

CALIBRATION_TILES = 128
GOLDEN_TILES = 8
CHECKPOINT = "checkpoint.safetensors"
CHECKPOINTS = (".safetensors", ".pt", ".pth", ".tar")  # micromind writes state-dict.pth.tar


@dataclass(frozen=True, eq=False)
class Source:
    """`checkpoint` or `onnx_path` is set. Tiles are uint8 [n, H, W, 3]; `parents` maps roles to digests."""

    name: str
    checkpoint: Checkpoint | None
    onnx_path: Path | None
    normalisation: onnx.Normalisation | None
    layout: str | None
    classes: tuple[str, ...] | None
    threshold: float
    calibration: np.ndarray
    golden: np.ndarray
    parents: Mapping[str, str]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of a tile in pixels."""
        return self.calibration.shape[1], self.calibration.shape[2]


def open_source(
    path: Path,
    *,
    calibration: Path | None,
    golden: Path | None = None,
    net: str | None = None,
    tile: int | None = None,
    mean: str | None = None,
    std: str | None = None,
    layout: str | None = None,
) -> Source:
    """Look at `path` and gather what the export needs. DftError for whatever is missing."""
    if path.suffix == ".onnx":
        if net is not None:
            raise DftError("--net is for checkpoints, an ONNX model brings its own net", "leave --net away")
        return _from_onnx(path, calibration, golden, onnx.parse_normalisation(mean, std), layout)
    if mean is not None or std is not None or layout is not None:
        raise DftError(
            "--mean, --std and --layout are for ONNX models, the nets here normalise inside",
            "leave them away",
        )
    if path.is_dir() or path.suffix in CHECKPOINTS:
        return _from_checkpoint(path, calibration, golden, net, tile)
    if not path.exists():
        raise DftError(
            f"there is nothing at {path}", "give a checkpoint, the folder of `dftiny train` or an .onnx file"
        )
    raise DftError(f"{path} is neither a checkpoint nor an ONNX model", "give .safetensors, .pt or .onnx")


def _from_checkpoint(
    path: Path, calibration: Path | None, golden: Path | None, net: str | None, tile: int | None
) -> Source:
    folder = path if path.is_dir() else path.parent
    own = folder / "calibration.npz"
    if calibration is None and not own.is_file():
        raise _no_calibration(path)
    onnx.require("torch", "safetensors")
    from dftiny.nets.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(path, preset=net, tile=tile)
    size = (checkpoint.tile, checkpoint.tile)
    tiles = load_tiles(calibration or own, size, CALIBRATION_TILES)
    released = read_manifest(folder) if path.is_dir() and (folder / MANIFEST).is_file() else None
    parents = {"checkpoint": checkpoint.sha256}
    if released is not None:
        parents[released.stage] = released.digest
    parents.update(_tile_parents(calibration or own, golden))
    name = f"{checkpoint.preset}_{checkpoint.tile}"
    own_golden = next(
        (p for p in (folder / "golden.npz", folder / "golden" / "tiles.npz") if p.is_file()), None
    )
    return Source(
        name=folder.name if folder.name.startswith(f"{name}.") else f"{name}.own",
        checkpoint=checkpoint,
        onnx_path=None,
        normalisation=None,
        layout=None,
        classes=checkpoint.classes,
        threshold=checkpoint.threshold,
        calibration=tiles,
        golden=_golden(golden or own_golden, tiles),
        parents=parents,
    )


def _from_onnx(
    path: Path,
    calibration: Path | None,
    golden: Path | None,
    normalisation: onnx.Normalisation | None,
    layout: str | None,
) -> Source:
    onnx.require("onnx", "onnxsim")
    if calibration is None:
        raise _no_calibration(path)
    tiles = load_tiles(calibration, onnx.input_size(path), CALIBRATION_TILES)
    stem = re.sub(r"[^A-Za-z0-9]+", "_", path.stem).strip("_").lower() or "net"
    return Source(
        name=f"{stem}_{tiles.shape[1]}.own",
        checkpoint=None,
        onnx_path=path,
        normalisation=normalisation,
        layout=layout,
        classes=None,
        threshold=0.0,
        calibration=tiles,
        golden=_golden(golden, tiles),
        parents={"onnx": sha256_file(path), **_tile_parents(calibration, golden)},
    )


def _no_calibration(path: Path) -> DftError:
    return DftError(
        f"{path} comes without calibration tiles",
        "give --calibration with the data folder, a folder of images or an .npz",
    )


def _tile_parents(calibration: Path, golden: Path | None) -> dict[str, str]:
    """Digests of where the tiles come from: a stage's manifest, or the file. A folder of images has none."""
    parents = {}
    for role, path in (("calibration", calibration), ("golden", golden)):
        if path is not None and path.is_file():
            parents[role] = sha256_file(path)
        elif path is not None and (path / MANIFEST).is_file():
            parents[role] = read_manifest(path, verify=False).digest
    return parents


def _golden(path: Path | None, calibration: np.ndarray) -> np.ndarray:
    """Golden tiles from `path`, or the first of the calibration tiles, evenly."""
    size = calibration.shape[1], calibration.shape[2]
    if path is not None:
        return load_tiles(path, size, GOLDEN_TILES)
    return calibration[:: max(1, len(calibration) // GOLDEN_TILES)][:GOLDEN_TILES]
