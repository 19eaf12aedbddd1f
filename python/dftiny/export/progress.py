"""Steps on stderr: what is being done, and how long each step took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any


class Progress:
    """`with progress.step("…"):` shows a spinner on a terminal and one line with the seconds when it is done."""

    def __init__(self, quiet: bool = False) -> None:
        self._console: Any = None
        if not quiet:
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Time the block. Nothing is printed for a block that raises: the error is the message."""
        started = time.monotonic()
        with self._console.status(title) if self._console else contextlib.nullcontext():
            yield
        self.say(f"{title} ({time.monotonic() - started:.1f} s)")

    def say(self, text: str) -> None:
        """One line."""
        if self._console:
            self._console.print(f"  {text}", markup=False, soft_wrap=True)
