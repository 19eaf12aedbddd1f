"""Columns side by side: the same images in each, tiles compared with the reference by their bits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dftiny.bench.model import scores
from dftiny.bench.side import Column, column_from_bench, column_from_npz, read_tiles, side_by_side
from dftiny.data.index import ImageRow
from dftiny.errors import DftError

ROWS = [ImageRow(f"i{k}", "test", f"s{k // 2}", "real" if k % 2 else "fake", "real" if k % 2 else "tconv", True, "pre", "", "") for k in range(4)]  # fmt: skip
KEYS = tuple((r.id, t) for r in ROWS for t in range(2))
OUTPUTS = np.array([[-9], [-7], [5], [7], [-3], [-1], [1], [3]], np.int8)


def column(name: str, outputs: np.ndarray = OUTPUTS) -> Column:
    return Column(name, KEYS, outputs[:, 0] * 0.5, outputs)


def test_metrics_and_identical_tiles() -> None:
    other = OUTPUTS.copy()
    other[2] += 1
    floats = Column("float", KEYS, OUTPUTS[:, 0] * 0.5 + 0.01)
    found = side_by_side([floats, column("TFLM"), column("QEMU"), column("bad", other)], ROWS, 0.0)
    assert (found["images"], found["tiles"], found["reference"]) == (4, 8, "TFLM")
    by_name = {c["name"]: c for c in found["columns"]}
    assert "identical" not in by_name["float"]
    assert [by_name[n]["identical"] for n in ("TFLM", "QEMU", "bad")] == [8, 8, 7]
    assert by_name["TFLM"]["auc"] == by_name["QEMU"]["auc"] == 1.0
    assert by_name["float"]["accuracy"] == 1.0
    assert "roc" not in by_name["float"]


def test_order_of_tiles_does_not_matter() -> None:
    order = [7, 2, 0, 4, 1, 3, 6, 5]
    mixed = Column("mixed", tuple(KEYS[i] for i in order), OUTPUTS[order, 0] * 0.5, OUTPUTS[order])
    found = side_by_side([column("TFLM"), mixed], ROWS, 0.0)["columns"]
    assert {k: v for k, v in found[0].items() if k != "name"} == {
        k: v for k, v in found[1].items() if k != "name"
    }


def test_only_images_that_every_column_has() -> None:
    few = Column("few", KEYS[:4], OUTPUTS[:4, 0] * 0.5, OUTPUTS[:4])
    found = side_by_side([column("TFLM"), few], ROWS, 0.0)
    assert (found["images"], found["tiles"]) == (2, 4)
    assert [c["identical"] for c in found["columns"]] == [4, 4]
    with pytest.raises(DftError, match="no image in common"):
        side_by_side([Column("x", (("other", 0),), np.zeros(1)), few], ROWS, 0.0)


def test_from_npz(tmp_path: Path) -> None:
    path = tmp_path / "tiles.npz"
    np.savez(path, ids=np.array([r.id for r in ROWS]), counts=np.full(4, 2), logits=OUTPUTS[:, 0] * 0.5)
    found = column_from_npz("float", path)
    assert found.keys == KEYS
    assert found.outputs is None
    np.savez(path, ids=np.array(["a"]), counts=np.array([3]), logits=np.zeros(2))
    with pytest.raises(DftError, match="2 logits for 3 tiles"):
        column_from_npz("float", path)
    path.write_bytes(b"text")
    with pytest.raises(DftError, match="holds no tile logits"):
        column_from_npz("float", path)


def test_from_bench(tmp_path: Path) -> None:
    output = {"scale": 0.5, "zero_point": 0}
    bundle = {"output": output, "classes": ["fake", "real"], "positive": "real"}
    (tmp_path / "bench.json").write_text(json.dumps({"bundle": bundle}))
    lines = [
        json.dumps({"id": i, "tile": t, "output": o.tolist()})
        for (i, t), o in zip(KEYS, OUTPUTS, strict=True)
    ]
    (tmp_path / "tiles.jsonl").write_text("\n".join(lines) + "\n")
    found = column_from_bench("QEMU", tmp_path)
    assert found.keys == KEYS
    assert np.array_equal(found.scores, OUTPUTS[:, 0] * 0.5)
    (tmp_path / "tiles.jsonl").write_text('{"id": 1')
    with pytest.raises(DftError, match=r"is not a bench's tiles\.jsonl"):
        read_tiles(tmp_path / "tiles.jsonl")


def test_scores_of_one_two_and_more_outputs() -> None:
    assert scores(np.array([[4]], np.int8), 0.5, 2, ("fake", "real"), "real").tolist() == [1.0]
    two = np.array([[1, 4]], np.int8)
    assert scores(two, 0.5, 0, ("fake", "real"), "real").tolist() == [1.5]
    assert scores(two, 0.5, 0, ("real", "fake"), "real").tolist() == [-1.5]
    assert scores(np.array([[1, 2, 3]], np.int8), 1.0, 0, ("a", "b", "c"), "c").shape == (1, 3)
