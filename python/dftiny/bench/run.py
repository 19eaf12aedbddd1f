"""The bench use case: boards, images, oracle, results on disk; and the command behind `dftiny bench`."""

from __future__ import annotations

import contextlib
import io
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from types import FrameType
from typing import Any

from dftiny import spec
from dftiny.artifact import (
    MANIFEST,
    new_folder,
    read_manifest,
    refuse_foreign,
    tool_versions,
    write_json,
    write_manifest,
)
from dftiny.bench import journal, maps, record
from dftiny.bench.images import data_work, golden_work
from dftiny.bench.journal import Journal
from dftiny.bench.model import Model, load_model
from dftiny.bench.record import Record
from dftiny.bench.stream import Lane, Opener, Options, Stream
from dftiny.bench.view import Progress, summary_text
from dftiny.data.index import INDEX
from dftiny.errors import CheckFailed, DftError
from dftiny.link.boards import host_board, qemu_board, require_elf
from dftiny.link.device import Stopped
from dftiny.link.transport import Transport, open_port

TILES = "tiles.jsonl"
BENCH = "bench.json"
WIRE_BITS_PER_BYTE = 10.4  # start, eight data, stop; and what frames put around a tile's bytes
AUTO = "auto"  # --baud: the fastest that works
SILICON = "nucleo_h743zi"  # what a serial port is taken for when nobody says otherwise


@dataclass(frozen=True)
class BenchResult:
    """A finished run: its folder, bench.json's content, and whether every compared tile was identical."""

    folder: Path
    summary: dict[str, Any]
    identical: bool


@dataclass(frozen=True)
class Boards:
    """How the boards of a run are opened: one opener a board, how a person calls them, what to do about another model."""

    openers: tuple[Opener, ...]
    title: str
    hint: str
    build_dir: Path | None = None
    baud: int = 0  # of their line, 0 where nobody knows


def port_boards(port: str, bundle: Path, baud: int | None = None) -> Boards:
    """The board at a port that the user names."""
    rate = baud or int(spec.board(SILICON)["baud"])

    @contextlib.contextmanager
    def opened() -> Iterator[Transport]:
        transport = open_port(port, rate)
        try:
            yield transport
        finally:
            transport.close()

    hint = f"build and flash this one: dftiny build {quote(str(bundle))} --board {SILICON} && dftiny flash, or give the right --bundle"
    return Boards((opened,), port, hint, baud=0 if "://" in port else rate)


def local_boards(
    board: str,
    bundle: Path,
    build_dir: Path,
    *,
    channel: str = "fifo",
    flags: Sequence[str] = (),
    jobs: int = 1,
) -> Boards:
    """`jobs` processes of the host board or of QEMU, from one build folder."""
    elf = build_dir / "firmware.elf"
    command = f"dftiny build {quote(str(bundle))} --board {board} --out {quote(str(build_dir))}"
    if not elf.is_file():
        raise DftError(f"there is no firmware for {board} at {elf}", f"build it first: {command}")
    if flags and board != "host":
        raise DftError(f"--flag {flags[0]} is for the host board", "use --board host")
    require_elf(elf)
    if (build_dir / MANIFEST).is_file():
        built_for = read_manifest(build_dir, "build", verify=False).config.get("board")
        if built_for != board:
            raise DftError(f"{build_dir} is a build for {built_for}, not for {board}", f"build it: {command}")
    open_one: Opener = (
        (lambda: host_board(elf, flags)) if board == "host" else (lambda: qemu_board(elf, channel))
    )
    title = board if board == "host" else f"{board} ({channel})"
    return Boards((open_one,) * jobs, title, f"build this one: {command}", build_dir)


