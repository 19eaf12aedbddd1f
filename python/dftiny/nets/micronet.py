"""MicroNet-M0 to M3 (Li et al. 2021, arXiv 2108.05894) in the form that converts to int8.

Micro-factorised convolutions (depthwise as k x 1 and 1 x k, pointwise in groups with a shuffle between) and
Dynamic Shift-Max. Where the paper's own form does not convert, another one of equal value stands: shuffles
are one int32 index_select right behind a convolution, ReLU6 comes before the shuffle (so that it fuses), every
coefficient of the Shift-Max is a 1 x 1 convolution of the pooled map with the +3 of its h-sigmoid in the bias,
and a sum of two maps is a difference. (onnx2tf 1.29 transposes every sum of two maps to and fro, and where a map
is as wide as the next convolution has groups it takes that one for depthwise and fails: at 64, 128 and 256 px.)
So where a block adds its input, the block's own map comes out negated (`negate`) and is taken away.
Weights of the paper's authors go in by name: `from_authors`.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.nn import functional

from dftiny.nets.blocks import CLAMP, conv_bn
from dftiny.nets.micronet_tables import M0, M1, M2, M3, Block, Variant
from dftiny.nets.phinet import divisible
from dftiny.nets.registry import register
from dftiny.nets.thesis import Head, PixelConv, head_names

COEFFICIENT_RANGE = 4.0  # a coefficient moves in -2..2 around its initial value (section 4 of the paper)
LINEAR = (1.0, 0.0)  # the coefficients of a linear Shift-Max before training
REDUCTION = 8  # of the channels of a Shift-Max, before its coefficients


def shuffled(order: Tensor, groups: int) -> Tensor:
    """Channel numbers after a shuffle: read `order` as [groups, channels / groups] and transpose it."""
    return order.view(groups, -1).t().reshape(-1)


def shifted(channels: int, groups: int) -> Tensor:
    """Channel numbers after the circular shift of a Shift-Max: by one group, and by one channel in the group."""
    return torch.arange(channels).view(groups, -1).roll(-1, 0).roll(-1, 1).reshape(-1)


class Permute(nn.Module):
    """Channels of [n, c, H, W] in a fixed other order. int32 indices: TFLM refuses a GATHER with int64."""

    order: Tensor

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.idle = torch.equal(order, torch.arange(len(order)))
        self.register_buffer("order", order.to(torch.int32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x if self.idle else x.index_select(1, self.order)


class Coefficient(nn.Module):
    """One dynamic coefficient a channel: [n, squeezed, 1, 1] to [n, channels, 1, 1] in start - 2 .. start + 2.

    With `sign` -1 the negative of it.
    """

    def __init__(self, squeezed: int, channels: int, start: float, sign: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(squeezed, channels, 1)
        self.factor = sign * COEFFICIENT_RANGE / 6.0
        self.offset = sign * (start - COEFFICIENT_RANGE / 2.0)
        assert self.conv.bias is not None
        # ReLU6(x + 3) is six times the h-sigmoid of x.
        nn.init.constant_(self.conv.bias, CLAMP)

    def forward(self, squeezed: Tensor) -> Tensor:
        return functional.relu6(self.conv(squeezed)) * self.factor + self.offset


class ShiftMax(nn.Module):
    """Dynamic Shift-Max: max over k fusions of a[k] * x + b[k] * shift(x), coefficients from the mean of x; then
    a shuffle to the channel order `order`.

    float [n, c, H, W] to the same. With one fusion it is linear in x. `starts` are the coefficients' values when
    the net knows nothing: (a1, b1) or (a1, b1, a2, b2). Shuffling x and shift(x) beforehand is the same as
    shuffling the result, with the coefficients in the result's order: that is how they are stored. With `negate`
    the negative comes out, of one fusion only.
    """

    def __init__(
        self,
        channels: int,
        groups: int,
        reduction: int,
        starts: tuple[float, ...],
        order: Tensor,
        *,
        negate: bool = False,
    ) -> None:
        super().__init__()
        assert len(starts) == 2 or not negate
        self.negate = negate
        squeezed = divisible(channels // reduction, 4)
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        # a and b take turns, and b comes out negated.
        self.coefficients = nn.ModuleList(
            Coefficient(squeezed, channels, start, -1.0 if i % 2 else 1.0) for i, start in enumerate(starts)
        )
        self.straight = Permute(order)
        self.shift = Permute(shifted(channels, groups)[order])

    def forward(self, x: Tensor) -> Tensor:
        squeezed = functional.relu(self.squeeze(x.mean((2, 3), keepdim=True)))
        c = [coefficient(squeezed) for coefficient in self.coefficients]
        one, other = self.straight(x), self.shift(x)
        if self.negate:
            negative: Tensor = other * c[1] - one * c[0]
            return negative
        fused: Tensor = one * c[0] - other * c[1]
        return fused if len(c) == 2 else torch.maximum(fused, one * c[2] - other * c[3])

    def products(self, x: Tensor) -> int:
        """Products of a coefficient and a value for one tile of the map x [n, c, H, W]."""
        return len(self.coefficients) * x[0].numel()


def factorised(inputs: int, expand: tuple[int, int], kernel: int, stride: int) -> nn.Sequential:
    """The micro-factorised depthwise convolution: k x 1, then 1 x k, each with its channel multiplier."""
    middle, pad = inputs * expand[0], kernel // 2
    return nn.Sequential(
        conv_bn(inputs, middle, (kernel, 1), (stride, 1), (pad, 0), groups=inputs),
        conv_bn(middle, middle * expand[1], (1, kernel), (1, stride), (0, pad), groups=middle),
    )


def _first_act(
    channels: int, groups: int, reduction: int, starts: tuple[float, ...] | None, order: Tensor
) -> nn.Module:
    """A Shift-Max of two fusions, or ReLU6 without `starts`; then the shuffle `order`."""
    if starts is None:
        return nn.Sequential(nn.ReLU6(), Permute(order))
    return ShiftMax(channels, groups, reduction, starts, order)


def _mixed(outputs: int, groups: int, reduction: int, act: int, *, negate: bool) -> nn.Module:
    """The end of a block: linear Shift-Max and two shuffles, or one shuffle alone."""
    order = shuffled(torch.arange(outputs), groups)
    if not act:
        return Permute(order)  # the norm before it holds the sign: see `_projection`
    return ShiftMax(outputs, groups, reduction, LINEAR, shuffled(order, outputs // 2), negate=negate)


def _projection(wide: int, row: Block, *, negate: bool) -> nn.Sequential:
    """The convolution that reduces. Where no Shift-Max follows to `negate` the map, its norm's scale does."""
    project = conv_bn(wide, row.outputs, groups=row.project[0])
    norm = project[1]
    if negate and not row.acts[2]:
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.constant_(norm.weight, -1.0)
    return project


