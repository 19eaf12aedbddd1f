"""The grid: which cells, in which order, kept or made again; and one tiny grid for real, stopped, continued and reported."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from fold_set import fold_set

from dftiny import spec
from dftiny.artifact import read_json, read_manifest
from dftiny.cli import cli
from dftiny.data.index import DataIndex, ImageRow
from dftiny.errors import CheckFailed, DftError
from dftiny.thesis import run as running
from dftiny.thesis.grid import SCORES, Piece, grid, key_of
from dftiny.thesis.jobs import Job, run_jobs
from dftiny.thesis.plan import Pace, plan_of
from dftiny.thesis.report import RESULTS, SETTING, TABLES, report, save_setting
from dftiny.thesis.run import Wishes, reproduce
from dftiny.thesis.sheet import load_sheet

PACE = Pace(
    {n: {"train": 0.01, "forward": 0.004} for n in ("resnet_demo", "phinet_demo", "micronet_h743")},
    dict.fromkeys(spec.names("recipes"), 0.001),
    0.01,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of four tiles of 32 px."""
    return fold_set(tmp_path_factory.mktemp("grid") / "data", side=64, tile=32)


def index_of(folds: int = 5) -> DataIndex:
    """An index as the demo's, of one image a sharing and fold; no files."""
    sharings = ("pre", "facebook-like", "telegram-like", "twitter-like")
    rows = [
        ImageRow(f"{k}.{s}", "test", f"p{k}", "real", "real", True, s, "f", "0", fold=k) for k in range(folds) for s in sharings
    ]  # fmt: skip
    return DataIndex("demo", 128, tuple(rows))


def test_the_quick_grid_has_every_cell_of_the_thesis() -> None:
    made = grid("quick", index_of())
    assert made.conditions == ("pre", "facebook-like", "telegram-like", "twitter-like")
    assert dict(made.nets) == {
        "ResNet50": "resnet_demo",
        "PhiNet": "phinet_demo",
        "MicroNet": "micronet_h743",
    }
    group = made.groups[0]
    methods = [c.method for c in group.cells]
    for wanted in ("supervised", "head_telegram-like", "all_twitter-like", "mixed", "simclr_head", "random"):
        assert wanted in methods
    tuned = group.cell("head_telegram-like")
    assert (tuned.start, tuned.sharing, tuned.recipe) == ("supervised", "telegram-like", "finetune_head")
    assert made.cells == len(made.groups) * len(methods)
    for cell in group.cells:
        assert cell.recipe in spec.names("recipes")
        assert cell.start is None or methods.index(cell.start) < methods.index(cell.method)


def test_the_tables_name_the_steps_of_every_method_apart(tmp_path: Path) -> None:
    index = index_of()
    save_setting(tmp_path, grid("quick", index), index, "0")
    steps = read_json(tmp_path / SETTING, "grid")["steps"]
    assert steps == dict(spec.thesis()["grid"]["small"]["steps"])
    assert steps["simclr"] != steps["simclr_unfrozen"]


def test_large_nets_get_one_seed_and_small_ones_three() -> None:
    full = grid("full", index_of())
    assert {g.fold for g in full.groups} == {0, 1, 2, 3, 4}
    assert {g.net for g in full.groups} == {"resnet50", "phinet_h743", "micronet_h743"}
    assert {g.seed for g in full.groups} == {0}  # all three are above half a million parameters
    assert {g.seed for g in grid("full", index_of(), seeds=3).groups} == {0, 1, 2}


def test_the_small_grid_goes_on_where_the_quick_one_ends() -> None:
    quick, small = grid("quick", index_of()), grid("small", index_of())
    assert set(quick.groups) < set(small.groups)
    places = {(g.net, g.fold, g.seed) for g in small.groups}
    seeds = {"resnet_demo": 1, "phinet_demo": 3, "micronet_h743": 1}
    assert places == {(net, k, s) for net, n in seeds.items() for k in range(5) for s in range(n)}


