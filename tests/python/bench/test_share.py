"""bench --share: everything about the board, nothing about whose it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dftiny.cli import cli
from dftiny.errors import CheckFailed
from dftiny.share import shared, without_folders


def share(
    built: Callable[..., Path], bundle: Path, tmp_path: Path, *more: str
) -> tuple[int, dict[str, Any], str]:
    file = tmp_path / "my-board.json"
    options = ["--board", "host", "--build", str(built("host")), "--bundle", str(bundle), *more]
    done = CliRunner().invoke(
        cli, ["bench", *options, "--out", str(tmp_path / "bench"), "--share", str(file)]
    )
    text = file.read_text(encoding="utf-8")
    return done.exit_code, json.loads(text), text


def test_one_file_has_it_all(built: Callable[..., Path], bundle: Path, tmp_path: Path) -> None:
    code, value, text = share(built, bundle, tmp_path, "--golden")
    assert code == 0
    assert value["bench"]["complete"] is True
    assert value["bench"]["oracle"] == {"tiles": 4, "identical": 4}
    assert value["bench"]["ops"] and value["bench"]["bundle"]
    assert value["board"]["hello"]["board"] == "host"
    assert {o["name"] for o in value["board"]["selftest"]} >= {"crc"}
    assert value["board"]["fault"] is None
    assert value["board"]["stats"]["frames_bad"] == 0
    assert value["tools"]["dftiny"]
    assert str(tmp_path) not in text and str(bundle.parent) not in text and str(Path.home()) not in text


def test_names_of_pictures_stay_at_home(
    built: Callable[..., Path], bundle: Path, data: Path, tmp_path: Path
) -> None:
    code, value, text = share(built, bundle, tmp_path, "--data", str(data))
    assert code == 0 and value["bench"]["oracle"]["tiles"] > 4
    rows = json.loads((tmp_path / "bench" / "bench.json").read_text())["images"]
    shown = {str(v) for row in rows for v in row.values() if isinstance(v, str) and "." in v}
    assert len(shown) >= 4 and not [name for name in shown if name in text]
    assert str(data) not in text


def test_a_bench_that_fails_is_shared_all_the_same(built: Callable[..., Path], tmp_path: Path) -> None:
    def fails() -> None:
        raise CheckFailed(f"bits differ, see {tmp_path}/bench/tiles.jsonl")

    file = tmp_path / "share.json"
    with pytest.raises(CheckFailed, match="bits differ"):
        shared(fails, file, runs=tmp_path, out=tmp_path / "bench", board="host", build_dir=built("host"))
    value = json.loads(file.read_text())
    assert value["trouble"] == "bits differ, see tiles.jsonl"
    assert value["bench"] is None and value["board"]["hello"]["board"] == "host"


def test_paths_are_cut_to_their_last_part() -> None:
    texts = [
        "/home/me/x/run.elf is odd",
        r"C:\Users\me\b.bin",
        "~/my/thing",
        "/dev/ttyACM0",
        "and/or",
        "9 MAC/s",
    ]
    cut = ["run.elf is odd", "b.bin", "thing", "ttyACM0", "and/or", "9 MAC/s"]
    assert without_folders(texts) == cut
    assert without_folders({"/a/b": [("/c/d", 1)]}) == {"b": [["d", 1]]}
