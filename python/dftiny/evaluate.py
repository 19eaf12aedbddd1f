"""Evaluate a checkpoint: tile logits of a data folder's images with PyTorch, and the metrics made of them.

A use case: reads the train and data stages, writes the evaluate stage, owns no algorithm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dftiny.artifact import (
    atomic_write,
    new_folder,
    read_manifest,
    refuse_foreign,
    tool_versions,
    write_json,
    write_manifest,
)
from dftiny.data.index import CONTROLS, ImageRow, load_round, read_image
from dftiny.data.stream import each
from dftiny.data.tiles import image_logit
from dftiny.errors import DftError
from dftiny.metrics import evaluate_scores

if TYPE_CHECKING:
    from dftiny.nets.checkpoint import Checkpoint

TILES = "tiles.npz"
METRICS = "metrics.json"
_COLUMNS = (("accuracy", 10), ("balanced_accuracy", 10), ("f1", 8), ("auc", 8))


@dataclass(frozen=True)
class EvaluateSummary:
    """What was measured: metrics[sharing][group], group = all, seen, held-out, a generator or a control."""

    folder: Path
    metrics: dict[str, Any]
    images: int
    tiles: int

    def text(self) -> str:
        """The table that `dftiny evaluate` prints: one line a sharing profile and group."""
        width = max([10, *(len(name) + 1 for groups in self.metrics.values() for name in groups)])
        lines = [
            f"{'sharing':<15}{'group':<{width}}{'images':>7}{'accuracy':>10}{'balanced':>10}{'F1':>8}{'AUC':>8}  95 % interval"
        ]
        for sharing, groups in self.metrics.items():
            for name, m in groups.items():
                cells = "".join(f"{m[k]:>{w}.3f}" if k in m else " " * w for k, w in _COLUMNS)
                interval = m.get("auc_interval")
                span = f"  {interval[0]:.3f} to {interval[1]:.3f}" if interval else ""
                lines.append(f"{sharing:<15}{name:<{width}}{m['n']:>7}{cells}{span}")
        return "\n".join([*lines, f"{self.folder}: {self.images} images, {self.tiles} tiles"])


def evaluate(
    checkpoint: Path,
    data: Path,
    out: Path,
    *,
    split: str = "test",
    sharings: Sequence[str] | None = None,
    net: str | None = None,
    tile: int | None = None,
    fold: int | None = None,
    threads: int = 1,
    bootstrap: int = 1000,
) -> EvaluateSummary:
    """Judge every image of a split and of those sharing profiles (None: all), write the stage folder `out`, print.

    `checkpoint` is a file or a train folder; `net` and `tile` say what it does not say itself. `fold` takes that fold of a
    data folder that was built with folds. Each sharing profile is judged by its own threshold, where the checkpoint has one.
    """
    from dftiny.nets.checkpoint import load_detector

    refuse_foreign(out, stage="evaluate")
    model = load_detector(checkpoint, preset=net, tile=tile)
    if len(model.classes) > 2:
        raise DftError(
            f"{checkpoint} has {len(model.classes)} classes, the data folder knows real and fake only"
        )
    parent = read_manifest(data, "data").digest
    index = load_round(data, fold)
    rows = [r for r in index.images if r.split == split and (sharings is None or r.sharing in sharings)]
    if not rows:
        raise DftError(f"{data} holds no images of {split}", "choose another --split or --sharing")
    logits = list(_logits(model, data, rows, threads))
    metrics = image_metrics(rows, [image_logit(v) for v in logits], model.threshold_for, bootstrap=bootstrap)
    tiles = sum(len(v) for v in logits)
    with new_folder(out, stage="evaluate") as folder:
        _write_tiles(folder / TILES, rows, logits)
        found = {"threshold": model.threshold, "thresholds": dict(model.thresholds)}
        counts = {"images": len(rows), "tiles": tiles}
        write_json(folder / METRICS, {**found, **counts, "metrics": metrics})
        write_manifest(
            folder,
            "evaluate",
            files=[TILES, METRICS],
            parents={"data": parent, "checkpoint": model.sha256},
            config={
                "split": split,
                "sharings": sorted({r.sharing for r in rows}),
                "net": model.preset,
                "tile": model.tile,
                **({} if fold is None else {"fold": fold}),
            },
            metrics=counts,
            tools=tool_versions("torch", "numpy", "pillow", "scikit-learn"),
        )
    summary = EvaluateSummary(out, metrics, len(rows), tiles)
    print(summary.text())
    return summary


def _logits(
    model: Checkpoint, data: Path, rows: Sequence[ImageRow], threads: int
) -> Iterator[NDArray[np.float32]]:
    """Real-versus-fake logits [tiles] of each image; several images side by side, each on `threads` torch threads."""
    import torch
    from rich.progress import track

    from dftiny.nets.predict import image_tile_logits

    def logits_of(row: ImageRow) -> NDArray[np.float32]:
        logits = image_tile_logits(model.net, read_image(data, row), model.tile)
        # Two outputs are a softmax pair (fake, real): their difference is the logit.
        return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield from track(each(logits_of, rows), total=len(rows), description="evaluate")
    finally:
        torch.set_num_threads(before)


def _write_tiles(path: Path, rows: Sequence[ImageRow], logits: Sequence[NDArray[np.float32]]) -> None:
    """ids str [images], counts int32 [images], logits float32 [all tiles] one image after the other."""
    counts = np.array([len(v) for v in logits], dtype=np.int32)
    with atomic_write(path) as f:
        np.savez_compressed(
            f, ids=np.array([r.id for r in rows]), counts=counts, logits=np.concatenate(logits)
        )


def image_metrics(
    rows: Sequence[ImageRow],
    scores: Sequence[float],
    threshold: float | Callable[[str], float],
    *,
    seed: int = 0,
    bootstrap: int = 1000,
) -> dict[str, Any]:
    """metrics[sharing][group] of the image logits of one split: all, seen, held-out, generators, controls.

    "all", "seen", "held-out" and a generator's name stand against the plain reals of the same sharing. A processed control (blur, denoise) stands against all fakes, in place of the plain reals.
    `threshold` is an image logit, or gives one for a sharing profile. Intervals resample by source photograph. bench uses this for the device's logits too.
    """
    result: dict[str, Any] = {}
    scored = list(zip(rows, scores, strict=True))
    for sharing in dict.fromkeys(r.sharing for r in rows):
        for name, members in _groups([(r, s) for r, s in scored if r.sharing == sharing]).items():
            labels, sources = [r.target for r, _ in members], [r.source for r, _ in members]
            cut = threshold(sharing) if callable(threshold) else threshold
            metrics = evaluate_scores(labels, [s for _, s in members], cut, sources, seed, bootstrap)
            result.setdefault(sharing, {})[name] = metrics
    return result


def _groups(part: list[tuple[ImageRow, float]]) -> dict[str, list[tuple[ImageRow, float]]]:
    plain = [(r, s) for r, s in part if not r.is_control]
    reals = [(r, s) for r, s in plain if r.label == "real"]
    fakes = [(r, s) for r, s in plain if r.label == "fake"]
    seen = [(r, s) for r, s in fakes if r.seen]
    held_out = [(r, s) for r, s in fakes if not r.seen]
    groups = {
        "all": reals + fakes,
        "seen": reals + seen if seen else [],
        "held-out": reals + held_out if held_out else [],
    }
    for kind in dict.fromkeys(r.kind for r, _ in fakes):
        groups[kind] = reals + [(r, s) for r, s in fakes if r.kind == kind]
    for kind in CONTROLS:
        members = [(r, s) for r, s in part if r.kind == kind]
        if members and all(r.label == "real" for r, _ in members):
            members += fakes
        groups[kind] = members
    return {name: members for name, members in groups.items() if members}