def test_the_command_takes_a_list_of_folds_and_knows_its_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Wishes] = []
    monkeypatch.setattr(running, "reproduce", lambda _data, _out, wishes, **_: asked.append(wishes))
    for words in (["--small", "--fold", "0,2", "--folds", "4"], ["--quick"], []):
        assert CliRunner().invoke(cli, ["reproduce", "thesis", *words]).exit_code == 0
    assert [w.grid for w in asked] == ["small", "quick", "full"]
    assert [w.folds for w in asked] == [(0, 2, 4), (), ()]
    for odd in ("0,", "x", "-1", "0-3"):
        assert CliRunner().invoke(cli, ["reproduce", "thesis", "--fold", odd]).exit_code == 2


def test_choices_and_their_errors() -> None:
    one = grid("quick", index_of(), nets=["PhiNet"], folds=[3], steps=7)
    assert [(g.net, g.fold) for g in one.groups] == [("phinet_demo", 3)]
    assert {c.steps for c in one.groups[0].cells} == {7}
    with pytest.raises(DftError, match="no net 'vgg'"):
        grid("quick", index_of(), nets=["vgg"])
    with pytest.raises(DftError, match="fold 9"):
        grid("quick", index_of(), folds=[9])
    with pytest.raises(DftError, match="no folds"):
        grid(
            "quick", index_of(1).__class__("own", 128, (replace(index_of(1).images[0], fold=-1),)), folds=[0]
        )


def test_public_weights_make_it_the_thesis_frozen_backbone(tmp_path: Path) -> None:
    file = tmp_path / "resnet50.pth"
    file.write_bytes(b"weights")
    made = grid("full", index_of(), nets=["ResNet50", "PhiNet=phinet_thesis"], weights=[f"ResNet50={file}"])
    assert made.nets == {"ResNet50": "resnet50", "PhiNet": "phinet_thesis"}
    resnet, phinet = made.groups[0], made.groups[1]
    supervised = resnet.cell("supervised")
    assert supervised.recipe == "frozen" and supervised.weights is not None
    assert supervised.weights.sha256 == hashlib.sha256(b"weights").hexdigest()
    assert resnet.cell("mixed").weights == resnet.cell("simclr").weights == supervised.weights
    assert resnet.cell("random").weights is None and resnet.cell("head_telegram-like").weights is None
    assert phinet.cell("supervised").recipe == "supervised" and phinet.cell("supervised").weights is None
    file.write_bytes(b"other")
    other = grid("full", index_of(), nets=["ResNet50"], weights=[f"resnet50={file}"]).groups[0]
    for method in ("supervised", "head_telegram-like", "simclr_head"):
        assert key_of(resnet.cell(method), resnet, "d") != key_of(other.cell(method), other, "d")
    assert key_of(resnet.cell("random"), resnet, "d") == key_of(other.cell("random"), other, "d")
    with pytest.raises(DftError, match="no file 'gone'"):
        grid("full", index_of(), weights=["ResNet50=gone"])
    with pytest.raises(DftError, match="no net 'VGG'"):
        grid("full", index_of(), weights=[f"VGG={file}"])
    with pytest.raises(DftError, match="no net 'PhiNet=vgg'"):
        grid("full", index_of(), nets=["PhiNet=vgg"])


def test_a_set_with_splits_and_platforms_of_its_own_is_one_round() -> None:
    rows = [
        ImageRow(f"{split}.{s}", split, split, "real", "real", True, s, "f", "0")
        for split in ("train", "val", "test")
        for s in ("pre", "Twitter", "Facebook", "elsewhere")
    ]
    made = grid("quick", DataIndex("trueface", 128, tuple(rows)), nets=["PhiNet"])
    assert made.conditions == ("pre", "Facebook", "Twitter")
    assert [(g.fold, g.place.as_posix()) for g in made.groups] == [
        (None, f"phinet_demo/seed{made.groups[0].seed}")
    ]
    assert made.groups[0].cell("all_Twitter").sharing == "Twitter"
    with pytest.raises(DftError, match="no images before sharing"):
        grid("quick", DataIndex("odd", 128, tuple(r for r in rows if r.sharing != "pre")))


