"""Synthetic counterparts made while training: periodic filters (fakes) and plain processing (reals).

A periodic filter stands for any linear up-sampler: what distinguishes one from a blur is that its kernel
changes with the pixel's phase. Its twin, the same kernel averaged over the phases, is no up-sampler.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TAPS = 5
PERIODS = (2, 4)
# PSNR in dB between a tile and its filtered copy, drawn uniformly: the strength of the demo set's fakes.
TRACE_DB = (29.0, 34.0)
# Beyond this gain a nearly flat tile would be turned into noise.
MAX_GAIN = 4.0


def _apply(tile: NDArray[np.float32], kernels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Filter `tile` [H, W, 3] with the kernel of each pixel's phase; `kernels` [period, period, TAPS * TAPS]."""
    height, width = tile.shape[:2]
    period = kernels.shape[0]
    padded = np.pad(tile, ((TAPS // 2, TAPS // 2), (TAPS // 2, TAPS // 2), (0, 0)), mode="reflect")
    out = np.zeros_like(tile)
    for tap in range(TAPS * TAPS):
        y, x = divmod(tap, TAPS)
        weights = np.tile(kernels[:, :, tap], (height // period, width // period))
        out += padded[y : y + height, x : x + width] * weights[:, :, None]
    return out


def periodic_pair(tile: NDArray[np.uint8], rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(real, fake) of one uint8 tile [H, W, 3]: the same random filter without and with its periodic part.

    Kernels sum to zero, so flat areas stay as they are. The real is left untouched in half of the cases.
    """
    source = tile.astype(np.float32)
    period = int(rng.choice(PERIODS))
    spread = np.exp(-np.hypot(*np.mgrid[-2:3, -2:3]) / rng.uniform(0.5, 1.5)).ravel()
    kernels = rng.normal(0.0, 1.0, (period, period, TAPS * TAPS)) * spread
    kernels -= kernels.mean((0, 1))
    shared = rng.normal(0.0, 1.0, TAPS * TAPS) * spread * rng.uniform(0.0, 1.0) / period
    kernels, shared = (k - k.mean(-1, keepdims=True) for k in (kernels, shared))
    periodic = _apply(source, kernels.astype(np.float32))
    plain = _apply(source, shared.reshape(1, 1, -1).astype(np.float32))
    wanted = 255.0 / 10 ** (rng.uniform(*TRACE_DB) / 20)
    gain = min(MAX_GAIN, wanted / max(float(np.sqrt(np.mean(periodic**2))), 1e-3))
    real = source if rng.random() < 0.5 else source + gain * plain
    return _pixels(real), _pixels(source + gain * (periodic + plain))


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
        image = image.filter(ImageFilter.UnsharpMask(float(rng.uniform(0.5, 2.0)), int(rng.integers(30, 120)), 0))
    return np.asarray(image, dtype=np.uint8)


def _pixels(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    result: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return result
