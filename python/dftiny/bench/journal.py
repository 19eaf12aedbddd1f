"""Results on disk as they come, so that a bench that was killed goes on where it was: `OUT.partial/results.jsonl`.

One line a tile, flushed at once and synchronised about once a second; a last line that was cut is dropped. asked.json
beside it says what was asked for: `--resume` goes on with nothing else. Called by run.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from dftiny.artifact import canonical_json, read_json, reason, write_json
from dftiny.bench.images import Work
from dftiny.bench.stream import TileDone
from dftiny.errors import DftError

RESULTS = "results.jsonl"
ASKED = "asked.json"
SYNC_S = 1.0


@dataclass
class Journal:
    """The open journal. `found` are results of an earlier run, `op_ticks` what it counted for single images."""

    folder: Path
    file: TextIO
    work: Work
    found: list[TileDone] = field(default_factory=list)
    op_ticks: list[NDArray[np.uint32]] = field(default_factory=list)
    synced_s: float = 0.0

    def add(self, done: TileDone) -> None:
        """Keep one result."""
        line: dict[str, Any] = {"id": self.work.items[done.image].id, "tile": done.tile}
        line |= {"output": done.output.tolist(), "ticks": done.ticks}
        if done.op_ticks is not None:
            line["op_ticks"] = done.op_ticks.tolist()
        self.file.write(json.dumps(line, separators=(",", ":")) + "\n")
        self.file.flush()
        if time.monotonic() - self.synced_s >= SYNC_S:
            os.fsync(self.file.fileno())
            self.synced_s = time.monotonic()


def asked_for(digest: bytes, work: Work) -> dict[str, Any]:
    """What a journal is of: the model, the images and their tiles."""
    items = hashlib.sha256(canonical_json([[i.id, i.tiles] for i in work.items])).hexdigest()
    return {"bundle": digest.hex(), "data": work.source, "images": len(work.items), "items": items}


def partial_of(out: Path) -> Path:
    """Where the journal of a bench lies whose result will be `out`."""
    return out.with_name(out.name + ".partial")


@contextmanager
def journal(out: Path, work: Work, asked: Mapping[str, Any], *, resume: bool) -> Iterator[Journal]:
    """Open `out`'s journal: the one that is there to go on with (`resume`), else a new one in its place.

    A journal without results is removed at the end; finish() removes one that is not needed any more. DftError when it
    is not of the same model and images, or cannot be written.
    """
    folder = partial_of(out)
    earlier = _earlier(folder, asked) if resume else []
    try:
        if not earlier:
            _make(folder, asked)
        with _opened(folder / RESULTS, len(earlier)) as file:
            kept = Journal(folder, file, work)
            _take(kept, earlier)
            yield kept
    except OSError as e:
        raise DftError(
            f"cannot write {folder}: {reason(e)}", "choose another --out or free some space"
        ) from e
    finally:
        if (folder / RESULTS).is_file() and not (folder / RESULTS).stat().st_size:
            finish(out)


@contextmanager
def _opened(path: Path, lines: int) -> Iterator[TextIO]:
    """For appending behind the first `lines` lines; what a kill left of another one goes."""
    with path.open("a+", encoding="utf-8") as file:
        file.seek(0)
        whole = sum(len(file.readline().encode()) for _ in range(lines))
        file.truncate(whole)
        file.seek(0, os.SEEK_END)
        yield file


def _make(folder: Path, asked: Mapping[str, Any]) -> None:
    """An empty journal; never in the place of a folder that is something else."""
    if folder.exists() and not (folder / ASKED).is_file():
        raise DftError(f"{folder} is not a journal of dftiny bench", "move it away, or choose another --out")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / ASKED, asked)
    (folder / RESULTS).touch()


def _earlier(folder: Path, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lines of the journal that is there; [] when there is none, or was no time for any."""
    if not (folder / ASKED).is_file() or not (folder / RESULTS).is_file():
        return []
    if read_json(folder / ASKED, "bench journal") != asked:
        raise DftError(
            f"{folder} is of another model or other images",
            "bench without --resume starts from the beginning",
        )
    found: list[dict[str, Any]] = []
    for line in (folder / RESULTS).read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            value = json.loads(line)
        except ValueError:
            break
        if not line.endswith("\n") or not isinstance(value, dict):
            break
        found.append(value)
    return found


def _take(kept: Journal, lines: Sequence[Mapping[str, Any]]) -> None:
    places = {item.id: i for i, item in enumerate(kept.work.items)}
    known: set[tuple[int, int]] = set()
    for line in lines:
        try:
            image, tile = places[line["id"]], int(line["tile"])
            output = np.array(line["output"], dtype=np.int8)
            ticks = int(line["ticks"])
            ops = np.array(line["op_ticks"], dtype=np.uint32) if "op_ticks" in line else None
        except (KeyError, TypeError, ValueError, OverflowError) as e:
            raise DftError(
                f"{kept.folder / RESULTS} is damaged ({e})",
                "bench without --resume starts from the beginning",
            ) from e
        if (image, tile) not in known:
            known.add((image, tile))
            kept.found.append(TileDone(image, tile, output, ticks, 0.0, ops))
            kept.op_ticks += [] if ops is None else [ops]


def finish(out: Path) -> None:
    """The result is whole: its journal is not needed any more."""
    shutil.rmtree(partial_of(out), ignore_errors=True)