def test_a_key_changes_with_whatever_a_cell_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    group = grid("quick", index_of()).groups[0]
    cell = group.cell("head_telegram-like")
    keys = {
        key_of(cell, group, "data"),
        key_of(cell, group, "other data"),
        key_of(replace(cell, steps=3), group, "data"),
        key_of(replace(cell, sharing="pre"), group, "data"),
        key_of(replace(cell, seed=4), group, "data"),
        key_of(cell, replace(group, cells=(replace(group.cell("supervised"), steps=9),)), "data"),
    }
    assert len(keys) == 6
    before = key_of(cell, group, "data")
    real = spec.recipe
    monkeypatch.setattr(spec, "recipe", lambda name: {**real(name), "peak_rate": 0.5})
    assert key_of(cell, group, "data") != before


def test_the_plan_says_how_long(capsys: pytest.CaptureFixture[str]) -> None:
    made = grid("quick", index_of(), nets=["PhiNet"], folds=[0])
    group = made.groups[0]
    pieces = [Piece(group, m) for m in (*(c.method for c in group.cells), SCORES)]
    plan = plan_of(made, pieces, PACE, index_of(), 2)
    text = plan.text()
    assert f"{made.cells} cells to train and 1 sheets to score" in text
    assert "minutes on 2 free cores" in text and "phinet_demo" in text
    doubled = Pace(
        {k: {a: 2 * b for a, b in v.items()} for k, v in PACE.nets.items()}, PACE.recipes, PACE.image
    )
    slower = plan_of(made, pieces, doubled, index_of(), 2)
    assert plan.minutes < slower.minutes < 2 * plan.minutes
    assert plan_of(made, [], PACE, index_of(), 2).minutes == 0
    capsys.readouterr()


def note(path: Path, text: str) -> None:
    with path.open("a") as f:
        f.write(text + "\n")


def fail(text: str) -> None:
    raise CheckFailed(text, "a hint")


def wait_then_note(path: Path, text: str) -> None:
    time.sleep(0.2)
    note(path, text)


def test_jobs_wait_for_what_they_need_and_an_error_ends_them(tmp_path: Path) -> None:
    log, done = tmp_path / "log", []
    jobs = [
        Job("b", note, (log, "b"), ("a",), 1.0),
        Job("a", wait_then_note, (log, "a"), (), 1.0),
        Job("c", fail, ("it broke",), ("b",), 1.0),
        Job("d", note, (log, "d"), ("c",), 1.0),
    ]
    with pytest.raises(CheckFailed, match="c: it broke"):
        run_jobs(jobs, workers=2, title="test", done=done.append)
    assert log.read_text().split() == ["a", "b"] == done


def sleep_and_say(path: Path) -> None:
    path.write_text(str(os.getpid()))
    time.sleep(600)


KILLED = """
from pathlib import Path
from dftiny.thesis.jobs import Job, run_jobs
import test_grid
if __name__ == "__main__":
    run_jobs([Job("a", test_grid.sleep_and_say, (Path("pid"),), (), 1.0)], workers=1, title="t", done=print)
"""


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat")
        return not state.exists() or state.read_text().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals as on Unix")
