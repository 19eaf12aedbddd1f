"""The demo set: same bytes twice, split by photograph, the stated rules kept, bad photographs skipped by name."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dftiny.artifact import read_manifest
from dftiny.data.controls import control
from dftiny.data.demo import build_demo, png
from dftiny.data.index import load_index, read_image
from dftiny.data.photos import MIN_TEXTURE, Photo, crops, demo_packages, demo_photos, folder_photos, texture
from dftiny.data.sharing import PROFILES, share
from dftiny.errors import DftError

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")

from dftiny.data.generators import (
    FLOOR_DB,
    FLOOR_MAX_GAIN,
    GENERATORS,
    HELD_OUT,
    SEEN,
    TARGET_DB,
    load_faker,
    psnr_db,
    strength_gain,
)


def _textured(seed: int, height: int = 900, width: int = 1000) -> np.ndarray:
    """A synthetic photograph: smooth shapes and some grain."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (30, 33, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, 12, (height, width, 1))
    return np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine files: five good (one of each place in the split cycle), a smooth, a small, a truncated and a text file."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(5):
        Image.fromarray(_textured(i)).save(folder / f"{i}-good.png")
    Image.fromarray(np.full((900, 1000, 3), 90, np.uint8)).save(folder / "5-smooth.png")
    Image.fromarray(_textured(6, 300, 300)).save(folder / "6-small.jpg", quality=95)
    whole = (folder / "0-good.png").read_bytes()
    (folder / "7-cut.png").write_bytes(whole[: len(whole) // 3])
    (folder / "8-text.png").write_text("not a photograph")
    return folder


@pytest.fixture(scope="module")
def built(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    out = tmp_path_factory.mktemp("built") / "data"
    return out, build_demo(out, photos=photographs, jobs=2).skipped


@pytest.mark.slow
def test_two_builds_are_identical_whatever_the_number_of_jobs(
    built: tuple[Path, tuple[str, ...]], photographs: Path, tmp_path: Path
) -> None:
    again = build_demo(tmp_path / "again", photos=photographs, jobs=1)
    assert again.digest == read_manifest(built[0], "data").digest
    assert (tmp_path / "again/index.json").read_bytes() == (built[0] / "index.json").read_bytes()


@pytest.mark.slow
def test_bad_photographs_are_named_counted_and_skipped(built: tuple[Path, tuple[str, ...]]) -> None:
    folder, skipped = built
    assert [line.split(":")[0] for line in skipped] == [
        "0005-5-smooth",
        "0006-6-small",
        "0007-7-cut",
        "0008-8-text",
    ]
    assert read_manifest(folder).metrics["skipped"] == 4
    assert "0005-5-smooth: no crop with enough texture" in (folder / "card.md").read_text()


@pytest.mark.slow
def test_index_keeps_the_rules(built: tuple[Path, tuple[str, ...]]) -> None:
    folder = built[0]
    index = load_index(folder)
    splits = {r.source: r.split for r in index.images}
    assert all(splits[r.source] == r.split for r in index.images)
    assert set(splits.values()) == {"train", "val", "test"}
    assert {r.kind for r in index.images if r.split != "test"} == {"real", *SEEN}
    assert {r.kind for r in index.select(split="test", sharing="pre")} >= {
        "real",
        *GENERATORS,
        "blur",
        "denoise",
        "resized",
        "offgrid",
    }
    assert {r.kind for r in index.images if r.kind in GENERATORS and not r.seen} == set(HELD_OUT)
    assert {r.sharing for r in index.images if r.split != "test"} == {"pre"}
    for profile in PROFILES:
        shared = index.select(split="test", sharing=profile)
        assert {r.kind for r in shared} == {"real", *GENERATORS}
        assert all((folder / r.file).read_bytes()[:2] == b"\xff\xd8" for r in shared)
    real = index.select(split="test", sharing="pre", kinds=["real"])[0]
    pixels = read_image(folder, real)
    assert pixels.shape == (512, 512, 3)
    assert texture(pixels) >= MIN_TEXTURE
    fake = next(r for r in index.images if r.id == real.id.replace(".real", ".tconv"))
    difference = psnr_db(pixels, read_image(folder, fake))
    assert 26 < difference < FLOOR_DB + 0.5


@pytest.mark.slow
def test_a_folder_that_dftiny_did_not_make_is_left_alone(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(DftError, match="not made by dftiny"):
        build_demo(tmp_path, photos=photographs)
    assert (tmp_path / "mine.txt").read_text() == "keep me"


def test_too_few_photographs(tmp_path: Path) -> None:
    with pytest.raises(DftError, match="holds 0 photographs"):
        build_demo(tmp_path / "out", photos=tmp_path)
    with pytest.raises(DftError, match="not a folder"):
        folder_photos(tmp_path / "absent")


def test_the_demo_list_is_sound() -> None:
    from dftiny.data.photos import _table

    rows = [row for package in _table() for row in package["photos"]]
    assert len({r["id"] for r in rows}) == len(rows) == 43
    splits = [r["split"] for r in rows]
    assert (splits.count("train"), splits.count("val"), splits.count("test")) == (25, 8, 10)
    assert all(r["shippable"] == (r["licence"] in ("CC0-1.0", "CC-BY-4.0")) for r in rows)
    assert sum(r["shippable"] and r["split"] == "train" for r in rows) >= 5
    assert len(demo_packages()) == 5


def test_crops_depend_on_the_photograph_alone(photographs: Path) -> None:
    photo = Photo("x", photographs / "1-good.png", "train", "", "", "", False)
    first, second = crops(photo, 2), crops(photo, 2)
    assert [c.id for c in first] == ["x.0", "x.1"][: len(first)]
    assert len(first) >= 1
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, second, strict=True))
    assert all(0.5 <= c.shrink <= 0.78 and c.texture >= MIN_TEXTURE for c in first)


def test_texture_is_the_mean_absolute_laplacian() -> None:
    checks = np.zeros((32, 32, 3), np.uint8)
    checks[::2, ::2] = checks[1::2, 1::2] = 10
    assert texture(checks) == pytest.approx(40)
    assert texture(np.full((32, 32, 3), 77, np.uint8)) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("kind", GENERATORS)
def test_generator_is_deterministic_and_keeps_the_floor(kind: str) -> None:
    real = _textured(3, 128, 128)
    faker = load_faker(kind)
    fake = faker.fake(real, "a")
    assert np.array_equal(fake, load_faker(kind).fake(real, "a"))
    assert psnr_db(real, fake) < FLOOR_DB + 0.5
    weak = load_faker(kind, "weak")
    assert weak.gain == pytest.approx(faker.gain / 2)
    assert psnr_db(real, weak.fake(real, "a")) > psnr_db(real, fake)


def test_floor_amplifies_a_near_copy_but_at_most_threefold() -> None:
    flat = np.full((64, 64, 3), 120, np.uint8)
    faker = load_faker("tconv")
    untouched = np.abs(load_faker("tconv", "weak").fake(flat, "a").astype(int) - 120).max()
    assert (
        np.abs(faker.fake(flat, "a").astype(int) - 120).max()
        <= 2 * FLOOR_MAX_GAIN * max(untouched, 1) + FLOOR_MAX_GAIN
    )


def test_traces_are_periodic_in_four_pixels() -> None:
    """What the fakes are for: the difference to the original repeats with the up-sampling's period, a blur's does not."""
    real = _textured(5, 256, 256)

    def periodic_part(other: np.ndarray) -> float:
        energy = np.square(other.astype(float) - real).sum(2)
        phases = energy.reshape(64, 4, 64, 4).mean((0, 2))
        return float(phases.std() / phases.mean())

    blurred = periodic_part(control(real, "blur"))
    for kind in GENERATORS:
        # The style generator's low-pass hides most of its trace.
        factor = 1.2 if kind == "style" else 2.0
        assert periodic_part(load_faker(kind).fake(real, "a")) > factor * blurred, kind


def test_strength_rule() -> None:
    assert strength_gain(TARGET_DB, "strong") == pytest.approx(1.0)
    assert strength_gain(TARGET_DB + 6.0206, "strong") == pytest.approx(2.0, rel=1e-4)
    assert strength_gain(60.0, "strong") == 2.5
    assert strength_gain(20.0, "weak") == pytest.approx(0.375)
    with pytest.raises(DftError, match="unknown generator"):
        load_faker("stylegan9")


@pytest.mark.parametrize("profile", PROFILES)
def test_sharing_is_jpeg_of_the_stated_kind(profile: str) -> None:
    pixels = _textured(1, 96, 128)
    data = share(pixels, profile, "a")
    assert data == share(pixels, profile, "a")
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == ("JPEG", (128, 96))
        assert bool(image.info.get("progressive")) == PROFILES[profile].progressive
        assert image.layer[0][1:3] == (2, 2)  # type: ignore[attr-defined]


def test_sharing_shrinks_only_above_its_limit() -> None:
    wide = np.zeros((64, 1600, 3), np.uint8)
    with Image.open(io.BytesIO(share(wide, "telegram-like", "a"))) as image:
        assert image.size == (1280, 51)
    with pytest.raises(DftError, match="facebook-like"):
        share(wide, "myspace", "a")


def test_controls() -> None:
    pixels = _textured(2, 64, 80)
    assert np.array_equal(control(pixels, "offgrid"), pixels[3:, 5:])
    assert control(pixels, "resized").shape == (58, 72, 3)
    for kind in ("blur", "denoise"):
        assert control(pixels, kind).shape == pixels.shape
        assert texture(control(pixels, kind)) < texture(pixels)


def test_png_is_lossless() -> None:
    pixels = _textured(4, 40, 56)
    with Image.open(io.BytesIO(png(pixels))) as image:
        assert np.array_equal(np.asarray(image), pixels)


@pytest.mark.slow
def test_attribution_quotes_the_packages(tmp_path: Path) -> None:
    try:
        photos, _ = demo_photos()
    except DftError as e:
        pytest.skip(e.cause)
    only = tuple(p.id for p in photos if p.id in ("picture-1a", "castle-maintenon"))
    build_demo(tmp_path / "data", only=only)
    text = (tmp_path / "data/ATTRIBUTION.md").read_text()
    assert "CC-BY-4.0" in text
    assert demo_packages()["palapeli-data"].read_text().strip()[:60] in text
