"""Make a folder under models/ from a finished run: checkpoint, recipe, shippable tiles, card, manifest.

Run by hand when a model is released: `python -m dftiny.release DATA TRAIN EVALUATE OUT`. Only tiles of CC0 and
CC-BY photographs of the demo list leave the machine; the card attributes them.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
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
from dftiny.data.index import ImageRow, load_index, read_image
from dftiny.data.photos import Photo, demo_photos, seed_of
from dftiny.data.tiles import tiles
from dftiny.errors import DftError
from dftiny.evaluate import METRICS
from dftiny.verdict.validation import fit_verdict, table

CALIBRATION_TILES = 40
VERDICTS = "## When it says real or fake"
# Four real tiles and one fake of four generators, two of them held out.
GOLDEN_KINDS = ("real", "tconv", "real", "nearest", "real", "pixshuf", "real", "bilinear")
COPIED = ("checkpoint.safetensors", "recipe.toml")
PACKED = ("calibration.npz", "golden.npz")


def release(data: Path, train: Path, evaluate: Path, out: Path) -> None:
    """Write the released model `out`. DftError when the three stages do not belong to one run."""
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
    photos = {p.id: p for p in demo_photos()[0] if p.shippable}
    rows = [r for r in load_index(data).images if r.source in photos and r.sharing == "pre"]
    with new_folder(out, stage="model") as folder:
        for name in COPIED:
            shutil.copyfile(train / name, folder / name)
        used = _calibration(folder / "calibration.npz", data, rows) + _golden(
            folder / "golden.npz", data, rows
        )
        card = _card(
            out.name, trained.metrics, read_json(evaluate / METRICS), [photos[s] for s in dict.fromkeys(used)]
        )
        (folder / "card.md").write_text(card, encoding="utf-8")
        recipe = trained.config["recipe"]
        config = {"net": recipe["net"], "tile": recipe["tile"], "seed": trained.config["seed"]}
        config |= {k: trained.metrics[k] for k in ("parameters", "macs", "threshold")}
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


def with_verdicts(card: str, figures: str) -> str:
    """The card with its section on verdicts, in place of an earlier one."""
    before, found, after = card.partition(VERDICTS)
    rest = after[after.find("\n## ") + 1 :] if found and "\n## " in after else ""
    text = (
        f"{VERDICTS}\nOn the validation photographs, parts called real, fake and undecided, tiles shown, and how often the\n"
        "end was that of all tiles. After compression nothing is confirmed as real. Fitted by `dftiny verdict`.\n\n"
    )
    return f"{before.rstrip()}\n\n{text}```\n{figures}\n```\n" + (f"\n{rest}" if rest else "")


def _calibration(path: Path, data: Path, rows: Sequence[ImageRow]) -> list[str]:
    """One random tile of each of CALIBRATION_TILES training images, evenly over the index; their photographs."""
    train = [r for r in rows if r.split == "train"]
    chosen = [train[i] for i in np.linspace(0, len(train) - 1, CALIBRATION_TILES).round().astype(int)]
    picked = []
    for row in chosen:
        cut = tiles(read_image(data, row), 128)
        picked.append(cut[np.random.default_rng(seed_of("calibration", row.id)).integers(len(cut))])
    _pack(path, tiles=np.stack(picked), ids=np.array([r.id for r in chosen]))
    return [r.source for r in chosen]


def _golden(path: Path, data: Path, rows: Sequence[ImageRow]) -> list[str]:
    """One tile of each of GOLDEN_KINDS from the test split, with labels (1 real); their photographs."""
    picked, chosen = [], []
    for number, kind in enumerate(GOLDEN_KINDS):
        of_kind = [r for r in rows if r.split == "test" and r.kind == kind]
        row = of_kind[number % len(of_kind)]
        cut = tiles(read_image(data, row), 128)
        picked.append(cut[(5 * number + 2) % len(cut)])
        chosen.append(row)
    labels = np.array([r.target for r in chosen], dtype=np.int64)
    _pack(path, tiles=np.stack(picked), ids=np.array([r.id for r in chosen]), labels=labels)
    return [r.source for r in chosen]


def _pack(path: Path, **arrays: NDArray[Any]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    path.write_bytes(buffer.getvalue())


def _card(name: str, trained: Mapping[str, Any], judged: Mapping[str, Any], photos: Sequence[Photo]) -> str:
    lines = [
        "| sharing | images | AUC | 95 % interval | accuracy | balanced | F1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for sharing, groups in judged["metrics"].items():
        for group, m in groups.items():
            low, high = m.get("auc_interval", (None, None))
            interval = f"{low:.3f} to {high:.3f}" if low is not None else ""
            cells = " | ".join(
                f"{m[k]:.3f}" if k in m else "" for k in ("accuracy", "balanced_accuracy", "f1")
            )
            auc = f"{m['auc']:.3f}" if "auc" in m else ""
            lines.append(f"| {sharing}, {group} | {m['n']} | {auc} | {interval} | {cells} |")
    table = "\n".join(lines)
    credits = "\n".join(
        f"- {p.path.name} by {p.author}, {p.licence} (Debian package {p.package})" for p in photos
    )
    return f"""# {name}

A PhiNet for 128 px tiles, trained on dftiny's demo data: {trained["parameters"]:,} parameters, {trained["macs"]:,} MACs a tile
(float net). Output: one logit, positive = real; an image's logit is the mean over its tiles; threshold
{judged["threshold"]:+.4f}, calibrated on the validation split (validation AUC {trained["val_auc"]:.3f}).

## What it is not
It finds simulated up-sampling traces in photographs that hardly ever show a face. It knows no real generator, was
never shown TrueFace, and must not be used to judge whether a picture found somewhere is genuine. After JPEG it is
much weaker (below): it was trained on lossless images only. A strong denoiser makes it call a real photograph fake,
and resized or shifted copies weaken it, since their traces leave the 8-px grid.

## Measured, float net, test split
512 px images of 16 tiles, intervals by bootstrap over source photographs (10 of them: read them, not the third digit).
"all" is every fake against the plain reals; pixshuf and bilinear were held out of training. "blur" and "denoise" put
processed reals in the place of plain ones; "resized" and "offgrid" are copies of reals and fakes.

{table}

Training uses random periodic filters and processed reals beside the three training generators. Steps and the share of
processed reals were chosen by training time and validation images; an earlier, longer run of the same recipe had been
evaluated once on the test split before that (AUC .977). After that look two things of the data builder were
changed for speed alone (tries for a textured crop, memory layout of the generators) and the set was built again.

## Tiles in this folder
calibration.npz ({CALIBRATION_TILES} tiles of the training split) and golden.npz ({len(GOLDEN_KINDS)} of the test split) hold shrunk and cropped parts of
the photographs below, some of them changed by a simulated generator. CC-BY-4.0:
https://creativecommons.org/licenses/by/4.0/, CC0-1.0: https://creativecommons.org/publicdomain/zero/1.0/.

{credits}
"""


def main(arguments: Sequence[str]) -> None:
    """`DATA TRAIN EVALUATE OUT`, four folders."""
    if len(arguments) != 4:
        raise DftError("usage: python -m dftiny.release DATA TRAIN EVALUATE OUT")
    release(*(Path(a) for a in arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
