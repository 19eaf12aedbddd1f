"""Training: it learns, it is deterministic, and an interrupted run ends with the same bits as an uninterrupted one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")

import torch
from noise_set import noise_set

from dftiny import spec
from dftiny.artifact import read_manifest, sha256_file, write_manifest
from dftiny.data.index import load_index
from dftiny.errors import DftError
from dftiny.evaluate import evaluate
from dftiny.nets.checkpoint import load_checkpoint
from dftiny.nets.registry import create
from dftiny.train.batches import batch, load_pool
from dftiny.train.recipe import Recipe, parse_recipe
from dftiny.train.run import Run
from dftiny.train.training import train

FAST = {"steps": 6, "batch": 4, "checkpoint_every": 2}


def _recipe(**changes: object) -> Recipe:
    return parse_recipe({**spec.recipe("phinet_demo"), **FAST, **changes}, "test")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of noise photographs, none of them shared."""
    return noise_set(tmp_path_factory.mktemp("data") / "noise")


@pytest.fixture
def recipe_file(tmp_path: Path) -> str:
    path = tmp_path / "fast.toml"
    path.write_text(_recipe().toml())
    return str(path)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_batches_are_pairs_of_one_place_on_the_grid(data: Path) -> None:
    recipe = _recipe(periodic=0.0, processed=0.0, batch=16)
    pool = load_pool(data, load_index(data), 128)
    tiles, labels = batch(pool, recipe, 0, 3)
    assert tiles.shape == (16, 128, 128, 3)
    assert labels.tolist() == [1.0, 0.0] * 8
    windows = {
        place.real[y : y + 128, x : x + 128].tobytes(): place.fakes[0][y : y + 128, x : x + 128].tobytes()
        for photograph in pool.photographs for place in photograph for y in range(0, 129, 8) for x in range(0, 129, 8)
    }  # fmt: skip
    for real, fake in zip(tiles[::2], tiles[1::2], strict=True):
        assert windows[real.tobytes()] == fake.tobytes()
    assert np.array_equal(batch(pool, recipe, 0, 3)[0], tiles)
    assert not np.array_equal(batch(pool, recipe, 0, 4)[0], tiles)
    assert not np.array_equal(batch(pool, recipe, 1, 3)[0], tiles)


