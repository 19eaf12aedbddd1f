"""`dftiny compare`: float, ONNX, int8 oracle, TFLM and boards side by side on the same tiles.

A use case: it runs ONNX, the oracle and TFLM on the data's test images before sharing, takes the float logits
from evaluate's folder and the boards' outputs from bench folders, and fails when one int8 bit differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from dftiny.artifact import (
    Manifest,
    new_folder,
    read_json,
    read_manifest,
    refuse_foreign,
    tool_versions,
    write_json,
    write_manifest,
)
from dftiny.bench.model import Model, load_model
from dftiny.bench.side import Column, column_from_bench, column_from_npz, side_by_side
from dftiny.data.index import ImageRow, load_index, read_image
from dftiny.data.tiles import tiles
from dftiny.errors import CheckFailed, DftError

RESULT = "compare.json"
REFERENCE = "TFLM"
PARTS = 2  # ONNX runs beside TFLM's child process: two busy cores


def compare(
    *,
    out: Path,
    data: Path,
    evaluate_dir: Path,
    bundle: Path,
    bench_dirs: Sequence[Path],
    quiet: bool = False,
) -> Manifest:
    """Write the stage folder `out` with compare.json and print its table.

    DftError for missing stages or stages of other parents; CheckFailed (after writing) when int8 bits differ.
    """
    refuse_foreign(out, stage="compare")
    model = load_model(bundle)
    if not model.two_classes:
        raise DftError(f"{bundle} has more than two classes", "compare works for real against fake")
    index = load_index(data)
    rows = index.held_out()
    if not rows:
        raise DftError(f"{data} has no test images before sharing", "build the data again")
    parents = _parents(data, evaluate_dir, model, bench_dirs)
    columns = [
        column_from_npz("float", evaluate_dir / "tiles.npz"),
        *_computed(model, data, rows, quiet),
        *(column_from_bench(_board(folder), folder) for folder in bench_dirs),
    ]
    result = {
        "schema": 1,
        "data": index.name,
        "simulated": True,
        "split": "test",
        "sharing": "pre",
        "threshold": model.bundle.threshold,
        **side_by_side(columns, rows, model.bundle.threshold, reference=REFERENCE),
    }
    with new_folder(out, stage="compare") as folder:
        write_json(folder / RESULT, result)
        manifest = write_manifest(
            folder,
            "compare",
            files=[RESULT],
            parents=parents,
            metrics={"columns": result["columns"]},
            tools=tool_versions("onnxruntime", "tflite-micro", "numpy"),
        )
    if not quiet:
        print(text(result))
    _refuse_differences(result)
    return manifest


def _parents(data: Path, evaluate_dir: Path, model: Model, bench_dirs: Sequence[Path]) -> dict[str, str]:
    """Digests of everything compared; DftError when a bench is of another bundle."""
    parents = {
        "data": read_manifest(data, "data", verify=False).digest,
        "evaluate": read_manifest(evaluate_dir, "evaluate").digest,
        "bundle": model.bundle.manifest.digest,
    }
    expected = model.bundle.digest.hex()
    for folder in bench_dirs:
        parents[f"bench {_board(folder)}"] = read_manifest(folder, "bench", verify=False).digest
        found = read_json(folder / "bench.json", "bench result")["bundle"]["digest"]
        if found != expected:
            raise DftError(f"{folder} ran bundle {found[:12]}, not {expected[:12]}", "run bench again")
    return parents


def _board(folder: Path) -> str:
    board: Mapping[str, Any] = read_json(folder / "bench.json", "bench result")["board"]
    return str(board["name"])


def _computed(model: Model, data: Path, rows: Sequence[ImageRow], quiet: bool) -> list[Column]:
    """The columns that are computed here: ONNX, int8 (the numpy oracle), TFLM."""
    from dftiny.export.onnx import run_onnx
    from dftiny.export.tflm import run_tflm

    pixels = [tiles(read_image(data, row), model.bundle.tile) for row in rows]
    keys = tuple((row.id, t) for row, p in zip(rows, pixels, strict=True) for t in range(len(p)))
    everything = np.concatenate(pixels)
    x = model.to_int8(everything)
    model_bytes = (model.bundle.folder / "model.tflite").read_bytes()
    if not quiet:
        print(f"ONNX, int8 oracle and TFLM on {len(keys)} tiles of {len(rows)} images …", flush=True)
    with ThreadPoolExecutor(PARTS) as pool:
        # TFLM is the slowest: its child process gets one core, everything else shares the other.
        tflm: Future[np.ndarray] = pool.submit(run_tflm, model_bytes, x)
        onnx = _logit(run_onnx(model.bundle.folder / "model.onnx", everything), model)
        oracle = model.oracle(x)
        bits = tflm.result().reshape(len(x), -1)
    return [
        Column("ONNX", keys, onnx),
        Column("int8", keys, model.scores(oracle), oracle),
        Column(REFERENCE, keys, model.scores(bits), bits),
    ]


def _logit(logits: np.ndarray, model: Model) -> np.ndarray:
    """One score a tile [n] of float logits [n, 1] or [n, 2]."""
    if logits.shape[1] == 1:
        return logits[:, 0].astype(np.float64)
    at = model.bundle.classes.index(model.bundle.positive)
    difference: np.ndarray = (logits[:, at] - logits[:, 1 - at]).astype(np.float64)
    return difference


def text(result: Mapping[str, Any]) -> str:
    """The table: a line a metric, a column a stage; then the tiles whose int8 outputs equal TFLM's."""
    columns = result["columns"]
    width = max(12, *(len(c["name"]) + 2 for c in columns))
    head = f"{'':<22}" + "".join(f"{c['name']:>{width}}" for c in columns)
    lines = [
        f"{result['images']} images, {result['tiles']} tiles, {result['data']} data (simulated fakes), "
        f"test split, before sharing",
        head,
    ]
    for label, key in (
        ("AUC", "auc"),
        ("balanced accuracy", "balanced_accuracy"),
        ("accuracy", "accuracy"),
        ("F1", "f1"),
    ):
        lines.append(
            f"{label:<22}" + "".join(f"{c[key]:>{width}.4f}" if key in c else " " * width for c in columns)
        )
    lines.append(f"{'AUC, 95 % interval':<22}" + "".join(f"{_interval(c):>{width}}" for c in columns))
    lines.append(
        f"{'tiles equal to ' + result['reference']:<22}"
        + "".join(f"{c.get('identical', ''):>{width}}" for c in columns)
    )
    return "\n".join(lines)


def _interval(column: Mapping[str, Any]) -> str:
    interval = column.get("auc_interval")
    return f"{interval[0]:.3f}–{interval[1]:.3f}" if interval else ""


def _refuse_differences(result: Mapping[str, Any]) -> None:
    for column in result["columns"]:
        if "identical" in column and column["identical"] != result["tiles"]:
            missing = result["tiles"] - column["identical"]
            raise CheckFailed(
                f"{column['name']} differs from {result['reference']} on {missing} of {result['tiles']} tiles"
            )
