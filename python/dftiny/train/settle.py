"""Batch statistics for a random backbone that is going to stand still. Called by train/training.py.

Without them a deep random net says the same of every tile: its batch normalisation, in evaluation mode, divides by 1
what has long vanished. As a control that would be no control but a constant.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dftiny.nets.predict import to_input


def settle(net: nn.Module, batches: Iterable[NDArray[np.uint8]]) -> None:
    """Set every running mean and variance to its average over `batches`, tiles uint8 [n, tile, tile, 3]; weights stay."""
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    before = [m.momentum for m in norms]
    mode = net.training
    device = next(net.parameters()).device
    try:
        for m in norms:
            m.reset_running_stats()
            m.momentum = None  # a plain average
        net.train()
        with torch.no_grad():
            for tiles in batches:
                net(to_input(tiles).to(device))
    finally:
        net.train(mode)
        for m, momentum in zip(norms, before, strict=True):
            m.momentum = momentum
