"""`dftiny verdict` from a data folder to verdict.json, and into a bundle, on a few mosaics of golden tiles."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dftiny import bundle as bundles
from dftiny import graph as graphs
from dftiny import int8, spec
from dftiny.artifact import read_json, write_json
from dftiny.budget import budget_file
from dftiny.codegen.needs import needs_of_bundle
from dftiny.data.index import DataIndex, ImageRow, save_index
from dftiny.errors import DftError
from dftiny.export import host
from dftiny.verdict.file import load_verdict
from dftiny.verdict.model import FAKE
from dftiny.verdict.running import follow
from dftiny.verdict.validation import fit_verdict

RELEASED = spec.models_dir() / "phinet_demo_128.demo"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mosaics of 2 x 2 golden tiles of three "photographs" a split: train, and val with its labels."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "images").mkdir()
    with np.load(RELEASED / "golden.npz") as packed:
        tiles, real = packed["tiles"], packed["labels"] == 1
    rng = np.random.default_rng(0)
    rows = []
    for split in ("train", "val"):
        for number in range(3):
            for label, chosen in (("real", tiles[real]), ("fake", tiles[~real])):
                picked = chosen[rng.integers(len(chosen), size=4)].reshape(2, 2, 128, 128, 3)
                pixels = np.ascontiguousarray(picked.transpose(0, 2, 1, 3, 4)).reshape(256, 256, 3)
                rows.append(_row(folder, split, f"{split}{number}", label, pixels))
    save_index(folder, DataIndex("mosaics", 128, tuple(rows)))
    return folder


def _row(folder: Path, split: str, source: str, label: str, pixels: np.ndarray) -> ImageRow:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    name, kind = f"{source}.{label}", "real" if label == "real" else "tconv"
    (folder / "images" / f"{name}.png").write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    return ImageRow(name, split, source, label, kind, True, "pre", f"images/{name}.png", digest)


@pytest.fixture(scope="module")
def fitted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("verdict") / "verdict.json"
    fit_verdict(RELEASED, data, out)
    return out


def test_every_condition_is_looked_at_and_the_traces_in_range(fitted: Path) -> None:
    verdict = load_verdict(fitted)
    assert set(verdict.validation) == {
        *("pre", "facebook-like", "telegram-like", "twitter-like", "blur", "denoise", "resized", "offgrid")
    }
    assert verdict.validation["pre"]["real"]["images"] == 3
    assert "fake" not in verdict.validation["blur"]
    assert verdict.line.slope > 0
    assert verdict.confirms == ("lossless",)
    for low, high in verdict.ranges.values():
        assert low <= high


def test_fitted_twice_is_the_same_file(data: Path, fitted: Path, tmp_path: Path) -> None:
    fit_verdict(RELEASED / "model.tflite", data, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == fitted.read_bytes()


@pytest.fixture
def unproved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports without the engine's gate, which has tests of its own."""
    monkeypatch.setattr(host, "compiler", lambda: None)


@pytest.mark.usefixtures("unproved")
def test_a_bundle_takes_it_up_and_its_digest_covers_it(fitted: Path, tmp_path: Path) -> None:
    graph = graphs.load(RELEASED / "model.tflite")
    model = RELEASED / "model.tflite"
    bundles.export(model, out=tmp_path / "a", verdict=fitted, quiet=True)
    bundles.export(model, out=tmp_path / "b", quiet=True)
    own, released = bundles.load_bundle(tmp_path / "a"), bundles.load_bundle(tmp_path / "b")
    assert own.verdict is not None and released.verdict is not None
    assert own.digest != released.digest
    wanted = load_verdict(fitted).model(graph.output.scale, graph.output.zero_point)
    assert own.verdict.as_json() == wanted.as_json()
    assert needs_of_bundle(tmp_path / "a").verdict is not None
    # What the tables take is in the budget, of the bundle and of the model's folder alike.
    plain = tmp_path / "model.tflite"
    plain.write_bytes(model.read_bytes())
    tables = budget_file(tmp_path / "a").const.tables - budget_file(plain).const.tables
    assert tables == own.verdict.flash_bytes == 2048
    assert budget_file(RELEASED).const.tables == budget_file(tmp_path / "b").const.tables


@pytest.mark.usefixtures("unproved")
def test_a_bundle_whose_verdict_was_changed_is_refused(fitted: Path, tmp_path: Path) -> None:
    out = tmp_path / "a"
    bundles.export(RELEASED / "model.tflite", out=out, verdict=fitted, quiet=True)
    info = read_json(out / "bundle.json")
    info["verdict"]["last_real"][0] -= 100_000
    write_json(out / "bundle.json", info)
    with pytest.raises(DftError, match="real and fake"):
        needs_of_bundle(out)


def test_golden_fakes_are_called_fake_by_the_released_verdict() -> None:
    """Not a matter of taste: two fakes of generators that were seen, early, and before all tiles."""
    graph = graphs.load(RELEASED / "model.tflite")
    model = load_verdict(RELEASED / "verdict.json").model(graph.output.scale, graph.output.zero_point)
    with np.load(RELEASED / "golden.npz") as packed:
        fakes = packed["tiles"][packed["labels"] == 0]
    outputs = int8.run(graph, int8.from_pixels(fakes))[:, 0]
    found = follow(model, np.repeat(outputs.min(), 16).astype(np.int8))
    assert found.decision == FAKE
    assert found.seen < 16


@pytest.mark.parametrize("wanted", ["no validation images", "real and fake"])
def test_data_without_validation_or_fakes_is_one_sentence(wanted: str, data: Path, tmp_path: Path) -> None:
    value = read_json(data / "index.json")
    keep = (lambda r: r["split"] == "train") if "images" in wanted else (lambda r: r["label"] == "real")
    folder = tmp_path / "some"
    folder.mkdir()
    (folder / "images").symlink_to(data / "images")
    (folder / "index.json").write_text(
        json.dumps(value | {"images": [r for r in value["images"] if keep(r)]})
    )
    with pytest.raises(DftError, match=wanted):
        fit_verdict(RELEASED, folder, tmp_path / "v.json")
    assert not (tmp_path / "v.json").exists()


def test_data_with_folds_are_one_sentence(tmp_path: Path) -> None:
    rows = tuple(
        ImageRow(f"{k}", "test", f"{k}", "real", "real", True, "pre", f"{k}.png", "0" * 64, fold=k)
        for k in range(3)
    )
    save_index(tmp_path, DataIndex("folds", 128, rows))
    with pytest.raises(DftError, match=r"no splits of its own.*without --folds"):
        fit_verdict(RELEASED, tmp_path, tmp_path / "v.json")
    assert not (tmp_path / "v.json").exists()
