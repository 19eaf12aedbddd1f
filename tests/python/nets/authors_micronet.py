"""MicroNet as its authors define it, under the names of their checkpoints: what test_micronet.py compares with.

Written from the paper and the names; plain sums, shuffles by reshape, one linear layer of all coefficients.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dftiny.nets.micronet_tables import Block, Variant
from dftiny.nets.phinet import divisible


class Shuffle(nn.Module):
    """[n, groups * k, H, W] dealt out: transposed as [groups, k]."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)


class Mix(nn.Module):
    """Dynamic Shift-Max: coefficients a1, b1 and perhaps a2, b2, a channel each, in 4 (h_sigmoid - .5) + start."""

    def __init__(self, channels: int, groups: int, reduction: int, starts: tuple[float, ...]) -> None:
        super().__init__()
        squeezed = divisible(channels // reduction, 4)
        self.groups, self.starts = groups, starts
        self.fc = nn.Sequential(
            nn.Linear(channels, squeezed), nn.ReLU(), nn.Linear(squeezed, channels * len(starts))
        )

    def forward(self, x: Tensor) -> Tensor:
        dynamic = 4.0 * (functional.hardsigmoid(self.fc(x.mean((2, 3)))) - 0.5)
        c = [
            part[:, :, None, None] + s
            for part, s in zip(dynamic.chunk(len(self.starts), 1), self.starts, strict=True)
        ]
        other = x.unflatten(1, (self.groups, -1)).roll((-1, -1), (1, 2)).flatten(1, 2)
        first = c[0] * x + c[1] * other
        return first if len(c) == 2 else torch.maximum(first, c[2] * x + c[3] * other)


class Group(nn.Module):
    """A grouped 1 x 1 convolution and its norm."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, 1, groups=groups, bias=False)
        self.conv = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class Spatial(nn.Module):
    """k x 1, norm, 1 x k, norm; `groups` of the first, and a shuffle at the end of the stem's."""

    def __init__(
        self,
        inputs: int,
        middle: int,
        outputs: int,
        kernel: int,
        stride: int,
        groups: int,
        stem: bool = False,
    ) -> None:
        super().__init__()
        pad = kernel // 2
        tall = nn.Conv2d(inputs, middle, (kernel, 1), (stride, 1), (pad, 0), groups=groups, bias=False)
        wide = nn.Conv2d(middle, outputs, (1, kernel), (1, stride), (0, pad), groups=middle, bias=False)
        last = [Shuffle(middle)] if stem else []
        self.conv = nn.Sequential(tall, nn.BatchNorm2d(middle), wide, nn.BatchNorm2d(outputs), *last)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class TheirBlock(nn.Module):
    """One micro-block; its list of layers has the authors' positions."""

    def __init__(self, inputs: int, row: Block, starts: tuple[float, ...]) -> None:
        super().__init__()
        (g1, g2), (g3, g4), (y1, y2, y3) = row.groups, row.project, row.acts
        middle, wide, out, none = (
            inputs * row.expand[0],
            inputs * row.expand[0] * row.expand[1],
            row.outputs,
            nn.Identity(),
        )
        reduction, linear = 8 * row.reduction, (1.0, 0.0)
        self.identity = row.stride == 1 and inputs == out

        def act(kind: int, channels: int, groups: int, by: int, s: tuple[float, ...]) -> nn.Module:
            return Mix(channels, groups, by, s) if kind else nn.ReLU6()

        by = reduction // 2 if g1 == 0 or out < wide else reduction
        end = (
            [Mix(out, g4, by, linear), Shuffle(g4), Shuffle(out // 2)]
            if y3
            else [none, Shuffle(g4) if g4 else none, none]
        )
        if g1 == 0:
            start = [
                Spatial(inputs, middle, wide, row.kernel, row.stride, inputs),
                act(y2, wide, g2, reduction, starts),
            ]
            layers = [*start, Shuffle(g2), Shuffle(wide // 2) if y2 else none, Group(wide, out, g3), *end]
        elif g4 == 0:
            layers = [Group(inputs, wide, g1), Mix(wide, g2, reduction, linear) if y3 else none]
        else:
            start = [Group(inputs, wide, g1), act(y1, wide, g2, reduction, starts), Shuffle(g2)]
            depthwise = [Spatial(wide, wide, wide, row.kernel, row.stride, wide), none]
            again = [Mix(wide, wide // g2, reduction, starts), Shuffle(wide // 4 if y1 else wide // 2)]
            layers = [*start, *depthwise, *again, Group(wide, out, g3), *end]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.identity else y


class Classes(nn.Module):
    """A linear layer, its norm and h-swish."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.Hardswish())

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        return y


class Stem(nn.Module):
    """The factorised stem and ReLU6."""

    def __init__(self, tall: int, each: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(Spatial(3, tall, tall * each, 3, 2, 1, stem=True), nn.ReLU6())

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.stem(x)
        return y


class AuthorsMicroNet(nn.Module):
    """float [n, 3, H, W], normalised as ImageNet, to [n, 1000]."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        channels, layers = variant.stem[0] * variant.stem[1], [Stem(*variant.stem)]
        blocks = []
        for row in variant.rows:
            blocks.append(TheirBlock(channels, row, variant.starts))
            channels = row.outputs
        self.features = nn.Sequential(*layers, *blocks)
        self.classifier = nn.Sequential(
            Classes(channels, variant.hidden), nn.Identity(), Classes(variant.hidden, 1000)
        )

    def forward(self, x: Tensor) -> Tensor:
        pooled = functional.hardswish(functional.relu6(self.features(x)).mean((2, 3)))
        logits: Tensor = self.classifier(pooled)
        return logits
