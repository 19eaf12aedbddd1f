"""The layers the presets are built from, chosen so that they convert to int8 cleanly.

Every activation stands right behind a convolution, so that it fuses into it (a standalone int8 RELU6 is
computed wrongly by TFLM, silently), and no zero padding ever sees a shifted value.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# Residual kernels on the int8 grid: sums are exactly 0, the largest weight is 127, so that the converter's
# symmetric per-channel scale (max / 127) gives back these very integers.
KERNEL_SQUARE = ((-32, 64, -32), (63, -127, 64), (-32, 63, -31))
KERNEL_CROSS = ((0, 32, 0), (32, -127, 32), (0, 31, 0))
# A power of two: integer / 1024 and its int8 scale are exact in float32.
RESIDUAL_SCALE = 1.0 / 1024.0
CLAMP = 3.0


class HighPass(nn.Module):
    """Fixed high-pass residuals of an image, clamped to +-3 and shifted by 3: the front end.

    Input float [n, 3, H, W], pixels 0..255; output [n, 3 * kernels, H, W] in 0..6. The clamp is the ReLU6
    that fuses into the convolution: ReLU6(r + 3) = clamp(r, -3, 3) + 3. Nothing here is trained.
    """

    def __init__(
        self, kernels: tuple[tuple[tuple[int, ...], ...], ...] = (KERNEL_SQUARE, KERNEL_CROSS)
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3 * len(kernels), 3, padding=1, groups=3)
        bank = torch.tensor(kernels, dtype=torch.float32) * RESIDUAL_SCALE
        with torch.no_grad():
            self.conv.weight.copy_(bank.repeat(3, 1, 1).unsqueeze(1))
            assert self.conv.bias is not None
            self.conv.bias.fill_(CLAMP)
        self.conv.requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        return functional.relu6(self.conv(pixels))


def conv_bn(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int] = 1,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    groups: int = 1,
    eps: float = 1e-5,
) -> nn.Sequential:
    """Convolution and batch normalisation, which the export folds into one convolution with a bias."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    # Momentum 0.1 is PyTorch's convention; micromind's 0.999 is TensorFlow's and would keep the last batch only.
    return nn.Sequential(conv, nn.BatchNorm2d(outputs, eps=eps, momentum=0.1))


class PatchStem(nn.Module):
    """Space to depth as one convolution: `patch`x`patch` window, stride `patch`, no padding, ReLU6.

    Input [n, c, H, W] to [n, outputs, H / patch, W / patch]. It takes the front end's shift into its bias.
    """

    def __init__(self, inputs: int, outputs: int, patch: int) -> None:
        super().__init__()
        self.conv = conv_bn(inputs, outputs, kernel=patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu6(self.conv(x))


class SqueezeGate(nn.Module):
    """Squeeze and excitation whose gate is ReLU6(...) in 0..6 and not a sigmoid: no LOGISTIC, all fused.

    Input and output [n, c, H, W]. The missing factor 1/6 is absorbed by the layer that follows.
    """

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, reduced, 1)
        self.excite = nn.Conv2d(reduced, channels, 1)
        assert self.excite.bias is not None
        # Half open at the start, like a sigmoid of zero.
        nn.init.constant_(self.excite.bias, CLAMP)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean((2, 3), keepdim=True)
        gate = functional.relu6(self.excite(functional.relu(self.squeeze(pooled))))
        return x * gate


class PhiBlock(nn.Module):
    """PhiNet's block: expand 1x1, depthwise 3x3, squeeze and excitation, linear projection 1x1.

    Input [n, inputs, H, W] to [n, outputs, H / stride, W / stride]; a residual where the shapes allow it.
    """

    def __init__(self, inputs: int, outputs: int, expanded: int, stride: int, reduced: int) -> None:
        super().__init__()
        self.stride = stride
        self.residual = stride == 1 and inputs == outputs
        self.expand = conv_bn(inputs, expanded)
        self.depthwise = conv_bn(expanded, expanded, 3, stride, 1 if stride == 1 else 0, groups=expanded)
        self.gate = SqueezeGate(expanded, reduced)
        self.project = conv_bn(expanded, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self.expand(x))
        if self.stride == 2:
            # TFLite's SAME at stride 2 on an even size: one zero row below, one zero column at the right.
            y = functional.pad(y, (0, 1, 0, 1))
        y = functional.relu6(self.depthwise(y))
        projected: Tensor = self.project(self.gate(y))
        return x + projected if self.residual else projected
