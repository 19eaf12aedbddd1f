"""The seven tables have the thesis' shape and figures, ours are where they belong, and contradictions are marked."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from canned import CONDITIONS, sheet

from dftiny import spec
from dftiny.artifact import write_manifest
from dftiny.errors import CheckFailed
from dftiny.metrics import evaluate_scores, logistic_threshold
from dftiny.thesis.controls import NAMES, control_tables
from dftiny.thesis.figures import NETS, thesis
from dftiny.thesis.results import ANY, Results, home_of, measure, thresholds
from dftiny.thesis.sheet import SHEET, STAGE, load_sheet, save_sheet
from dftiny.thesis.table import Table, interval, percent
from dftiny.thesis.tables import thesis_tables

QUICK = {"ResNet50": "resnet_demo", "PhiNet": "phinet_demo", "MicroNet": "micronet_h743"}


@cache
def results() -> Results:
    return measure([sheet(n, f) for n in QUICK.values() for f in range(2)], QUICK, bootstrap=40)


def table(number: str, made: Results | None = None) -> Table:
    return next(t for t in thesis_tables(made or results()) if t.number == number)


def test_all_seven_are_there_with_the_thesis_figures() -> None:
    tables = thesis_tables(results())
    assert [t.number for t in tables] == [f"4.{i}" for i in range(1, 8)]
    for t in tables:
        assert len({len(r) for r in (t.columns, *t.rows)}) == 1
        theirs = [r for r in t.rows if r[0].endswith(", thesis")]
        assert [r[0].split(",")[0] for r in theirs] == list(NETS)
    assert table("4.1").rows[0] == (
        "ResNet50, thesis", "99.9 [a]", "54.6", "59.5", "78.3", "93.1", "97.0", "94.6"
    )  # fmt: skip
    assert table("4.6").rows[0][1:] == ("59.3", "51.5", "54.3", "54.4")
    assert table("4.7").rows[0] == ("ResNet50, thesis", "85.4 B", "23.5 M", "–")


def test_columns_stand_in_the_thesis_order() -> None:
    assert table("4.1").columns == ("%", "pre", "FB", "TG", "TW", "FB tuned", "TG tuned", "TW tuned")
    assert table("4.4").columns == ("%", "pre", "FB", "TG", "TW")


@pytest.mark.parametrize(("number", "metric"), [("4.1", "accuracy"), ("4.2", "f1"), ("4.3", "auc")])
def test_ours_are_the_right_methods(number: str, metric: str) -> None:
    row = next(r for r in table(number).rows if r[0] == "  phinet_demo, whole net trained, head tuned")
    wanted = [("supervised", "unknown", c) for c in CONDITIONS] + [
        (f"head_{c}", "known", c) for c in CONDITIONS[1:]
    ]
    figures = [results().get("PhiNet", *w, metric) for w in wanted]
    assert [f"{100 * f.value:.1f}" for f in figures if f] == list(row[1:])
    assert len(set(row[1:])) > 3


def test_the_random_backbone_stands_beside_every_result() -> None:
    for number in ("4.1", "4.2", "4.3", "4.4", "4.5", "4.6"):
        for preset in QUICK.values():
            assert any(
                r[0] == f"  {preset}, control: random backbone, head trained" for r in table(number).rows
            )


def test_contradictions_are_marked_where_they_are() -> None:
    marked = {
        (t.number, r[0].split(",")[0], i - 1)
        for t in thesis_tables(results())
        for r in t.rows
        for i, cell in enumerate(r)
        if "[" in cell
    }
    assert marked == {c for f in thesis().flags for c in f.cells}
    assert {("4.1", "ResNet50", 0), ("4.2", "ResNet50", 0), ("4.3", "ResNet50", 0)} <= marked
    assert {("4.7", "MicroNet", 0), ("4.7", "MicroNet", 1)} <= marked
    assert any("1,439,420" in n for n in table("4.7").notes)
    assert any("contradicts" in n for n in table("4.3").notes) and not table("4.5").notes


def test_unmeasured_is_a_sign_and_never_a_number() -> None:
    empty = measure([], QUICK)
    for t in thesis_tables(empty)[:6]:
        assert all(r[0].endswith(", thesis") for r in t.rows)
    assert control_tables(empty) == []
    some = measure([sheet("phinet_demo", 0)], QUICK, bootstrap=5)
    assert not any("resnet_demo" in r[0] for r in table("4.1", some).rows)


def test_a_platform_that_the_data_lack_is_left_open_in_its_own_column() -> None:
    whole = sheet("phinet_demo", 0)
    some = whole.sharing != "telegram-like"
    part = replace(
        whole,
        conditions=tuple(c for c in CONDITIONS if c != "telegram-like"),
        **{n: getattr(whole, n)[some] for n in ("split", "source", "kind", "sharing", "target", "seen")},
        logits={m: v[some] for m, v in whole.logits.items()},
        history={},
    )
    t = table("4.1", measure([part], QUICK, bootstrap=5))
    row = next(r for r in t.rows if "head tuned" in r[0])
    assert [cell == "–" for cell in row[1:]] == [False, False, True, False, False, True, False]


def test_text_markdown_and_json_say_the_same() -> None:
    t = table("4.2")
    assert t.markdown().count("\n| ") == len(t.rows) + 2 - 1 + 1
    for row in t.rows:
        assert all(cell in t.text() for cell in row)
        assert "| " + " | ".join(row) + " |" in t.markdown()
    assert t.value()["rows"] == [list(r) for r in t.rows]


def test_thresholds_are_from_validation_alone() -> None:
    s = sheet("phinet_demo", 0)
    cut = thresholds(s, "supervised")
    val = (s.split == "val") & (s.sharing == "facebook-like") & ((s.kind == "real") | (s.kind == "gen_a"))
    assert cut["facebook-like"] == logistic_threshold(s.target[val], s.logits["supervised"][val])
    assert set(cut) == {*CONDITIONS, ANY}
    assert [home_of(m, CONDITIONS) for m in ("supervised", "head_twitter-like", "mixed", "mixed_head_pre")] == [
        "pre", "twitter-like", ANY, "pre"
    ]  # fmt: skip


def test_controls_are_judged_against_what_they_should() -> None:
    s = sheet("phinet_demo", 0)
    made = measure([s], {"PhiNet": "phinet_demo"}, bootstrap=5)
    test = (s.split == "test") & (s.sharing == "twitter-like")
    cut = thresholds(s, "supervised")["twitter-like"]
    fakes = test & (s.kind == "gen_a")
    for view, positives in (
        ("processed", np.isin(s.kind, ("blur", "denoise"))),
        ("gen_new", s.kind == "real"),
    ):
        negatives = test & (s.kind == "gen_new") if view == "gen_new" else fakes
        chosen = (test & positives) | negatives
        plain = evaluate_scores(s.target[chosen], s.logits["supervised"][chosen], cut)
        found = made.get("PhiNet", "supervised", view, "twitter-like", "auc")
        assert found is not None and found.value == pytest.approx(plain["auc"], abs=1e-12)
    said = made.get("PhiNet", "supervised", "processed", "pre", "false_alarms")
    assert said is not None and 0 <= said.value <= 1


def controls(made: Results) -> dict[str, Table]:
    return {t.number: t for t in control_tables(made)}


def test_every_method_stands_among_what_it_was_not_trained_on() -> None:
    words = {
        "E": ("held-out", "gen_new"),
        "F": (
            "plain reals called fake",
            "AUC of processed reals",
            "processed reals called fake",
            "AUC, resized",
            "AUC, offgrid",
        ),
    }
    for number, kinds in words.items():
        rows = [r[0] for r in controls(results())[number].rows]
        assert rows == [f"{p}, {name}: {k}" for p in QUICK.values() for k in kinds for name in NAMES.values()]
    assert {"random", "head", "simclr_head", "simclr_unfrozen", "simclr_thesis_head"} < set(NAMES)


@pytest.mark.parametrize("method", ["random", "head", "simclr_head", "simclr_unfrozen"])
def test_their_figures_are_those_of_the_method(method: str) -> None:
    for number, word, view in (("E", "held-out", "held-out"), ("F", "AUC, resized", "resized")):
        name = f"phinet_demo, {NAMES[method]}: {word}"
        row = next(r for r in controls(results())[number].rows if r[0] == name)
        cells = []
        for c in CONDITIONS:
            tuned = "supervised" if c == "pre" else f"head_{c}"
            found = results().get("PhiNet", tuned if method == "head" else method, view, c, "auc")
            cells.append(f"{percent(found)} ({interval(found)})")
        assert list(row[1:]) == cells and len(set(cells)) > 1


def test_a_tuned_nets_row_that_would_repeat_the_untuned_one_is_left_out() -> None:
    whole = sheet("phinet_demo", 0)
    kept = ~np.isin(whole.kind, ("resized", "offgrid")) | (whole.sharing == "pre")
    part = replace(
        whole,
        **{n: getattr(whole, n)[kept] for n in ("split", "source", "kind", "sharing", "target", "seen")},
        logits={m: v[kept] for m, v in whole.logits.items()},
        history={},
    )
    made = controls(measure([part], {"PhiNet": "phinet_demo"}, bootstrap=5))["F"]
    rows = [r for r in made.rows if r[0].endswith("resized")]
    assert [r[0] for r in rows] == [
        f"phinet_demo, {name}: AUC, resized" for m, name in NAMES.items() if m not in ("head", "all")
    ]
    assert all("–" not in r[1].split()[0] and set(r[2:]) == {"–"} for r in rows)


def test_the_true_history_is_the_platforms_own_threshold() -> None:
    for net in NETS:
        for c in CONDITIONS:
            oracle = results().get(net, "mixed, true threshold", "history", c, "accuracy")
            assert oracle is not None
            assert oracle == results().get(net, "mixed", "known", c, "accuracy")
    counts = np.array(results().confusion["PhiNet", "mixed"])
    assert counts.shape == (4, 4) and np.diag(counts).sum() > 0.7 * counts.sum()
    letters = [t.number for t in control_tables(results())]
    assert letters == list("ABCDEFGH")


@pytest.mark.slow
@pytest.mark.parametrize("name", spec.thesis()["macs_1024"])
def test_macs_at_1024_are_what_is_counted(name: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")
    from dftiny.nets.registry import count, create

    assert count(create(name, 1024), 1024)[1] == spec.thesis()["macs_1024"][name]


def test_a_sheet_comes_back_as_it_was(tmp_path: Path) -> None:
    made = sheet("micronet_m0", 1, 2)
    save_sheet(tmp_path / SHEET, made)
    write_manifest(tmp_path, STAGE, files=[SHEET])
    back = load_sheet(tmp_path)
    assert (back.net, back.fold, back.seed, back.conditions) == ("micronet_m0", 1, 2, CONDITIONS)
    for name in ("split", "source", "kind", "sharing", "target", "seen"):
        assert np.array_equal(getattr(back, name), getattr(made, name))
    assert all(np.array_equal(back.logits[m], v) for m, v in made.logits.items()) and len(back.logits) == 16
    assert np.array_equal(back.history["mixed"], made.history["mixed"])
    (tmp_path / SHEET).write_bytes(b"other")
    with pytest.raises(CheckFailed, match="changed"):
        load_sheet(tmp_path)