def test_no_process_outlives_a_run_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(KILLED)
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    run = subprocess.Popen([sys.executable, "run.py"], cwd=tmp_path, env=here, stdout=subprocess.DEVNULL)
    said = tmp_path / "pid"
    deadline = time.monotonic() + 120
    while not said.exists() or not said.read_text():
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.05)
    worker = int(said.read_text())
    assert alive(worker)
    run.kill()
    run.wait(60)
    while alive(worker):
        assert time.monotonic() < deadline, "the process is still there"
        time.sleep(0.05)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick grid at 32 px, with two steps a cell."""
    known = spec.thesis()
    quick = {**known["grid"]["quick"], "tile": 32}
    monkeypatch.setattr(spec, "thesis", lambda: {**known, "grid": {**known["grid"], "quick": quick}})
    monkeypatch.setattr(running, "pace_of", lambda *_: PACE)


@pytest.mark.usefixtures("tiny")
def test_a_tiny_grid_for_real(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")
    out = tmp_path / "grid"
    wishes = Wishes("quick", nets=("PhiNet",), folds=(0, 1), steps=2)
    reproduce(data, out, wishes, plan_only=True)
    assert not (out / SETTING).exists() and "16 cells to train and 2 sheets" in capsys.readouterr().out

    made: list[str] = []
    real = running.run_jobs

    def stopped(jobs: list[Job], **options: Any) -> None:
        """The first run breaks off after the second fold's first cells: only the first fold's jobs are given."""
        first = [j for j in jobs if "fold0" in j.name]
        made.extend(j.name for j in first)
        real(first, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run_jobs", stopped)
    with pytest.raises(KeyboardInterrupt):
        reproduce(data, out, wishes)
    report(out)
    trained = read_manifest(out / "phinet_demo" / "fold0.seed0" / "mixed", "train")
    assert set(trained.metrics["thresholds"]) == {"pre"}  # all others are chosen once, on the sheet
    assert "1 of 2 rounds finished" in capsys.readouterr().out
    kept = {p: p.stat().st_mtime_ns for p in out.rglob("checkpoint.safetensors")}
    assert len(kept) == 8

    def following(jobs: list[Job], **options: Any) -> None:
        made.clear()
        made.extend(j.name for j in jobs)
        real(jobs, **options)

    monkeypatch.setattr(running, "run_jobs", following)
    reproduce(data, out, wishes)
    assert len(made) == 9 and all("fold1" in name for name in made)
    assert all(p.stat().st_mtime_ns == t for p, t in kept.items())
    check_report(out, capsys.readouterr().out)
    made.clear()
    reproduce(data, out, wishes)
    assert made == []
    reproduce(data, out, replace(wishes, steps=3), plan_only=True)
    assert "18 of them to do, 0 finished" in capsys.readouterr().out


def check_report(out: Path, text: str) -> None:
    """Seven tables, the data set's name over them, ours in them; sheets that hold what they should."""
    for number in range(1, 8):
        assert f"Table 4.{number}: " in text
    assert text.index("data set: noise") < text.index("Table 4.1")
    assert "2 of 2 rounds finished, 2 photographs tested" in text
    assert "phinet_demo for PhiNet (1 seed)" in text
    assert "tiles of 32x32 px" in text and "phinet_demo on the chip:" in text
    assert (out / TABLES).read_text().count("### Table") == text.count("Table ") >= 14
    figures = read_json(out / RESULTS)["figures"]
    assert {f["method"] for f in figures} >= {
        "supervised",
        "random",
        "head_facebook-like",
        "all_facebook-like",
        "simclr_head",
    }
    sheet = load_sheet(out / "phinet_demo" / "fold0.seed0" / SCORES)
    assert set(sheet.split) == {"val", "test"} and set(sheet.source[sheet.split == "test"]) == {"photo0"}
    assert "simclr" not in sheet.logits and set(sheet.history) == {"supervised", "mixed"}
    assert {"mixed_head_pre", "mixed_head_facebook-like"} <= set(sheet.logits)
    heads = [sheet.logits[m] for m in ("supervised", "head_facebook-like", "all_facebook-like", "random")]
    assert all(not np.array_equal(a, b) for i, a in enumerate(heads) for b in heads[:i])
    assert (out / "phinet_demo" / "fold0.seed0" / "log.txt").read_text().count("checkpoint.safetensors") >= 8


def test_foreign_folders_and_empty_ones_are_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DftError, match="holds no grid"):
        reproduce(data, tmp_path, Wishes("quick"))
    with pytest.raises(DftError, match="holds no grid"):
        report(tmp_path / "nothing")


def test_weights_of_another_net_are_refused_before_anything_runs(data: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "wrong.pth")
    wishes = Wishes("quick", nets=("PhiNet",), weights=(f"PhiNet={tmp_path / 'wrong.pth'}",))
    with pytest.raises(
        DftError, match=r"wrong\.pth does not fit the net phinet_demo.*weights of phinet_demo"
    ):
        reproduce(data, tmp_path / "out", wishes, plan_only=True)
    assert not (tmp_path / "out").exists()
