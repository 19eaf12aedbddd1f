"""Trains the five simulated generators on training photographs: how generators.npz was made.

Run by hand, not by any stage: `python -m dftiny.data.generator_training`. About 75 s each on one thread.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dftiny.data.generators import GENERATORS, WEIGHTS, Generator, save_weights
from dftiny.data.photos import crops, demo_photos, seed_of

STEPS = 4500
BATCH = 4
PATCH_PX = 64
PEAK_RATE = 1.5e-3


def training_crops() -> list[NDArray[np.uint8]]:
    """Three textured crops a photograph of the training split."""
    photos, absent = demo_photos()
    if absent:
        print("\n".join(absent), file=sys.stderr)
    return [c.pixels for p in photos if p.split == "train" for c in crops(p, 3)]


def _batch(images: list[NDArray[np.uint8]], rng: np.random.Generator) -> Tensor:
    patches = []
    for _ in range(BATCH):
        image = images[rng.integers(len(images))]
        y, x = rng.integers(0, image.shape[0] - PATCH_PX, 2)
        patches.append(image[y : y + PATCH_PX, x : x + PATCH_PX])
    return torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def train_generator(
    kind: str, images: list[NDArray[np.uint8]], steps: int = STEPS
) -> tuple[Generator, float]:
    """A trained generator and its mean PSNR in dB over the last 200 batches."""
    torch.manual_seed(seed_of("generator", kind) >> 1)
    rng = np.random.default_rng(seed_of("patches", kind))
    net = Generator(kind)
    optimiser = torch.optim.Adam(net.parameters(), PEAK_RATE, betas=(0.9, 0.99))
    errors = []
    for step in range(steps):
        for group in optimiser.param_groups:
            # Constant for the first half, then linearly down.
            group["lr"] = PEAK_RATE * min(1.0, 2.0 * (1.0 - step / steps)) + 1e-5
        x = _batch(images, rng)
        difference = net(x) - x
        mse = difference.square().mean()
        loss = mse + 0.1 * difference.abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(mse.item())
    return net, 10 * float(np.log10(4.0 / np.mean(errors[-200:])))


def main(out: Path = WEIGHTS) -> None:
    """Train all generators and write their weights."""
    torch.set_num_threads(1)
    images = training_crops()
    nets, training_db = {}, {}
    for kind in GENERATORS:
        nets[kind], training_db[kind] = train_generator(kind, images)
        parameters = sum(p.numel() for p in nets[kind].parameters())
        print(f"{kind}: {parameters} parameters, {training_db[kind]:.2f} dB", flush=True)
    save_weights(out, nets, training_db)


if __name__ == "__main__":
    main()
