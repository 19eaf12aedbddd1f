"""What is to be exported: a checkpoint, an ONNX model or an int8 .tflite, with its classes, threshold and tiles.

A folder of the train stage, a released model's folder, or a file; everything else is refused here, before anything
slow begins.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dftiny import graph as graphs
from dftiny.artifact import MANIFEST, Manifest, read_manifest, sha256_file
from dftiny.data.index import INDEX
from dftiny.errors import DftError
from dftiny.export import onnx
from dftiny.export.tiles import load_tiles, synthetic

if TYPE_CHECKING:
    from dftiny.nets.checkpoint import Checkpoint

CALIBRATION_TILES = 128
GOLDEN_TILES = 8
CHECKPOINT = "checkpoint.safetensors"
CHECKPOINTS = (".safetensors", ".pt", ".pth", ".tar")  # micromind writes state-dict.pth.tar


@dataclass(frozen=True, eq=False)
class Source:
    """One of `checkpoint`, `onnx_path` and `tflite_path` is set. Tiles are uint8 [n, H, W, 3]; `parents` maps roles to
    digests. An int8 .tflite needs no calibration: its `calibration` are the golden tiles."""

    name: str
    checkpoint: Checkpoint | None
    onnx_path: Path | None
    tflite_path: Path | None
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


def converter_installed() -> bool:
    """Whether a checkpoint could be converted here: torch and the converter are installed."""
    return all(importlib.util.find_spec(p) is not None for p in ("torch", "onnx", "onnx2tf", "tensorflow"))


@dataclass(frozen=True)
class Reading:
    """What the user says of a source that does not say it itself; None leaves it to the source.

    `calibration` and `golden` are where tiles come from. `data` is the data folder whose training tiles calibrate a
    checkpoint that comes without tiles of its own, if it exists. `net` and `tile` (pixels) are for checkpoints; `mean`
    and `std` (0…1 scale, comma separated) and `layout` (nchw, nhwc) for ONNX models.
    """

    calibration: Path | None = None
    golden: Path | None = None
    data: Path | None = None
    net: str | None = None
    tile: int | None = None
    mean: str | None = None
    std: str | None = None
    layout: str | None = None


def open_source(path: Path, said: Reading) -> Source:
    """Look at `path` and gather what the export needs. DftError for whatever is missing, and for what does not belong."""
    if not path.exists():
        raise DftError(
            f"there is nothing at {path}",
            "give a checkpoint, the folder of `dftiny train`, an .onnx or an int8 .tflite",
        )
    if path.suffix == ".onnx":
        if said.net is not None:
            raise DftError("--net is for checkpoints, an ONNX model brings its own net", "leave --net away")
        return _from_onnx(path, said)
    if (said.mean, said.std, said.layout) != (None, None, None):
        raise DftError(
            "--mean, --std and --layout are for ONNX models, the nets here normalise inside",
            "leave them away",
        )
    if path.suffix == ".tflite":
        if said.net is not None or said.tile is not None:
            raise DftError(
                "--net and --tile are for checkpoints, an int8 .tflite brings both", "leave them away"
            )
        return _from_tflite(path, said)
    if path.is_dir() or path.suffix in CHECKPOINTS:
        return _from_checkpoint(path, said)
    raise DftError(
        f"{path} is no model that dftiny knows", "give .safetensors, .pt, .onnx or an int8 .tflite"
    )


def _from_checkpoint(path: Path, said: Reading) -> Source:
    calibration = said.calibration or _calibration_of(path, said.data)
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and not (path / CHECKPOINT).is_file():
        raise DftError(
            f"{path} holds no {CHECKPOINT}", "give the folder of `dftiny train`, or a checkpoint file"
        )
    if calibration is None:
        raise _no_calibration(path)
    onnx.require("torch", "safetensors")
    from dftiny.nets.checkpoint import load_detector

    checkpoint = load_detector(path, preset=said.net, tile=said.tile)
    size = (checkpoint.tile, checkpoint.tile)
    tiles = load_tiles(calibration, size, CALIBRATION_TILES)
    released = read_manifest(folder) if path.is_dir() and (folder / MANIFEST).is_file() else None
    parents = {"checkpoint": checkpoint.sha256}
    if released is not None:
        parents[released.stage] = released.digest
    parents.update(_tile_parents(calibration, said.golden))
    name = f"{checkpoint.preset}_{checkpoint.tile}"
    return Source(
        name=folder.name if folder.name.startswith(f"{name}.") else f"{name}.own",
        checkpoint=checkpoint,
        onnx_path=None,
        tflite_path=None,
        normalisation=None,
        layout=None,
        classes=checkpoint.classes,
        threshold=checkpoint.threshold,
        calibration=tiles,
        golden=_golden(said.golden or _own_golden(folder), tiles),
        parents=parents,
    )


def _calibration_of(path: Path, data: Path | None) -> Path | None:
    """The tiles that a checkpoint is calibrated with when nobody says otherwise: its own, else the data folder's."""
    own = (path if path.is_dir() else path.parent) / "calibration.npz"
    if own.is_file():
        return own
    return data if data is not None and (data / INDEX).is_file() else None


def _from_onnx(path: Path, said: Reading) -> Source:
    normalisation = onnx.parse_normalisation(said.mean, said.std)
    onnx.require("onnx", "onnxsim")
    if said.calibration is None:
        raise _no_calibration(path)
    tiles = load_tiles(said.calibration, onnx.input_size(path), CALIBRATION_TILES)
    return Source(
        name=_own_name(path.stem, tiles.shape[1]),
        checkpoint=None,
        onnx_path=path,
        tflite_path=None,
        normalisation=normalisation,
        layout=said.layout,
        classes=None,
        threshold=0.0,
        calibration=tiles,
        golden=_golden(said.golden, tiles),
        parents={"onnx": sha256_file(path), **_tile_parents(said.calibration, said.golden)},
    )


def _from_tflite(path: Path, said: Reading) -> Source:
    if said.calibration is not None:
        raise DftError("an int8 .tflite is calibrated already", "leave --calibration away")
    released = _released(path.parent)
    g = graphs.load(path)
    if len(g.input.shape) != 4 or g.input.shape[3] != 3:
        raise DftError(
            f"{path} takes {list(g.input.shape)}, not one tile [1, H, W, 3]", "export an image model"
        )
    size = g.input.shape[1], g.input.shape[2]
    given = said.golden or _own_golden(path.parent)
    tiles = synthetic(size) if given is None else load_tiles(given, size, GOLDEN_TILES)
    return Source(
        name=_own_name(path.stem, size[0]) if released is None else path.parent.name,
        checkpoint=None,
        onnx_path=None,
        tflite_path=path,
        normalisation=None,
        layout=None,
        classes=None,
        threshold=0.0 if released is None else float(released.config["threshold"]),
        calibration=tiles,
        golden=tiles,
        parents={"tflite": sha256_file(path), **({} if released is None else {"model": released.digest})},
    )


def _released(folder: Path) -> Manifest | None:
    """The manifest of a released model's folder, or None for any other folder."""
    manifest = read_manifest(folder) if (folder / MANIFEST).is_file() else None
    return manifest if manifest is not None and manifest.stage == "model" else None


def _own_golden(folder: Path) -> Path | None:
    return next((p for p in (folder / "golden.npz", folder / "golden" / "tiles.npz") if p.is_file()), None)


def _own_name(stem: str, tile: int) -> str:
    plain = re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_").lower() or "net"
    return f"{plain}_{tile}.own"


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
