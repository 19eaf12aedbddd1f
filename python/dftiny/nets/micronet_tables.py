"""The four MicroNets as tables: what `micronet.MicroNet` is built from, and nothing else.

The shapes are those of table 1 of the paper (Li et al. 2021, arXiv 2108.05894) in the figures of the authors'
published configurations, so that the authors' checkpoints fit.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """A row of the paper's table 1. `groups` of the convolution that expands (0: depthwise only) and its shuffle.

    `project` is (groups, shuffle) of the convolution that reduces, (0, 0) where there is none. `acts` says for
    the three places of an activation: 0 none or ReLU6, 1 linear Shift-Max, 2 Shift-Max of two fusions.
    """

    stride: int
    outputs: int
    kernel: int
    expand: tuple[int, int]
    groups: tuple[int, int]
    project: tuple[int, int]
    acts: tuple[int, int, int]
    reduction: int


@dataclass(frozen=True)
class Variant:
    """A MicroNet. `stem`: channels of the 3 x 1 convolution and how many each becomes in the 1 x 3 behind it.

    `starts` are (a1, b1, a2, b2) of a Shift-Max of two fusions before training; `hidden` is the width of the
    ImageNet head's inner layer.
    """

    stem: tuple[int, int]
    rows: tuple[Block, ...]
    hidden: int
    starts: tuple[float, float, float, float] = (1.0, 0.0, 1.0, 0.0)


M0 = Variant(
    (2, 2),
    (
        Block(2, 8, 3, (2, 2), (0, 4), (2, 2), (2, 0, 1), 1),
        Block(2, 12, 3, (2, 2), (0, 8), (4, 4), (2, 2, 1), 1),
        Block(2, 16, 5, (2, 2), (0, 12), (4, 4), (2, 2, 1), 1),
        Block(1, 32, 5, (1, 4), (4, 4), (4, 4), (2, 2, 1), 1),
        Block(2, 64, 5, (1, 4), (8, 8), (8, 8), (2, 2, 1), 1),
        Block(1, 96, 3, (1, 4), (8, 8), (8, 8), (2, 2, 1), 2),
        Block(1, 384, 3, (1, 4), (12, 12), (0, 0), (2, 2, 1), 2),
    ),
    hidden=640,
)
M1 = Variant(
    (3, 2),
    (
        Block(2, 8, 3, (2, 2), (0, 6), (2, 2), (2, 0, 1), 1),
        Block(2, 16, 3, (2, 2), (0, 8), (4, 4), (2, 2, 1), 1),
        Block(2, 16, 5, (2, 2), (0, 16), (4, 4), (2, 2, 1), 1),
        Block(1, 32, 5, (1, 6), (4, 4), (4, 4), (2, 2, 1), 1),
        Block(2, 64, 5, (1, 6), (8, 8), (8, 8), (2, 2, 1), 1),
        Block(1, 96, 3, (1, 6), (8, 8), (8, 8), (2, 2, 1), 2),
        Block(1, 576, 3, (1, 6), (12, 12), (0, 0), (2, 2, 1), 2),
    ),
    hidden=960,
)
M2 = Variant(
    (4, 2),
    (
        Block(2, 12, 3, (2, 2), (0, 8), (4, 4), (2, 0, 1), 1),
        Block(2, 16, 3, (2, 2), (0, 12), (4, 4), (2, 2, 1), 1),
        Block(1, 24, 3, (2, 2), (0, 16), (4, 4), (2, 2, 1), 1),
        Block(2, 32, 5, (1, 6), (6, 6), (4, 4), (2, 2, 1), 1),
        Block(1, 32, 5, (1, 6), (8, 8), (4, 4), (2, 2, 1), 2),
        Block(1, 64, 5, (1, 6), (8, 8), (8, 8), (2, 2, 1), 2),
        Block(2, 96, 5, (1, 6), (8, 8), (8, 8), (2, 2, 1), 2),
        Block(1, 128, 3, (1, 6), (12, 12), (8, 8), (2, 2, 1), 2),
        Block(1, 768, 3, (1, 6), (16, 16), (0, 0), (2, 2, 1), 2),
    ),
    hidden=1024,
)
M3 = Variant(
    (4, 3),
    (
        Block(2, 16, 3, (2, 2), (0, 12), (4, 4), (0, 2, 0), 1),
        Block(2, 24, 3, (2, 2), (0, 16), (4, 4), (0, 2, 0), 1),
        Block(1, 24, 3, (2, 2), (0, 24), (4, 4), (0, 2, 0), 1),
        Block(2, 32, 5, (1, 6), (6, 6), (4, 4), (0, 2, 0), 1),
        Block(1, 32, 5, (1, 6), (8, 8), (4, 4), (0, 2, 0), 2),
        Block(1, 64, 5, (1, 6), (8, 8), (8, 8), (0, 2, 0), 2),
        Block(1, 80, 5, (1, 6), (8, 8), (8, 8), (0, 2, 0), 2),
        Block(1, 80, 5, (1, 6), (10, 10), (8, 8), (0, 2, 0), 2),
        Block(2, 120, 5, (1, 6), (10, 10), (10, 10), (0, 2, 0), 2),
        Block(1, 120, 5, (1, 6), (12, 12), (10, 10), (0, 2, 0), 2),
        Block(1, 144, 3, (1, 6), (12, 12), (12, 12), (0, 2, 0), 2),
        Block(1, 864, 3, (1, 6), (12, 12), (0, 0), (0, 2, 0), 2),
    ),
    hidden=1024,
    starts=(1.0, 0.0, 0.5, 0.5),
)
