"""One net for all platforms against copies tuned to each: a tuning for real, kept, made again; the paired difference."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dftiny.artifact import MANIFEST, read_json, read_manifest, write_manifest
from dftiny.cli import cli
from dftiny.crossval.fold import SCORES, TRAIN
from dftiny.crossval.report import RESULTS, TABLES, report
from dftiny.crossval.run import Wishes, _jobs, _rounds, _tunings, crossval
from dftiny.crossval.tune import STEPS, TUNED
from dftiny.crossval.tuned import Pair, tuned_tables
from dftiny.errors import DftError
from dftiny.thesis.sheet import Sheet, load_sheet
from dftiny.thesis.work import LOG

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")

WISHES = Wishes(("phinet_demo",), folds=(1,), steps=3, jobs=1, tune=("finetune_all",), tune_steps=2)


@pytest.fixture(scope="module")
def tuned(data: Path, done: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tuning") / "out"
    shutil.copytree(done, out)
    crossval(data, out, WISHES)
    return out


def place_of(out: Path) -> Path:
    return out / "phinet_demo" / "fold1_seed0" / TUNED / "finetune_all.facebook-like"


def missing(out: Path, data: Path, wishes: Wishes) -> list[str]:
    (this,) = _rounds(wishes, range(3), out)
    return [j.name for j in _jobs(this, data, _tunings(this, wishes, ("facebook-like",)))]


def test_a_copy_is_trained_on_from_the_rounds_net_and_judged_on_its_platform(tuned: Path) -> None:
    made = read_manifest(place_of(tuned) / TRAIN)
    assert made.config["recipe"]["sharing"] == "facebook-like"
    assert made.config["recipe"]["steps"] == 2 and made.config["fold"] == 1
    assert "checkpoint" in made.parents
    copy, one = load_sheet(place_of(tuned) / SCORES), load_sheet(place_of(tuned).parents[1] / SCORES)
    assert set(copy.sharing) == {"facebook-like"} and set(copy.kind) == {"real", "gen_a"}
    assert set(copy.source[copy.split == "test"]) == {"photo1"}
    same = one.pick("test", "facebook-like")
    there = copy.pick("test", "facebook-like")
    assert there.sum() == same.sum() == 2
    assert np.abs(copy.logits["float"][there] - one.logits["float"][same]).max() > 1e-3
    assert {p.name for p in place_of(tuned).parent.iterdir()} == {"finetune_all.facebook-like"}
    assert re.search(r"^\d+ processor seconds", (place_of(tuned) / LOG).read_text(), re.MULTILINE)


def test_what_is_finished_is_kept_and_other_settings_are_made_again(tuned: Path, data: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in place_of(tuned).rglob("*") if p.is_file()}
    crossval(data, tuned, WISHES)
    assert {p: p.stat().st_mtime_ns for p in place_of(tuned).rglob("*") if p.is_file()} == before != {}
    again = ["phinet_demo fold 1 finetune_all facebook-like"]
    assert missing(tuned, data, WISHES) == []
    assert missing(tuned, data, replace(WISHES, tune_steps=3)) == again
    assert missing(tuned, data, replace(WISHES, tune=("finetune_head",))) == [
        again[0].replace("_all", "_head")
    ]
    # A round that is made again takes its tunings with it.
    assert len(missing(tuned, data, replace(WISHES, steps=4))) == 3


def test_the_copy_of_another_net_is_neither_kept_nor_shown(tuned: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(tuned, out)
    report(out)
    assert "one net against copies tuned per platform (finetune_all, 2 steps)" in (out / TABLES).read_text()
    assert {"one", "tuned", "tuned - one"} <= {f["method"] for f in read_json(out / RESULTS)["figures"]}
    scores = place_of(out) / SCORES
    made = read_manifest(scores)
    (scores / MANIFEST).unlink()
    write_manifest(
        scores,
        made.stage,
        files=list(made.files),
        parents={**made.parents, "start": "0" * 64},
        config=dict(made.config),
    )
    assert missing(out, data, WISHES) == ["phinet_demo fold 1 finetune_all facebook-like"]
    report(out)
    assert "tuned per platform" not in (out / TABLES).read_text()


def test_the_help_says_the_steps_that_a_tuning_takes() -> None:
    said = CliRunner().invoke(cli, ["crossval", "--help"]).output
    assert f"instead of {STEPS}." in " ".join(said.split())


def test_recipes_that_tune_nothing_are_refused(data: Path, tmp_path: Path) -> None:
    for recipe in ("phinet_demo", "simclr"):
        with pytest.raises(DftError, match=f"{recipe} tunes no trained net"):
            crossval(data, tmp_path / "out", replace(WISHES, tune=(recipe,)))
    assert not (tmp_path / "out").exists()


def sheet_of(fold: int, wrong: int) -> Sheet:
    """Ten test photographs of facebook-like, a real and a fake each, of which `wrong` reals are called fake."""
    n, names = 10, [f"f{fold}p{i}" for i in range(10)]
    split = np.array(["test"] * 2 * n + ["val"] * 2 * n)
    target = np.array(([1] * n + [0] * n) * 2)
    logits = np.where(target == 1, 3.0, -3.0)
    logits[:wrong] = -3.0
    return Sheet(
        "net", fold, 0, ("facebook-like",),
        split=split, source=np.array([*names, *names, *(f"v{i}" for i in range(2 * n))]),
        kind=np.where(target == 1, "real", "gen_a"), sharing=np.array(["facebook-like"] * 4 * n),
        target=target, seen=np.ones(4 * n, dtype=bool),
        logits={"float": logits.astype(np.float32)}, history={},
    )  # fmt: skip


def test_the_difference_is_paired_and_said() -> None:
    ways = [Pair("w", "facebook-like", sheet_of(k, wrong=4), sheet_of(k, wrong=2)) for k in range(2)]
    (table,), values = tuned_tables("net", ways)
    (row,) = table.rows
    assert row[:4] == ("facebook-like", "80.0", "90.0", "+10.0")
    assert "loses at most +10.0 points (facebook-like" in table.notes[0]
    assert table.notes[0].endswith("beyond the interval: facebook-like")
    more = next(v for v in values if v["method"] == "tuned - one" and v["metric"] == "accuracy")
    # Unpaired, some draws would have the tuned net behind: paired none can, for it is right wherever the other is.
    assert more["interval"][0] > 0
    (table,), _ = tuned_tables("net", [Pair("w", "facebook-like", sheet_of(0, 2), sheet_of(0, 2))])
    assert table.rows[0][3] == "+0.0" and table.notes[0].endswith("beyond the interval: nowhere")
