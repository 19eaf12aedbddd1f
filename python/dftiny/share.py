"""`dftiny bench --share FILE`: one file with everything that a first owner of a board would send us.

Identity, self-tests, fault record, counters and the bench's figures; no picture, no name of a picture, no folder of the
sender's. Written even where the bench failed: that is when it is wanted most. Called by cli.py.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from dftiny.artifact import tool_versions, write_json
from dftiny.bench.run import Boards
from dftiny.errors import DftError
from dftiny.fault import fault_json
from dftiny.link.questions import Questions
from dftiny.selftest import boards_of, examine, report_json

FORMAT = 1
# Of bench.json; not `images` and `maps`, whose names are the sender's, nor `data`, whose folder is.
BENCH_KEYS: tuple[str, ...] = (
    *(
        "schema",
        "complete",
        "stopped",
        "bundle",
        "board",
        "metrics",
        "ops",
        "memory",
        "link",
        "budget",
        "size",
    ),
    *("instructions", "cycles"),
)
BENCH_FILE = "bench.json"
# A path with a folder in front: what comes before its last part is nobody's business.
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[\\/][^\\/\s:'\"]+)+[\\/]([^\\/\s:'\"]+)|~[\\/]\S*[\\/](\S+)")

Done = TypeVar("Done")


def without_folders(value: Any) -> Any:
    """`value` with every path in its texts and keys cut to its last part."""
    if isinstance(value, dict):
        return {str(without_folders(k)): without_folders(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(v) for v in value]
    if isinstance(value, str):
        value = value.replace(str(Path.home()), "~")
        return _PATH.sub(lambda m: m[1] or m[2], value)
    return value


def examined(boards: Boards, build_dir: Path | None) -> dict[str, Any]:
    """What the board says of itself; {"error": sentence} where it says nothing."""
    elf = None if build_dir is None else build_dir / "firmware.elf"
    try:
        with boards.openers[0]() as transport:
            report = examine(transport, build_dir)
            stats = dict(Questions(transport).ask("stats").fields)
    except DftError as e:
        return {"error": str(e)}
    return {**report_json(report), "fault": fault_json(report.fault, elf), "stats": stats}


def bench_figures(summary: dict[str, Any] | None) -> dict[str, Any] | None:
    """What of bench.json may travel."""
    if summary is None:
        return None
    kept = {k: summary[k] for k in BENCH_KEYS if k in summary}
    oracle = summary.get("oracle", {})
    kept["oracle"] = {k: oracle[k] for k in ("tiles", "identical") if k in oracle}
    return kept


def shared(
    run: Callable[[], Done],
    file: Path,
    *,
    runs: Path,
    out: Path,
    port: str | None = None,
    board: str | None = None,
    build_dir: Path | None = None,
    baud: int | str | None = None,
    **_others: Any,
) -> Done:
    """Call `run` (the bench, which writes into `out`), then write `file`, whatever became of it."""
    # A rate that the bench negotiated is gone when the line was silent for a while.
    rate = int(baud) if baud is not None and str(baud).isdigit() else None
    boards, folder = boards_of(runs=runs, port=port, board=board, build_dir=build_dir, baud=rate)
    trouble = ""
    before = _stamp(out / BENCH_FILE)
    try:
        return run()
    except DftError as e:
        trouble = str(e)
        raise
    finally:
        fresh = _stamp(out / BENCH_FILE) != before
        value = {
            "format": FORMAT,
            "trouble": trouble,
            "board": examined(boards, folder),
            "bench": bench_figures(_read(out / BENCH_FILE) if fresh else None),
            "tools": tool_versions("numpy", "pyserial", "cobs"),
            "computer": {"system": platform.system(), "machine": platform.machine()},
        }
        write_json(file, without_folders(value))
        print(f"share: {file} holds what to send; it names no picture and no folder of yours")


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
