"""Controls of the demo set: images that must not be taken for up-sampled, and the detector's known weak spots.

blur and denoise are real photographs that were processed but not up-sampled; resized and offgrid are copies
(of a real image and of one fake) whose traces no longer lie on the 8-px grid.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLUR_SIGMA_PX = 1.0
RESIZE = 0.9
OFFSET_PX = (3, 5)


def control(pixels: NDArray[np.uint8], kind: str) -> NDArray[np.uint8]:
    """The control image `kind` of `pixels` uint8 [H, W, 3]; "resized" and "offgrid" come out smaller."""
    from PIL import Image, ImageFilter

    if kind == "offgrid":
        return np.ascontiguousarray(pixels[OFFSET_PX[0] :, OFFSET_PX[1] :])
    image = Image.fromarray(pixels)
    if kind == "blur":
        image = image.filter(ImageFilter.GaussianBlur(BLUR_SIGMA_PX))
    elif kind == "denoise":
        image = image.filter(ImageFilter.MedianFilter(3))
    elif kind == "resized":
        size = (round(image.width * RESIZE), round(image.height * RESIZE))
        image = image.resize(size, Image.Resampling.LANCZOS)
    else:
        raise ValueError(f"unknown control {kind}")
    return np.asarray(image, dtype=np.uint8)
