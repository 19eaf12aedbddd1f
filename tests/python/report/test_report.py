"""The page: one file that loads nothing, says what it must say, and escapes what it shows."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dftiny.artifact import read_json, write_json, write_manifest
from dftiny.errors import CheckFailed, DftError
from dftiny.report import report
from dftiny.report.charts import map_svg

GROUP = {
    "n": 8, "positives": 4, "accuracy": 0.75, "balanced_accuracy": 0.75, "f1": 0.75, "auc": 0.875,
    "auc_interval": [0.5, 1.0], "confusion": {"tp": 3, "fn": 1, "fp": 1, "tn": 3},
    "roc": {"fpr": [0.0, 0.5, 1.0], "tpr": [0.0, 1.0, 1.0]},
}  # fmt: skip
LINK = {
    "bytes_sent": 1, "bytes_received": 2, "frames_sent": 3, "frames_received": 4, "frames_bad": 5, "retries": 6,
    "resets": 7, "input_bytes": 8, "input_bytes_per_s_per_board": 9000.0, "boards": 1, "tile_bytes": 8, "wall_s": 1.0,
}  # fmt: skip


def summary(**more: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "complete": True,
        "bundle": {
            "digest": "ab" * 32,
            "name": "phinet<script>",
            "classes": ["fake", "real"],
            "positive": "real",
            "threshold": 0.5,
            "tile": 128,
            "output": {"scale": 1.0, "zero_point": 0},
        },
        "board": {
            "channel": "fifo",
            "name": "mps2_an500",
            "title": "QEMU mps2-an500",
            "engine": "aot",
            "claims": ["instructions"],
            "silicon": False,
            "known": True,
            "reset_cause": 0,
        },
        "data": {
            "name": "demo",
            "simulated": True,
            "split": "test",
            "sharings": ["pre"],
            "images": 8,
            "tiles": 32,
        },
        "images": [{"id": "a", "tiles": 4, "identical": True}],
        "oracle": {"tiles": 32, "identical": 32, "different": []},
        "metrics": {"pre": {"held-out": GROUP, "all": GROUP, "tconv": GROUP}},
        "instructions": {
            "per_tile": {"mean": 2e7, "min": 2e7, "max": 2e7},
            "tiles": 32,
            "granularity": 40,
            "per_mac": 4.5,
        },
        "ops": [
            {"index": 0, "kind": "CONV_2D", "name": "first", "macs": 100, "bytes": 10, "instructions": 450.0},
            {"index": 1, "kind": "MEAN", "name": "pool", "macs": 0, "bytes": 0, "instructions": 50.0},
        ],
        "memory": {"arena_bytes": 147456, "stack_peak_bytes": 408, "stack_bytes": 8192},
        "link": LINK,
        "maps": [
            {
                "id": "a",
                "why": "the surest real",
                "file": "maps/0.jpg",
                "rows": 1,
                "columns": 2,
                "logits": [1.5, -0.5],
                "label": "real",
                "kind": "real",
                "said": "real",
                "logit": 0.5,
                "tiles": 2,
                "identical": True,
            }
        ],
        "budget": {
            "target": "stm32h743",
            "flash_bytes": 86898,
            "flash_total_bytes": 2097152,
            "ram_used_bytes": 162492,
            "ram_total_bytes": 1048576,
            "regions": [
                {
                    "name": "axi",
                    "kind": "ram",
                    "used": 147456,
                    "reserved": 0,
                    "total": 524288,
                    "free": 0,
                    "over": 0,
                },
                {
                    "name": "itcm",
                    "kind": "ram",
                    "used": 0,
                    "reserved": 0,
                    "total": 65536,
                    "free": 0,
                    "over": 0,
                },
            ],
        },
        "size": {"regions": {"axi": {"bytes": 147450, "reserved": 0, "total": 524288}}},
        **more,
    }


def write(folder: Path, value: dict[str, Any]) -> Path:
    (folder / "maps").mkdir(parents=True)
    Image.new("RGB", (16, 8)).save(folder / "maps" / "0.jpg")
    (folder / "tiles.jsonl").write_text("")
    write_json(folder / "bench.json", value)
    write_manifest(folder, "bench", files=["bench.json", "tiles.jsonl", "maps/0.jpg"])
    return folder


class Balanced(HTMLParser):
    """Fails on tags that do not close in order."""

    VOID = ("meta", "img", "line", "rect", "polyline", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, _tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def text_of(folder: Path, **options: Any) -> str:
    page = report(folder, **options).read_text(encoding="utf-8")
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    return page


def test_the_page_loads_nothing_and_says_what_it_must(tmp_path: Path) -> None:
    page = text_of(write(tmp_path / "b", summary()))
    loads = re.findall(r'(?:src|href|url\()\s*=?\s*"?([^"\s>]+)', page)
    assert loads
    assert all(v.startswith("data:image/jpeg;base64,") for v in loads)
    for words in (
        "simulated fakes", "emulator: function and instruction counts, no time", "every tile equal to the oracle",
        "0.875", "0.500 – 1.000", "all 32", "20.00 M", "4.50 per MAC", "147,456", "147,450", "408 of 8,192",
        "held-out generators", "surest real", "+1.50", "6 requests sent again", "ab" * 32,
    ):  # fmt: skip
        assert words in page, words
    assert "phinet&lt;script&gt;" in page
    assert "phinet<script>" not in page
    assert "itcm" not in page  # an empty region
    assert (
        page.index("all generators</td>")
        < page.index("held-out generators</td>")
        < page.index("generator: tconv")
    )


def test_a_field_that_may_not_be_claimed_is_absent(tmp_path: Path) -> None:
    value = summary()
    del value["instructions"]
    value["board"] |= {"claims": [], "name": "host", "title": "this computer"}
    for op in value["ops"]:
        del op["instructions"]
    page = text_of(write(tmp_path / "b", value))
    assert "function only, no time" in page
    assert "<th>instructions</th>" not in page
    assert "may claim no counts" in page


def test_a_partial_run_and_different_bits_are_said_first(tmp_path: Path) -> None:
    oracle = {"tiles": 32, "identical": 30, "different": []}
    page = text_of(write(tmp_path / "b", summary(complete=False, stopped="the board is gone", oracle=oracle)))
    assert "partial: the board is gone" in page
    assert "bits differ from the oracle" in page
    assert "every tile equal" not in page


def test_golden_tiles_without_labels_make_a_page(tmp_path: Path) -> None:
    page = text_of(write(tmp_path / "b", summary(metrics={}, maps=[], data={"name": "golden tiles", "images": 4, "tiles": 4}, budget={}, size={})))  # fmt: skip
    assert "ROC" not in page
    assert "simulated" not in page.split("</style>")[1].split("By generator")[0]


def test_more_classes(tmp_path: Path) -> None:
    classes = {
        "n": 3,
        "classes": ["a", "b", "c"],
        "accuracy": 0.5,
        "confusion": [[1, 0, 0], [0, 1, 0], [0, 0, 7]],
    }
    page = text_of(write(tmp_path / "b", summary(metrics={"classes": classes}, maps=[])))
    assert "Accuracy 0.500" in page
    assert "<td>7</td>" in page


def test_beside_the_other_stages(tmp_path: Path) -> None:
    compare = tmp_path / "compare"
    compare.mkdir()
    columns = [{"name": "float", "auc": 0.9876}, {"name": "TFLM", "auc": 0.9, "identical": 32}]
    write_json(compare / "compare.json", {"columns": columns, "reference": "TFLM", "images": 8, "tiles": 32})
    write_manifest(compare, "compare", files=["compare.json"])
    page = text_of(write(tmp_path / "b", summary()), out=tmp_path / "page.html", compare=compare)
    assert "Every stage on the same tiles" in page
    assert "0.9876" in page
    assert "32 of 32" in page


def test_wrong_folders_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DftError, match="there is no folder"):
        report(tmp_path / "nope")
    folder = write(tmp_path / "b", summary())
    with pytest.raises(DftError, match="is a folder"):
        report(folder, tmp_path)
    shutil.copy(folder / "bench.json", folder / "tiles.jsonl")
    with pytest.raises(CheckFailed, match="was changed"):
        report(folder)
    assert read_json(folder / "bench.json")["schema"] == 1


def test_map_colours_by_threshold() -> None:
    svg = map_svg([1.0, -1.0, 0.5], 1, 3, 0.5, 1.0)
    assert svg.count('class="real"') == 1
    assert svg.count('class="fake"') == 2
    assert 'fill-opacity="0.12"' in svg
