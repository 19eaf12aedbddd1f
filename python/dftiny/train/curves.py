"""Loss, accuracy and learning rate for TensorBoard, where somebody asks for them. Called by train/training.py."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from dftiny.errors import DftError


@dataclass(frozen=True)
class Curves:
    """Where scalars of a run go; nowhere without a writer."""

    writer: Any = None

    def add(self, step: int, **values: float) -> None:
        """Note `values` of `step`."""
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(f"train/{name}", value, step)


@contextmanager
def curves_in(folder: Path | None, step: int) -> Iterator[Curves]:
    """Curves written into `folder` from `step` on, None: none. DftError when the package tensorboard is missing.

    A run that goes on from an earlier checkpoint hides what was written behind it.
    """
    if folder is None:
        yield Curves()
        return
    # TensorBoard imports TensorFlow where it is installed, with its seconds and its warnings, unless it finds this module,
    # which its builds without TensorFlow have.
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as e:
        raise DftError("--tensorboard needs the package tensorboard", "pip install tensorboard") from e
    writer: Any = SummaryWriter(str(folder), purge_step=step)  # type: ignore[no-untyped-call]
    try:
        yield Curves(writer)
    finally:
        writer.close()
