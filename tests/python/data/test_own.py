"""Own data in place: nothing copied, bad images named, one picture one split, leaks refused, hashes that hold."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from picture_trees import make_trueface, make_two_folders, picture, put
from PIL import Image

from dftiny.artifact import read_manifest
from dftiny.data.build import build_data
from dftiny.data.index import INDEX, ROOT, load_index, read_image
from dftiny.data.leak_check import check_leaks
from dftiny.data.own import OwnSummary, build_own, splits_of
from dftiny.data.survey import survey
from dftiny.data.trees import Found, trueface, two_folders
from dftiny.errors import CheckFailed, DftError


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, OwnSummary]:
    """A TrueFace tree of 3 x 8 pictures, 6 of each shared, one truncated, one not an image, one small; and its folder."""
    root = tmp_path_factory.mktemp("faces")
    make_trueface(root, pictures=8, shared=6)
    ffhq = root / "TrueFace_PreSocial/Real/FFHQ"
    whole = (ffhq / "00007.png").read_bytes()
    (ffhq / "00007.png").write_bytes(whole[: len(whole) // 2])
    (ffhq / "00090.png").write_text("not an image")
    put(ffhq / "00091.png", picture(91, 100))
    put(root / "tmp/a.png", picture(92))
    out = tmp_path_factory.mktemp("built") / "data"
    return root, out, build_own(out, trueface(root))


def test_bad_images_are_named_counted_and_skipped(faces: tuple[Path, Path, OwnSummary]) -> None:
    _, out, summary = faces
    names = [line.split(":")[0] for line in summary.skipped]
    assert names == ["tmp/", *(f"TrueFace_PreSocial/Real/FFHQ/{n}.png" for n in ("00007", "00090", "00091"))]
    reasons = [
        "1 image outside",
        "png: cannot be read as an image: image file is truncated",
        "not a PNG",
        "100x100 is below one tile",
    ]
    assert all(r in line for r, line in zip(reasons, summary.skipped, strict=True))
    assert all(line in (out / "card.md").read_text() for line in summary.skipped)
    assert read_manifest(out, "data").metrics["skipped"] == 4
    assert "4 skipped:" in summary.text()


def test_test_and_val_hold_the_same_pictures_before_and_after_sharing(
    faces: tuple[Path, Path, OwnSummary],
) -> None:
    index = load_index(faces[1])
    assert len(index.images) == 23 + 3 * 18
    assert [r.sharing for r in index.images][:23] == ["pre"] * 23
    copies: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for r in index.images:
        copies[r.split][r.sharing].add(r.source)
    for split in ("val", "test"):
        assert set(copies[split]) == {"pre", "facebook", "telegram", "twitter"}
        assert (
            copies[split]["pre"]
            == copies[split]["facebook"]
            == copies[split]["twitter"]
            == copies[split]["telegram"]
        )
        assert {r.label for r in index.select(split)} == {"real", "fake"}
    # Of six shared pictures of each of three kinds one tests and one validates.
    assert (len(copies["test"]["pre"]), len(copies["val"]["pre"])) == (3, 3)
    sources = [s for split in copies.values() for s in set().union(*split.values())]
    assert len(sources) == len(set(sources))


def test_images_are_read_where_they_lie_and_only_unchanged(
    faces: tuple[Path, Path, OwnSummary], tmp_path: Path
) -> None:
    root, out, _ = faces
    assert not (out / "images").exists()
    index = load_index(out)
    row = index.select("test", "pre", ["real"])[0]
    assert np.array_equal(read_image(out, row), np.asarray(Image.open(root / row.id)))
    moved = tmp_path / "moved"
    shutil.copytree(root, moved)
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    (copy / ROOT).write_text(str(moved))
    (moved / row.id).write_bytes((root / row.id).read_bytes() + b"x")
    with pytest.raises(DftError, match="damaged or changed"):
        read_image(copy, next(r for r in load_index(copy).images if r.id == row.id))
    with pytest.raises(CheckFailed, match=r"^1 image is not as it was indexed: .*changed after"):
        check_leaks(copy, jobs=1)
    for text in ("", "relative", str(tmp_path / "gone")):
        (copy / ROOT).write_text(text)
        with pytest.raises(DftError, match="which is not there"):
            load_index(copy)
    (copy / ROOT).unlink()
    with pytest.raises(DftError, match=r"cannot read .*root\.txt"):
        load_index(copy)


def test_a_digest_does_not_depend_on_where_the_images_lie(
    faces: tuple[Path, Path, OwnSummary], tmp_path: Path
) -> None:
    root, out, summary = faces
    shutil.copytree(root, tmp_path / "elsewhere")
    again = build_own(tmp_path / "again", trueface(tmp_path / "elsewhere"), jobs=1)
    assert again.digest == summary.digest
    assert (tmp_path / "again" / INDEX).read_bytes() == (out / INDEX).read_bytes()


def _found(source: str, split: str = "", label: str = "real", sharing: str = "pre") -> Found:
    return Found(f"{source}.{sharing}.png", label, label, sharing, source, split)


def test_own_split_folders_count_and_a_missing_val_is_drawn_from_train() -> None:
    images = [
        _found(f"{label}{i}", split, label)
        for label in ("real", "fake")
        for split in ("train", "test")
        for i in range(10)
    ]
    images = [
        Found(
            f"{i.own_split}/{i.file}", *list(vars(i).values())[1:4], f"{i.own_split}/{i.source}", i.own_split
        )
        for i in images
    ]
    splits = splits_of(images)
    assert {splits[i.file] for i in images if i.own_split == "test"} == {"test"}
    assert sorted(splits[i.file] for i in images if i.own_split == "train") == ["train"] * 18 + ["val"] * 2
    with pytest.raises(DftError, match=r"others do not \(stray"):
        splits_of([*images, _found("stray")])
    # One name alone splits nothing: TrueFace's own folder is called Train.
    assert set(splits_of([i for i in images if i.own_split == "train"]).values()) == {"train", "val", "test"}


def test_held_out_generators_are_tested_on_only(tmp_path: Path) -> None:
    make_trueface(tmp_path / "tree", pictures=6, shared=0)
    build_own(tmp_path / "out", trueface(tmp_path / "tree"), held_out=["StyleGAN2"], jobs=1)
    index = load_index(tmp_path / "out")
    held = [r for r in index.images if r.kind.startswith("StyleGAN2")]
    assert held
    assert {(r.split, r.seen) for r in held} == {("test", False)}
    assert all(r.seen for r in index.images if r not in held)
    with pytest.raises(DftError, match="no generator 'StyleGAN9'"):
        build_own(tmp_path / "other", trueface(tmp_path / "tree"), held_out=["StyleGAN9"], jobs=1)


def test_too_few_images_and_nothing_left_behind(tmp_path: Path) -> None:
    real, fake = make_two_folders(tmp_path / "few", 2)
    with pytest.raises(DftError, match="no real image before sharing is left for the val split"):
        build_own(tmp_path / "out", two_folders(real, fake), jobs=1)
    assert [p.name for p in tmp_path.iterdir()] == ["few"]


def test_leaks_between_own_splits_fail_the_build(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("val", 10), ("test", 20)):
        make_two_folders(tmp_path / split, 2, first)
    root = tmp_path / "set"
    for split in ("train", "val", "test"):
        for label in ("real", "fake"):
            shutil.copytree(tmp_path / split / label, root / label / split)
    tree = two_folders(root / "real", root / "fake")
    build_own(tmp_path / "good", tree, jobs=1)
    picture(0).resize((150, 150)).save(root / "real/test/again.jpg", quality=70)
    shutil.copy(root / "real/train/1.png", root / "real/val/copy.png")
    shutil.copy(root / "fake/train/gan/made-1.png", root / "fake/test/gan/made-1.png")
    with pytest.raises(CheckFailed) as caught:
        build_own(tmp_path / "bad", two_folders(root / "real", root / "fake"), jobs=1)
    for part in ("the same source", "the same file", "nearly the same picture", "again.jpg", "copy.png"):
        assert part in caught.value.cause
    assert not (tmp_path / "bad").exists()


def test_a_link_out_of_the_folder_and_an_odd_name_are_skipped(tmp_path: Path) -> None:
    put(tmp_path / "in/a.png", picture(1))
    put(tmp_path / "out/b.png", picture(2))
    (tmp_path / "in/link.png").symlink_to(tmp_path / "out/b.png")
    (tmp_path / "in/inner.png").symlink_to(tmp_path / "in/a.png")
    odd = os.fsdecode(b"odd-\xff.png")
    shutil.copy(tmp_path / "in/a.png", tmp_path / "in" / odd)
    faults = [
        x.fault for x in survey(tmp_path / "in", ["a.png", "link.png", "inner.png", odd, "gone.png"], jobs=1)
    ]
    assert (faults[0], faults[2]) == ("", "")
    assert "leads out of" in faults[1]
    assert "UTF-8" in faults[3]
    assert "cannot be read" in faults[4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"real": Path("a")}, "go together"),
        ({"real": Path("a"), "fake": Path("b"), "trueface": Path("c")}, "two kinds of data"),
        ({"trueface": Path("c"), "folds": 5}, "two kinds of data"),
        ({"held_out": ("x",)}, "--held-out is for your own data"),
    ],
)
def test_options_that_contradict_each_other(tmp_path: Path, options: dict[str, object], message: str) -> None:
    nothing: dict[str, object] = {"photos": None, "strength": "strong", "folds": None, "trueface": None, "real": None,
                                  "fake": None, "held_out": (), "jobs": 1}  # fmt: skip
    with pytest.raises(DftError, match=message):
        build_data(tmp_path / "out", **(nothing | options))  # type: ignore[arg-type]


def test_small_generators_are_split_together() -> None:
    """Nine generators of two pictures each: alone none could be split, together a fifth tests."""
    images = [Found(f"{k}/{i}", "fake", f"gan{k}", "pre", f"{k}/{i}", "") for k in range(9) for i in range(2)]
    counts = Counter(splits_of(images).values())
    assert counts == {"train": 12, "test": 4, "val": 2}


def test_a_split_does_not_change_with_the_order_of_the_files() -> None:
    images = [_found(f"{label}{i}", "", label) for label in ("real", "fake") for i in range(50)]
    assert splits_of(images) == splits_of(images[::-1])


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_ctrl_c_ends_quietly_and_leaves_nothing(tmp_path: Path) -> None:
    real, fake = make_two_folders(tmp_path / "set", 1)
    picture(9, 1000).save(tmp_path / "set/large.png")
    for i in range(3000):  # half a minute's work
        os.link(tmp_path / "set/large.png", real / f"{i + 1}.png")
    # A shell's background job ignores SIGINT, and its children inherit that: start from the default.
    code = (
        "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nfrom dftiny import cli\n"
        "if __name__ == '__main__':\n"
        f" sys.argv = ['dftiny', 'data', '--real', {str(real)!r}, '--fake', {str(fake)!r}, '--out', 'out']\n cli.main()\n"
    )
    (tmp_path / "go.py").write_text(code)
    run = subprocess.Popen(
        [sys.executable, "go.py"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 60
    while len(_children(run.pid)) < 3 and time.monotonic() < until:
        time.sleep(0.1)
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert said.strip().startswith("dftiny: stopped")
    assert "Traceback" not in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["go.py", "set"]


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
