"""Checkpoints: safetensors with the preset's name, tile and threshold in its metadata.

Reads also plain state dicts (.pt, .pth, without running any code in them) when the preset is named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dftiny.artifact import atomic_write, sha256_file
from dftiny.errors import DftError
from dftiny.nets.registry import create, names

FORMAT = "dftiny-checkpoint-1"


@dataclass(frozen=True)
class Checkpoint:
    """A net in evaluation mode and what is known of it. `threshold` is an image logit; `sha256` that of the file."""

    net: nn.Module
    preset: str
    tile: int
    threshold: float
    classes: tuple[str, ...]
    sha256: str


def save_checkpoint(
    path: Path,
    net: nn.Module,
    *,
    preset: str,
    tile: int,
    threshold: float = 0.0,
    classes: tuple[str, ...] = ("fake", "real"),
) -> None:
    """Write `net`'s weights and the metadata to `path`, atomically. Equal weights give equal bytes."""
    from safetensors.torch import save

    state = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "preset": preset,
        "tile": str(tile),
        "threshold": repr(float(threshold)),
        "classes": ",".join(classes),
    }
    with atomic_write(path) as f:
        f.write(save(state, metadata))


def load_checkpoint(path: Path, *, preset: str | None = None, tile: int | None = None) -> Checkpoint:
    """Read a checkpoint file, or `checkpoint.safetensors` of a stage folder. `preset` and `tile` override its metadata.

    DftError when the file is missing, damaged, names no known preset, or does not fit the preset's net.
    """
    path = path / "checkpoint.safetensors" if path.is_dir() else path
    if not path.is_file():
        raise DftError(f"there is no checkpoint at {path}", "train one with: dftiny train")
    state, metadata = _safetensors(path) if path.suffix == ".safetensors" else _state_dict(path)
    name = preset or metadata.get("preset")
    if name is None:
        raise DftError(f"{path} does not say which net it is", f"give --net NAME, one of: {', '.join(names())}")
    try:
        size = int(metadata["tile"]) if tile is None and "tile" in metadata else tile
        threshold = float(metadata.get("threshold", "0"))
    except ValueError as e:
        raise DftError(f"{path} has damaged metadata: {e}") from e
    if not math.isfinite(threshold):
        raise DftError(f"{path} has a threshold that is not a number")
    with torch.random.fork_rng(devices=[]):
        net = create(name, size)
    _fill(net, state, path, name)
    classes = tuple(metadata.get("classes", "fake,real").split(","))
    return Checkpoint(net.eval(), name, size or _default_tile(name), threshold, classes, sha256_file(path))


def _default_tile(name: str) -> int:
    from dftiny.nets.registry import presets

    return presets()[name].tile


def _fill(net: nn.Module, state: dict[str, Tensor], path: Path, name: str) -> None:
    try:
        net.load_state_dict(state)
    except RuntimeError as e:
        # PyTorch's message lists every tensor over many lines; the first is enough for the person at the keyboard.
        detail = str(e).splitlines()[1].strip() if len(str(e).splitlines()) > 1 else str(e)
        raise DftError(f"{path} does not fit the net {name}: {detail[:160]}", "name its net with --net") from e
    bad = [k for k, v in net.state_dict().items() if v.is_floating_point() and not bool(torch.isfinite(v).all())]
    if bad:
        raise DftError(f"{path} holds values that are not numbers (in {bad[0]})", "train again")


def _safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt", device="cpu") as f:
            return {k: f.get_tensor(k) for k in f.keys()}, dict(f.metadata() or {})  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as e:
        raise DftError(f"{path} is not a safetensors file, or it is damaged: {e}") from e


def _state_dict(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from pickle import UnpicklingError

    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError) as e:
        raise DftError(f"{path} is not a PyTorch state dict: {str(e).splitlines()[0][:120]}", "save net.state_dict()") from e
    value = value.get("state_dict", value) if isinstance(value, dict) else value
    if not isinstance(value, dict) or not all(isinstance(v, Tensor) for v in value.values()):
        raise DftError(f"{path} is not a PyTorch state dict", "save net.state_dict()")
    return value, {}
