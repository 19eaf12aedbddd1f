"""What folders and file names of a data set say: TrueFace's tree with its spellings, and any two folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from dftiny.data.trees import Found, trueface, two_folders
from dftiny.errors import DftError


def _touch(root: Path, *files: str) -> None:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


REAL, FAKE = (
    "TrueFace_PreSocial/Real/FFHQ/00000.png",
    "TrueFace_PreSocial/Fake/StyleGAN/images-psi-0.5/seed0000.png",
)


@pytest.mark.parametrize(
    ("file", "label", "kind", "sharing", "source", "own_split"),
    [
        ("TrueFace_PreSocial/Real/FFHQ/00042.png", "real", "real", "pre", "FFHQ/42", ""),
        ("TrueFace_PostSocial/Facebook/0_Real/FFHQ/000042_FB.jpg", "real", "real", "facebook", "FFHQ/42", ""),
        ("TrueFace_PostSocial/Telegram/Real/FFHQ/00042.jpeg", "real", "real", "telegram", "FFHQ/42", ""),
        ("TrueFace_PreSocial/Fake/StyleGAN/images-psi-0.7/seed0042.png", "fake", "StyleGAN/images-psi-0.7", "pre", "StyleGAN/42", ""),
        ("TrueFace_PostSocial/Twitter/1_Fake/StyleGAN1/images-psi-0.5/000042_TW.jpg", "fake", "StyleGAN/images-psi-0.5", "twitter", "StyleGAN/42", ""),
        ("Test/TrueFace_PostSocial/Whatsapp/Fake/StyleGAN2/conf-f-psi-1/000042_WA.jpeg", "fake", "StyleGAN2/conf-f-psi-1", "whatsapp", "StyleGAN2/42", "test"),
        ("trueface_presocial/train/real/FFHQ/00042.png", "real", "real", "pre", "FFHQ/42", "train"),
        ("PreSocial/Fake/portrait_wa.webp", "fake", "fake", "pre", "fake/portrait", ""),
    ],
)  # fmt: skip
def test_a_file_of_trueface(
    tmp_path: Path, file: str, label: str, kind: str, sharing: str, source: str, own_split: str
) -> None:
    _touch(tmp_path, file, REAL, FAKE)
    found = {i.file: i for i in trueface(tmp_path).images}
    assert found[file] == Found(file, label, kind, sharing, source, own_split)


def test_what_lies_outside_the_layout_is_counted_by_folder(tmp_path: Path) -> None:
    _touch(
        tmp_path, REAL, FAKE, "code/a.png", "code/b.jpg", "TrueFace_PostSocial/Real/FFHQ/1.png", "readme.png"
    )
    _touch(tmp_path, ".cache/c.png", "TrueFace_PreSocial/Real/FFHQ/._00000.png", "notes.txt")
    tree = trueface(tmp_path)
    assert [i.file for i in tree.images] == sorted([REAL, FAKE])
    assert tree.outside == ((".", 1), ("TrueFace_PostSocial/Real/FFHQ", 1), ("code", 2))


def test_a_tree_that_is_not_trueface_is_refused_with_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    with pytest.raises(
        DftError, match=r"expected TrueFace_PreSocial/\{Real,Fake\}/… .*found no image \(folders faces/\)"
    ):
        trueface(tmp_path)
    _touch(tmp_path, "faces/real/1.png", "faces/fake/2.png")
    with pytest.raises(DftError, match=r"found faces/fake/, faces/real/"):
        trueface(tmp_path)
    _touch(tmp_path, REAL)
    with pytest.raises(DftError, match="is not a TrueFace tree"):
        trueface(tmp_path)
    with pytest.raises(DftError, match="is not a folder"):
        trueface(tmp_path / "absent")


def test_two_folders(tmp_path: Path) -> None:
    _touch(tmp_path, "a/real/x/7.png", "b/8.jpg", "b/gan/x/7.png", "b/diffusion/train/9.webp", "b/blur/1.png")
    tree = two_folders(tmp_path / "a/real", tmp_path / "b")
    assert tree.root == tmp_path.resolve()
    assert tree.images == (
        Found("a/real/x/7.png", "real", "real", "pre", "x/7", ""),
        Found("b/8.jpg", "fake", "fake", "pre", "8", ""),
        Found("b/blur/1.png", "fake", "fake/blur", "pre", "1", ""),
        Found("b/diffusion/train/9.webp", "fake", "diffusion", "pre", "9", "train"),
        Found("b/gan/x/7.png", "fake", "gan", "pre", "x/7", ""),
    )


def test_two_folders_that_will_not_do(tmp_path: Path) -> None:
    _touch(tmp_path, "real/1.png", "real/fake/2.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DftError, match="one inside the other"):
        two_folders(tmp_path / "real", tmp_path / "real/fake")
    with pytest.raises(DftError, match="holds no PNG, JPEG or WebP image"):
        two_folders(tmp_path / "real", tmp_path / "empty")
