"""`dftiny diagnose`: any int8 model, a bundle or a .tflite, compared with its float twin or with itself in float."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dftiny import graph as graphs
from dftiny.artifact import MANIFEST, read_manifest, write_json
from dftiny.diagnose.explain import diagnose, lines
from dftiny.errors import DftError
from dftiny.export.tiles import load_tiles, synthetic

MODEL, FLOAT_MODEL = "model.tflite", "float.tflite"
TILES = 32
SEED = 0


def diagnose_command(
    model: Path, float_path: Path | None = None, tiles: Path | None = None, json_path: Path | None = None
) -> None:
    """Print the diagnosis of `model`, a bundle's folder or an int8 .tflite; write it to `json_path` as well.

    DftError for what is neither, and for a float model that is not its twin.
    """
    folder = model if model.is_dir() else None
    if folder is not None:
        if not (folder / MANIFEST).is_file() or read_manifest(folder).stage not in ("bundle", "model"):
            raise DftError(f"{folder} holds no model", "give a bundle or a .tflite")
        model = folder / MODEL
        kept = folder / FLOAT_MODEL
        float_path = float_path or (kept if kept.is_file() else None)
    g = graphs.load(model)
    given, what = _tiles(g, tiles, folder or model.parent)
    floats = None if float_path is None else _read(float_path)
    found = diagnose(g, given, model=model.read_bytes(), floats=floats)
    print("\n".join(lines(found)))
    print(f"inputs: {what}")
    if json_path is not None:
        write_json(json_path, found.as_json() | {"inputs": what})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise DftError(f"cannot read {path}: {e.strerror}", "give the float .tflite") from e


def _tiles(g: graphs.Graph, path: Path | None, folder: Path) -> tuple[np.ndarray, str]:
    """(uint8 tiles, where they come from): those asked for, those beside the model, else made-up ones."""
    shape = g.input.shape[1:]
    pictures = len(shape) == 3 and shape[2] == 3
    if path is None:
        beside = (folder / n for n in ("calibration.npz", "golden.npz"))
        path = next((p for p in beside if pictures and p.is_file()), None)
    if path is not None:
        if not pictures:
            raise DftError(f"{g.name} takes {list(shape)}, not tiles [H, W, 3]", "leave --tiles away")
        return load_tiles(path, (shape[0], shape[1]), TILES), str(path)
    if (folder / "golden" / "inputs.npy").is_file():
        golden = np.load(folder / "golden" / "inputs.npy")
        return golden.view(np.uint8) ^ np.uint8(0x80), "the bundle's golden tiles"
    noise = np.random.default_rng(SEED).integers(0, 256, (TILES, *shape), np.uint8)
    made = np.concatenate([synthetic((shape[0], shape[1])), noise]) if pictures else noise
    return made, "noise, so the ranges are not those of real inputs; give --tiles"
