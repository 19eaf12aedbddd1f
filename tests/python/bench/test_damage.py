"""bench when its inputs are not what they were: images that changed, builds of another board, paths with blanks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dftiny.artifact import read_json, read_manifest
from dftiny.bench import bench
from dftiny.bench.run import local_boards
from dftiny.bench.view import summary_text
from dftiny.errors import CheckFailed, DftError

Built = Callable[..., Path]


@pytest.fixture
def copied(data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(data, tmp_path / "data"))


@pytest.mark.parametrize("left", [0, 40, None])
def test_a_damaged_image_is_named_before_anything_runs(
    left: int | None, copied: Path, bundle: Path, built: Built, tmp_path: Path
) -> None:
    image = copied / "images" / "5.png"
    if left is None:
        image.unlink()
    else:
        image.write_bytes(image.read_bytes()[:left])
    boards = local_boards("host", bundle, built("host"))
    with pytest.raises(DftError, match=r"5\.png") as e:
        bench(boards, bundle, tmp_path / "out", data=copied)
    assert e.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_an_image_that_vanishes_midway_leaves_the_results_so_far(
    copied: Path, bundle: Path, built: Built, tmp_path: Path
) -> None:
    def vanish(line: str) -> None:
        if "run_reply" in line:
            (copied / "images" / "5.png").unlink(missing_ok=True)

    with pytest.raises(CheckFailed, match=r"5\.png.*after \d of 8 images; partial results are in") as e:
        bench(
            local_boards("host", bundle, built("host")), bundle, tmp_path / "out", data=copied, trace=vanish
        )
    assert e.value.exit_code == 1
    read_manifest(tmp_path / "out", "bench")
    summary = read_json(tmp_path / "out" / "bench.json")
    assert summary["complete"] is False
    assert len(summary["images"]) >= 1


def test_a_build_for_another_board_is_refused(bundle: Path, built: Built) -> None:
    with pytest.raises(DftError, match="is a build for host, not for mps2_an500"):
        local_boards("mps2_an500", bundle, built("host"))


def test_the_command_to_run_is_quoted(built: Built, tmp_path: Path) -> None:
    boards = local_boards("host", tmp_path / "my bundle", built("host"))
    assert f"dftiny build '{tmp_path}/my bundle' --board host" in boards.hint


def test_labels_of_another_kind_are_said(
    three_classes: tuple[Path, Path], data: Path, tmp_path: Path
) -> None:
    bundle, folder = three_classes
    summary = bench(local_boards("host", bundle, folder), bundle, tmp_path / "b", data=data, limit=2).summary
    assert "none: the images are labelled fake, real, which are not the classes of" in summary_text(summary)
