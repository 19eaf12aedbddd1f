"""What sharing does to an image, imitated: "-like" profiles, not the platforms themselves.

A profile shrinks only images above its longest side. The demo's 512 px crops are below all of them, so
there a profile is JPEG alone; real uploads of large photographs are resized as well and lose more.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dftiny.data.photos import seed_of
from dftiny.errors import DftError

PRE = "pre"


@dataclass(frozen=True)
class Profile:
    """Longest side in pixels, range of JPEG qualities (both included), progressive or not; chroma is 4:2:0."""

    name: str
    max_px: int
    quality: tuple[int, int]
    progressive: bool


PROFILES = {
    p.name: p
    for p in (
        Profile("facebook-like", 2048, (70, 85), True),
        Profile("telegram-like", 1280, (80, 87), False),
        Profile("twitter-like", 4096, (85, 85), True),
    )
}


def share(pixels: NDArray[np.uint8], profile: str, name: str) -> bytes:
    """JPEG bytes of `pixels` uint8 [H, W, 3] as `profile` would deliver them; the quality is seeded by `name`."""
    from PIL import Image

    if profile not in PROFILES:
        raise DftError(f"unknown sharing profile {profile!r}", f"known: {', '.join(PROFILES)}")
    p = PROFILES[profile]
    image = Image.fromarray(pixels)
    ratio = p.max_px / max(image.size)
    if ratio < 1:
        size = (round(image.width * ratio), round(image.height * ratio))
        image = image.resize(size, Image.Resampling.LANCZOS)
    rng = np.random.default_rng(seed_of("sharing", profile, name))
    quality = int(rng.integers(p.quality[0], p.quality[1] + 1))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0", progressive=p.progressive)
    return buffer.getvalue()


def shared(pixels: NDArray[np.uint8], profile: str, name: str) -> NDArray[np.uint8]:
    """`pixels` uint8 [H, W, 3] after that profile: encoded as `share` does, and decoded again."""
    from PIL import Image

    with Image.open(io.BytesIO(share(pixels, profile, name))) as image:
        return np.asarray(image.convert("RGB"), dtype=np.uint8)