def bench(
    boards: Boards,
    bundle: Path,
    out: Path,
    *,
    data: Path | None = None,
    limit: int | None = None,
    trace: Callable[[str], None] | None = None,
    silence_s: float | None = None,
    force: bool = False,
    resume: bool = False,
    raise_rate: bool = False,
) -> BenchResult:
    """Stream images (golden tiles when `data` is None) through `boards` and write the stage folder `out`.

    Results are kept in `out`.partial as they come; `resume` goes on with those of a run that was stopped or killed.
    Raises DftError before anything is written when there is nothing to run or nobody to talk to; CheckFailed
    after what there is was written, when bits differ, a board is lost, or Ctrl-C is pressed.
    """
    model = load_model(bundle)
    work = golden_work(model, limit) if data is None else data_work(model, data, limit=limit)
    if not work.items:
        raise DftError(f"{bundle} holds no golden tiles", "give --data, or export the bundle again")
    refuse_foreign(out, stage="bench", force=force)
    lanes = [Lane(o) for o in boards.openers[: max(1, len(work.items))]]
    asked = journal.asked_for(model.bundle.digest, work)
    with journal.journal(out, work, asked, resume=resume) as kept_lines:
        known = frozenset((d.image, d.tile) for d in kept_lines.found)
        options = Options(model.bundle.digest, boards.hint, trace, silence_s, raise_rate, known)
        kept = Record(model, work, io.StringIO(), lanes)
        start = time.monotonic()
        why = _stream(kept, kept_lines, options, boards)
        summary = _finish(out, kept, boards, why, time.monotonic() - start, force)
    print(summary_text(summary))
    if why:
        done = len(summary["images"])
        hint = f"partial results are in {out}; the same command with --resume goes on from there"
        raise CheckFailed(f"{why} after {done} of {len(work.items)} images", hint)
    journal.finish(out)
    _refuse_differences(summary, out)
    return BenchResult(out, summary, summary["oracle"]["identical"] == summary["oracle"]["tiles"])


def _finish(out: Path, kept: Record, boards: Boards, why: str, seconds: float, force: bool) -> dict[str, Any]:
    """Write the stage folder; bench.json's content."""
    with new_folder(out, stage="bench", force=force) as folder:
        (folder / TILES).write_text(kept.lines.getvalue(), encoding="utf-8")
        record.sort_lines(folder / TILES, kept.work)
        return _write(folder, kept, kept.lanes, boards, why, seconds)


def _stream(kept: Record, kept_lines: Journal, options: Options, boards: Boards) -> str:
    """Run everything; "" when all went well, else what ended it. Errors before the first result are raised."""
    why = ""
    kept.lanes[0].op_ticks += kept_lines.op_ticks
    stream = Stream(kept.work.items, kept.lanes, options)
    line_s = _tile_bytes(kept.model) * WIRE_BITS_PER_BYTE / boards.baud if boards.baud else 0.0
    progress = Progress(kept.work, kept.lanes, boards.title, line_s=line_s, known=len(options.known))
    with progress, _on_ctrl_c(stream.interrupt):
        try:
            for done in kept_lines.found:
                kept.add(done)
            for done in stream:
                kept_lines.add(done)
                kept.add(done)
                progress.tile(done)
        except Stopped:
            why = "stopped by Ctrl-C"
        except DftError as e:  # a board that is lost, an image that is: what came before is kept
            if not kept.compared and not kept.images:
                raise
            why = e.cause
    if why:
        for done in stream.rest():
            kept_lines.add(done)
            kept.add(done)
        kept.check_rest()
    return why


