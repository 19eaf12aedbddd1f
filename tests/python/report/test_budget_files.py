"""The budget as HTML, JUnit XML and SARIF, and two budgets side by side."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dftiny.artifact import write_json
from dftiny.budget import Budget, budget_file
from dftiny.budget.limits import Limits
from dftiny.budget.whatif import Question
from dftiny.budget_view import budget_command
from dftiny.errors import CheckFailed, DftError
from dftiny.report.budget_files import BudgetFiles, write_budget_files
from dftiny.report.growth import growth, growth_text
from dftiny.report.junit import junit_xml
from dftiny.report.memory_chart import memory_svg
from dftiny.report.sarif import sarif

MODEL = Path(__file__).resolve().parents[3] / "models/phinet_demo_128.demo/model.tflite"


@pytest.fixture(scope="module")
def fits() -> Budget:
    return budget_file(MODEL)


@pytest.fixture(scope="module")
def too_large() -> Budget:
    return budget_file(MODEL, max_macs=1000)


_EMPTY = {"meta", "br", "line", "rect", "img"}


class _Balanced(HTMLParser):
    """Every opened tag is closed, and nothing is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not {"src", "href"} & {name for name, _ in attrs}
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _EMPTY:
            assert self.open.pop() == tag


@pytest.mark.parametrize("engine", ["aot", "tflm"])
def test_the_page_is_whole_and_loads_nothing(engine: str, tmp_path: Path) -> None:
    b = budget_file(MODEL, engine=engine)
    (path,) = write_budget_files(b, MODEL, BudgetFiles(html=tmp_path / "b.html"))
    text = path.read_text()
    parser = _Balanced()
    parser.feed(text)
    assert parser.open == [] and {"svg", "table", "style"} <= parser.seen
    assert "http" not in re.sub(r"<title>.*?</title>", "", text)
    for op in b.ops:
        assert f"{op.index} {op.kind}" in text
    for region in b.regions:
        assert f"{region.total:,}" in text
    assert "fits stm32h743" in text and "Accuracy" not in text


def test_the_peak_on_the_picture_is_the_plans(fits: Budget) -> None:
    assert fits.plan is not None
    (region,) = fits.plan.region_bytes
    found = re.search(r"peak: ([\d,]+) bytes", memory_svg(fits))
    assert found is not None
    peak = int(found[1].replace(",", ""))
    assert fits.plan.region_bytes[region] - 32 < peak <= fits.plan.region_bytes[region]
    boxes = re.findall(r'<rect class="buffer"', memory_svg(fits))
    assert len(boxes) >= len(fits.plan.segments)


def test_stages_of_a_comparison_stand_on_the_page(fits: Budget, tmp_path: Path) -> None:
    with pytest.raises(DftError):
        write_budget_files(fits, MODEL, BudgetFiles(html=tmp_path / "b.html", accuracy=tmp_path / "none"))
    assert not (tmp_path / "b.html").exists()
    from dftiny.artifact import new_folder, write_manifest

    columns = [{"name": "float", "auc": 0.75}, {"name": "TFLM", "auc": 0.74, "identical": 9}]
    value = {
        "columns": columns,
        "tiles": 9,
        "images": 3,
        "data": "demo",
        "simulated": True,
        "reference": "TFLM",
    }
    with new_folder(tmp_path / "compare", stage="compare") as folder:
        write_json(folder / "compare.json", value)
        write_manifest(folder, "compare", files=["compare.json"])
    files = BudgetFiles(html=tmp_path / "b.html", accuracy=tmp_path / "compare")
    text = write_budget_files(fits, MODEL, files)[0].read_text()
    assert "0.7500" in text and "9 of 9" in text and "simulated fakes" in text


def test_junit_has_a_case_a_limit(fits: Budget, too_large: Budget) -> None:
    good = ElementTree.fromstring(junit_xml(fits)).find("testsuite")
    bad = ElementTree.fromstring(junit_xml(too_large)).find("testsuite")
    assert good is not None and bad is not None
    assert good.get("failures") == "0" and int(good.get("tests", "0")) == len(fits.regions) + 1
    assert bad.get("failures") == "1"
    (failure,) = bad.iter("failure")
    assert failure.get("message") == too_large.reasons[0]


def test_junit_loses_no_sentence(fits: Budget) -> None:
    odd = replace(fits, reasons=("something else is wrong & <odd>",))
    (failure,) = ElementTree.fromstring(junit_xml(odd)).iter("failure")
    assert failure.get("message") == odd.reasons[0]


def test_sarif_says_why(fits: Budget, too_large: Budget) -> None:
    assert sarif(fits, MODEL)["runs"][0]["results"] == []
    found = sarif(too_large, Path("models/a.tflite"), ("flash grew",))["runs"][0]
    assert [r["message"]["text"] for r in found["results"]] == [too_large.reasons[0], "flash grew"]
    known = {r["id"] for r in found["tool"]["driver"]["rules"]}
    for result in found["results"]:
        assert result["ruleId"] in known
        place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert place == "models/a.tflite"


def test_growth_names_figures_and_operators(fits: Budget) -> None:
    same = growth(fits, fits)
    assert {c.percent for c in same.changes} <= {0.0, None} and same.ops == () and same.beyond(0) == ()
    ops = list(fits.ops)
    ops[1] = replace(ops[1], macs=2 * ops[1].macs)
    del ops[-1]
    new = replace(fits, ops=tuple(ops), flash_bytes=2 * (fits.flash_bytes or 0), macs=fits.macs - 1)
    found = growth(fits, new)
    assert [what for what, _, _ in found.ops] == ["changed", "gone"]
    (sentence,) = found.beyond(99)
    assert sentence.startswith("flash grew from") and "+100.0 %" in sentence
    text = growth_text(fits, new, found)
    assert f"changed operator 1 {ops[1].kind}" in text and "gone" in text


def test_the_command_fails_after_writing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = BudgetFiles(html=tmp_path / "b.html", junit=tmp_path / "b.xml", sarif=tmp_path / "b.sarif")
    with pytest.raises(CheckFailed):
        budget_command(Question(MODEL, limits=Limits(macs=1000)), files=files)
    assert len(json.loads((tmp_path / "b.sarif").read_text())["runs"][0]["results"]) == 1
    assert (tmp_path / "b.xml").is_file() and (tmp_path / "b.html").is_file()
    capsys.readouterr()
    budget_command(Question(MODEL), compare=MODEL, max_growth=0.0, as_json=True)
    value = json.loads(capsys.readouterr().out)
    assert all(c["percent"] in (0.0, None) for c in value["compared"]["changes"])


def test_a_folder_is_no_file(fits: Budget, tmp_path: Path) -> None:
    with pytest.raises(DftError, match="is a folder"):
        write_budget_files(fits, MODEL, BudgetFiles(html=tmp_path))
