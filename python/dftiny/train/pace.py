"""How long a training step, a forward pass and a batch's preparation take here, in processor seconds a tile.

Measured on random tiles, before a long run says how long it will take. Called by the thesis' grid.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from dftiny import spec
from dftiny.nets.predict import predict, to_input
from dftiny.nets.registry import create
from dftiny.train.batches import Place, Pool, batch
from dftiny.train.recipe import parse_recipe

TILES = 16
REPEATS = 3
SIDE_PX = 512


def net_pace(net: str, tile: int) -> dict[str, float]:
    """Processor seconds a tile: "train" (forward and backward, everything trained) and "forward". One torch thread."""
    torch.set_num_threads(1)
    model = create(net, tile).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pixels = np.random.default_rng(0).integers(0, 256, (TILES, tile, tile, 3), dtype=np.uint8)

    def step() -> None:
        model.train()
        model(to_input(pixels)).sum().backward()

    return {"train": _each(step), "forward": _each(lambda: predict(model, pixels))}


def batch_pace(recipes: Sequence[str], tile: int) -> dict[str, float]:
    """Processor seconds to prepare a tile of a batch, by recipe; a tile with two views counts once."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8) for _ in range(2)]
    pool = Pool(((Place(images[0], (images[1],)),),))
    found = {}
    for name in recipes:
        recipe = parse_recipe({**spec.recipe(name), "batch": TILES, "tile": tile, "epochs": 0}, name)
        found[name] = _each(lambda r=recipe: batch(pool, r, 0, 0))  # type: ignore[misc]
    return found


def _each(function: Callable[[], object]) -> float:
    """Processor seconds a tile of a call with TILES tiles, after one that warms up."""
    function()
    started = time.process_time()
    for _ in range(REPEATS):
        function()
    return (time.process_time() - started) / REPEATS / TILES
