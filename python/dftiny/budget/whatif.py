"""One model, several questions: every tile on every target with every engine, beside the user's application.

A Question is what the command line says; `answers` asks budget() once for each combination. Called by budget_view.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dftiny.budget import ENGINES, Budget, budget, model_file, verdict_bytes
from dftiny.budget.limits import Limits
from dftiny.budget.linked import built_beside
from dftiny.budget.reserve import application_bytes
from dftiny.errors import DftError
from dftiny.graph import Graph, load, read_model
from dftiny.graph.resize import at_tile
from dftiny.plan import DEFAULT_WISHES, Wishes
from dftiny.target import Target, load_target

MAX_TILE = 1024
_MAX_MAP_BYTES = 256 << 20


@dataclass(frozen=True)
class Question:
    """`tiles` empty: the file's own input. `reserve` is the text of --reserve, `app_map` the map of the user's own
    firmware, `elf` a firmware linked with this model, `core` what speed is estimated for."""

    model: Path
    targets: tuple[str, ...] = ("stm32h743",)
    engines: tuple[str, ...] = ("aot",)
    tiles: tuple[int, ...] = ()
    limits: Limits = field(default_factory=Limits)
    wishes: Wishes = DEFAULT_WISHES
    reserve: str | None = None
    app_map: Path | None = None
    elf: Path | None = None
    core: str | None = None

    @property
    def count(self) -> int:
        """How many budgets it asks for."""
        return max(len(self.tiles), 1) * len(self.targets) * len(self.engines)


def listed(texts: tuple[str, ...], what: str) -> tuple[str, ...]:
    """The values of a repeated, comma-separated option, each once. DftError when nothing is left."""
    found = [part.strip() for text in texts for part in text.split(",")]
    if not all(found) or not found:
        raise DftError(f"{what} {','.join(texts)!r} has an empty part", f"write it like {what} A,B")
    return tuple(dict.fromkeys(found))


def tiles_of(texts: tuple[str, ...]) -> tuple[int, ...]:
    """ "96,128" → (96, 128). DftError for what is no tile."""
    out = []
    for text in listed(texts, "--tile") if texts else ():
        if not (text.isascii() and text.isdigit()) or len(text) > 4 or not 8 <= int(text) <= MAX_TILE:
            raise DftError(
                f"--tile {text[:40]!r} is no tile of 8 to {MAX_TILE} pixels", "write it like --tile 96,128"
            )
        out.append(int(text))
    return tuple(out)


def engines_of(texts: tuple[str, ...]) -> tuple[str, ...]:
    """ "aot,tflm" → ("aot", "tflm"). DftError for an engine that has no budget."""
    found = listed(texts, "--engine")
    for engine in found:
        if engine not in ENGINES:
            raise DftError(f"there is no budget for engine {engine!r}", f"known: {', '.join(ENGINES)}")
    return found


def question_of(
    *,
    model: Path,
    targets: tuple[str, ...],
    engines: tuple[str, ...],
    tiles: tuple[str, ...],
    max_macs: int | None,
    max_instructions: int | None,
    max_ms: float | None,
    **rest: Any,
) -> Question:
    """The question that the options of `dftiny budget` ask; `rest` are Question's other fields."""
    return Question(
        model,
        listed(targets, "--target"),
        engines_of(engines),
        tiles_of(tiles),
        Limits(max_macs, max_instructions, max_ms),
        **rest,
    )


def answers(q: Question) -> tuple[Budget, ...]:
    """A budget for every tile, target and engine, in that order. DftError for whatever cannot be read or asked."""
    if q.elf is not None and q.count > 1:
        raise DftError("--elf is one firmware: it answers for one tile, target and engine", "leave it out")
    targets = [load_target(name) for name in q.targets]
    path = model_file(q.model)
    text = None if q.app_map is None else _map_text(q.app_map)
    out = []
    for graph in _graphs(path, q.tiles):
        for target in targets:
            beside = application_bytes(target, q.reserve, text, str(q.app_map))
            out += [_one(q, path, graph, target, engine, beside) for engine in q.engines]
    return tuple(out)


def _one(
    q: Question, path: Path, graph: Graph, target: Target, engine: str, beside: dict[str, int]
) -> Budget:
    elf = q.elf
    if elf is None and q.count == 1 and q.model.is_dir() and not q.tiles and not beside:
        elf = built_beside(q.model, engine, target.name)
    return budget(
        graph,
        target,
        engine,
        limits=q.limits,
        wishes=q.wishes,
        file_bytes=path.stat().st_size,
        verdict_bytes=verdict_bytes(q.model, graph),
        application=beside,
        elf=elf,
        core=q.core,
    )


def _graphs(path: Path, tiles: tuple[int, ...]) -> list[Graph]:
    if not tiles:
        return [load(path)]
    data = read_model(path)
    return [at_tile(data, str(path), tile) for tile in tiles]


def _map_text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_MAP_BYTES:
            raise DftError(
                f"{path} is too large for a linker's map", "give the file that -Wl,-Map=app.map wrote"
            )
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as e:
        raise DftError(
            f"cannot read {path}: {e.strerror}", "give the file that -Wl,-Map=app.map wrote"
        ) from e
