"""Two processes under torchrun train as one does: the same loss at every step, one writer, SimCLR's negatives shared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'dftiny[train]'")

from noise_set import noise_set

from dftiny import spec
from dftiny.artifact import read_manifest
from dftiny.errors import DftError
from dftiny.train.ranks import Ranks
from dftiny.train.recipe import parse_recipe
from dftiny.train.run import Run
from dftiny.train.training import train

# Batch normalisation stands still: its statistics are of one process' part of the batch, not of all.
FAST = {"net": "resnet_small", "tile": 64, "steps": 5, "batch": 8, "checkpoint_every": 1, "freeze_norm": True}


def _losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "history.jsonl").read_text().splitlines()]


def _torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, "-m", "dftiny", "train", *arguments],
        capture_output=True, text=True, timeout=240, env=environment, check=False,
    )  # fmt: skip


def _stop_at(step: int, monkeypatch: pytest.MonkeyPatch, training: Callable[[], object]) -> None:
    advance = Run.advance

    def stopping(run: Run, tiles: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        if run.step == step:
            raise KeyboardInterrupt
        return advance(run, tiles, labels)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", stopping)
        with pytest.raises(KeyboardInterrupt):
            training()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["supervised", "simclr"])
def test_two_processes_lose_what_one_loses(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = noise_set(tmp_path / "data")
    recipe = tmp_path / "r.toml"
    recipe.write_text(parse_recipe({**spec.recipe(name), **FAST}, name).toml())
    alone = train(str(recipe), data, tmp_path / "one")
    if name == "simclr":  # goes on on two processes where one was stopped
        _stop_at(2, monkeypatch, lambda: train(str(recipe), data, tmp_path / "two"))
    done = _torchrun("--recipe", str(recipe), "--data", str(data), "--out", str(tmp_path / "two"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("checkpoint.safetensors") == 1
    assert ("resumed at step 2" in done.stdout) == (name == "simclr")
    one, two = _losses(tmp_path / "one"), _losses(tmp_path / "two")
    assert len(one) == FAST["steps"]
    assert len(set(one)) == len(one)
    assert two == pytest.approx(one, rel=1e-6)
    made = read_manifest(tmp_path / "two", "train")
    assert made.config == read_manifest(tmp_path / "one").config
    assert made.metrics["threshold"] == pytest.approx(alone.threshold, abs=1e-3)
    assert not (tmp_path / "two/last.ckpt").exists()


def test_a_batch_is_dealt_out_whole_or_refused() -> None:
    parts = [Ranks(rank, 3).part(12, 2) for rank in range(3)]
    assert [i for p in parts for i in range(12)[p]] == list(range(12))
    with pytest.raises(DftError, match="3 processes, 2 at a time"):
        Ranks(0, 3).part(16, 2)
