"""Cross-validation in float and int8: one round for real, kept when it is asked for again, and its figures; refusals."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from dftiny.artifact import read_json, write_json
from dftiny.cli import cli
from dftiny.crossval import verdicts
from dftiny.crossval.costs import Cost, cost_table
from dftiny.crossval.fold import BUNDLE, SCORES, TRAIN
from dftiny.crossval.report import RESULTS, SETTING, TABLES, report
from dftiny.crossval.run import Wishes, _jobs, _rounds, crossval
from dftiny.data.index import load_index, save_index
from dftiny.errors import DftError
from dftiny.models import released_model
from dftiny.thesis.results import measure
from dftiny.thesis.sheet import load_sheet
from dftiny.verdict.study import outcomes

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")


def test_a_round_is_trained_exported_and_judged_with_both_nets(done: Path) -> None:
    place = done / "phinet_demo" / "fold1_seed0"
    sheet = load_sheet(place / SCORES)
    assert sheet.fold == 1
    assert set(sheet.source[sheet.split == "test"]) == {"photo1"}
    assert set(sheet.source[sheet.split == "val"]) == {"photo2"}
    assert set(sheet.logits) == {"float", "int8"}
    gap = np.abs(sheet.logits["float"] - sheet.logits["int8"])
    assert 0 < gap.max() < 2.0
    assert (place / BUNDLE / "model.tflite").is_file()


def test_a_finished_round_is_kept(data: Path, done: Path) -> None:
    place = done / "phinet_demo" / "fold1_seed0"
    before = {p: p.stat().st_mtime_ns for p in place.rglob("*") if p.is_file()}
    crossval(data, done, Wishes(("phinet_demo",), folds=(1,), steps=3, jobs=1))
    assert {p: p.stat().st_mtime_ns for p in place.rglob("*") if p.is_file()} == before
    assert any(p.parent.name == TRAIN for p in before)


def test_a_round_of_other_settings_is_made_again(done: Path) -> None:
    def jobs(wishes: Wishes) -> list[str]:
        (this,) = _rounds(wishes, range(3), done)
        return [j.name for j in _jobs(this, done)]

    same = Wishes(("phinet_demo",), folds=(1,), steps=3)
    assert jobs(same) == []
    both = ["phinet_demo fold 1 train", "phinet_demo fold 1 judge"]
    assert jobs(replace(same, steps=4)) == jobs(replace(same, correct_bias=True)) == both


def test_the_figures_are_shown_again_without_the_data(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(done)
    said = capsys.readouterr().out
    assert "noise data, simulated fakes: 3 photographs" in said
    assert "Table phinet_demo: 1 rounds, 8 test images" in said
    assert "facebook-like" in said
    assert "held-out" in said
    assert (done / TABLES).read_text().startswith("# Cross-validation")
    figures = read_json(done / RESULTS, "results")["figures"]
    assert {f["method"] for f in figures} == {"float", "int8"}
    for view in ("held-out", "gen_new", "blur"):
        auc = {f["method"]: f["value"] for f in figures if _where(f) == (view, "facebook-like", "auc")}
        (row,) = [n for n in said.splitlines() if n.split()[:2] == [view, "facebook-like"]]
        assert f"{100 * auc['float']:.1f} {auc['float'] - auc['int8']:+.4f}" in " ".join(row.split())


def _where(figure: dict[str, Any]) -> tuple[str, str, str]:
    return figure["view"], figure["condition"], figure["metric"]


def test_every_recipe_has_a_row_of_accuracy_against_cost(done: Path, tmp_path: Path) -> None:
    """Two recipes, the second one's bundle made cheaper by hand: its row comes first, and holds its budget's counts."""
    out = tmp_path / "out"
    shutil.copytree(done, out)
    shutil.copytree(done / "phinet_demo" / "fold1_seed0", out / "small" / "fold1_seed0")
    budget = read_json(done / "phinet_demo" / "fold1_seed0" / BUNDLE / "budget.json", "budget")
    write_json(
        out / "small" / "fold1_seed0" / BUNDLE / "budget.json",
        {**budget, "macs": 1000, "ram_bytes": 2000, "instructions_estimated": None},
    )
    setting = read_json(out / SETTING, "x")
    write_json(out / SETTING, {**setting, "rounds": [*setting["rounds"], "small/fold1_seed0"]})
    report(out)
    first, second = read_json(out / RESULTS, "results")["costs"]
    assert (first["recipe"], first["macs"], first["ram_bytes"]) == ("small", 1000, 2000)
    assert second == {
        "recipe": "phinet_demo", "rounds": 1, "target": "stm32h743", "tile_px": 128, "parameters": 52541, "macs": budget["macs"],
        "flash_bytes": budget["flash_bytes"], "ram_bytes": budget["ram_bytes"],
        "instructions": budget["instructions_estimated"],
    }  # fmt: skip
    lines = (out / TABLES).read_text().splitlines()
    rows = [n for n in lines if n.startswith("| small | 1 |")]
    assert len(rows) == 1 and "| 1,000 |" in rows[0] and "| – |" in rows[0]
    assert any(n.startswith("- a tile of 128 px on the STM32H743, our engine:") for n in lines)


def test_the_table_of_costs_says_which_tile_and_chip_each_row_is_of() -> None:
    cost = Cost(1, "stm32h743", 128, 5, 6, 7, 8, None)
    other = replace(cost, tile_px=96, macs=9)
    nothing = measure([], {})
    table, _ = cost_table([("large", other, nothing), ("small", cost, nothing)])
    assert table.notes[0].startswith(
        "a tile of 128 px on the STM32H743 (small), a tile of 96 px on the STM32H743 (large), our engine"
    )


def test_what_cannot_be_run_is_refused(data: Path, done: Path, tmp_path: Path) -> None:
    with pytest.raises(DftError, match="the data have no fold 7"):
        crossval(data, tmp_path / "out", Wishes(("phinet_demo",), folds=(7,)))
    for recipe, why in (("nope", "unknown recipe"), ("mixed", "is for any net")):
        with pytest.raises(DftError, match=why):
            crossval(data, tmp_path / "out", Wishes((recipe,)))
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(DftError, match="holds no cross-validation"):
        crossval(data, tmp_path / "full", Wishes(("phinet_demo",)))
    with pytest.raises(DftError, match="holds no cross-validation"):
        report(tmp_path / "full")
    other = tmp_path / "other"
    other.mkdir()
    write_json(other / SETTING, {**read_json(done / SETTING, "x"), "digest": "0"})
    with pytest.raises(DftError, match="on other data"):
        crossval(data, other, Wishes(("phinet_demo",)))
    with pytest.raises(DftError, match="no finished round"):
        report(other)


def test_verdicts_say_whether_the_folds_or_the_rounds_are_missing(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DftError, match="holds no finished round"):
        verdicts.rounds(tmp_path, data, floating=True, jobs=1)
    index = load_index(data)
    save_index(tmp_path, replace(index, images=tuple(replace(r, fold=-1) for r in index.images)))
    with pytest.raises(DftError, match=r"'noise' has no folds; make a cross-validation set"):
        verdicts.rounds(tmp_path, tmp_path, floating=True, jobs=1)
    with pytest.raises(DftError, match=r"no splits of its own.*without --folds"):
        outcomes(released_model(), data)


def test_the_help_names_the_recipes_that_are_run_when_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = " ".join(CliRunner().invoke(cli, ["crossval", "--help"]).output.split())
    assert "[default: the released phinet_h743 and micronet_h743]" in said
    run: list[Wishes] = []
    monkeypatch.setattr("dftiny.crossval.run.crossval", lambda _data, _out, wishes: run.append(wishes))
    assert CliRunner().invoke(cli, ["crossval"]).exit_code == 0
    assert [w.recipes for w in run] == [("phinet_h743", "micronet_h743")]