@contextlib.contextmanager
def _on_ctrl_c(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` on the first Ctrl-C instead of raising in the middle of a line of results; the second one raises."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def handle(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        act()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _write(
    folder: Path, kept: Record, lanes: Sequence[Lane], boards: Boards, why: str, seconds: float
) -> dict[str, Any]:
    """bench.json, the tile maps and the manifest."""
    rows = record.judged(kept)
    entries, files = maps.save(kept, rows, folder)
    summary = _summary(kept, lanes, boards, rows, why, seconds)
    summary["maps"] = entries
    validate(summary)
    write_json(folder / BENCH, summary)
    parents = {"bundle": kept.model.bundle.manifest.digest}
    if "digest" in kept.work.source:
        parents["data"] = kept.work.source["digest"]
    metrics: dict[str, Any] = {
        k: summary[k] for k in ("complete", "oracle", "instructions", "cycles") if k in summary
    }
    metrics["oracle"] = {k: v for k, v in summary["oracle"].items() if k != "different"}
    config = {"board": summary["board"].get("name", ""), "images": len(kept.work.items)}
    write_manifest(
        folder,
        "bench",
        files=[BENCH, TILES, *files],
        parents=parents,
        config=config,
        metrics=metrics,
        tools=tool_versions("numpy", "pyserial", "cobs"),
    )
    return summary


def _summary(
    kept: Record,
    lanes: Sequence[Lane],
    boards: Boards,
    rows: Sequence[dict[str, Any]],
    why: str,
    seconds: float,
) -> dict[str, Any]:
    counted = record.counts(kept, lanes)
    op_counts = counted.pop("op_counts", None)
    summary: dict[str, Any] = {
        "schema": record.SCHEMA,
        "complete": not why,
        "bundle": kept.model.described(),
        "board": _board(lanes, boards),
        "data": {**kept.work.source, "images": len(kept.work.items), "tiles": kept.work.tiles},
        "images": list(rows),
        "oracle": {
            "tiles": kept.compared,
            "identical": kept.identical,
            "different": kept.different[: record.SHOWN_DIFFERENCES],
        },
        "metrics": record.metrics(kept, rows),
        "ops": record.op_table(kept.model, op_counts),
        "memory": record.memory(lanes),
        "link": record.link(lanes, _tile_bytes(kept.model), seconds),
        "budget": record.beside(kept.model.bundle.folder, "budget.json"),
        "size": record.beside(boards.build_dir, "size.json"),
        **counted,
    }
    if why:
        summary["stopped"] = why
    return summary


def _tile_bytes(model: Model) -> int:
    return math.prod(model.bundle.input_shape)


def _board(lanes: Sequence[Lane], boards: Boards) -> dict[str, Any]:
    """Who answered: from hello, and from spec/boards what its numbers may claim."""
    hello = next((lane.hello for lane in lanes if lane.hello), None)
    if hello is None:
        return {"channel": boards.title}
    facts, claims = record.may_claim(hello.board, hello.claims)
    return {
        "name": hello.board,
        "title": str(facts.get("title", hello.board)),
        "engine": hello.engine,
        "channel": boards.title,
        "claims": sorted(claims),
        "silicon": bool(facts.get("silicon", False)),
        "known": bool(facts),
        "reset_cause": hello.reset_cause,
    }


def validate(summary: dict[str, Any]) -> None:
    """bench.json against its schema; jsonschema's own error is a bug of dftiny, not of the user."""
    import jsonschema

    schema = spec.schema("bench")
    jsonschema.Draft202012Validator(schema).validate(summary)


def _refuse_differences(summary: dict[str, Any], out: Path) -> None:
    oracle = summary["oracle"]
    n = oracle["tiles"] - oracle["identical"]
    if n:
        first = oracle["different"][0]
        raise CheckFailed(
            f"{n} of {oracle['tiles']} tiles differ from the int8 oracle, first image {first['id']} tile {first['tile']}: "
            f"the board says {first['output']}, the oracle {first['oracle']}",
            f"all of them are in {out / TILES}; build bundle and firmware again with this dftiny",
        )


def bench_command(
    *,
    runs: Path,
    bundle: Path,
    out: Path,
    port: str | None = None,
    board: str | None = None,
    build_dir: Path | None = None,
    channel: str = "fifo",
    flags: Sequence[str] = (),
    baud: str | None = None,
    resume: bool = False,
    data: Path | None = None,
    golden: bool = False,
    limit: int | None = None,
    jobs: int = 1,
    trace: bool = False,
) -> BenchResult:
    """`dftiny bench`: fill in the defaults, then bench(). Without `data` the demo's test split, else golden tiles."""
    if (port is None) == (board is None):
        raise DftError(
            "bench needs a board", "give --port /dev/ttyACM0 for a real one, or --board mps2_an500 or host"
        )
    if port is not None:
        if build_dir is not None or flags or jobs > 1:
            raise DftError(
                "--build, --flag and --jobs are for boards that bench starts itself",
                "leave them away with --port",
            )
        boards = port_boards(port, bundle, rate_of(baud))
    else:
        assert board is not None
        build = build_dir or runs / "build" / board
        boards = local_boards(board, bundle, build, channel=channel, flags=flags, jobs=jobs)
    if golden and data is not None:
        raise DftError("--golden and --data exclude each other", "give one of them")
    if data is None and not golden and (runs / "data" / INDEX).is_file():
        data = runs / "data"
    show: Callable[[str], None] | None = (lambda line: print(line, file=sys.stderr)) if trace else None
    faster = baud == AUTO
    return bench(boards, bundle, out, data=data, limit=limit, trace=show, resume=resume, raise_rate=faster)


def rate_of(baud: str | None) -> int | None:
    """The rate that --baud names, None for the board's own. DftError when it is neither a rate nor `auto`."""
    if baud is None or baud == AUTO:
        return None
    if not baud.isdecimal() or not int(baud):
        raise DftError(f"--baud {baud} is no rate", "give a number, for instance 921600, or auto")
    return int(baud)
