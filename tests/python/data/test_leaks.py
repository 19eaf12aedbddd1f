"""Leaks: what is the same picture is found, however it was saved; what only looks alike to a hash is not."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from picture_trees import picture
from PIL import Image

from dftiny.data import leaks
from dftiny.data.index import ImageRow
from dftiny.data.leaks import MAX_BITS, Print, Shown, distance, near_duplicates, print_of, refuse_leaks
from dftiny.data.photos import Photo
from dftiny.errors import CheckFailed


def _shown(number: int, bits: int, part: str, thumb: bytes = b"", telling: bool = True) -> Shown[str]:
    pattern = thumb or bytes(range(256)) + bytes(32)
    return Shown(f"image{number}", part, f"source{number}", f"sha{number}", Print(bits, pattern, telling))


def _jpeg(image: Image.Image, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def test_every_pair_within_four_bits_is_found_and_none_beyond() -> None:
    rng = np.random.default_rng(7)
    base = [int(x) for x in rng.integers(0, 1 << 63, 60, dtype=np.uint64)]
    near = [b ^ sum(1 << int(k) for k in rng.choice(64, n % 7, replace=False)) for n, b in enumerate(base)]
    shown = [_shown(i, b, "train") for i, b in enumerate(base)]
    shown += [_shown(100 + i, b, "test") for i, b in enumerate(near)]
    bits = np.array([s.print.bits for s in shown], dtype=np.uint64)
    plain = {
        (shown[i].name, shown[j].name)
        for i, j in itertools.combinations(range(len(shown)), 2)
        if distance(bits[i], bits[[j]])[0] <= MAX_BITS and shown[i].part != shown[j].part
    }
    assert len(plain) >= 40
    assert {(a.name, b.name) for a, b, _ in near_duplicates(shown)} == plain


def test_distance_counts_bits() -> None:
    a, b = 0x0123_4567_89AB_CDEF, 0xFEDC_0000_FFFF_1234
    assert distance(np.uint64(a), np.array([a, b], dtype=np.uint64)).tolist() == [0, bin(a ^ b).count("1")]


def test_one_part_alone_never_leaks() -> None:
    assert near_duplicates([_shown(i, 5, "train") for i in range(4)]) == []
    refuse_leaks([_shown(1, 5, "train"), _shown(1, 5, "train")])


@pytest.mark.parametrize("quality", [30, 60, 90])
@pytest.mark.parametrize("side", [320, 200, 97])
def test_a_picture_saved_again_is_found(quality: int, side: int) -> None:
    for seed in range(5):
        image = picture(seed, 320)
        copy = _jpeg(image.resize((side, side), Image.Resampling.LANCZOS), quality)
        pair = [
            Shown("a", "train", "a", "1", print_of(np.asarray(image))),
            Shown("b", "test", "b", "2", print_of(copy)),
        ]
        assert len(near_duplicates(pair)) == 1


def test_other_pictures_and_flat_ones_are_not_found() -> None:
    ramp = np.broadcast_to(np.arange(0, 256, 2, np.uint8)[None, :, None], (128, 128, 3))
    flat = [np.full((128, 128, 3), g, np.uint8) for g in (0, 90, 255)]
    noise = [np.random.default_rng(i).integers(126, 129, (128, 128, 3), np.uint8) for i in range(3)]
    pictures = [np.asarray(picture(i, 128)) for i in range(40)] + [np.ascontiguousarray(ramp), *flat, *noise]
    shown = [Shown(f"{i}", f"part {i}", f"{i}", f"{i}", print_of(p)) for i, p in enumerate(pictures)]
    assert near_duplicates(shown) == []
    assert not any(print_of(p).telling for p in flat + noise)
    assert all(s.print.telling for s in shown[:41])


def test_a_hash_that_agrees_by_chance_is_not_enough() -> None:
    """Two photographs of the demo set are 3 bits apart and nothing alike: the thumbnail decides."""
    rng = np.random.default_rng(1)
    one, other = (rng.integers(0, 256, 288, dtype=np.uint8).tobytes() for _ in range(2))
    assert near_duplicates([_shown(1, 5, "train", one), _shown(2, 5, "test", other)]) == []
    assert len(near_duplicates([_shown(1, 5, "train", one), _shown(2, 5, "test", one)])) == 1


def test_three_pairs_are_named_and_the_rest_counted() -> None:
    shown = [_shown(i, 0, part, telling=False) for i in range(5) for part in ("train", "test")]
    with pytest.raises(CheckFailed) as caught:
        refuse_leaks(
            [Shown(f"{s.name}.{s.part}", s.part, s.source, f"{n}", s.print) for n, s in enumerate(shown)]
        )
    assert "image0.train (train) and image0.test (test): the same source" in caught.value.cause
    assert caught.value.cause.count("the same source") == 3
    assert caught.value.cause.endswith("and 2 more")


def test_equal_files_are_found_even_when_flat() -> None:
    one, other = _shown(1, 0, "train", telling=False), _shown(2, 0, "val", telling=False)
    with pytest.raises(CheckFailed, match="the same file"):
        refuse_leaks([one, Shown(other.name, other.part, other.source, one.sha256, other.print)])


def test_many_copies_of_one_picture_end_early() -> None:
    shown = [_shown(i, 5, ("train", "test")[i % 2]) for i in range(3000)]
    assert len(near_duplicates(shown, most=50)) == 50
    assert leaks.correlation(shown[0].print, shown[1].print) == pytest.approx(1)


def test_the_demo_build_refuses_one_photograph_in_two_splits() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")
    from dftiny.data.demo import Made, refuse_alike

    def made_of(name: str, split: str, look: Print) -> Made:
        row = ImageRow(name, split, name, "real", "real", True, "pre", f"{name}.png", name)
        return Made(_photo(name, split), (row,), name, look)

    image = picture(0, 400)
    copy = print_of(_jpeg(image.resize((300, 300)), 90))
    made = [
        made_of("a", "train", print_of(np.asarray(image))),
        made_of("b", "test", copy),
        Made(_photo("c", "val")),
    ]
    rows = [row for m in made for row in m.rows]
    with pytest.raises(CheckFailed, match=r"a\.jpg \(train\) and b\.jpg \(test\): nearly the same picture"):
        refuse_alike(made, rows)
    with pytest.raises(CheckFailed, match=r"a\.jpg \(fold 0\) and b\.jpg \(fold 2\)"):
        refuse_alike(made, [replace(r, fold=2 * n) for n, r in enumerate(rows)])
    refuse_alike(made, [replace(r, fold=1) for r in rows])


def _photo(name: str, split: str) -> Photo:
    return Photo(name, Path(f"{name}.jpg"), split, "", "", "", False)
