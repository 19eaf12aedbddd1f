"""Stage folders are whole or absent; manifests notice every change."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dftiny import artifact
from dftiny.errors import CheckFailed, DftError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def stage(folder: Path) -> artifact.Manifest:
    (folder / "a.bin").write_bytes(b"abc")
    return artifact.write_manifest(
        folder, "train", files=["a.bin"], parents={"data": "00"}, config={"seed": 1}
    )


def test_round_trip(tmp_path: Path) -> None:
    written = stage(tmp_path)
    assert artifact.read_manifest(tmp_path, "train") == written
    assert written.files["a.bin"]["bytes"] == 3


def test_same_inputs_same_digest(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    assert stage(first).digest == stage(second).digest
    assert (first / "manifest.json").read_bytes() == (second / "manifest.json").read_bytes()


def test_changed_file_is_noticed(tmp_path: Path) -> None:
    stage(tmp_path)
    (tmp_path / "a.bin").write_bytes(b"abd")
    with pytest.raises(CheckFailed, match="changed"):
        artifact.read_manifest(tmp_path)


def test_missing_file_is_noticed(tmp_path: Path) -> None:
    stage(tmp_path)
    (tmp_path / "a.bin").unlink()
    with pytest.raises(CheckFailed, match="missing"):
        artifact.read_manifest(tmp_path)


def test_changed_manifest_is_noticed(tmp_path: Path) -> None:
    stage(tmp_path)
    path = tmp_path / "manifest.json"
    value = json.loads(path.read_text())
    value["config"]["seed"] = 2
    path.write_text(json.dumps(value))
    with pytest.raises(CheckFailed, match="changed"):
        artifact.read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"stage": 1', "\x00"])
def test_malformed_manifest_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DftError) as e:
        artifact.read_manifest(tmp_path)
    assert "\n" not in str(e.value)
    assert e.value.hint


def test_wrong_stage(tmp_path: Path) -> None:
    stage(tmp_path)
    with pytest.raises(
        DftError, match="holds a train stage, not data; give the folder that `dftiny data` wrote"
    ):
        artifact.read_manifest(tmp_path, "data")


def test_failed_stage_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="boom"), artifact.new_folder(tmp_path / "out") as folder:
        (folder / "half").write_text("x")
        raise ValueError("boom")
    assert list(tmp_path.iterdir()) == []


def test_failed_stage_keeps_the_old_one(tmp_path: Path) -> None:
    with artifact.new_folder(tmp_path / "out") as folder:
        stage(folder)
    with pytest.raises(ValueError, match="boom"), artifact.new_folder(tmp_path / "out"):
        raise ValueError("boom")
    assert artifact.read_manifest(tmp_path / "out").stage == "train"


def test_foreign_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with pytest.raises(DftError, match="not made by dftiny"), artifact.new_folder(tmp_path / "thesis"):
        pass
    assert (tmp_path / "thesis" / "chapter1.tex").exists()


def test_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(DftError, match="No space left") as e, artifact.atomic_write(path) as f:
        f.write(b"new")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert e.value.exit_code == 2
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@given(JSON)
def test_canonical_json_is_stable(value: object) -> None:
    once = artifact.canonical_json(value)
    assert artifact.canonical_json(json.loads(once)) == once


def test_somebody_elses_manifest_is_no_stage(tmp_path: Path) -> None:
    """A web page has a manifest.json too."""
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "manifest.json").write_text('{"name": "my page"}')
    with pytest.raises(DftError, match="not made by dftiny"), artifact.new_folder(tmp_path / "page"):
        pass
    assert (tmp_path / "page" / "manifest.json").exists()


def test_another_stage_is_not_replaced(tmp_path: Path) -> None:
    with artifact.new_folder(tmp_path / "net", stage="train") as folder:
        stage(folder)
    with (
        pytest.raises(DftError, match="holds a train stage, which bundle would replace"),
        artifact.new_folder(tmp_path / "net", stage="bundle"),
    ):
        pass
    assert artifact.read_manifest(tmp_path / "net").stage == "train"


def test_the_current_folder_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for out in (Path(), Path(".."), tmp_path):
        with pytest.raises(DftError, match="current folder"), artifact.new_folder(out):
            pass


def test_a_link_to_another_place_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "big disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "big disk", target_is_directory=True)
    for _ in range(2):
        with artifact.new_folder(tmp_path / "out", stage="train") as folder:
            stage(folder)
    assert (tmp_path / "out").is_symlink()
    assert artifact.read_manifest(tmp_path / "big disk").stage == "train"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["big disk", "out"]


def test_two_runs_into_one_folder_leave_one_of_them_whole(tmp_path: Path) -> None:
    with artifact.new_folder(tmp_path / "out") as first:
        stage(first)
        with artifact.new_folder(tmp_path / "out") as second:
            stage(second)
            (second / "second").touch()
    assert artifact.read_manifest(tmp_path / "out").stage == "train"
    assert not (tmp_path / "out" / "second").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_error_without_a_number_still_says_why(tmp_path: Path) -> None:
    """numpy's own: a full disk is "… requested and 0 written" there."""
    with pytest.raises(DftError, match="8192 requested and 0 written"), artifact.new_folder(tmp_path / "out"):
        raise OSError("8192 requested and 0 written")
