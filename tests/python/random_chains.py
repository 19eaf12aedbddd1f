"""Random int8 nets of dilated windows in residual chains, as temporal convolutional nets have them: the height is the time.

Causal padding, SAME and VALID windows of two to four taps, dilations that do and do not divide the height. Called by the
engine campaign and by tests of plans. For tests only.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from random_graphs import ACTIVATIONS, Builder

from dftiny.graph import ConvOptions, DepthwiseOptions, Graph, PadOptions, window_out

Padding = Literal["SAME", "VALID"]


class ChainNet:
    """Grows a net from residual chains of two dilated windows; `b` holds tensors, operators and dice."""

    def __init__(self, seed: int, height: int, width: int, channels: int) -> None:
        self.b = Builder(seed, (1, height, width, channels))

    def causal(self, rows: int) -> None:
        """`rows` of padding above and none below."""
        b, (n, h, w, c) = self.b, self.b.shape
        before, after = (0, rows, 0, 0), (0, 0, 0, 0)
        amounts = b.tensor((4, 2), None, 0, np.array([before, after], np.int32).T.copy())
        b.op("PAD", (b.x, amounts), b.like((n, h + rows, w, c)), PadOptions(before, after))

    def conv(self, outputs: int, taps: int = 1, dilation: int = 1, padding: Padding = "VALID") -> None:
        """A window of `taps` rows and one column."""
        b, (_, h, w, c) = self.b, self.b.shape
        weights, scales = b.weights((outputs, taps, 1, c), outputs, 0)
        rows = window_out(h, (taps - 1) * dilation + 1, 1, padding)
        out = b.product_out((1, rows, w, outputs), scales, taps * c)
        options = ConvOptions(1, 1, dilation, 1, padding, b.pick(*ACTIVATIONS), 1)
        b.op("CONV_2D", (b.x, weights, b.bias(outputs, taps * c)), out, options, tune=True)

    def depthwise(self, taps: int, dilation: int, padding: Padding) -> None:
        """The same, each channel by itself."""
        b, (_, h, w, c) = self.b, self.b.shape
        weights, scales = b.weights((1, taps, 1, c), c, 3)
        rows = window_out(h, (taps - 1) * dilation + 1, 1, padding)
        out = b.product_out((1, rows, w, c), scales, taps)
        options = DepthwiseOptions(1, 1, dilation, 1, padding, b.pick(*ACTIVATIONS), 1)
        b.op("DEPTHWISE_CONV_2D", (b.x, weights, b.bias(c, taps)), out, options, tune=True)

    def window(self, taps: int, dilation: int) -> None:
        """A window that keeps the height: causal or SAME."""
        padding: Padding = "SAME"
        if self.b.pick(True, True, False):
            self.causal((taps - 1) * dilation)
            padding = "VALID"
        if self.b.pick(True, True, True, False):
            self.conv(self.b.shape[3], taps, dilation, padding)
        else:
            self.depthwise(taps, dilation, padding)

    def chain(self, taps: int, dilation: int) -> None:
        """Two windows and the sum with what came before them."""
        b, before = self.b, self.b.x
        for _ in range(2):
            self.window(taps, dilation)
        b.pair(b.pick("ADD", "ADD", "SUB"), before)


def chain_graph(seed: int) -> Graph:
    """A random net of one to three chains."""
    dice = np.random.default_rng([seed, 4])
    height, width = (int(dice.choice(v)) for v in ((7, 12, 17, 24, 33, 40), (1, 1, 1, 2, 5)))
    net = ChainNet(seed, height, width, int(dice.choice([3, 4, 9])))
    net.conv(int(dice.choice([4, 7, 12, 16])))
    for _ in range(int(dice.integers(1, 4))):
        net.chain(int(dice.choice([2, 3, 3, 4])), int(dice.choice([1, 2, 3, 4, 8])))
    if dice.integers(2):
        net.b.mean((1, 2), keep=False)
        net.b.fully_connected(4)
    return net.b.graph()
