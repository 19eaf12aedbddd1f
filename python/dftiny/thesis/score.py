"""Judges the validation and test images with every cell of a group in one pass, and writes the `scores` stage.

Each image is decoded once; cells that share a backbone share its features. Called by work, in a process of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dftiny.artifact import read_manifest, tool_versions
from dftiny.data.index import DataIndex, ImageRow, load_index, read_image
from dftiny.data.tiles import image_logit, tiles
from dftiny.errors import DftError
from dftiny.thesis.grid import Group
from dftiny.thesis.history import Linear, fit_heads, training_tiles
from dftiny.thesis.results import BACKBONES, HEADS
from dftiny.thesis.sheet import Sheet, columns_of, write_scores

if TYPE_CHECKING:
    from torch import nn

    from dftiny.nets.checkpoint import Checkpoint


@dataclass(frozen=True)
class _Backbone:
    """Cells whose nets differ in nothing but the head: their methods, and a net each."""

    methods: tuple[str, ...]
    nets: tuple[nn.Module, ...]

    def features(self, cut: NDArray[np.uint8]) -> NDArray[np.float32]:
        from dftiny.nets.predict import pooled_features

        return pooled_features(self.nets[0], cut)


def score(group: Group, conditions: Sequence[str], data: Path, folder: Path, out: Path) -> None:
    """Write the sheet of `group`, whose cells lie in `folder`, as the stage folder `out`; on one torch thread."""
    import torch

    torch.set_num_threads(1)
    index = load_index(data).of_fold(group.fold)
    rows = [r for r in index.images if r.split in ("val", "test") and r.sharing in conditions]
    if not {"val", "test"} <= {r.split for r in rows}:
        raise DftError(f"{data} has no validation or no test images", "build the data again")
    loaded = _load(group, folder)
    backbones = _backbones({m: c.net for m, c in loaded.items()})
    logits, means = _judge(backbones, rows, data, group.tile)
    history = {}
    for name in (b for b in BACKBONES if b in means):
        backbone = next(b for b in backbones if name in b.methods)
        told, heads = _learn(backbone, data, index, group, conditions)
        history[name] = told(means[name])
        if name == "mixed":
            logits |= {HEADS + c: h(means[name])[:, 0] for c, h in zip(conditions, heads, strict=True)}
    width = next(iter(means.values())).shape[1] if means else 0
    sheet = Sheet(
        group.net, -1 if group.fold is None else group.fold, group.seed, tuple(conditions),
        **columns_of(rows), logits=logits, history=history, features=width,
    )  # fmt: skip
    _write(out, sheet, data, {m: c.sha256 for m, c in loaded.items()})


def _load(group: Group, folder: Path) -> dict[str, Checkpoint]:
    from dftiny.nets.checkpoint import load_checkpoint

    return {c.method: load_checkpoint(folder / c.method) for c in group.cells if not c.pretext}


def _backbones(nets: dict[str, nn.Module]) -> list[_Backbone]:
    """The nets by backbone: equal to the last bit beside the head."""
    import torch

    found: list[list[str]] = []
    for method, net in nets.items():
        mine = _body(net)
        for members in found:
            theirs = _body(nets[members[0]])
            if all(torch.equal(v, theirs[k]) for k, v in mine.items()):
                members.append(method)
                break
        else:
            found.append([method])
    return [_Backbone(tuple(members), tuple(nets[m] for m in members)) for members in found]


def _body(net: nn.Module) -> dict[str, Any]:
    heads: tuple[str, ...] = tuple(net.head_prefixes)  # type: ignore[arg-type]
    return {k: v for k, v in net.state_dict().items() if not k.startswith(heads)}


def _judge(
    backbones: Sequence[_Backbone], rows: Sequence[ImageRow], data: Path, tile: int
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Image logits [n] by method, and the mean features [n, features] of the backbones that history is read from."""
    from dftiny.nets.predict import head_logits

    logits: dict[str, list[float]] = {m: [] for b in backbones for m in b.methods}
    means: dict[str, list[NDArray[np.float32]]] = {}
    for row in rows:
        cut = tiles(read_image(data, row), tile)
        for backbone in backbones:
            features = backbone.features(cut)
            for method, net in zip(backbone.methods, backbone.nets, strict=True):
                logits[method].append(image_logit(head_logits(net, features)[:, 0]))
                if method in BACKBONES:
                    means.setdefault(method, []).append(features.mean(0))
    told = {m: np.array(v, dtype=np.float32) for m, v in logits.items()}
    return told, {m: np.stack(v) for m, v in means.items()}


def _learn(
    backbone: _Backbone, data: Path, index: DataIndex, group: Group, conditions: Sequence[str]
) -> tuple[Linear, list[Linear]]:
    seen = []
    for s in training_tiles(data, index, group.tile, conditions, group.seed):
        features = backbone.features(s.tiles)
        n = len(features)
        seen.append((features, np.full(n, s.condition), np.full(n, s.target)))
    features, condition, target = (np.concatenate(v) for v in zip(*seen, strict=True))
    return fit_heads(features, condition, target, len(conditions), group.seed)


def _write(out: Path, sheet: Sheet, data: Path, checkpoints: dict[str, str]) -> None:
    write_scores(
        out,
        sheet,
        parents={"data": read_manifest(data, "data").digest, **checkpoints},
        config={
            "net": sheet.net,
            "fold": sheet.fold,
            "seed": sheet.seed,
            "conditions": list(sheet.conditions),
        },
        metrics={"images": len(sheet.target), "features": sheet.features},
        tools=tool_versions("torch", "numpy", "pillow", "scikit-learn"),
    )
