"""Tiles: native pixels, row-major, on the 8-px grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dftiny.data.tiles import image_logit, tile_grid, tiles
from dftiny.errors import DftError


@given(st.integers(1, 5).map(lambda n: 8 * n), st.integers(1, 70), st.integers(1, 70))
def test_every_tile_is_a_window_of_the_image(tile: int, height: int, width: int) -> None:
    image = np.random.default_rng(height * 100 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows, columns = tile_grid(height, width, tile)
    if rows * columns == 0:
        with pytest.raises(DftError, match=f"{width}x{height}"):
            tiles(image, tile)
        return
    cut = tiles(image, tile)
    assert cut.shape == (rows * columns, tile, tile, 3)
    for i, t in enumerate(cut):
        y, x = divmod(i, columns)
        assert np.array_equal(t, image[y * tile : (y + 1) * tile, x * tile : (x + 1) * tile])


@pytest.mark.parametrize("tile", [0, -8, 100, 7])
def test_tile_sizes_off_the_grid_are_refused(tile: int) -> None:
    with pytest.raises(DftError, match="multiple of 8"):
        tiles(np.zeros((256, 256, 3), np.uint8), tile)


@pytest.mark.parametrize(
    "image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))]
)
def test_other_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(DftError, match="uint8"):
        tiles(image, 8)


def test_image_logit_is_the_mean_in_double_precision() -> None:
    values = np.array([1e8, 1.0, -1e8], dtype=np.float32)
    assert image_logit(values) == pytest.approx(1 / 3)
