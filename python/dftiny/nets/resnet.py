"""ResNets (He et al. 2015, arXiv 1512.03385) under torchvision's names: the baseline of the thesis, and small ones.

`resnet50` stays on the host: 25 MB of int8 weights are no net for the chip. `resnet_small` is a ResNet-18 a quarter
as wide; `resnet_demo` is that behind the front end, for quick runs. A checkpoint of torchvision's resnet50 goes in as it is; nothing is downloaded.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from dftiny.nets.blocks import CLAMP, HighPass
from dftiny.nets.registry import register
from dftiny.nets.thesis import PixelConv

EXPANSION = 4  # of a bottleneck's width at its end


class ResBlock(nn.Module):
    """A residual block: two 3x3 convolutions, or with `bottleneck` 1x1, 3x3 (with the stride) and 1x1.

    float [n, inputs, H, W] to [n, outputs, H / stride, W / stride]; outputs = width, or 4 * width.
    """

    def __init__(self, inputs: int, width: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        outputs = width * (EXPANSION if bottleneck else 1)
        widths = (inputs, width, width, outputs) if bottleneck else (inputs, width, outputs)
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        strides = (1, stride, 1) if bottleneck else (stride, 1)
        self.depth = len(kernels)
        for i, (before, after) in enumerate(pairwise(widths)):
            kernel = kernels[i]
            conv = nn.Conv2d(before, after, kernel, strides[i], kernel // 2, bias=False)
            self.add_module(f"conv{i + 1}", conv)
            self.add_module(f"bn{i + 1}", nn.BatchNorm2d(after))
        self.downsample: nn.Sequential | None = None
        if stride > 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i in range(1, self.depth + 1):
            y = self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(y))
            y = y if i == self.depth else functional.relu(y)
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """7x7 stem, max pooling, four stages of `layers` blocks, mean, one linear layer of `classes` logits.

    float [n, 3, H, W] with pixels 0..255 (ImageNet's normalisation is folded into the stem) to [n, classes].
    """

    head_prefixes = ("fc.",)

    def __init__(
        self, layers: tuple[int, int, int, int], *, width: int, bottleneck: bool, classes: int = 1
    ) -> None:
        super().__init__()
        # Symmetric padding of 3: at an even size the last column and row of it are never looked at.
        self.conv1: nn.Module = PixelConv(width, (7, 7), stride=(2, 2), frame=(3, 2, 3, 2))
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        for stage, blocks in enumerate(layers):
            parts = []
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                parts.append(ResBlock(channels, width << stage, stride, bottleneck=bottleneck))
                channels = (width << stage) * (EXPANSION if bottleneck else 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*parts))
        self.fc = nn.Linear(channels, classes)
        _start(self)

    def features(self, pixels: Tensor) -> Tensor:
        """Pooled features [n, channels] of tiles [n, 3, H, W]."""
        # Zeros stand for pooling's own padding, minus infinity, on which the int8 converter aborts: before a ReLU they
        # are the same. At an even size only the first column and row of it are ever looked at.
        x = functional.relu(functional.pad(self.bn1(self.conv1(pixels)), (1, 0, 1, 0)))
        x = functional.max_pool2d(x, 3, 2)
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        pooled: Tensor = x.mean((2, 3))
        return pooled

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.features(pixels))
        return logits


class ResidualStem(nn.Module):
    """The fixed high-pass residuals, then ResNet's 7x7 convolution: float [n, 3, H, W] to [n, width, H / 2, W / 2]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.front = HighPass()
        self.conv = nn.Conv2d(self.front.conv.out_channels, width, 7, 2, 3, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, pixels: Tensor) -> Tensor:
        residuals = self.front(pixels) - CLAMP  # 0 is no residual, as the convolution's padding has it
        made: Tensor = self.conv(residuals)
        return made


def _start(net: nn.Module) -> None:
    """He's start for convolutions before a ReLU (arXiv 1502.01852, fan out), as torchvision has it."""
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


@register(tile=224, host=True)
def resnet50(tile: int) -> nn.Module:
    """ResNet-50 with one logit, the thesis' baseline: on the host only; takes torchvision's weights."""
    del tile  # fully convolutional up to the pooling
    return ResNet((3, 4, 6, 3), width=64, bottleneck=True)


@register(tile=96)
def resnet_small(tile: int) -> nn.Module:
    """ResNet-18 a quarter as wide, ImageNet normalisation inside: the baseline of quick runs."""
    del tile  # fully convolutional up to the pooling
    return ResNet((2, 2, 2, 2), width=16, bottleneck=False)


@register(tile=128, host=True)
def resnet_demo(tile: int) -> nn.Module:
    """The small ResNet behind the high-pass front end: the baseline of the quick grid, on the host only."""
    del tile  # fully convolutional up to the pooling
    net = ResNet((2, 2, 2, 2), width=16, bottleneck=False)
    # Its own stem stays near chance on traces: validation AUC .56 after 400 steps, .99 after 300 with this one.
    net.conv1 = ResidualStem(net.bn1.num_features)
    return net