class MicroBlockA(nn.Module):
    """Micro-Block A: depthwise convolutions that expand, then a grouped convolution that reduces."""

    def __init__(self, inputs: int, row: Block, starts: tuple[float, ...]) -> None:
        super().__init__()
        wide, reduction = inputs * row.expand[0] * row.expand[1], REDUCTION * row.reduction
        self.residual = row.stride == 1 and inputs == row.outputs
        order = shuffled(torch.arange(wide), row.groups[1])
        self.spatial = factorised(inputs, row.expand, row.kernel, row.stride)
        if row.acts[1]:
            order = shuffled(order, wide // 2)
        self.act = _first_act(wide, row.groups[1], reduction, starts if row.acts[1] else None, order)
        self.project = _projection(wide, row, negate=self.residual)
        self.mix = _mixed(row.outputs, row.project[1], reduction // 2, row.acts[2], negate=self.residual)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mix(self.project(self.act(self.spatial(x))))
        return x - mixed if self.residual else mixed


class MicroBlockB(nn.Module):
    """Micro-Block B and C: grouped convolution that expands, depthwise, grouped convolution that reduces."""

    def __init__(self, inputs: int, row: Block, starts: tuple[float, ...]) -> None:
        super().__init__()
        wide, reduction = inputs * row.expand[0] * row.expand[1], REDUCTION * row.reduction
        self.residual = row.stride == 1 and inputs == row.outputs
        channels, groups = torch.arange(wide), row.groups[1]
        self.widen = conv_bn(inputs, wide, groups=row.groups[0])
        wide_starts = starts if row.acts[0] else None
        self.act_wide = _first_act(wide, groups, reduction, wide_starts, shuffled(channels, groups))
        self.spatial = factorised(wide, (1, 1), row.kernel, row.stride)
        # Here the shift goes by the other factor: as many groups as there were channels in a group.
        order = shuffled(channels, wide // (4 if row.acts[0] else 2))
        self.act = ShiftMax(wide, wide // groups, reduction, starts, order)
        self.project = _projection(wide, row, negate=self.residual)
        halved = reduction // 2 if row.outputs < wide else reduction
        self.mix = _mixed(row.outputs, row.project[1], halved, row.acts[2], negate=self.residual)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.spatial(self.act_wide(self.widen(x))))
        mixed: Tensor = self.mix(self.project(y))
        return x - mixed if self.residual else mixed


class MicroBlockLast(nn.Module):
    """The last block: a grouped convolution that expands, and a linear Shift-Max without a shuffle, or nothing."""

    def __init__(self, inputs: int, row: Block) -> None:
        super().__init__()
        self.widen = conv_bn(inputs, row.outputs, groups=row.groups[0])
        reduction, order = REDUCTION * row.reduction, torch.arange(row.outputs)
        linear = bool(row.acts[2])
        self.mix = (
            ShiftMax(row.outputs, row.groups[1], reduction, LINEAR, order) if linear else Permute(order)
        )

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mix(self.widen(x))
        return mixed


def micro_block(inputs: int, row: Block, starts: tuple[float, ...]) -> nn.Module:
    """The micro-block of kind A, B or last that `row` describes, for maps of `inputs` channels."""
    if row.groups[0] == 0:
        return MicroBlockA(inputs, row, starts)
    return MicroBlockB(inputs, row, starts) if row.project[0] else MicroBlockLast(inputs, row)


class ImageNetHead(nn.Module):
    """The paper's classifier on pooled features [n, features]: `hidden`, then 1000 classes, each with BatchNorm and h-swish."""

    def __init__(self, features: int, hidden: int, classes: int = 1000) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(features, hidden), nn.BatchNorm1d(hidden))
        self.classes = nn.Sequential(nn.Linear(hidden, classes), nn.BatchNorm1d(classes))

    def forward(self, features: Tensor) -> Tensor:
        return functional.hardswish(self.classes(functional.hardswish(self.hidden(features))))


class MicroNet(nn.Module):
    """Factorised stem, micro-blocks, ReLU6, mean, h-swish, and a head.

    float [n, 3, H, W] with pixels 0..255 to logits [n, 1], or [n, 1000] with the paper's head (`imagenet`).
    """

    head_prefixes = ("head.",)

    def __init__(self, variant: Variant = M1, *, imagenet: bool = False) -> None:
        super().__init__()
        tall, wide = variant.stem[0], variant.stem[0] * variant.stem[1]
        # At stride 2 and an even size only the first row and column of the padding are ever looked at.
        self.stem = PixelConv(tall, (3, 1), stride=(2, 1), frame=(0, 0, 1, 0))
        self.stem_norm = nn.BatchNorm2d(tall)
        self.stem_wide = conv_bn(tall, wide, (1, 3), (1, 2), (0, 1), groups=tall)
        self.stem_shuffle = Permute(shuffled(torch.arange(wide), tall))
        channels, blocks = wide, []
        for row in variant.rows:
            blocks.append(micro_block(channels, row, variant.starts))
            channels = row.outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = ImageNetHead(channels, variant.hidden) if imagenet else Head(channels)

    def features(self, pixels: Tensor) -> Tensor:
        """Pooled features [n, channels] of tiles [n, 3, H, W]."""
        x = self.stem_wide(self.stem_norm(self.stem(pixels)))
        x = self.blocks(self.stem_shuffle(functional.relu6(x)))
        pooled = functional.relu6(x).mean((2, 3), keepdim=True)
        return functional.hardswish(pooled).flatten(1)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(pixels))
        return logits

    def adopt(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """A state dict under this net's names, from one with the authors' names: see `from_authors`."""
        return from_authors(state, self.blocks)


@register(tile=96)
def micronet_m0(tile: int) -> nn.Module:
    """MicroNet-M0, 0.33 M parameters, ImageNet normalisation inside; takes the authors' weights."""
    del tile  # fully convolutional up to the pooling
    return MicroNet(M0)


@register(tile=96)
def micronet_m1(tile: int) -> nn.Module:
    """MicroNet-M1, 0.55 M parameters, ImageNet normalisation inside; takes the authors' weights."""
    del tile  # fully convolutional up to the pooling
    return MicroNet(M1)


@register(tile=96)
def micronet_m2(tile: int) -> nn.Module:
    """MicroNet-M2, 0.97 M parameters, ImageNet normalisation inside; takes the authors' weights."""
    del tile  # fully convolutional up to the pooling
    return MicroNet(M2)


@register(tile=96)
def micronet_m3(tile: int) -> nn.Module:
    """MicroNet-M3, 1.15 M parameters, one Shift-Max a block, ImageNet normalisation inside; takes the authors' weights."""
    del tile  # fully convolutional up to the pooling
    return MicroNet(M3)


# The authors' numbering of the layers of a block, by kind of block, and their names inside a layer.
_LAYERS: dict[type, dict[int, str]] = {
    MicroBlockA: {0: "spatial", 1: "act", 4: "project", 5: "mix"},
    MicroBlockB: {0: "widen", 1: "act_wide", 3: "spatial", 5: "act", 7: "project", 8: "mix"},
    MicroBlockLast: {0: "widen", 1: "mix"},
}
_STEM = {0: "stem", 1: "stem_norm", 2: "stem_wide.0", 3: "stem_wide.1"}
_CLASSIFIER = {0: "head.hidden", 2: "head.classes"}
_CLASSIFIER_KEY = re.compile(r"(?:.*\.)?classifier\.([02])\.linear\.([01])\.(\w+)$")
_STEM_KEY = re.compile(r"(?:.*\.)?features\.0\.stem\.0\.conv\.([0-3])\.(\w+)$")
_BLOCK_KEY = re.compile(r"(?:.*\.)?features\.(\d+)\.layers\.(\d+)\.(conv|fc)\.(\d)\.(\w+)$")


def from_authors(state: dict[str, Tensor], blocks: nn.Sequential) -> dict[str, Tensor]:
    """Rename the tensors of the authors' MicroNet (any prefix) and of a head of two linear layers beside it.

    Their one layer of all coefficients becomes one convolution each, shuffled like the map behind it. Tensors it does not know keep their names,
    so that loading names them; a dict without the authors' names is left alone.
    """
    names = {key: name for key in state if (name := _authors_name(key, blocks)) is not None}
    if not names:
        return state
    names |= head_names(state, names)
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        name = names.get(key, key)
        # Their squeeze and coefficients are linear layers, here they are 1 x 1 convolutions.
        filters = value[:, :, None, None] if value.ndim == 2 else value
        if name in renamed:
            renamed[key] = value  # a second net in the file: loading names it
        elif ".coefficients." in name and value.ndim:
            mix, _, last = name.rpartition(".coefficients.")
            shift_max = blocks.get_submodule(mix.removeprefix("blocks."))
            assert isinstance(shift_max, ShiftMax)  # _authors_name looked
            order = shift_max.straight.order
            for i, theirs in enumerate(filters.chunk(len(shift_max.coefficients))):
                part = theirs[order] if len(theirs) == len(order) else theirs
                renamed[f"{mix}.coefficients.{i}.conv.{last}"] = part + CLAMP if last == "bias" else part
        else:
            renamed[name] = filters if ".squeeze." in name else _signed(name, value, blocks)
    return renamed


def _signed(name: str, value: Tensor, blocks: nn.Sequential) -> Tensor:
    """A tensor of theirs with the sign it has here: their residual adds what ours takes away.

    Where a linear Shift-Max ends the block it changes the sign itself; where none does, the norm's scale and shift do.
    """
    if not re.fullmatch(r"blocks\.\d+\.project\.1\.(weight|bias)", name):
        return value
    block = blocks[int(name.split(".")[1])]
    assert isinstance(block, (MicroBlockA, MicroBlockB))  # _authors_name looked
    return -value if block.residual and isinstance(block.mix, Permute) else value


def _authors_name(key: str, blocks: nn.Sequential) -> str | None:
    """This net's name of a tensor of theirs; `blocks.1.act.coefficients.weight` for all coefficients together."""
    if match := _STEM_KEY.match(key):
        return f"{_STEM[int(match[1])]}.{match[2]}"
    if match := _CLASSIFIER_KEY.match(key):
        return f"{_CLASSIFIER[int(match[1])]}.{match[2]}.{match[3]}"
    match = _BLOCK_KEY.match(key)
    if match is None:
        return None
    index, layer, step, last = int(match[1]) - 1, int(match[2]), int(match[4]), match[5]
    part = _LAYERS[type(blocks[index])].get(layer) if 0 <= index < len(blocks) else None
    if part is None or (match[3] == "fc") != isinstance(blocks[index].get_submodule(part), ShiftMax):
        return None
    if match[3] == "fc":
        inner = "squeeze" if step == 0 else "coefficients"
    else:  # two convolutions in a row are a Sequential of two here
        inner = f"{step // 2}.{step % 2}" if part == "spatial" else str(step)
    return f"blocks.{index}.{part}.{inner}.{last}"
