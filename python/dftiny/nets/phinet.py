"""PhiNets (Paissan, Ancilotto, Farella 2022, doi 10.1145/3510832) for tiles.

Both presets are this project's own: a fixed high-pass front end, a patch stem that keeps every pixel, and
PhiNet blocks with PhiNet's scaling of channels and expansion. `phinet_demo` trains in a minute; `phinet_h743`
has the scaling and the size of the thesis' net (phinet_thesis.py), built from what the chip runs fast.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from dftiny.nets.blocks import HighPass, PatchStem, PhiBlock
from dftiny.nets.registry import register


def divisible(value: float, divisor: int = 8) -> int:
    """Channels rounded to a multiple of `divisor`, never more than 10 % down (MobileNet's rule, used by PhiNet)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def expansion(t_zero: float, beta: float, block: int, blocks: int) -> float:
    """PhiNet's expansion factor of block `block` of `blocks`: from t_zero down to t_zero * beta, linearly."""
    return t_zero * ((1 - block / blocks) + beta * block / blocks)


class PhiNetTile(nn.Module):
    """High-pass front end, patch stem, PhiNet blocks, mean over the map, two fully connected layers.

    alpha scales the widths (24 channels, doubled at each layer of `down`), beta and t_zero the expansion.
    Input float [n, 3, H, W] with pixels 0..255; output logits [n, 1].
    """

    head_prefixes = ("hidden.", "logit.")

    def __init__(
        self,
        *,
        alpha: float,
        beta: float,
        t_zero: float,
        num_layers: int,
        patch: int,
        down: tuple[int, ...],
        head: int,
    ) -> None:
        super().__init__()
        width = 24.0
        channels = divisible(width * alpha)
        self.front = HighPass()
        self.stem = PatchStem(self.front.conv.out_channels, channels, patch)
        blocks = []
        for layer in range(1, num_layers + 1):
            stride = 2 if layer in down else 1
            width *= stride
            outputs = divisible(width * alpha)
            expanded = divisible(expansion(t_zero, beta, layer, num_layers) * channels)
            blocks.append(PhiBlock(channels, outputs, expanded, stride, divisible(expanded / 6)))
            channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(0.1)
        self.hidden = nn.Linear(channels, head)
        self.logit = nn.Linear(head, 1)

    def features(self, pixels: Tensor) -> Tensor:
        """Pooled features [n, channels] of tiles [n, 3, H, W]."""
        features: Tensor = self.blocks(self.stem(self.front(pixels))).mean((2, 3))
        return features

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = functional.relu6(self.hidden(self.dropout(self.features(pixels))))
        logit: Tensor = self.logit(hidden)
        return logit


@register(tile=128)
def phinet_demo(tile: int) -> nn.Module:
    """PhiNet for 128 px tiles with a high-pass front end: trains in about a minute on one CPU thread."""
    del tile  # fully convolutional up to the pooling
    return PhiNetTile(alpha=0.66, beta=0.75, t_zero=4.5, num_layers=4, patch=8, down=(2, 4), head=32)


@register(tile=128)
def phinet_h743(tile: int) -> nn.Module:
    """The thesis' PhiNet made for the chip: 1,150,165 parameters, 50.1 M MAC at 128 px, ReLU6 gates, high-pass input.

    alpha 1.1, beta .75, t_zero 5 and 8 blocks with `downsampling_layers` [5, 7] as in the thesis, where block 3
    halves and doubles too. The patch stem of stride 4 stands for the thesis' stem and its first block, which
    halve once each. 50,094,976 MAC at 128 px, 28,389,768 at 96 px (`registry.count`).
    """
    del tile  # fully convolutional up to the pooling
    return PhiNetTile(alpha=1.1, beta=0.75, t_zero=5.0, num_layers=8, patch=4, down=(3, 5, 7), head=512)
