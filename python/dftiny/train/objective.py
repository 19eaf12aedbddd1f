"""What a step lowers: a module from a batch to (loss, accuracy), so that one process and several train the same way.

Called by train/run.py; SimCLR's is in train/simclr.py.
"""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from dftiny.nets.predict import to_input
from dftiny.train.fake_quant import FakeQuant
from dftiny.train.recipe import Recipe


class Objective(nn.Module):
    """A net and its loss. `forward` takes what `inputs` made of a batch and gives (loss, accuracy), both scalars."""

    net: nn.Module

    def inputs(self, tiles: NDArray[np.uint8], labels: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """A batch as tensors: pixels [n, 3, H, W] 0..255, labels [n]."""
        return to_input(tiles), torch.from_numpy(labels)


class Judging(Objective):
    """Binary cross-entropy of the net's logits; accuracy at logit 0."""

    def __init__(self, net: nn.Module, rounding: FakeQuant | None) -> None:
        super().__init__()
        self.net, self.rounding = net, rounding

    def forward(self, pixels: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        with nullcontext() if self.rounding is None else self.rounding.forward_pass(self.net):
            logits = self.net(pixels)[:, 0]
        loss = functional.binary_cross_entropy_with_logits(logits, target)
        return loss, ((logits > 0) == (target > 0.5)).float().mean()


def choose_trainable(net: nn.Module, recipe: Recipe) -> None:
    """Freeze what the recipe does not train."""
    for name, parameter in net.named_parameters():
        if recipe.trainable == "head" and not in_head(net, name):
            parameter.requires_grad_(False)


def training_mode(net: nn.Module, recipe: Recipe) -> None:
    """Training mode, but evaluation mode for what is frozen: its batch normalisation and dropout stand still."""
    net.train()
    for name, module in net.named_modules():
        frozen = recipe.trainable == "head" and not in_head(net, name + ".")
        if frozen or (recipe.freeze_norm and isinstance(module, nn.BatchNorm2d)):
            module.training = False


def in_head(net: nn.Module, name: str) -> bool:
    """Whether a parameter (or a module, its name with a dot behind) belongs to the net's head."""
    prefixes: tuple[str, ...] = tuple(net.head_prefixes)  # type: ignore[arg-type]
    return name.startswith(prefixes)
