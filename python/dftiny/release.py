"""Make a folder under models/ from a finished run: checkpoint, recipe, shippable tiles, card, manifest.

Run by hand when a model is released: `python -m dftiny.release DATA TRAIN EVALUATE OUT [--correct-bias]`, or converted again
with its checkpoint as it is: `python -m dftiny.release --again MODEL DATA [--correct-bias]`. Only tiles of CC0 and
CC-BY photographs of the demo list leave the machine; the card attributes them.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny.artifact import (
    Manifest,
    atomic_write,
    new_folder,
    read_json,
    read_manifest,
    tool_versions,
    write_manifest,
)
from dftiny.bundle import MODEL, VERDICT, export
from dftiny.crossval.report import TABLES
from dftiny.data.calibration import calibration_rows, calibration_tiles
from dftiny.data.index import ImageRow, load_index, read_image
from dftiny.data.photos import demo_photos
from dftiny.data.sharing import PRE
from dftiny.data.tiles import tiles
from dftiny.diagnose import Cures
from dftiny.errors import DftError
from dftiny.evaluate import METRICS
from dftiny.export.stages import NO_CURES
from dftiny.model_card import card, with_crossval, with_verdicts
from dftiny.verdict.validation import fit_verdict, table

# Four real tiles and one fake of four generators, two of them held out.
GOLDEN_KINDS = ("real", "tconv", "real", "nearest", "real", "pixshuf", "real", "bilinear")
COPIED = ("checkpoint.safetensors", "recipe.toml")
PACKED = ("calibration.npz", "golden.npz")


def release(data: Path, train: Path, evaluate: Path, out: Path, cures: Cures = NO_CURES) -> None:
    """Write the released model `out`, exported with `cures` now and by whoever exports its checkpoint again.

    DftError when the three stages do not belong to one run.
    """
    trained, made, judged = (
        read_manifest(train, "train"),
        read_manifest(data, "data"),
        read_manifest(evaluate, "evaluate"),
    )
    checkpoint = trained.files["checkpoint.safetensors"]["sha256"]
    if (
        trained.parents["data"] != made.digest
        or judged.parents["checkpoint"] != checkpoint
        or judged.parents["data"] != made.digest
    ):
        raise DftError(
            f"{data}, {train} and {evaluate} are not stages of one run", "run train and evaluate again"
        )
    from dftiny.train.recipe import parse_recipe

    recipe = parse_recipe(trained.config["recipe"], str(train))
    photos = {p.id: p for p in demo_photos()[0] if p.shippable}
    rows = _shippable(data)
    with new_folder(out, stage="model") as folder:
        for name in COPIED:
            shutil.copyfile(train / name, folder / name)
        used = _calibration(folder / "calibration.npz", data, rows, recipe.tile)
        used += _golden(folder / "golden.npz", data, rows, recipe.tile)
        credited = [photos[s] for s in dict.fromkeys(used)]
        text = card(out.name, recipe, trained.metrics, read_json(evaluate / METRICS), credited)
        (folder / "card.md").write_text(text, encoding="utf-8")
        config = {"net": recipe.net, "tile": recipe.tile, "seed": trained.config["seed"]}
        config |= {k: trained.metrics[k] for k in ("parameters", "macs", "threshold")}
        config |= {"cures": asdict(cures)} if cures.any else {}
        write_manifest(
            folder,
            "model",
            files=[*COPIED, *PACKED, "card.md"],
            parents={"data": made.digest, "train": trained.digest, "evaluate": judged.digest},
            config=config,
            metrics={"val_auc": trained.metrics["val_auc"]},
            tools=tool_versions("torch", "numpy", "pillow"),
        )
    add_int8(out)
    add_verdict(out, data)


def convert_again(model: Path, data: Path, cures: Cures) -> None:
    """The released model `model` with the same checkpoint, but tiles to calibrate on, int8 file and verdict made anew.

    DftError when it was not trained on `data`.
    """
    old = read_manifest(model, "model")
    if read_manifest(data, "data").digest != old.parents["data"]:
        raise DftError(f"{model} was not trained on {data}", "give the data folder of its training")
    _calibration(model / "calibration.npz", data, _shippable(data), int(old.config["tile"]))
    kept = {k: v for k, v in old.config.items() if k != "cures"}
    config = kept | ({"cures": asdict(cures)} if cures.any else {})
    _list_beside(model, replace(old, config=config), "calibration.npz")
    add_int8(model)
    add_verdict(model, data)


def add_int8(model: Path) -> None:
    """Export the released model `model` and put its model.tflite beside the checkpoint, for installs without the converter."""
    old = read_manifest(model, "model")
    with tempfile.TemporaryDirectory() as name:
        export(model, out=Path(name) / "bundle")
        with atomic_write(model / MODEL) as f:
            f.write((Path(name) / "bundle" / MODEL).read_bytes())
    _list_beside(model, old, MODEL)


def add_verdict(model: Path, data: Path) -> None:
    """Fit the verdict of the released model `model` on the data folder it was trained on, and put verdict.json beside it."""
    old = read_manifest(model, "model")
    if read_manifest(data, "data").digest != old.parents["data"]:
        raise DftError(f"{model} was not trained on {data}", "give the data folder of its training")
    verdict = fit_verdict(model / MODEL, data, model / VERDICT)
    card = (model / "card.md").read_text(encoding="utf-8")
    with atomic_write(model / "card.md", "w") as f:
        f.write(with_verdicts(card, table(verdict)))
    _list_beside(model, old, VERDICT)


def add_crossval(model: Path, crossval: Path) -> None:
    """Put the tables of the cross-validation `crossval` into the card of the released model `model`."""
    old = read_manifest(model, "model")
    tables = (crossval / TABLES).read_text(encoding="utf-8")
    text = (model / "card.md").read_text(encoding="utf-8")
    with atomic_write(model / "card.md", "w") as f:
        f.write(with_crossval(text, tables))
    _list_beside(model, old, "card.md")


def _list_beside(model: Path, old: Manifest, name: str) -> None:
    """The manifest again, with file `name` among the model's files."""
    write_manifest(
        model,
        "model",
        files={*old.files, name},
        parents=old.parents,
        config=old.config,
        metrics=old.metrics,
        tools=old.tools,
    )


