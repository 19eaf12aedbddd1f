"""Checkpoints: safetensors with the preset's name, tile and threshold in its metadata.

Reads also plain state dicts (.pt, .pth, without running any code in them) when the preset is named.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dftiny.artifact import atomic_write, canonical_json, sha256_file
from dftiny.errors import DftError
from dftiny.nets.registry import create, names

# All of dftiny's metadata is one JSON value under one key: safetensors writes several keys in a random order.
KEY = "dftiny"
FORMAT = "dftiny-checkpoint-1"
# For somebody who has named the net already, by whatever option.
_OTHER_NET = "give weights of {0}, or name the net that these are of"


@dataclass(frozen=True)
class Checkpoint:
    """A net in evaluation mode and what is known of it. `threshold` is an image logit; `sha256` that of the file.

    `thresholds` has one more for each sharing condition that the validation images had. Without `head` only the backbone
    was trained.
    """

    net: nn.Module
    preset: str
    tile: int
    threshold: float
    classes: tuple[str, ...]
    sha256: str
    thresholds: Mapping[str, float] = field(default_factory=dict)
    head: bool = True

    def threshold_for(self, sharing: str) -> float:
        """The threshold of images shared in that way, `threshold` where none was fitted for it."""
        return self.thresholds.get(sharing, self.threshold)


def save_checkpoint(
    path: Path,
    net: nn.Module,
    *,
    preset: str,
    tile: int,
    threshold: float = 0.0,
    classes: tuple[str, ...] = ("fake", "real"),
    thresholds: Mapping[str, float] | None = None,
    head: bool = True,
) -> None:
    """Write `net`'s weights and the metadata to `path`, atomically. Equal weights give equal bytes.

    `thresholds` by sharing condition; left away where they say no more than `threshold`. `head` says whether the head
    was trained too.
    """
    from safetensors.torch import save

    state = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
    metadata: dict[str, Any] = {
        "format": FORMAT,
        "preset": preset,
        "tile": tile,
        "threshold": float(threshold),
        "classes": list(classes),
    }
    if any(v != threshold for v in (thresholds or {}).values()):
        metadata["thresholds"] = dict(thresholds or {})
    if not head:
        metadata["head"] = False
    with atomic_write(path) as f:
        f.write(save(state, {KEY: canonical_json(metadata).decode()}))


def load_checkpoint(path: Path, *, preset: str | None = None, tile: int | None = None) -> Checkpoint:
    """Read a checkpoint file, or `checkpoint.safetensors` of a stage folder. `preset` and `tile` override its metadata.

    DftError when the file is missing, damaged, names no known preset, or does not fit the preset's net.
    """
    path = path / "checkpoint.safetensors" if path.is_dir() else path
    state, metadata = _read(path, "train one with: dftiny train")
    name = preset or metadata.get("preset")
    if name is None:
        raise DftError(
            f"{path} does not say which net it is", f"give --net NAME, one of: {', '.join(names())}"
        )
    try:
        size = int(metadata["tile"]) if tile is None and "tile" in metadata else tile
        threshold = float(metadata.get("threshold", 0.0))
        classes = tuple(str(c) for c in metadata.get("classes", ("fake", "real")))
        thresholds = {str(k): float(v) for k, v in dict(metadata.get("thresholds", {})).items()}
    except (ValueError, TypeError) as e:
        raise DftError(f"{path} has damaged metadata: {e}") from e
    if not all(math.isfinite(v) for v in (threshold, *thresholds.values())):
        raise DftError(f"{path} has a threshold that is not a number")
    with torch.random.fork_rng(devices=[]):
        net = create(name, size)
    hint = "it may be damaged, or of another version: train it again"
    _fill(net, _adopted(net, state), path, name, hint if preset is None else _OTHER_NET.format(name))
    return Checkpoint(
        net.eval(),
        name,
        size or _default_tile(name),
        threshold,
        classes,
        sha256_file(path),
        thresholds,
        metadata.get("head") is not False,
    )


def load_detector(path: Path, *, preset: str | None = None, tile: int | None = None) -> Checkpoint:
    """As load_checkpoint, for somebody who wants to judge images: DftError when no head was trained."""
    found = load_checkpoint(path, preset=preset, tile=tile)
    if not found.head:
        raise DftError(
            f"{path} holds a backbone whose head was never trained",
            f"train one: dftiny train --recipe simclr_head --start {path}",
        )
    return found


def load_weights(
    path: Path, *, preset: str, tile: int | None = None, seed: int = 0
) -> tuple[Checkpoint, bool]:
    """A net to train from somebody's weights, and whether its head came from them too.

    A file for other classes (or with no head) gives the backbone, whole; then the head starts at random, by `seed`.
    DftError when the file is missing or damaged, or when anything beside the head does not fit.
    """
    state, _ = _read(path, "dftiny downloads nothing: name a file that you have")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = create(preset, tile)
    heads: tuple[str, ...] = tuple(getattr(net, "head_prefixes", ()))
    state = _adopted(net, state)
    wanted = {k: v for k, v in net.state_dict().items() if k.startswith(heads)}
    given = {k: v for k, v in state.items() if k.startswith(heads)}
    fits = _misfit(wanted, given) is None
    if not fits:
        state = {k: v for k, v in state.items() if k not in given} | wanted
    _fill(net, state, path, preset, _OTHER_NET.format(preset))
    checkpoint = Checkpoint(
        net, preset, tile or _default_tile(preset), 0.0, ("fake", "real"), sha256_file(path)
    )
    return checkpoint, fits


def _read(path: Path, hint: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.is_file():
        raise DftError(f"there is no checkpoint at {path}", hint)
    return _safetensors(path) if path.suffix == ".safetensors" else _state_dict(path)


def _default_tile(name: str) -> int:
    from dftiny.nets.registry import presets

    return presets()[name].tile


def _adopted(net: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state` by the net's own names: nets of other projects take those projects' too, and say how in `adopt`."""
    adopt = getattr(net, "adopt", None)
    return state if adopt is None else adopt(state)


