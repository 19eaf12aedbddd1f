"""SimCLR's views of a tile: the seven augmentations of the thesis, and never a resize or a shear.

Those two move pixels off their grid, and with that destroy the traces a detector lives on. Each augmentation takes and
gives uint8 [H, W, 3]; strengths are those of SimCLR (Chen et al. 2020, arXiv 2002.05709, appendix A) where it has them,
chosen here where the thesis names only the kind. Called by train/batches.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Tile = NDArray[np.uint8]
JITTER = 0.4  # of brightness, contrast and saturation
HUE = 0.1  # of the colour circle
BLUR_SIGMA_PX = (0.1, 2.0)
NOISE_SIGMA = (1.0, 12.0)  # of 255
CUTOUT = (0.1, 0.35)  # of the tile's side
JPEG_QUALITY = (60, 95)


def views(tile: Tile, names: Sequence[str], rng: np.random.Generator) -> tuple[Tile, Tile]:
    """Two augmented copies of one tile uint8 [H, W, 3], by the augmentations of those names."""
    return _view(tile, names, rng), _view(tile, names, rng)


def _view(tile: Tile, names: Sequence[str], rng: np.random.Generator) -> Tile:
    for name, (chance, change) in AUGMENTATIONS.items():
        # Drawn also for one that is left out: the others stay what they are.
        drawn = rng.random() < chance
        if drawn and name in names:
            tile = change(tile, rng)
    return np.ascontiguousarray(tile)


def _flip(tile: Tile, _rng: np.random.Generator) -> Tile:
    return tile[:, ::-1]


def _jitter(tile: Tile, rng: np.random.Generator) -> Tile:
    from PIL import Image, ImageEnhance

    image = Image.fromarray(np.ascontiguousarray(tile))
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = kind(image).enhance(float(rng.uniform(1 - JITTER, 1 + JITTER)))
    hue, saturation, value = image.convert("HSV").split()
    turn = int(rng.integers(-int(HUE * 256), int(HUE * 256) + 1))
    turned = Image.fromarray((np.asarray(hue, dtype=np.int16) + turn & 255).astype(np.uint8))
    return np.asarray(Image.merge("HSV", (turned, saturation, value)).convert("RGB"), dtype=np.uint8)


def _blur(tile: Tile, rng: np.random.Generator) -> Tile:
    from PIL import Image, ImageFilter

    image = Image.fromarray(np.ascontiguousarray(tile))
    return np.asarray(
        image.filter(ImageFilter.GaussianBlur(float(rng.uniform(*BLUR_SIGMA_PX)))), dtype=np.uint8
    )


def _noise(tile: Tile, rng: np.random.Generator) -> Tile:
    noise = rng.standard_normal(tile.shape, dtype=np.float32) * np.float32(rng.uniform(*NOISE_SIGMA))
    result: Tile = np.clip(np.rint(tile + noise), 0, 255).astype(np.uint8)
    return result


def _grayscale(tile: Tile, _rng: np.random.Generator) -> Tile:
    from PIL import Image

    gray = np.asarray(Image.fromarray(np.ascontiguousarray(tile)).convert("L"), dtype=np.uint8)
    return np.repeat(gray[:, :, None], 3, axis=2)


def _cutout(tile: Tile, rng: np.random.Generator) -> Tile:
    """A rectangle of the tile's own mean colour (DeVries and Taylor 2017, arXiv 1708.04552, centre the data so)."""
    height, width = (max(1, int(n * rng.uniform(*CUTOUT))) for n in tile.shape[:2])
    y, x = (int(rng.integers(n - cut + 1)) for n, cut in zip(tile.shape[:2], (height, width), strict=True))
    out = tile.copy()
    out[y : y + height, x : x + width] = np.rint(tile.mean((0, 1))).astype(np.uint8)
    return out


def _jpeg(tile: Tile, rng: np.random.Generator) -> Tile:
    return jpeg(tile, int(rng.integers(JPEG_QUALITY[0], JPEG_QUALITY[1] + 1)))


def jpeg(tile: Tile, quality: int) -> Tile:
    """`tile` uint8 [H, W, 3] through a JPEG of that quality, 4:2:0 as the sharing profiles have it.

    Of a tile cut on the 16-px grid that is what a JPEG of the whole image holds there, but for the outermost pixels,
    where decoders smooth chroma across blocks.
    """
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(tile)).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return np.array(Image.open(buffer), dtype=np.uint8)


# Name: how often it is applied, and what it does; in the order in which they are applied.
AUGMENTATIONS: dict[str, tuple[float, Callable[[Tile, np.random.Generator], Tile]]] = {
    "flip": (0.5, _flip),
    "jitter": (0.8, _jitter),
    "grayscale": (0.2, _grayscale),
    "blur": (0.5, _blur),
    "noise": (0.5, _noise),
    "cutout": (0.5, _cutout),
    "jpeg": (0.5, _jpeg),
}
