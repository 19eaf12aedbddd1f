"""Tile logits and pooled features of whole images with a PyTorch net.

Used by training's validation, by evaluate and by the thesis' grid.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dftiny.data.tiles import tiles

BATCH = 32


def to_input(pixels: NDArray[np.uint8]) -> Tensor:
    """Tiles uint8 [n, H, W, 3] as float32 [n, 3, H, W] with values 0..255, channels last in memory."""
    # Channels last: twice as fast as the default layout on one CPU thread.
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).to(torch.float32)


def on_one_thread() -> None:
    """From here on PyTorch takes one thread in this process: for processes that run side by side."""
    torch.set_num_threads(1)


def predict(net: nn.Module, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits float32 [n, classes] of tiles uint8 [n, tile, tile, 3]; the net is put into evaluation mode."""
    net.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(pixels), BATCH):
            parts.append(net(to_input(pixels[start : start + BATCH])).numpy())
    logits: NDArray[np.float32] = np.concatenate(parts).astype(np.float32)
    return logits


def image_tile_logits(net: nn.Module, image: NDArray[np.uint8], tile: int) -> NDArray[np.float32]:
    """Logits float32 [tiles, classes] of one image uint8 [H, W, 3], tiles row-major."""
    return predict(net, tiles(image, tile))


def pooled_features(net: nn.Module, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the net's head reads of tiles uint8 [n, tile, tile, 3]: float32 [n, features], in evaluation mode."""
    net.eval()
    with torch.inference_mode():
        parts = [
            net.features(to_input(pixels[i : i + BATCH])).numpy()  # type: ignore[operator]
            for i in range(0, len(pixels), BATCH)
        ]
    features: NDArray[np.float32] = np.concatenate(parts).astype(np.float32)
    return features


def head_logits(net: nn.Module, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits float32 [n, classes] of pooled features [n, features], in evaluation mode: several heads may share them."""
    net.eval()
    whole = net.features
    # The nets' forward is head(features(pixels)): with features standing still it is the head.
    net.features = lambda given: given  # type: ignore[assignment]
    try:
        with torch.inference_mode():
            logits: NDArray[np.float32] = net(torch.from_numpy(features)).numpy()
    finally:
        del net.features
        assert net.features == whole
    return logits
