"""One training run in motion: net, objective, optimiser, schedule, history and the next step; kept in one file.

Called by train/training.py, which says what to train on and what to do with the result.
"""

from __future__ import annotations

import io
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dftiny.artifact import atomic_write
from dftiny.errors import DftError
from dftiny.nets.checkpoint import Checkpoint
from dftiny.nets.registry import create
from dftiny.train.fake_quant import FakeQuant
from dftiny.train.objective import Judging, Objective, choose_trainable, training_mode
from dftiny.train.ranks import Ranks, from_first, mean_over
from dftiny.train.recipe import SIMCLR, Recipe
from dftiny.train.simclr import Contrast

RANK_SEEDS = 1 << 40  # further apart than steps: no process draws another one's dropout


class Run:
    """The moving parts of one run; `key` says what it is a run of."""

    def __init__(
        self, recipe: Recipe, seed: int, key: str, start: Checkpoint | None = None, ranks: Ranks | None = None
    ) -> None:
        self.recipe, self.seed, self.key = recipe, seed, key
        self.ranks = ranks or Ranks()
        torch.manual_seed(seed)
        self.net: nn.Module = create(recipe.net, recipe.tile)
        if start is not None:
            self.net.load_state_dict(start.net.state_dict())
        self.rounding = FakeQuant() if recipe.fake_quant else None
        self.objective = self._objective()
        trained = [p for p in self.objective.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            trained, recipe.peak_rate, weight_decay=recipe.weight_decay, fused=True
        )
        self.schedule = _schedule(recipe, self.optimiser)
        self._together = self._over_ranks()
        self.history: list[dict[str, float]] = []
        self.step = 0

    def _objective(self) -> Objective:
        choose_trainable(self.net, self.recipe)
        if self.recipe.method == SIMCLR:
            made: Objective = Contrast(self.net, self.recipe.temperature, self.ranks)
        else:
            made = Judging(self.net, self.rounding)
        return made.to(self.ranks.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def _over_ranks(self) -> nn.Module:
        return self.objective if self.ranks.world == 1 else DistributedDataParallel(self.objective)

    def advance(self, tiles: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        """One optimisation step on this process' part of a global batch; loss and accuracy over the whole of it."""
        # Seeded by step, so that dropout is the same in a resumed run without any saved generator state.
        torch.manual_seed(self.seed * 1_000_003 + self.step + self.ranks.rank * RANK_SEEDS)
        training_mode(self.net, self.recipe)
        part = self.ranks.part(len(tiles), 1 if self.recipe.method == SIMCLR else 2)
        inputs = self.objective.inputs(tiles[part], labels[part])
        loss, accuracy = self._together(*(i.to(self.ranks.device) for i in inputs))
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        both: Tensor = mean_over(self.ranks, torch.stack([loss.detach(), accuracy]))
        return float(both[0]), float(both[1])

    def save(self, path: Path) -> None:
        """Write the whole state aside and rename it: a kill leaves the old one or the new one."""
        extra = {} if self.recipe.method != SIMCLR else {"objective": self.objective.state_dict()}
        state = {
            "key": self.key,
            "step": self.step,
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": self.history,
            "ranges": None if self.rounding is None else self.rounding.ranges,
            **extra,
        }
        buffer = io.BytesIO()  # torch's own writer turns a full disk into an error without a name
        torch.save(state, buffer)
        with atomic_write(path) as f:
            f.write(buffer.getbuffer())

    def restore(self, path: Path) -> bool:
        """Go on from `path` when it belongs to the same recipe, data and seed. DftError when it is damaged."""
        content = from_first(self.ranks, lambda: path.read_bytes() if path.is_file() else None)
        if content is None:
            return False
        try:
            state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            if state["key"] != self.key:
                return False
            self.net.load_state_dict(state["net"])
            if "objective" in state:
                self.objective.load_state_dict(state["objective"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.schedule.load_state_dict(state["schedule"])
            self.history, self.step = list(state["history"]), int(state["step"])
            if self.rounding is not None:
                self.rounding.ranges = state["ranges"]
        except (UnpicklingError, RuntimeError, KeyError, ValueError, EOFError, TypeError, OSError) as e:
            raise DftError(
                f"{path} cannot be resumed: {str(e).splitlines()[0][:120]}", "start again with --no-resume"
            ) from e
        return True


def _schedule(recipe: Recipe, optimiser: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    if recipe.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
    # PyTorch divides by the steps of the rise less one: a rise of a single step gets a hair less than that.
    warmup = recipe.warmup if recipe.warmup * recipe.steps != 1 else recipe.warmup * 0.999
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.peak_rate, total_steps=recipe.steps, pct_start=warmup
    )
