"""Image logits of every method of one net, fold and seed: the `scores` stage's file, whole without the data folder.

Written by score, read by results. Needs numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny.artifact import atomic_write, new_folder, read_manifest, write_manifest
from dftiny.data.index import CONTROLS, ImageRow
from dftiny.errors import DftError

SHEET = "scores.npz"
STAGE = "scores"
_COLUMNS = ("split", "source", "kind", "sharing")


@dataclass(frozen=True)
class Sheet:
    """Validation and test images [n] and what was said of them.

    Texts and flags are [n]; `logits` float32 [n] by method; `history` float32 [n, conditions] by backbone: log odds
    of each sharing condition, in the order of `conditions`. `features` is the width of what the heads read.
    """

    net: str
    fold: int
    seed: int
    conditions: tuple[str, ...]
    split: NDArray[np.str_]
    source: NDArray[np.str_]
    kind: NDArray[np.str_]
    sharing: NDArray[np.str_]
    target: NDArray[np.int64]
    seen: NDArray[np.bool_]
    logits: Mapping[str, NDArray[np.float32]]
    history: Mapping[str, NDArray[np.float32]]
    features: int = 0

    def pick(self, split: str, sharing: str, kinds: Sequence[str] = ()) -> NDArray[np.bool_]:
        """Which images [n] are of that split and sharing and of `kinds`; without kinds the reals and the seen fakes."""
        here = (self.split == split) & (self.sharing == sharing)
        plain = (self.kind == "real") | (self.is_generated & self.seen)
        found: NDArray[np.bool_] = here & (np.isin(self.kind, list(kinds)) if kinds else plain)
        return found

    @property
    def is_generated(self) -> NDArray[np.bool_]:
        """Which images are a generator's fake, and no control of one."""
        made: NDArray[np.bool_] = (self.target == 0) & ~np.isin(self.kind, CONTROLS)
        return made


def columns_of(rows: Sequence[ImageRow]) -> dict[str, Any]:
    """What a sheet holds of index rows: split, source, kind, sharing (str [n]), target (int64 [n]), seen (bool [n])."""
    texts = {name: np.array([getattr(r, name) for r in rows], dtype=np.str_) for name in _COLUMNS}
    target = np.array([r.target for r in rows], dtype=np.int64)
    return {**texts, "target": target, "seen": np.array([r.seen for r in rows], dtype=bool)}


def save_sheet(path: Path, sheet: Sheet) -> None:
    """Write the sheet as `path`, atomically."""
    arrays: dict[str, Any] = {name: getattr(sheet, name) for name in (*_COLUMNS, "target", "seen")}
    arrays |= {f"logits.{name}": v for name, v in sheet.logits.items()}
    arrays |= {f"history.{name}": v for name, v in sheet.history.items()}
    where = np.array([sheet.net, *map(str, (sheet.fold, sheet.seed, sheet.features))])
    with atomic_write(path) as f:
        np.savez_compressed(f, where=where, conditions=np.array(sheet.conditions), **arrays)


def write_scores(
    out: Path,
    sheet: Sheet,
    *,
    parents: Mapping[str, str],
    config: Mapping[str, Any],
    metrics: Mapping[str, Any] | None = None,
    tools: Mapping[str, str] | None = None,
) -> None:
    """Write the sheet as the `scores` stage `out`, with what its manifest says besides."""
    with new_folder(out, stage=STAGE) as folder:
        save_sheet(folder / SHEET, sheet)
        write_manifest(
            folder, STAGE, files=[SHEET], parents=parents, config=config, metrics=metrics, tools=tools
        )


def load_sheet(folder: Path) -> Sheet:
    """Read the sheet of a `scores` stage. DftError when it is damaged, CheckFailed when it was changed."""
    read_manifest(folder, STAGE)
    try:
        with np.load(folder / SHEET, allow_pickle=False) as f:
            value = {k: f[k] for k in f.files}
        net, fold, seed, width = (str(v) for v in value["where"])
        columns = {name: value[name] for name in (*_COLUMNS, "target", "seen")}
        logits, history = (_under(value, name) for name in ("logits.", "history."))
        sheet = Sheet(
            net,
            int(fold),
            int(seed),
            tuple(map(str, value["conditions"])),
            **columns,
            logits=logits,
            history=history,
            features=int(width),
        )
    except (KeyError, ValueError, OSError) as e:
        raise DftError(f"{folder / SHEET} is damaged: {e}", "remove that folder and run it again") from e
    n = len(sheet.target)
    if any(len(v) != n for v in (*columns.values(), *logits.values(), *history.values())):
        raise DftError(
            f"{folder / SHEET} has columns of different lengths", "remove that folder and run it again"
        )
    return sheet


def _under(value: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in value.items() if k.startswith(prefix)}
