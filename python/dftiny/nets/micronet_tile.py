"""MicroNet made for tiles on the chip: the front end of this project's PhiNets before MicroNet-M1's blocks.

MicroNet's own stem halves twice into 8 channels, where the traces of up-sampling do not come through: trained on the
demo set for 1,500 steps it stays at .71 accuracy a tile. Behind the fixed high-pass residuals and a patch stem that
keeps every pixel the same blocks reach .90.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from dftiny.nets.blocks import HighPass, PatchStem
from dftiny.nets.micronet import micro_block
from dftiny.nets.micronet_tables import M1, Variant
from dftiny.nets.registry import register
from dftiny.nets.thesis import Head

PATCH_PX = 4


class MicroNetTile(nn.Module):
    """High-pass front end, patch stem in place of MicroNet's stem and first block, its other micro-blocks, mean, head.

    float [n, 3, H, W] with pixels 0..255 to logits [n, 1].
    """

    head_prefixes = ("head.",)

    def __init__(self, variant: Variant, channels: int) -> None:
        super().__init__()
        self.front = HighPass()
        self.stem = PatchStem(self.front.conv.out_channels, channels, PATCH_PX)
        blocks = []
        for row in variant.rows[1:]:
            blocks.append(micro_block(channels, row, variant.starts))
            channels = row.outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = Head(channels)

    def features(self, pixels: Tensor) -> Tensor:
        """Pooled features [n, channels] of tiles [n, 3, H, W]."""
        x = self.blocks(self.stem(self.front(pixels)))
        pooled = functional.relu6(x).mean((2, 3), keepdim=True)
        return functional.hardswish(pooled).flatten(1)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(pixels))
        return logits


@register(tile=128)
def micronet_h743(tile: int) -> nn.Module:
    """MicroNet-M1's blocks behind the high-pass front end: 562,745 parameters, 4.6 M MAC at 128 px."""
    del tile  # fully convolutional up to the pooling
    return MicroNetTile(M1, channels=24)
