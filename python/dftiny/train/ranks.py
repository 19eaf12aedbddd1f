"""One process of several that train together under `torchrun`, or the only one.

Each takes its part of the same global batch and gradients are averaged (DistributedDataParallel). Only rank 0 writes,
and what it reads is handed to the others, so they need no common disk for the results. Called by train/.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from dftiny.errors import DftError

Value = TypeVar("Value")
# So long the others wait for rank 0 while it validates on many images; torchrun ends them at once when it fails.
PATIENCE = timedelta(hours=6)


@dataclass(frozen=True)
class Ranks:
    """Number `rank` of `world` processes, and the device that it computes on."""

    rank: int = 0
    world: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.rank == 0

    def part(self, batch: int, together: int) -> slice:
        """Which of `batch` examples are this process'. DftError when they cannot be dealt out, `together` at a time."""
        if batch % (together * self.world):
            raise DftError(
                f"a batch of {batch} cannot be dealt out to {self.world} processes, {together} at a time",
                f"give the recipe a batch that {together * self.world} divides",
            )
        size = batch // self.world
        return slice(self.rank * size, (self.rank + 1) * size)


@contextmanager
def joined() -> Iterator[Ranks]:
    """The processes that torchrun started, joined to a group inside; without torchrun one process alone."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world < 2:
        yield Ranks()
        return
    cuda = torch.cuda.is_available()
    device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if cuda else "cpu"
    distributed.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield Ranks(distributed.get_rank(), world, device)
        distributed.barrier()  # nobody takes the connections down while another still uses them
    finally:
        distributed.destroy_process_group()


def from_first(ranks: Ranks, make: Callable[[], Value]) -> Value:
    """What `make` gives on rank 0, on all ranks. Where it fails there, torchrun ends the others."""
    if ranks.world == 1:
        return make()
    box: list[Any] = [make() if ranks.first else None]
    distributed.broadcast_object_list(box, src=0)
    value: Value = box[0]
    return value


def mean_over(ranks: Ranks, values: Tensor) -> Tensor:
    """The mean of `values` over all processes; each of them has an equal part of the batch."""
    if ranks.world > 1:
        values = values.clone()
        distributed.all_reduce(values)
        values /= ranks.world
    return values


class _Gather(torch.autograd.Function):
    """All processes' rows one below the other; the gradient of a row is the sum over the processes that used it."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, rank: int, world: int) -> Tensor:
        ctx.part = slice(rank * len(rows), (rank + 1) * len(rows))
        parts = [torch.empty_like(rows) for _ in range(world)]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total[ctx.part], None, None


def gather(rows: Tensor, ranks: Ranks) -> Tensor:
    """`rows` [n, d] of every process as [world * n, d], in the order of ranks, with gradients to each."""
    if ranks.world == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows, ranks.rank, ranks.world)  # type: ignore[no-untyped-call]
    return gathered