def _shippable(data: Path) -> list[ImageRow]:
    """Images before sharing, of photographs whose licence lets their tiles leave the machine."""
    photos = {p.id for p in demo_photos()[0] if p.shippable}
    return [r for r in load_index(data).images if r.source in photos and r.sharing == PRE]


def _calibration(path: Path, data: Path, rows: Sequence[ImageRow], tile: int) -> list[str]:
    """One random tile of each of some training images, shared by turns: whatever it was trained on, a net will be
    shown shared images, and ranges taken from lossless ones alone cost it up to .02 AUC there. Their photographs."""
    chosen = calibration_rows(rows)
    _pack(path, tiles=calibration_tiles(data, chosen, tile), ids=np.array([r.id for r in chosen]))
    return [r.source for r in chosen]


def _golden(path: Path, data: Path, rows: Sequence[ImageRow], tile: int) -> list[str]:
    """One tile of each of GOLDEN_KINDS from the test split, with labels (1 real); their photographs."""
    picked, chosen = [], []
    for number, kind in enumerate(GOLDEN_KINDS):
        of_kind = [r for r in rows if r.split == "test" and r.kind == kind]
        row = of_kind[number % len(of_kind)]
        cut = tiles(read_image(data, row), tile)
        picked.append(cut[(5 * number + 2) % len(cut)])
        chosen.append(row)
    labels = np.array([r.target for r in chosen], dtype=np.int64)
    _pack(path, tiles=np.stack(picked), ids=np.array([r.id for r in chosen]), labels=labels)
    return [r.source for r in chosen]


def _pack(path: Path, **arrays: NDArray[Any]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    path.write_bytes(buffer.getvalue())


def main(arguments: Sequence[str]) -> None:
    """`DATA TRAIN EVALUATE OUT [--correct-bias]`, `--again MODEL DATA [--correct-bias]`, or `MODEL CROSSVAL`: the tables of
    a cross-validation into its card."""
    folders = [Path(a) for a in arguments if a not in ("--correct-bias", "--again")]
    if "--again" in arguments and len(folders) == 2:
        model, data = folders
        convert_again(model, data, Cures(correct_bias="--correct-bias" in arguments))
    elif len(folders) == 2:
        add_crossval(*folders)
    elif len(folders) == 4:
        data, train, evaluate, out = folders
        release(data, train, evaluate, out, Cures(correct_bias="--correct-bias" in arguments))
    else:
        raise DftError(
            "usage: python -m dftiny.release DATA TRAIN EVALUATE OUT [--correct-bias] | --again MODEL DATA [--correct-bias] | MODEL CROSSVAL"
        )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except DftError as e:
        print(f"dftiny.release: {e}", file=sys.stderr)
        sys.exit(e.exit_code)
