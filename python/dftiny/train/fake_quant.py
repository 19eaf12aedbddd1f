"""Quantisation-aware training: the forward pass rounds as TFLite's int8 does, gradients go straight through.

Weights per output channel, symmetric in ±127 steps, after batch normalisation was folded in (its statistics stay those
of the checkpoint). Activations per tensor, 255 steps, zero exact, at what a layer reads: so a fused ReLU is rounded once, as
on the chip. Jacob et al. 2018, "Quantization and Training of Neural Networks", sections 3.1 and 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

MOMENTUM = 0.95  # of the running range of an activation
SMALLEST = 1e-8
_WEIGHTED = (torch.conv2d, functional.conv2d, functional.linear)
_MERGING = (
    Tensor.add,
    torch.add,
    Tensor.__add__,
    Tensor.mul,
    torch.mul,
    Tensor.__mul__,
    Tensor.mean,
    torch.mean,
)


def rounded_weights(w: Tensor) -> Tensor:
    """`w` [outputs, …] on the grid that int8 gives each output channel; the gradient is that of `w`."""
    reach = w.detach().abs().amax(dim=tuple(range(1, w.dim())), keepdim=True)
    scale = reach.clamp_min(SMALLEST) / 127
    return w + (torch.round(w / scale).clamp(-127, 127) * scale - w).detach()


def rounded_activation(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """`x` on 255 steps from `low` (≤ 0) to `high` (≥ 0); what lies outside is cut off and gets no gradient."""
    scale = ((high - low) / 255).clamp_min(SMALLEST)
    zero = torch.round(-128 - low / scale).clamp(-128, 127)
    cut = torch.minimum(torch.maximum(x, (-128 - zero) * scale), (127 - zero) * scale)
    return cut + (torch.round(cut / scale) * scale - cut).detach()


class FakeQuant(TorchFunctionMode):
    """Rounds what convolutions, linear layers, sums, products and means read, in the forward passes made inside.

    `ranges`, float32[n, 2], are the running lowest and highest values of the n places, in the order of the forward pass.
    """

    def __init__(self, ranges: Tensor | None = None, *, learn: bool = True) -> None:
        super().__init__()
        self.ranges = torch.zeros(0, 2) if ranges is None else ranges
        self.learn = learn
        self._place = 0
        self._done: list[
            Tensor
        ] = []  # results of this pass, kept alive so that their identities stay their own

    @contextmanager
    def forward_pass(self, net: nn.Module) -> Iterator[None]:
        """One forward pass of `net`, its batch normalisations folded."""
        self._place, self._done = 0, []
        with _folded(net), self:
            yield
        self._done = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _WEIGHTED:
            args = (self._activation(args[0]), rounded_weights(args[1]), *args[2:])
        elif func in _MERGING:
            args = tuple(self._activation(a) if isinstance(a, Tensor) else a for a in args)
        return func(*args, **kwargs)

    def _activation(self, x: Tensor) -> Tensor:
        if any(x is d for d in self._done):
            return x
        with torch._C.DisableTorchFunction():
            place = self._place
            self._place += 1
            if self.learn:
                self._observe(place, x.detach())
            low, high = self.ranges[place]
            result = rounded_activation(x, low, high)
        self._done.append(result)
        return result

    def _observe(self, place: int, x: Tensor) -> None:
        seen = torch.stack([x.amin().clamp_max(0), x.amax().clamp_min(0)])
        if place == len(self.ranges):
            self.ranges = torch.cat([self.ranges, seen[None]])
        else:
            self.ranges[place] = MOMENTUM * self.ranges[place] + (1 - MOMENTUM) * seen


@contextmanager
def _folded(net: nn.Module) -> Iterator[None]:
    """Every convolution with a batch normalisation behind it computes as the one convolution it is exported as."""
    pairs = [
        m
        for m in net.modules()
        if isinstance(m, nn.Sequential)
        and len(m) == 2
        and isinstance(m[0], nn.Conv2d)
        and isinstance(m[1], nn.BatchNorm2d)
    ]
    for pair in pairs:
        pair.forward = _together(pair[0], pair[1])  # type: ignore[method-assign, arg-type]
    try:
        yield
    finally:
        for pair in pairs:
            del pair.forward


def _together(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Any:
    def forward(x: Tensor) -> Tensor:
        with torch._C.DisableTorchFunction():
            assert norm.running_var is not None
            assert norm.running_mean is not None
            factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weight = conv.weight * factor[:, None, None, None]
            before = 0.0 if conv.bias is None else conv.bias
            bias = norm.bias + (before - norm.running_mean) * factor
        return functional.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)

    return forward
