"""Two or three images with their tile logits, kept beside bench.json so that the report can show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dftiny.bench.record import Record
from dftiny.data.index import CONTROLS
from dftiny.data.tiles import tile_grid

SIDE_PX = 384  # of the photograph in the report; the tiles were run at native resolution


def choose(rows: Sequence[Mapping[str, Any]], threshold: float) -> list[tuple[str, int]]:
    """(why, position in rows) of the surest real, the surest fake, and the worst mistake, as far as they exist."""
    plain = [(r, i) for i, r in enumerate(rows) if r.get("kind") not in CONTROLS]
    scored = [(r["logit"], i) for r, i in plain if "logit" in r and "label" in r]
    right = [(s, i) for s, i in scored if rows[i]["said"] == rows[i]["label"]]
    wrong = [(s, i) for s, i in scored if rows[i]["said"] != rows[i]["label"]]
    chosen = []
    real = [(s, i) for s, i in right if rows[i]["label"] == "real"]
    fake = [(s, i) for s, i in right if rows[i]["label"] == "fake"]
    if real:
        chosen.append(("the surest real", max(real)[1]))
    if fake:
        chosen.append(("the surest fake", min(fake)[1]))
    if wrong:
        chosen.append(("the worst mistake", max(wrong, key=lambda p: abs(p[0] - threshold))[1]))
    return chosen


def save(
    record: Record, rows: Sequence[Mapping[str, Any]], folder: Path
) -> tuple[list[dict[str, Any]], list[str]]:
    """Write maps/N.jpg into the bench folder; their entries for bench.json and the names of the files."""
    from PIL import Image

    entries: list[dict[str, Any]] = []
    files: list[str] = []
    whole = sorted(record.checked)
    for why, k in choose(rows, record.model.bundle.threshold):
        item, found = record.work.items[whole[k]], record.checked[whole[k]]
        _, pixels = item.load()
        if pixels is None:
            continue
        tile = record.model.bundle.tile
        down, across = tile_grid(pixels.shape[0], pixels.shape[1], tile)
        picture = Image.fromarray(pixels[: down * tile, : across * tile])
        picture.thumbnail((SIDE_PX, SIDE_PX))
        name = f"maps/{len(entries)}.jpg"
        (folder / "maps").mkdir(exist_ok=True)
        picture.save(folder / name, quality=88)
        logits = [float(v) for v in record.model.scores(found["outputs"])]
        entries.append(
            {**rows[k], "why": why, "file": name, "rows": down, "columns": across, "logits": logits}
        )
        files.append(name)
    return entries, files
