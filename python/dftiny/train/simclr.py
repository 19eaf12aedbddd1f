"""SimCLR (Chen et al. 2020, arXiv 2002.05709): two views of a tile are to lie closer together than any two tiles.

The projection behind the backbone's pooled features is that of the thesis, hidden 2048, ReLU, 128; it is thrown away
when training ends, and a head is trained on the features afterwards. Called by train/run.py.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from dftiny.nets.predict import to_input
from dftiny.train.objective import Objective, in_head
from dftiny.train.ranks import Ranks, gather

HIDDEN, PROJECTED = 2048, 128


class Contrast(Objective):
    """NT-Xent of the projected features of two views each; accuracy: how often the other view is the nearest."""

    def __init__(self, net: nn.Module, temperature: float, ranks: Ranks) -> None:
        super().__init__()
        self.net, self.temperature, self.ranks = net, temperature, ranks
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(not in_head(net, name))
        self.projection = nn.Sequential(
            nn.Linear(feature_count(net), HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PROJECTED)
        )

    def inputs(self, tiles: NDArray[np.uint8], labels: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """Views uint8 [n, 2, H, W, 3] as pixels [2 n, 3, H, W], all first views before all second ones."""
        first_then_second = np.swapaxes(tiles, 0, 1).reshape(-1, *tiles.shape[2:])
        return to_input(first_then_second), torch.from_numpy(labels)

    def forward(self, pixels: Tensor, _target: Tensor) -> tuple[Tensor, Tensor]:
        features: Tensor = self.net.features(pixels)  # type: ignore[operator]
        first, second = functional.normalize(self.projection(features), dim=1).chunk(2)
        return nt_xent(first, second, self.temperature, self.ranks)


def nt_xent(first: Tensor, second: Tensor, temperature: float, ranks: Ranks) -> tuple[Tensor, Tensor]:
    """Loss and accuracy of unit vectors `first`, `second` [n, d], views of the same n tiles (equation 1 of the paper).

    The views of this process are told apart from those of all processes.
    """
    tiles = len(first)
    theirs = torch.cat([gather(first, ranks), gather(second, ranks)])
    everyone = len(theirs) // 2
    mine = ranks.rank * tiles + torch.arange(tiles, device=first.device)
    own = torch.cat([mine, mine + everyone])
    other = torch.cat([mine + everyone, mine])
    likeness = torch.cat([first, second]) @ theirs.T / temperature
    likeness = likeness.scatter(1, own[:, None], -torch.inf)
    return functional.cross_entropy(likeness, other), (likeness.argmax(1) == other).float().mean()


def feature_count(net: nn.Module) -> int:
    """How many pooled features the net's head reads: those of the first linear layer of the head."""
    for name, module in net.named_modules():
        if isinstance(module, nn.Linear) and in_head(net, name + "."):
            return module.in_features
    raise TypeError(f"{type(net).__name__} has no linear layer in its head")
