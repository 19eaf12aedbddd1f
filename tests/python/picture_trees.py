"""Data sets as other people lay them out, made of synthetic pictures: for the tests of own data, leaks and streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

PLATFORMS = (("Facebook", "FB"), ("Telegram", "TL"), ("Twitter", "TW"))
SIDE_PX = 160


def picture(seed: int, side: int = SIDE_PX) -> Image.Image:
    """A picture like no other seed's: smooth shapes and some grain."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    grain = rng.normal(0, 8, (side, side, 1))
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def put(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **({"quality": 80} if path.suffix == ".jpg" else {}))


def make_trueface(root: Path, pictures: int, shared: int, top: str = "") -> None:
    """TrueFace's tree below `root`/`top`: `pictures` of each of three kinds, the first `shared` of them on all platforms."""
    kinds = (
        (0, "Real/FFHQ"),
        (1000, "Fake/StyleGAN/images-psi-0.5"),
        (2000, "Fake/StyleGAN2/conf-f-psi-1"),
    )
    for first, kind in kinds:
        for i in range(pictures):
            image = picture(first + i)
            name = f"{i:05d}.png" if first == 0 else f"seed{i:04d}.png"
            put(root / top / "TrueFace_PreSocial" / kind / name, image)
            for platform, suffix in PLATFORMS if i < shared else ():
                folder = kind.replace("Real", "0_Real").replace("Fake", "1_Fake")
                put(root / top / "TrueFace_PostSocial" / platform / folder / f"{i:06d}_{suffix}.jpg", image)


def make_two_folders(root: Path, pictures: int, first: int = 0) -> tuple[Path, Path]:
    """real/ and fake/gan/ with `pictures` each below `root`, numbered from `first`."""
    for i in range(first, first + pictures):
        put(root / "real" / f"{i}.png", picture(i))
        put(root / "fake" / "gan" / f"made-{i}.png", picture(5000 + i))
    return root / "real", root / "fake"