def _fill(net: nn.Module, state: dict[str, Tensor], path: Path, name: str, hint: str) -> None:
    misfit = _misfit(net.state_dict(), state)
    if misfit is not None:
        raise DftError(f"{path} does not fit the net {name}: {misfit}", hint)
    net.load_state_dict(state)
    bad = [
        k for k, v in net.state_dict().items() if v.is_floating_point() and not bool(torch.isfinite(v).all())
    ]
    if bad:
        raise DftError(f"{path} holds values that are not numbers (in {bad[0]})", "train again")


def _misfit(wanted: dict[str, Tensor], given: dict[str, Tensor]) -> str | None:
    """What keeps `given` from filling a net whose state dict is `wanted`: tensors by name, at most three of a kind."""

    def some(keys: list[str]) -> str:
        return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")

    # PyTorch counts batches since 0.4.1; older files lack the count, and inference does not use it.
    missing = [k for k in wanted if k not in given and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in given if k not in wanted]
    shapes = [
        f"{k} is {tuple(given[k].shape)} and must be {tuple(v.shape)}"
        for k, v in wanted.items()
        if k in given and given[k].shape != v.shape
    ]
    parts = [
        f"{len(missing)} of {len(wanted)} tensors are missing ({some(missing)})" if missing else "",
        f"it holds {len(unexpected)} unknown ({some(unexpected)})" if unexpected else "",
        some(shapes),
    ]
    return "; ".join(part for part in parts if part) or None


def _safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt", device="cpu") as f:
            state = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (not a dict)
            metadata = json.loads((f.metadata() or {}).get(KEY, "{}"))
    except (SafetensorError, OSError, ValueError) as e:
        raise DftError(f"{path} is not a safetensors file, or it is damaged: {e}") from e
    if not isinstance(metadata, dict):
        raise DftError(f"{path} has damaged metadata")
    return state, metadata


def _state_dict(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from pickle import UnpicklingError

    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError) as e:
        raise DftError(
            f"{path} is not a PyTorch state dict, or it is damaged", "save net.state_dict()"
        ) from e
    value = value.get("state_dict", value) if isinstance(value, dict) else value
    if isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values()):
        # micromind saves one state dict a module of its trainer.
        value = {f"{module}.{k}": v for module, tensors in value.items() for k, v in tensors.items()}
    if not isinstance(value, dict) or not all(isinstance(v, Tensor) for v in value.values()):
        raise DftError(f"{path} is not a PyTorch state dict", "save net.state_dict()")
    return value, {}
