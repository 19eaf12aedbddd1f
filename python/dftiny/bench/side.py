"""Several stages side by side on the same tiles: image AUC and accuracy a column, and tiles equal to TFLM. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny.artifact import read_json
from dftiny.bench.model import scores
from dftiny.data.index import ImageRow
from dftiny.data.tiles import image_logit
from dftiny.errors import DftError
from dftiny.evaluate import image_metrics

TileKey = tuple[str, int]


@dataclass(frozen=True)
class Column:
    """One stage. `scores` float [tiles] by (image id, tile); `outputs` int8 [tiles, outputs] where it is int8."""

    name: str
    keys: tuple[TileKey, ...]
    scores: NDArray[np.float64]
    outputs: NDArray[np.int8] | None = None


def column_from_npz(name: str, path: Path) -> Column:
    """A column from an .npz: ids str [images], counts int [images], logits float [all tiles] in that order.

    `outputs` int8 [all tiles, outputs] is taken where the file has it. DftError when it is another file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            ids, counts, scores = file["ids"], file["counts"], file["logits"].astype(np.float64)
            outputs = file["outputs"].astype(np.int8) if "outputs" in file else None
    except (OSError, ValueError, KeyError) as e:
        raise DftError(f"{path} holds no tile logits ({e})", "run the stage that writes it again") from e
    keys = tuple((str(i), t) for i, n in zip(ids, counts, strict=True) for t in range(int(n)))
    if len(keys) != len(scores):
        raise DftError(
            f"{path} holds {len(scores)} logits for {len(keys)} tiles", "run the stage that writes it again"
        )
    return Column(name, keys, scores, outputs if outputs is None else outputs.reshape(len(keys), -1))


def column_from_bench(name: str, folder: Path) -> Column:
    """A column from a bench folder: the int8 outputs of tiles.jsonl, dequantised."""
    info = read_json(folder / "bench.json", "bench result")["bundle"]
    keys, outputs = read_tiles(folder / "tiles.jsonl")
    q = info["output"]
    found = scores(outputs, float(q["scale"]), int(q["zero_point"]), tuple(info["classes"]), info["positive"])
    if found.ndim != 1:
        raise DftError(f"{folder} has more than two classes", "side by side works for real against fake")
    return Column(name, keys, found, outputs)


def read_tiles(path: Path) -> tuple[tuple[TileKey, ...], NDArray[np.int8]]:
    """(id, tile) and int8 [tiles, outputs] of a tiles.jsonl."""
    import json

    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        keys = tuple((str(v["id"]), int(v["tile"])) for v in lines)
        return keys, np.array([v["output"] for v in lines], dtype=np.int8)
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise DftError(f"{path} is not a bench's tiles.jsonl ({e})", "run bench again") from e


def side_by_side(
    columns: Sequence[Column], rows: Sequence[ImageRow], threshold: float, *, reference: str = "TFLM"
) -> dict[str, Any]:
    """Image-level metrics a column on the images that all columns have, and tiles identical to `reference`.

    `rows` are the images to judge, of one split and sharing profile, for their labels; result: {"images", "tiles", "columns": [{"name", "auc",
    "accuracy", …, "identical": n}]}. `identical` stands only where both columns are int8. DftError when no image
    is in every column.
    """
    tables = [_by_image(c) for c in columns]
    common = [r for r in rows if all(r.id in t for t in tables)]
    if not common or not tables:
        raise DftError("the columns have no image in common", "run every stage on the same data folder")
    base = next((c for c in columns if c.name == reference), None)
    ids = {r.id for r in common}
    result = []
    for column, table in zip(columns, tables, strict=True):
        scores = [image_logit(table[r.id]) for r in common]
        groups = image_metrics(common, scores, threshold)[common[0].sharing]
        entry: dict[str, Any] = {
            "name": column.name,
            **{k: v for k, v in groups.get("all", {}).items() if k != "roc"},
        }
        if base is not None and base.outputs is not None and column.outputs is not None:
            entry["identical"] = _identical(base, column, ids)
        result.append(entry)
    tiles = sum(len(tables[0][r.id]) for r in common)
    return {"images": len(common), "tiles": tiles, "reference": reference, "columns": result}


def _by_image(column: Column) -> dict[str, NDArray[np.float64]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for (image, tile), score in zip(column.keys, column.scores, strict=True):
        found.setdefault(image, []).append((tile, float(score)))
    # Sorted, so that sums are taken in one order and equal outputs give equal means to the last bit.
    return {i: np.array([s for _, s in sorted(v)]) for i, v in found.items()}


def _identical(base: Column, other: Column, ids: set[str]) -> int:
    """Tiles of those images whose int8 outputs are equal in both columns."""
    assert base.outputs is not None and other.outputs is not None
    known: Mapping[TileKey, bytes] = {k: o.tobytes() for k, o in zip(base.keys, base.outputs, strict=True)}
    pairs = zip(other.keys, other.outputs, strict=True)
    return sum(known.get(k) == o.tobytes() for k, o in pairs if k[0] in ids)
