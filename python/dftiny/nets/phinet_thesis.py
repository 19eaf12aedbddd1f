"""The PhiNet of the thesis: PhiNets (doi 10.1145/3510832) with alpha 1.1, beta .75, t_zero 5 and 8 blocks.

Layer for layer the function of micromind 0.2.1's PhiNet (squeeze and excitation, h-swish, symmetric padding
also at stride 2), so that its weights go in by name: `from_micromind`. Written anew; no code of micromind's.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from dftiny.errors import DftError
from dftiny.nets.blocks import conv_bn
from dftiny.nets.phinet import divisible, expansion
from dftiny.nets.registry import register
from dftiny.nets.thesis import Head, PixelConv, head_names

EPSILON = 1e-3  # of every BatchNorm, as in the TensorFlow code PhiNet came from
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "hardswish": functional.hardswish,
    "relu6": functional.relu6,
}
DROPOUT = 0.05  # whole channels, before each depthwise convolution


class SigmoidGate(nn.Module):
    """Squeeze and excitation as in the PhiNet paper: mean, 1x1, activation, 1x1, sigmoid, product. No biases."""

    def __init__(self, channels: int, reduced: int, activation: str = "hardswish") -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.squeeze = nn.Conv2d(channels, reduced, 1, bias=False)
        self.excite = nn.Conv2d(reduced, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.activation(self.squeeze(x.mean((2, 3), keepdim=True)))
        gated: Tensor = x * self.excite(squeezed).sigmoid()
        return gated


class ThesisBlock(nn.Module):
    """Expand 1x1 (unless expanded == inputs), depthwise 3x3, gate (unless reduced == 0), linear projection 1x1.

    float [n, inputs, H, W] to [n, outputs, H / stride, W / stride]; a residual where the shapes allow it.
    With `corner` a stride of 2 pads right and bottom only, as TFLite's SAME does on an even size.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        expanded: int,
        stride: int,
        reduced: int,
        activation: str = "hardswish",
        *,
        corner: bool = False,
    ) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.corner = corner and stride == 2
        self.residual = stride == 1 and inputs == outputs
        self.expand = conv_bn(inputs, expanded, eps=EPSILON) if expanded != inputs else None
        self.dropout = nn.Dropout2d(DROPOUT)
        padding = 0 if self.corner else 1
        self.depthwise = conv_bn(expanded, expanded, 3, stride, padding, groups=expanded, eps=EPSILON)
        self.gate = SigmoidGate(expanded, reduced, activation) if reduced else None
        self.project = conv_bn(expanded, outputs, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        y = self.activation(self.expand(x)) if self.expand is not None else x
        y = functional.pad(y, (0, 1, 0, 1)) if self.corner else y
        y = self.activation(self.depthwise(self.dropout(y)))
        projected: Tensor = self.project(self.gate(y) if self.gate is not None else y)
        return x + projected if self.residual else projected


class PhiNetThesis(nn.Module):
    """Separable stem, `num_layers` PhiNet blocks after one that does not expand, mean, and the thesis' head.

    The scaling factors are the paper's: alpha (widths), beta and t_zero (expansion), num_layers, the `divisor` of
    all widths, whether blocks have a `gate` (squeeze and excitation), their `activation`, the padding at stride 2
    (`corner`). The defaults are the thesis'. DftError for an activation that is not known, or factors that build no net.
    float [n, 3, H, W] with pixels 0..255 to logits [n, 1].
    """

    head_prefixes = ("head.",)

    def __init__(
        self,
        *,
        alpha: float,
        beta: float,
        t_zero: float,
        num_layers: int,
        down: tuple[int, ...],
        divisor: int = 8,
        gate: bool = True,
        activation: str = "hardswish",
        corner: bool = False,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise DftError(f"PhiNet has no activation {activation!r}", f"known: {', '.join(ACTIVATIONS)}")
        if min(alpha, beta, t_zero, num_layers, divisor) <= 0:
            raise DftError("PhiNet's alpha, beta, t_zero, num_layers and divisor must be above 0")
        self.activation = ACTIVATIONS[activation]

        def width(channels: float) -> int:
            return divisible(int(channels * alpha), divisor)

        # At stride 2 and an even size only the right and the bottom of the frame are ever looked at.
        self.stem = PixelConv(3, (3, 3), stride=(2, 2), frame=(0, 1, 0, 1), groups=3)
        self.point = conv_bn(3, width(48), eps=EPSILON)
        channels, outputs = width(48), 24
        blocks = [ThesisBlock(channels, width(outputs), channels, 1, 0, activation)]
        channels = width(outputs)
        for layer in range(1, num_layers + 1):
            outputs *= 2 if layer == 3 or layer in down else 1
            stride = 2 if layer in (1, 3) or layer in down else 1
            expanded = divisible(int(expansion(t_zero, beta, layer, num_layers) * channels), divisor)
            reduced = divisible(expanded // 6) if gate else 0
            block = ThesisBlock(
                channels, width(outputs), expanded, stride, reduced, activation, corner=corner
            )
            blocks.append(block)
            channels = width(outputs)
        self.blocks = nn.Sequential(*blocks)
        self.head = Head(channels)

    def features(self, pixels: Tensor) -> Tensor:
        """Pooled features [n, channels] of tiles [n, 3, H, W]."""
        x = self.activation(self.point(self.stem(pixels)))
        pooled: Tensor = self.blocks(x).mean((2, 3))
        return pooled

    def forward(self, pixels: Tensor) -> Tensor:
        logit: Tensor = self.head(self.features(pixels))
        return logit

    @staticmethod
    def adopt(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """A state dict under this net's names, from one with micromind's: see `from_micromind`."""
        return from_micromind(state)


@register(tile=96)
def phinet_thesis(tile: int) -> nn.Module:
    """The thesis' PhiNet, 1.15 M parameters, ImageNet normalisation inside; takes micromind's weights."""
    del tile  # fully convolutional up to the pooling
    return PhiNetThesis(alpha=1.1, beta=0.75, t_zero=5.0, num_layers=8, down=(5, 7))


# Positions in micromind's lists of layers: with an expansion (blocks 1 and up) and without (block 0).
_EXPANDING = {
    0: "expand.0",
    1: "expand.1",
    4: "depthwise.0",
    5: "depthwise.1",
    8: "project.0",
    9: "project.1",
}
_PLAIN = {1: "depthwise.0", 2: "depthwise.1", 4: "project.0", 5: "project.1"}
_STEM = {0: "stem", 1: "point.0", 2: "point.1"}
_GATE = {"se_conv": "gate.squeeze", "se_conv2": "gate.excite"}
_LAYER = re.compile(r"(?:.*\.)?_layers\.(\d+)\._layers\.(\d+)\.(?:(se_conv2?)\.)?(\w+)$")


def from_micromind(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of micromind's PhiNet (with any prefix) and of a head of two linear layers beside it.

    Tensors it does not know keep their names, so that loading names them; a dict without micromind's names is
    left alone.
    """
    names = {key: name for key in state if (name := _micromind_name(key)) is not None}
    if not names:
        return state
    names |= head_names(state, names)
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        name = names.get(key, key)
        # Of two tensors of one name (two nets in one file) the second keeps its own, and loading names it.
        renamed[key if name in renamed else name] = value
    return renamed


def _micromind_name(key: str) -> str | None:
    match = _LAYER.match(key)
    if match is None:
        return None
    layer, part, gate, last = int(match[1]), int(match[2]), match[3], match[4]
    if layer == 1:
        return f"{_STEM[part]}.{last}" if part in _STEM else None
    if gate:
        return f"blocks.{layer - 2}.{_GATE[gate]}.{last}"
    parts = _PLAIN if layer == 2 else _EXPANDING
    return f"blocks.{layer - 2}.{parts[part]}.{last}" if part in parts and layer >= 2 else None
