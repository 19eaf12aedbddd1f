"""Bundles from a small hand-made model: whole or absent, verified when opened."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from flatmodel import FlatModel, conv_options

from dftiny import bundle as bundles
from dftiny import int8
from dftiny.artifact import canonical_json, new_folder, write_json
from dftiny.errors import CheckFailed, DftError
from dftiny.export.source import Reading

LABELS = bundles.Labels("tiny_16.test", ("fake", "real"), "real", 0.25)


def model(width: int = 4) -> bytes:
    m = FlatModel()
    rng = np.random.default_rng(0)
    x = m.act((1, 16, 16, 3), 1.0, -128)
    y = m.act((1, 8, 8, width), 0.5, -128)
    w = m.const(rng.integers(-127, 128, (width, 3, 3, 3)).astype(np.int8), [0.01] * width)
    m.op("CONV_2D", (x, w, -1), (y,), **conv_options(2, "SAME", 1))
    p = m.act((1, width), 0.5, -128)
    m.op("MEAN", (y, m.const(np.array([1, 2], np.int32))), (p,), KeepDims=False)
    q = m.act((1, 1), 0.25, 3)
    m.op("FULLY_CONNECTED", (p, m.const(rng.integers(-127, 128, (1, width)).astype(np.int8), 0.01), -1), (q,))
    return m.bytes()


def golden(n: int = 4) -> np.ndarray:
    return np.random.default_rng(1).integers(-128, 128, (n, 16, 16, 3)).astype(np.int8)


def write(out: Path, **options) -> bundles.Bundle:
    with new_folder(out) as folder:
        (folder / bundles.MODEL).write_bytes(model())
        bundles.write_bundle(folder, LABELS, golden(), **options)
    return bundles.load_bundle(out)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    b = write(tmp_path / "b")
    assert (b.name, b.classes, b.positive, b.threshold) == ("tiny_16.test", ("fake", "real"), "real", 0.25)
    assert (b.input_shape, b.output_shape, b.tile) == ((16, 16, 3), (1,), 16)
    assert [(o.index, o.kind, o.macs) for o in b.ops] == [
        (0, "CONV_2D", 64 * 27 * 4),
        (1, "MEAN", 0),
        (2, "FULLY_CONNECTED", 4),
    ]
    assert b.macs == 64 * 27 * 4 + 4
    x, y = b.golden()
    assert np.array_equal(y, int8.run(b.graph(), x))
    assert b.logits(y).shape == (4,)
    assert b.logits(y)[0] == (float(y[0, 0]) - 3) * 0.25
    assert {p.name for p in (b.folder / "src").iterdir()} == {"dft_model.c", "dft_model.h"}
    assert {p.name for p in (b.folder / "selftest").iterdir()} > {"dft_proofs.c"}


def test_two_bundles_of_one_model_are_equal_to_the_byte(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a"), write(tmp_path / "b")
    assert a.digest == b.digest
    assert a.manifest.digest == b.manifest.digest
    for path in sorted(p for p in a.folder.rglob("*") if p.is_file()):
        assert path.read_bytes() == (b.folder / path.relative_to(a.folder)).read_bytes(), path


def test_the_digest_is_that_of_bundle_json_and_stands_in_the_c(tmp_path: Path) -> None:
    import hashlib

    b = write(tmp_path / "b")
    info = json.loads((b.folder / "bundle.json").read_text())
    assert b.digest == hashlib.sha256(canonical_json(info)).digest()
    source = (b.folder / "src" / "dft_model.c").read_text().replace("\n", " ")
    assert str(b.digest[0]) in source.split("digest[")[1][:80] or f"{b.digest[0]:#04x}" in source


@pytest.mark.parametrize("name", ["model.tflite", "bundle.json", "src/dft_model.c", "selftest/dft_proofs.c"])
def test_a_changed_file_is_noticed(tmp_path: Path, name: str) -> None:
    b = write(tmp_path / "b")
    path = b.folder / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(CheckFailed, match=r"was changed|not the model"):
        bundles.load_bundle(b.folder)


def test_refuses_folders_that_are_no_bundles(tmp_path: Path) -> None:
    with pytest.raises(DftError, match="there is no folder"):
        bundles.load_bundle(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DftError, match=r"has no manifest\.json"):
        bundles.load_bundle(tmp_path / "empty")


def test_a_bundle_of_another_schema_is_refused(tmp_path: Path) -> None:
    from dftiny.artifact import write_manifest

    folder = tmp_path / "b"
    folder.mkdir()
    write_json(folder / "bundle.json", {"schema": 99})
    write_manifest(folder, "bundle", files=["bundle.json"])
    with pytest.raises(DftError, match="schema 99"):
        bundles.load_bundle(folder)


def test_over_budget_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed) as e:
        write(tmp_path / "b", fit=bundles.Fit(max_macs=100))
    assert "MAC" in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_labels_follow_the_number_of_outputs() -> None:
    assert bundles.labels_for("m", 1, None, 0.0).classes == ("fake", "real")
    assert bundles.labels_for("m", 2, None, 0.0).positive == "real"
    assert bundles.labels_for("m", 3, None, 0.0).classes == ("class 0", "class 1", "class 2")
    with pytest.raises(DftError, match="5 outputs"):
        bundles.labels_for("m", 5, ("a", "b"), 0.0)


def test_an_int8_model_goes_in_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "my net.tflite"
    path.write_bytes(model())
    bundles.export(path, out=tmp_path / "b", threshold=0.5, quiet=True)
    b = bundles.load_bundle(tmp_path / "b")
    assert (b.folder / bundles.MODEL).read_bytes() == path.read_bytes()
    assert (b.name, b.threshold) == ("my_net_16.own", 0.5)
    gates = {g["name"]: g["status"] for g in json.loads((b.folder / bundles.GATES).read_text())["gates"]}
    assert gates["float-int8"] == "absent"
    assert gates["int8-tflm"] == "passed"


@pytest.mark.parametrize(
    "options", [{"calibration": Path("x.npz")}, {"mean": "0,0,0"}, {"net": "phinet_demo"}, {"tile": 16}]
)
def test_an_int8_model_takes_no_conversion_options(tmp_path: Path, options: dict) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(model())
    with pytest.raises(DftError, match="leave"):
        bundles.export(path, out=tmp_path / "b", reading=Reading(**options), quiet=True)
    assert not (tmp_path / "b").exists()
