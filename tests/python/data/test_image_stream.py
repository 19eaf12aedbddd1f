"""Images side by side: the same as one by one, in order, few at a time; a bad one is named when its turn comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from picture_trees import picture

from dftiny.artifact import sha256_file
from dftiny.data import stream
from dftiny.data.index import ImageRow, read_image
from dftiny.errors import DftError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ImageRow]]:
    out = tmp_path_factory.mktemp("stream")
    rows = []
    for i in range(12):
        picture(i).save(out / f"{i}.png")
        sha = sha256_file(out / f"{i}.png")
        rows.append(ImageRow(f"{i}", "test", f"{i}", "real", "real", True, "pre", f"{i}.png", sha))
    return out, rows


@pytest.mark.parametrize("profile", [None, "facebook-like"])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_images_come_in_order_and_are_those_of_the_plain_loop(
    folder: tuple[Path, list[ImageRow]], profile: str | None, workers: int
) -> None:
    out, rows = folder
    got = list(stream.each(lambda r: stream.picture(out, r, profile), rows, workers=workers))
    for row, pixels in zip(rows, got, strict=True):
        plain = read_image(out, row)
        assert np.array_equal(pixels, plain if profile is None else stream.shared(plain, profile, row.id))
        assert np.array_equal(pixels, plain) == (profile is None)


class _Counted(list[ImageRow]):
    """Rows that know how many of them were asked for."""

    asked = 0

    def __iter__(self) -> Iterator[ImageRow]:
        for row in super().__iter__():
            self.asked += 1
            yield row


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_no_more_images_wait_than_promised(folder: tuple[Path, list[ImageRow]], workers: int) -> None:
    """However slowly images are taken, only so many have been begun: memory does not grow with the data."""
    rows = _Counted(folder[1])
    steps = enumerate(stream.each(lambda r: r.id, rows, workers=workers), 1)
    besides = [rows.asked - taken for taken, _ in steps]
    assert besides[0] == 2 * workers - 1
    assert max(besides) == 2 * workers - 1
    assert rows.asked == 12


def test_a_bad_image_is_named_in_its_turn_and_breaking_off_ends_the_work(
    folder: tuple[Path, list[ImageRow]],
) -> None:
    out, rows = folder
    bad = [
        *rows[:3],
        ImageRow("bad", "test", "b", "real", "real", True, "pre", "gone.png", "0" * 64),
        *rows[4:],
    ]
    seen = []
    with pytest.raises(DftError, match=r"gone\.png"):
        for pixels in stream.each(lambda r: stream.picture(out, r, None), bad):
            seen.append(pixels)
    assert len(seen) == 3
    begun = []
    steps = stream.each(lambda r: begun.append(r.id), rows)
    next(steps)
    steps.close()
    assert len(begun) <= 4
    assert list(stream.each(lambda r: r.id, [])) == []
