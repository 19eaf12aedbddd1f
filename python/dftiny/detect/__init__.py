"""`dftiny detect PHOTO…`: real, fake or undecided, how sure, after how many tiles, and a map of where.

A use case: pictures (picture.py), an engine (engines.py), a finding for each (judge.py), a map (heatmap.py). Works with
the released model on a plain install; never imports torch or tensorflow.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dftiny import graph as graphs
from dftiny.artifact import read_manifest
from dftiny.bench.run import local_boards, port_boards
from dftiny.bundle import MODEL, VERDICT, load_bundle
from dftiny.detect.engines import Engine, Oracle, board_engine
from dftiny.detect.heatmap import tile_evidence, write_map
from dftiny.detect.judge import Finding, judge_picture
from dftiny.detect.picture import Picture, open_picture
from dftiny.errors import DftError
from dftiny.graph import Graph
from dftiny.models import released_model
from dftiny.verdict.file import VerdictFile, load_verdict
from dftiny.verdict.model import VerdictModel

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A model at hand: folder, name, graph, verdict and its integers for this graph."""

    folder: Path
    name: str
    graph: Graph
    file: VerdictFile
    model: VerdictModel


def detect_command(
    photos: Sequence[Path],
    *,
    runs: Path,
    model: Path | None = None,
    port: str | None = None,
    board: str | None = None,
    build_dir: Path | None = None,
    baud: int | None = None,
    map_path: Path | None = None,
    as_json: bool = False,
) -> None:
    """Judge `photos` and print a line for each. DftError at the end when one could not be read, after all the others.

    `model` is a released model's folder or a bundle (default: the released model, on a board the bundle of `runs`).
    `map_path` is the PNG to write; with several photographs a folder.
    """
    if port and board:
        raise DftError("--port and --board exclude each other", "give one of them")
    if map_path is not None and len(photos) > 1 and map_path.suffix and not map_path.is_dir():
        raise DftError(f"--map {map_path} is one file for {len(photos)} photographs", "give a folder")
    on_board = port is not None or board is not None
    loaded = _load(
        model or (runs / "bundle" if on_board else released_model()), "bundle" if on_board else None
    )
    build_dir = build_dir or runs / "build" / str(board)
    findings: list[dict[str, Any]] = []
    refused: list[DftError] = []
    with _engine(loaded, port, board, build_dir, baud) as engine:
        for photo in photos:
            try:
                picture = open_picture(photo)
            except DftError as e:
                refused.append(e)
                findings.append({"photo": str(photo), "error": str(e)})
                if not as_json:
                    print(f"{photo}: not read: {_without_name(e.cause, photo)}")
                continue
            finding = judge_picture(picture, loaded.file, loaded.model, engine)
            where = _drawn(picture, finding, loaded, engine, _map_file(map_path, photo, len(photos)))
            findings.append(_as_json(finding, where))
            if not as_json:
                print(line(finding, where))
    _close(loaded, findings, as_json)
    if refused:
        raise (
            refused[0]
            if len(refused) == 1
            else DftError(f"{len(refused)} pictures could not be read", "see above")
        )


def _load(folder: Path, stage: str | None) -> _Loaded:
    """A folder with model.tflite and verdict.json, hashes checked. DftError when it has no verdict, or is not of `stage`."""
    manifest = read_manifest(folder, stage)
    if MODEL not in manifest.files:
        raise DftError(f"{folder} holds no {MODEL}", "give a released model's folder or a bundle")
    if VERDICT not in manifest.files:
        raise DftError(
            f"{folder} has no {VERDICT}: nobody fitted when this model may decide",
            "run dftiny verdict, and export again",
        )
    file = load_verdict(folder / VERDICT)
    name = str(manifest.config.get("name", folder.name))
    graph = graphs.load(folder / MODEL, name=name)
    return _Loaded(folder, name, graph, file, file.model(graph.output.scale, graph.output.zero_point))


@contextlib.contextmanager
def _engine(
    loaded: _Loaded, port: str | None, board: str | None, build_dir: Path, baud: int | None
) -> Iterator[Engine]:
    if port is None and board is None:
        yield Oracle(loaded.graph)
        return
    bundle = load_bundle(loaded.folder)
    boards = (
        port_boards(port, loaded.folder, baud)
        if port is not None
        else local_boards(str(board), loaded.folder, build_dir)
    )
    with board_engine(boards, bundle.digest) as engine:
        yield engine


def _map_file(wanted: Path | None, photo: Path, photos: int) -> Path | None:
    """Where a photograph's map goes: the file asked for, or one in the folder asked for."""
    if wanted is None or (photos == 1 and not wanted.is_dir()):
        return wanted
    return wanted / f"{photo.stem}.map.png"


def _drawn(
    picture: Picture, finding: Finding, loaded: _Loaded, engine: Engine, where: Path | None
) -> Path | None:
    """The map of a picture, written to `where`; None where none is wanted, or there is not one tile to draw."""
    if where is None or not finding.grid[0] * finding.grid[1]:
        return None
    evidence = tile_evidence(picture, loaded.file.tile, loaded.model, engine)
    write_map(where, picture, loaded.file.tile, evidence, f"{picture.path.name}: {finding.verdict}")
    return where


def line(finding: Finding, where: Path | None = None) -> str:
    """What is printed for one photograph."""
    of = f"{finding.tiles} of {finding.offered} tiles"
    sure = "" if finding.p_real is None else f", probability of real {_percent(finding.p_real)}"
    parts = [f"{finding.picture.path}: {finding.verdict}{sure}, after {of}"]
    if finding.warnings:
        parts.append("unlike the training data: " + ", ".join(finding.warnings))
    parts += [*finding.notes, *([f"map: {where}"] if where else [])]
    return "; ".join(parts)


def _percent(p: float) -> str:
    """Never 0 or 100: so sure is nobody."""
    if p < 0.01:
        return "under 1 %"
    return "over 99 %" if p > 0.99 else f"{100 * p:.0f} %"


def _without_name(cause: str, photo: Path) -> str:
    return cause.removeprefix(f"{photo} ").removeprefix(f"cannot read the picture {photo}: ")


def _as_json(f: Finding, where: Path | None) -> dict[str, Any]:
    width, height = f.pixels
    return {
        "photo": str(f.picture.path),
        "width": width,
        "height": height,
        "verdict": f.verdict,
        "by_tiles": f.by_tiles,
        "p_real": None if f.p_real is None else round(f.p_real, 4),
        "condition": f.condition,
        "tiles": f.tiles,
        "offered": f.offered,
        "grid": list(f.grid),
        "evidence": f.evidence,
        "warnings": list(f.warnings),
        "notes": list(f.notes),
        "map": None if where is None else str(where),
    }


def _close(loaded: _Loaded, findings: Sequence[dict[str, Any]], as_json: bool) -> None:
    """The reminder, once; or everything as one JSON object."""
    if not as_json:
        print(f"{loaded.name} was trained on {loaded.file.trained_on}. Do not judge a picture by it alone.")
        return
    value = {
        "schema": SCHEMA,
        "model": loaded.name,
        "trained_on": loaded.file.trained_on,
        "photos": list(findings),
    }
    json.dump(value, sys.stdout, indent=1, ensure_ascii=False)
    print()