@pytest.mark.slow
def test_interrupted_and_resumed_is_bit_for_bit_the_same(
    data: Path, recipe_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(recipe_file, data, tmp_path / "whole")
    advance = Run.advance

    def unplugged(run: Run, tiles: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        if run.step == 5:
            raise KeyboardInterrupt
        return advance(run, tiles, labels)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", unplugged)
        with pytest.raises(KeyboardInterrupt):
            train(recipe_file, data, tmp_path / "cut")
    assert not (tmp_path / "cut/manifest.json").exists()
    torch.manual_seed(12345)
    assert train(recipe_file, data, tmp_path / "cut").resumed_at == 4
    assert _bytes(tmp_path / "cut") == _bytes(tmp_path / "whole")
    assert "last.ckpt" not in _bytes(tmp_path / "cut")


@pytest.mark.slow
def test_a_rerun_that_is_stopped_early_leaves_the_finished_run(
    data: Path, recipe_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(recipe_file, data, tmp_path / "t")
    before = _bytes(tmp_path / "t")

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(recipe_file, data, tmp_path / "t", seed=1)
    assert _bytes(tmp_path / "t") == before
    train(recipe_file, data, tmp_path / "t", seed=1)
    assert read_manifest(tmp_path / "t", "train").config["seed"] == 1


@pytest.mark.parametrize("stage", ["data", "bundle"])
def test_another_stage_is_left_alone(stage: str, data: Path, recipe_file: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").touch()
    write_manifest(tmp_path / "other", stage, files=["x"])
    with pytest.raises(DftError, match=f"holds a {stage} stage"):
        train(recipe_file, data, tmp_path / "other")
    assert read_manifest(tmp_path / "other").stage == stage


@pytest.mark.slow
def test_killed_run_resumes(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.toml"
    path.write_text(_recipe(steps=400, checkpoint_every=1).toml())
    out = tmp_path / "out"
    code = f"from pathlib import Path; from dftiny.train.training import train; train({str(path)!r}, Path({str(data)!r}), Path({str(out)!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (out / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    recipe = parse_recipe(spec.recipe(str(path)), "long")
    key = torch.load(out / "last.ckpt", weights_only=True)["key"]
    run = Run(recipe, 0, key)
    assert run.restore(out / "last.ckpt")
    assert 1 <= run.step < 400
    assert len(run.history) == run.step


@pytest.mark.slow
def test_a_kill_while_a_checkpoint_is_written_loses_one_interval(
    data: Path, recipe_file: str, tmp_path: Path
) -> None:
    whole = train(recipe_file, data, tmp_path / "whole")
    killed = """
import os, signal, sys
from pathlib import Path
import dftiny.artifact as artifact
from dftiny.train.training import train
recipe, data, out, which = sys.argv[1:]
fsync, calls = os.fsync, []
def dying(fd):  # the new file is written, and not yet renamed
    calls.append(fd)
    if len(calls) == int(which):
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(fd)
artifact.os.fsync = dying
train(recipe, Path(data), Path(out))
"""
    # Checkpoints at steps 2, 4 and 6: killed while the first or the second of them is written, or the last file of all.
    for which, resumed_at in (("1", 0), ("2", 2), ("7", 6)):
        out = tmp_path / which
        done = subprocess.run(
            [sys.executable, "-c", killed, recipe_file, str(data), str(out), which],
            capture_output=True,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert any(p.name.startswith(".") for p in out.iterdir())
        assert not (out / "manifest.json").exists()
        assert train(recipe_file, data, out).resumed_at == resumed_at
        assert _bytes(out) == _bytes(tmp_path / "whole")
    assert whole.resumed_at == 0


@pytest.mark.slow
def test_curves_for_tensorboard(data: Path, recipe_file: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install tensorboard")
    train(recipe_file, data, tmp_path / "t", tensorboard=True)
    (events,) = (tmp_path / "t/tensorboard").iterdir()
    written = events.read_bytes()
    assert all(written.count(f"train/{n}".encode()) == FAST["steps"] for n in ("loss", "accuracy", "rate"))
    assert read_manifest(tmp_path / "t", "train").files.keys() == {
        "checkpoint.safetensors",
        "history.jsonl",
        "recipe.toml",
    }


def test_without_the_package_tensorboard_a_sentence_says_so(
    data: Path, recipe_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(DftError, match="pip install tensorboard"):
        train(recipe_file, data, tmp_path / "t", tensorboard=True)


def test_a_rise_of_one_step_is_a_schedule(data: Path, tmp_path: Path) -> None:
    """PyTorch's OneCycleLR divides by zero where warmup times steps is exactly 1."""
    path = tmp_path / "r.toml"
    path.write_text(_recipe(net="resnet_small", tile=64, steps=5, warmup=0.2).toml())
    train(str(path), data, tmp_path / "t")


@pytest.mark.slow
def test_another_seed_or_no_resume_starts_anew(data: Path, recipe_file: str, tmp_path: Path) -> None:
    first = train(recipe_file, data, tmp_path / "a", seed=0)
    one = first.checkpoint.read_bytes()
    train(recipe_file, data, tmp_path / "a", seed=1, resume=False)
    assert first.checkpoint.read_bytes() != one
    assert train(recipe_file, data, tmp_path / "a", seed=0).resumed_at == 0
    assert first.checkpoint.read_bytes() == one


def test_a_foreign_folder_is_left_alone_and_damage_is_one_sentence(
    data: Path, recipe_file: str, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years of work")
    with pytest.raises(DftError, match="not made by dftiny"):
        train(recipe_file, data, tmp_path / "mine")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/last.ckpt").write_bytes(b"PK half a checkpoint")
    with pytest.raises(DftError, match="--no-resume"):
        train(recipe_file, data, tmp_path / "bad")
    with pytest.raises(DftError, match="there is no folder"):
        train(recipe_file, tmp_path / "nothing", tmp_path / "out")


@pytest.mark.slow
def test_it_learns_and_evaluates(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(_recipe(steps=60, batch=16, checkpoint_every=20, periodic=0.0, processed=0.0).toml())
    summary = train(str(path), data, tmp_path / "t")
    assert summary.val_auc == 1.0
    model = load_checkpoint(tmp_path / "t")
    assert (model.preset, model.tile, model.threshold) == ("phinet_demo", 128, summary.threshold)
    result = evaluate(tmp_path / "t", data, tmp_path / "e", bootstrap=50)
    assert result.metrics["pre"]["all"]["auc"] == 1.0
    assert read_manifest(tmp_path / "e", "evaluate").parents["checkpoint"] == model.sha256
    with np.load(tmp_path / "e/tiles.npz") as saved:
        assert saved["counts"].tolist() == [4, 4, 4, 4]
        assert saved["logits"].shape == (16,)
        assert saved["ids"].tolist() == ["test0.0.real", "test0.0.tconv", "test1.0.real", "test1.0.tconv"]
    assert "pre" in result.text()


def test_a_finished_run_is_kept_unless_it_was_changed(data: Path, recipe_file: str, tmp_path: Path) -> None:
    out = tmp_path / "t"
    first = train(recipe_file, data, out)
    written = first.checkpoint.stat().st_mtime_ns
    again = train(recipe_file, data, out)
    assert first.checkpoint.stat().st_mtime_ns == written
    assert (again.threshold, again.val_auc) == (first.threshold, first.val_auc)
    whole = first.checkpoint.read_bytes()
    first.checkpoint.write_bytes(whole[:-1])
    train(recipe_file, data, out)
    assert first.checkpoint.read_bytes() == whole


def test_public_weights_are_where_training_begins(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(9)
    given = create("resnet_small").state_dict()
    theirs = given | {"fc.weight": torch.zeros(1000, 128), "fc.bias": torch.zeros(1000)}
    torch.save(theirs, tmp_path / "public.pth")
    recipe = tmp_path / "still.toml"
    recipe.write_text(_recipe(net="resnet_small", tile=64, steps=2, peak_rate=1e-9).toml())
    train(str(recipe), data, tmp_path / "run", weights=tmp_path / "public.pth")
    state = load_checkpoint(tmp_path / "run").net.state_dict()
    for key in (k for k in given if "conv" in k):
        torch.testing.assert_close(state[key], given[key], rtol=0, atol=1e-6)
    assert read_manifest(tmp_path / "run").parents["checkpoint"] == sha256_file(tmp_path / "public.pth")
    with pytest.raises(DftError, match="both say where to begin"):
        train(str(recipe), data, tmp_path / "no", start=tmp_path, weights=tmp_path / "public.pth")
    with pytest.raises(DftError, match="missing"):
        torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "head.pth")
        train(str(recipe), data, tmp_path / "no", weights=tmp_path / "head.pth")
