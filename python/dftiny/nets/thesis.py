"""What the thesis' two edge nets share: the normalisation they were trained with, and their head.

ImageNet's normalisation is folded into the first convolution, exactly:
conv(pad0((p - mean) / std), w) = conv(pad_mean(p), w / std) - sum(w * mean / std): the scale goes into the
weights, the shift into the bias, and the frame of zeros becomes a frame of the mean colour. So the int8 input
stays exactly pixel - 128, and only the frame is rounded to whole pixel values.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

MEAN = (123.675, 116.28, 103.53)  # .485 .456 .406 of 255
STD = (58.395, 57.12, 57.375)  # .229 .224 .225 of 255


class PixelConv(nn.Conv2d):
    """A first convolution on pixels 0..255 whose weights are those for normalised, zero-padded images.

    `frame` is the padding (left, right, top, bottom) in pixels. float [n, 3, H, W] to [n, outputs, H', W'].
    """

    def __init__(
        self,
        outputs: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int],
        frame: tuple[int, int, int, int],
        groups: int = 1,
    ) -> None:
        super().__init__(3, outputs, kernel, stride, groups=groups, bias=False)
        self.frame = frame

    def forward(self, pixels: Tensor) -> Tensor:
        weight, bias = self.folded()
        return functional.conv2d(self.framed(pixels), weight, bias, self.stride, groups=self.groups)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weights and bias for raw pixels."""
        each = self.in_channels // self.groups
        # The input channels that each filter looks at: all three, or in a depthwise convolution one.
        filters = self.groups, self.out_channels // self.groups, each
        mean = self.weight.new_tensor(MEAN).view(self.groups, 1, each).expand(filters).reshape(-1, each, 1, 1)
        std = self.weight.new_tensor(STD).view(self.groups, 1, each).expand(filters).reshape(-1, each, 1, 1)
        weight = self.weight / std
        return weight, -(weight * mean).sum((1, 2, 3))

    def framed(self, pixels: Tensor) -> Tensor:
        """Tiles with a frame of the mean colour, [n, 3, H + top + bottom, W + left + right]."""
        left, right, top, bottom = self.frame
        pixels = self._join(pixels, left, right, 3)
        return self._join(pixels, top, bottom, 2)

    def _join(self, pixels: Tensor, before: int, after: int, axis: int) -> Tensor:
        def strip(size: int) -> list[Tensor]:
            shape = list(pixels.shape)
            shape[axis] = size
            return [pixels.new_tensor(MEAN).view(1, 3, 1, 1).expand(shape)] if size else []

        parts = [*strip(before), pixels, *strip(after)]
        return torch.cat(parts, axis) if len(parts) > 1 else pixels


class Head(nn.Module):
    """The thesis' head on pooled features [n, features]: `features` to 512, ReLU, to one logit [n, 1]."""

    def __init__(self, features: int, hidden: int = 512) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, hidden)
        self.logit = nn.Linear(hidden, 1)

    def forward(self, features: Tensor) -> Tensor:
        logit: Tensor = self.logit(functional.relu(self.hidden(features)))
        return logit


def head_names(state: dict[str, Tensor], known: Iterable[str]) -> dict[str, str]:
    """New names for the two linear layers of `state` that come first in it and are not `known`: those of `Head`.

    People name their heads as they like; so it is told by its order in the file and checked by its shapes.
    """
    taken = set(known)
    others = {key: value for key, value in state.items() if key not in taken}
    layers = [
        key.rpartition(".")[0] for key, value in others.items() if value.ndim == 2 and key.endswith(".weight")
    ]
    pairs = zip(layers, ("head.hidden", "head.logit"), strict=False)
    return {f"{layer}.{part}": f"{name}.{part}" for layer, name in pairs for part in ("weight", "bias")}
