"""The heat map: what every tile says, laid over the photograph as PNG. Orange speaks for fake, blue for real.

Only the picture for the eye is shrunk and turned upright; the tiles were looked at as they are stored. Called by detect.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dftiny.artifact import atomic_write
from dftiny.data.tiles import tile_grid
from dftiny.detect.engines import Engine
from dftiny.detect.judge import cut, textures
from dftiny.detect.picture import Picture, upright
from dftiny.verdict.model import UNIT, VerdictModel
from dftiny.verdict.order import FLAT_TEXTURE

MAX_SIDE = 1600  # of the PNG, pixels
FAKE_RGB, REAL_RGB = (230, 97, 1), (44, 123, 182)  # told apart by the colour-blind too
STRONGEST = 0.65  # opacity of a tile that says all it can
BAR = 40  # pixels of legend below
ROW = 32  # tiles computed between two steps of the progress bar


def tile_evidence(picture: Picture, side: int, model: VerdictModel, engine: Engine) -> NDArray[np.float64]:
    """Evidence in nats of every tile [rows, columns], NaN where it is flat; with a progress bar."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import track

    grid = tile_grid(picture.pixels.shape[0], picture.pixels.shape[1], side)
    numbers = np.flatnonzero(textures(picture.pixels, side) >= FLAT_TEXTURE)
    out = np.full(grid[0] * grid[1], np.nan)
    starts = range(0, len(numbers), ROW)
    console = Console(stderr=True)  # stdout is for findings, perhaps as JSON
    title = f"map {escape(picture.path.name)}"
    for start in track(starts, description=title, disable=len(starts) < 2, console=console):
        part = numbers[start : start + ROW]
        outputs = engine.outputs(cut(picture.pixels, side, part)).astype(int)
        out[part] = model.evidence[outputs + 128] / UNIT
    return out.reshape(grid)


def write_map(path: Path, picture: Picture, side: int, evidence: NDArray[np.float64], title: str) -> None:
    """Write the PNG `path`: the picture, upright, at most MAX_SIDE large, its tiles coloured by `evidence` [rows, columns]
    (nats, NaN: not looked at). `title` stands in the legend."""
    from PIL import Image

    height, width = picture.pixels.shape[:2]
    ratio = min(1.0, MAX_SIDE / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    small = Image.fromarray(picture.pixels).resize(size, Image.Resampling.BOX)
    # In grey, or autumn leaves would look like fakes.
    base = np.repeat(np.asarray(small.convert("L"), np.float32)[:, :, None], 3, axis=2)
    colour, opacity = _colours(evidence)
    y = np.minimum((np.arange(size[1]) / ratio / side).astype(int), evidence.shape[0])
    x = np.minimum((np.arange(size[0]) / ratio / side).astype(int), evidence.shape[1])
    alpha = opacity[np.ix_(y, x)][:, :, None]
    mixed = base * (1 - alpha) + colour[np.ix_(y, x)] * alpha
    image = _with_legend(upright(mixed.round().clip(0, 255).astype(np.uint8), picture.orientation), title)
    with atomic_write(path) as f:
        Image.fromarray(image).save(f, "PNG")


def _colours(evidence: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colour [rows + 1, columns + 1, 3] and opacity of each tile; the last row and column are the rest that is no tile."""
    padded = np.pad(evidence, ((0, 1), (0, 1)), constant_values=np.nan)
    known = ~np.isnan(padded)
    value = np.where(known, padded, 0.0)
    colour = np.where((value < 0)[:, :, None], np.array(FAKE_RGB), np.array(REAL_RGB))
    # Three nats are odds of twenty to one: from there on a tile has its full colour.
    opacity = np.where(known, STRONGEST * np.minimum(np.abs(value) / 3.0, 1.0), 0.0)
    return colour.astype(np.float32), opacity.astype(np.float32)


def _with_legend(image: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    """The picture above a bar that says what the colours mean."""
    from PIL import Image, ImageDraw

    width = max(image.shape[1], 420)
    canvas = Image.new("RGB", (width, image.shape[0] + BAR), (255, 255, 255))
    canvas.paste(Image.fromarray(image), (0, 0))
    draw = ImageDraw.Draw(canvas)
    top = image.shape[0]
    draw.text((6, top + 3), title[: width // 7], fill=(0, 0, 0))
    for at, rgb, text in ((6, FAKE_RGB, "speaks for fake"), (130, REAL_RGB, "for real"), (220, (200, 200, 200), "clear: says nothing, or not looked at")):  # fmt: skip
        draw.rectangle((at, top + 23, at + 12, top + 35), fill=rgb)
        draw.text((at + 18, top + 22), text, fill=(0, 0, 0))
    return np.asarray(canvas, np.uint8)
