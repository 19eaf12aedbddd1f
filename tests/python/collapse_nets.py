"""Small detectors with ReLU, trained on the demo data: what the collapse campaign damages.

A ReLU lets one channel be scaled and its readers the other way without changing the answer; the released net's ReLU6
does not. Four kinds: depthwise separable, residual, plain with max pools, inverted residual with a gate.
`tools/campaign collapse` trains them once and keeps their weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from dftiny import spec
from dftiny.data.index import load_index
from dftiny.nets.blocks import HighPass, conv_bn
from dftiny.nets.predict import to_input
from dftiny.train.batches import batch, load_pool
from dftiny.train.recipe import parse_recipe

TILE = 64
STEPS = 700


def conv_relu(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU; no padding at stride 2."""
    padding = kernel // 2 if stride == 1 else 0
    return nn.Sequential(conv_bn(inputs, outputs, kernel, stride, padding, groups), nn.ReLU())


class Detector(nn.Module):
    """High-pass front end, patch stem, `blocks`, mean, two fully connected layers: pixels to one logit [n, 1]."""

    def __init__(self, blocks: nn.Sequential, stem: int, last: int) -> None:
        super().__init__()
        self.front = HighPass()
        self.stem = conv_relu(6, stem, 4, 4)
        self.blocks = blocks
        self.hidden = nn.Linear(last, 24)
        self.logit = nn.Linear(24, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.blocks(self.stem(self.front(pixels))).mean((2, 3))
        logit: Tensor = self.logit(functional.relu(self.hidden(features)))
        return logit


class Residual(nn.Module):
    """ResNet's basic block: two 3×3 convolutions beside the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_relu(channels, channels, 3)
        self.second = conv_bn(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class Inverted(nn.Module):
    """MobileNetV2's block with ReLU: expand, depthwise, linear projection, beside the input."""

    def __init__(self, channels: int, expanded: int) -> None:
        super().__init__()
        self.expand = conv_relu(channels, expanded)
        self.depthwise = conv_relu(expanded, expanded, 3, 1, expanded)
        self.project = conv_bn(expanded, channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.project(self.depthwise(self.expand(x)))
        return y


def separable() -> nn.Module:
    """MobileNetV1-like."""
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((24, 32, 1), (32, 48, 2), (48, 48, 1)):
        layers += [conv_relu(inputs, inputs, 3, stride, inputs), conv_relu(inputs, outputs)]
    return Detector(nn.Sequential(*layers), 24, 48)


def residual() -> nn.Module:
    """ResNet-like."""
    return Detector(nn.Sequential(Residual(24), conv_relu(24, 32, 2, 2), Residual(32)), 24, 32)


def plain() -> nn.Module:
    """VGG-like."""
    return Detector(
        nn.Sequential(
            conv_relu(24, 32, 3), nn.MaxPool2d(2), conv_relu(32, 40, 3), nn.MaxPool2d(2), conv_relu(40, 48, 3)
        ),
        24,
        48,
    )


def inverted() -> nn.Module:
    """MobileNetV2-like."""
    return Detector(nn.Sequential(Inverted(24, 72), conv_bn(24, 32, 2, 2), Inverted(32, 96)), 24, 32)


NETS: Mapping[str, Callable[[], nn.Module]] = {
    "separable": separable,
    "residual": residual,
    "plain": plain,
    "inverted": inverted,
}


def trained(name: str, data: Path, folder: Path, steps: int = STEPS) -> nn.Module:
    """Net `name` in evaluation mode, trained on `data` or taken from `folder`."""
    torch.manual_seed(0)
    net = NETS[name]().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    path = folder / f"{name}-{steps}.pt"
    if path.is_file():
        net.load_state_dict(torch.load(path, weights_only=True))
        return net.eval()
    recipe = parse_recipe({**spec.recipe("phinet_demo"), "tile": TILE, "steps": steps}, "phinet_demo")
    pool = load_pool(data, load_index(data), TILE)
    optimiser = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], 0.004, weight_decay=0.001)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.004, total_steps=steps, pct_start=0.2)
    net.train()
    for step in range(steps):
        tiles, labels = batch(pool, recipe, 0, step)
        logits = net(to_input(tiles))[:, 0]
        loss = functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(labels))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), path)
    return net.eval()
