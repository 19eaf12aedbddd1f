"""Synthetic counterparts made while training: periodic filters (fakes) and plain processing (reals).

A periodic filter stands for any linear up-sampler: what distinguishes one from a blur is that its kernel
changes with the pixel's phase. Its twin, the same kernel averaged over the phases, is no up-sampler.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TAPS = 3
PERIODS = (2, 4)
# PSNR in dB between a tile and its filtered copy, drawn uniformly: the strength of the demo set's fakes.
TRACE_DB = (29.0, 34.0)
# Beyond this gain a nearly flat tile would be turned into noise.
MAX_GAIN = 4.0


def _apply(tile: NDArray[np.float32], kernels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Filter `tile` [H, W, 3] with the kernel of each pixel's phase; `kernels` [period, period, TAPS, TAPS]."""
    height, width = tile.shape[:2]
    period = kernels.shape[0]
    padded = np.pad(tile, ((TAPS // 2, TAPS // 2), (TAPS // 2, TAPS // 2), (0, 0)), mode="reflect")
    out = np.zeros_like(tile).reshape(height // period, period, width // period, period * 3)
    for y, x in np.ndindex(TAPS, TAPS):
        shifted = padded[y : y + height, x : x + width].reshape(out.shape)
        out += shifted * np.repeat(kernels[:, :, y, x], 3, axis=1)[None, :, None, :]
    return out.reshape(tile.shape)


def periodic_pair(
    tile: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(real, fake) of one uint8 tile [H, W, 3]: the same random filter without and with its periodic part.

    Kernels sum to zero, so flat areas stay as they are. In half of the cases the shared filter is left out.
    """
    source = tile.astype(np.float32)
    period = int(rng.choice(PERIODS))
    kernels = rng.normal(0.0, 1.0, (period, period, TAPS, TAPS))
    kernels -= kernels.mean((0, 1))
    shared = rng.normal(0.0, 1.0, (1, 1, TAPS, TAPS)) * rng.uniform(0.0, 1.0) / period
    kernels, shared = (k - k.mean((2, 3), keepdims=True) for k in (kernels, shared))
    periodic = _apply(source, kernels.astype(np.float32))
    wanted = 255.0 / 10 ** (rng.uniform(*TRACE_DB) / 20)
    gain = min(MAX_GAIN, wanted / max(float(np.sqrt(np.mean(periodic**2))), 1e-3))
    untouched = rng.random() < 0.5
    if untouched:
        return tile, _pixels(source + gain * periodic)
    plain = _apply(source, shared.astype(np.float32))
    return _pixels(source + gain * plain), _pixels(source + gain * (periodic + plain))


def processed(tile: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A blurred, denoised or sharpened copy of a real uint8 tile [H, W, 3]: still real."""
    from PIL import Image, ImageFilter

    image = Image.fromarray(tile)
    kind = int(rng.integers(3))
    if kind == 0:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.5))))
    elif kind == 1:
        image = Image.blend(image, image.filter(ImageFilter.MedianFilter(3)), float(rng.uniform(0.5, 1.0)))
    else:
        image = image.filter(
            ImageFilter.UnsharpMask(float(rng.uniform(0.5, 2.0)), int(rng.integers(30, 120)), 0)
        )
    return np.asarray(image, dtype=np.uint8)


def _pixels(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    result: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return result
