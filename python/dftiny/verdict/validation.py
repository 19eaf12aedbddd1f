"""Fits verdict.json of a model on a data folder: its validation images, copies of them as people share, crop and resize
them, and controls, through the int8 oracle. A use case; `dftiny verdict` and the release call it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny import graph as graphs
from dftiny import int8
from dftiny.data.index import CONTROLS, PROCESSED, DataIndex, ImageRow, load_whole, read_image
from dftiny.data.sharing import PRE
from dftiny.data.tiles import tile_grid, tiles
from dftiny.errors import DftError
from dftiny.graph import Graph
from dftiny.verdict.file import COMPRESSED, DIGITS, LOSSLESS, VerdictFile, save_verdict
from dftiny.verdict.fit import Bounds, Line, Shown, final, fit_bounds, fit_line, fit_width, platt, tables
from dftiny.verdict.model import NAMES, UNIT
from dftiny.verdict.novelty import ranges_of, traits
from dftiny.verdict.order import offered, texture
from dftiny.verdict.running import follow

TILES_MAX = 64
SCALE = 1 / 16  # of int8 logits where no net is at hand
TRAINED_ON = (
    "simulated up-sampling traces in photographs of landscapes, plants and buildings: it knows no real generator and "
    "hardly a face"
)


def fit_verdict(model: Path, data: Path, out: Path) -> VerdictFile:
    """Write the verdict of the int8 `model` (a .tflite with one logit, or a folder that holds model.tflite) to `out` and say
    what came of it; a minute or two.

    DftError for a model with other outputs and for data without a validation split.
    """
    graph = graphs.load(model / "model.tflite" if model.is_dir() else model)
    if graph.output.shape[1:] != (1,) or graph.input.shape[3:] != (3,):
        raise DftError(f"{model} has no single logit", "a verdict is for detectors of real and fake")
    index = load_whole(data)
    photos = list(_photos(graph, data, index))
    verdict = _fitted(graph, photos, _ranges(data, index, graph.input.shape[1]))
    save_verdict(out, verdict)
    print(table(verdict))
    return verdict


def _photos(graph: Graph, data: Path, index: DataIndex) -> Iterator[Shown]:
    """Every validation image in every condition."""
    from rich.progress import track

    rows = [r for r in index.select("val", PRE) if not r.is_control]
    if not rows:
        raise DftError(f"{data} has no validation images", "build the data again")
    for row in track(rows, description="verdict"):
        pixels = read_image(data, row)
        for condition, variant in _variants(row, pixels):
            yield Shown(row.source, row.label == "real", condition, logits(graph, variant))


def _variants(row: ImageRow, pixels: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """(condition, pixels): as it is, shared, moved off the 8-px grid; reals processed as well."""
    from dftiny.data.controls import control
    from dftiny.data.sharing import PROFILES, shared

    yield PRE, pixels
    for name in PROFILES:
        yield name, shared(pixels, name, row.id)
    for kind in CONTROLS:
        if kind not in PROCESSED or row.label == "real":
            yield kind, control(pixels, kind)


def logits(graph: Graph, pixels: NDArray[np.uint8], tiles_max: int = TILES_MAX) -> NDArray[np.float64]:
    """Real logits float [n] of the tiles of uint8 `pixels` [H, W, 3] that detect would show, in its order."""
    side = graph.input.shape[1]
    cut = tiles(pixels, side)
    shown = offered(*tile_grid(pixels.shape[0], pixels.shape[1], side), texture(cut), tiles_max)
    out = int8.run(graph, int8.from_pixels(cut[shown]))[:, 0].astype(np.float64)
    return (out - graph.output.zero_point) * graph.output.scale


def _ranges(data: Path, index: DataIndex, side: int) -> dict[str, tuple[float, float]]:
    rows = index.select("train", PRE, ["real"]) + index.select("val", PRE, ["real"])
    return ranges_of([traits(tiles(read_image(data, r), side)) for r in rows])


def _fitted(graph: Graph, photos: Sequence[Shown], ranges: dict[str, tuple[float, float]]) -> VerdictFile:
    from dftiny.data.sharing import PROFILES

    photos = [p for p in photos if len(p.logits)]
    lossless = [p for p in photos if p.condition not in PROFILES]
    shared = [p for p in photos if p.condition in PROFILES]
    line = fit_line([p for p in lossless if p.condition not in PROCESSED])
    real, fake, sd = fit_bounds(lossless, line)
    bounds = Bounds(real, fake, sd, fit_width(photos, line, sd))
    made = VerdictFile(
        trained_on=TRAINED_ON,
        tile=graph.input.shape[1],
        tiles_max=TILES_MAX,
        line=line,
        bounds=bounds,
        probability={
            LOSSLESS: _probability([p for p in lossless if p.condition not in PROCESSED], line, bounds),
            COMPRESSED: _probability(shared, line, bounds),
        },
        ranges=ranges,
        confirms=(LOSSLESS,),
        validation={},
    )
    return replace(made, validation=_figures(made, graph, photos))


def _probability(photos: Sequence[Shown], line: Line, bounds: Bounds) -> tuple[float, float]:
    """(slope, offset) of the log odds over the mean evidence where an image stops, each condition with the same weight."""
    model = tables(line, bounds, SCALE, 0, TILES_MAX)
    ends = [follow(model, np.clip(np.round(p.logits / SCALE), -128, 127).astype(np.int8)) for p in photos]
    means = np.array([e.evidence / e.seen / UNIT for e in ends])
    counts = Counter(p.condition for p in photos)
    weights = np.array([1 / counts[p.condition] for p in photos])
    sources = len({p.source for p in photos})
    return platt(means, np.array([p.real for p in photos]), weights, sources)


def _figures(verdict: VerdictFile, graph: Graph, photos: Sequence[Shown]) -> dict[str, Any]:
    """By condition and label: images, parts called real, fake and undecided, mean tiles, agreement with all tiles."""
    model = verdict.model(graph.output.scale, graph.output.zero_point)
    out: dict[str, Any] = {}
    for condition in dict.fromkeys(p.condition for p in photos):
        for label in ("real", "fake"):
            group = [p for p in photos if p.condition == condition and p.real == (label == "real")]
            if not group:
                continue
            outputs = [_int8(graph, p.logits) for p in group]
            ends = [follow(model, o) for o in outputs]
            same = [e.decision == final(model, o) for e, o in zip(ends, outputs, strict=True)]
            said = Counter(NAMES[e.decision] for e in ends)
            out.setdefault(condition, {})[label] = {
                "images": len(group),
                **{name: round(said[name] / len(group), DIGITS) for name in NAMES[1:]},
                "tiles": round(float(np.mean([e.seen for e in ends])), DIGITS),
                "agreement": round(float(np.mean(same)), DIGITS),
            }
    return out


def _int8(graph: Graph, values: NDArray[np.float64]) -> NDArray[np.int8]:
    """The outputs that these logits were."""
    rounded: NDArray[np.int8] = np.round(values / graph.output.scale + graph.output.zero_point).astype(
        np.int8
    )
    return rounded


def table(verdict: VerdictFile) -> str:
    """What `dftiny verdict` prints: one line a condition and label of the validation data."""
    lines = [
        f"{'condition':<15}{'label':<7}{'images':>7}{'real':>8}{'fake':>8}{'undecided':>11}{'tiles':>8}{'agree':>8}"
    ]
    for condition, labels in sorted(verdict.validation.items()):
        for label, v in sorted(labels.items()):
            cells = "".join(f"{v[k]:>{w}.3f}" for k, w in (("real", 8), ("fake", 8), ("undecided", 11)))
            lines.append(
                f"{condition:<15}{label:<7}{v['images']:>7}{cells}{v['tiles']:>8.1f}{v['agreement']:>8.3f}"
            )
    return "\n".join(lines)
