"""Presets by name. Each is a function `(tile) -> nn.Module` marked with `@register`.

Every net takes float [n, 3, tile, tile] with pixels 0..255 (normalisation is inside) and gives logits
[n, 1], positive = real, or [n, classes]. The list of names is also the list of tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import torch
from torch import Tensor, nn

from dftiny.errors import DftError

Factory = Callable[[int], nn.Module]
_PRESETS: dict[str, Preset] = {}
_MODULES = tuple(
    f"dftiny.nets.{name}" for name in ("phinet", "phinet_thesis", "micronet", "micronet_tile", "resnet")
)


@dataclass(frozen=True)
class Preset:
    """A registered net: its name, its function, its default tile in pixels and the first line of its docstring.

    A `host` net is a baseline that is trained and evaluated here and has no int8 form for the chip.
    """

    name: str
    factory: Factory
    tile: int
    summary: str
    host: bool = False


def register(tile: int, *, host: bool = False) -> Callable[[Factory], Factory]:
    """Mark a function as the preset of its name, with the default tile size in pixels; see `Preset` for `host`."""

    def mark(factory: Factory) -> Factory:
        summary = (factory.__doc__ or "").strip().splitlines()[0]
        _PRESETS[factory.__name__] = Preset(factory.__name__, factory, tile, summary, host)
        return factory

    return mark


def presets() -> dict[str, Preset]:
    """All presets by name, sorted."""
    for module in _MODULES:
        import_module(module)
    return dict(sorted(_PRESETS.items()))


def names() -> list[str]:
    """Names of all presets, sorted."""
    return list(presets())


def create(name: str, tile: int | None = None) -> nn.Module:
    """A new net of that preset with PyTorch's current random state, in training mode."""
    known = presets()
    size = known[name].tile if tile is None and name in known else tile or 0
    check(name, size)
    return known[name].factory(size)


def check(name: str, tile: int) -> None:
    """DftError when there is no such preset, or when it cannot look at tiles of that size in pixels."""
    known = names()
    if name not in known:
        raise DftError(f"unknown net {name!r}", f"known: {', '.join(known)}")
    if tile % 32 or not 32 <= tile <= 1024:
        raise DftError(f"tile size {tile} does not suit {name}", "use a multiple of 32 between 32 and 1024")


def count(net: nn.Module, tile: int) -> tuple[int, int]:
    """Parameters (BatchNorm's scale and shift included), and multiply-accumulates for one tile [3, tile, tile].

    Convolutions and fully connected layers are counted, and the products of a SqueezeGate's gate are not.
    """
    macs = 0

    def visit(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs
        if isinstance(module, nn.Conv2d):
            kernel = module.kernel_size[0] * module.kernel_size[1] * module.in_channels // module.groups
            macs += output[0].numel() * kernel
        elif isinstance(module, nn.Linear):
            macs += module.in_features * module.out_features

    hooks = [m.register_forward_hook(visit) for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    training = net.training
    try:
        net.eval()
        with torch.no_grad():
            net(torch.zeros(1, 3, tile, tile))
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    return sum(p.numel() for p in net.parameters()), macs
