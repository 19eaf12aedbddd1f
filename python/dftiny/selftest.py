"""`dftiny selftest`: a board proves itself, test by test; the first command for a board that is new.

The tests are the firmware's (src/selftest.c and the board's own); what only the host can judge is judged here: its clock
against the board's, and the flash against the build. Called by cli.py and share.py.
"""

from __future__ import annotations

import time
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dftiny import spec
from dftiny.artifact import read_manifest
from dftiny.bench.run import Boards, local_boards, port_boards
from dftiny.errors import CheckFailed, DftError
from dftiny.fault import FaultRecord, fault_text, read_fault
from dftiny.link.device import Device, Hello
from dftiny.link.messages import cause_name
from dftiny.link.questions import Questions
from dftiny.link.transport import Transport

HALF_SECOND = "half a second"  # names of tests that the host judges too, as in boards/*/checks.c
FLASH_IMAGE = "flash image"
HALF_SECOND_S = (0.47, 0.60)  # USB and scheduling add to it, nothing takes away
LAYER = "layer "  # a made-up layer of one family of kernels
LOADS = ("pointwise LDRD", "pointwise LDR")  # the same layer by either loop of the convolutions
MARKS = {"passed": "ok", "failed": "FAILED", "absent": "-"}


@dataclass(frozen=True)
class Outcome:
    """One test: `ticks` of the board, `detail` its raw finding, `seconds` on the host's clock, `note` for a person."""

    name: str
    status: str
    ticks: int
    detail: int
    seconds: float
    note: str


@dataclass(frozen=True)
class Report:
    """Everything that was found out about one board."""

    hello: Hello
    fault: FaultRecord | None
    outcomes: tuple[Outcome, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the tests that did not pass."""
        return tuple(o.name for o in self.outcomes if o.status == "failed")


def outcomes(questions: Questions, build_dir: Path | None) -> tuple[Outcome, ...]:
    """All tests of the board, in its own order. CheckFailed when it stops answering."""
    names = {code: name for name, code in spec.protocol()["selftest"].items()}
    found: list[Outcome] = []
    total = 1
    while len(found) < total:
        start = time.monotonic()
        reply = questions.ask("selftest", index=len(found))
        seconds = time.monotonic() - start
        total = int(reply["total"])
        status = names.get(int(reply["status"]), "failed")
        raw = Outcome(str(reply["name"]), status, int(reply["ticks"]), int(reply["detail"]), seconds, "")
        found.append(judged(raw, build_dir))
    return tuple(found)


def judged(raw: Outcome, build_dir: Path | None) -> Outcome:
    """What the host adds: its own clock, and the image that should be in flash."""
    if raw.status != "passed":
        return raw
    if raw.name == HALF_SECOND:
        low, high = HALF_SECOND_S
        fits = low <= raw.seconds <= high
        note = f"{raw.detail} cycles in {raw.seconds:.3f} s on this computer's clock"
        return _with(raw, "passed" if fits else "failed", note)
    if raw.name == FLASH_IMAGE:
        image = None if build_dir is None else build_dir / "firmware.bin"
        if image is None or not image.is_file():
            return _with(raw, "passed", "give --build to compare it with the file")
        same = zlib.crc32(image.read_bytes()) == raw.detail
        note = "the same as firmware.bin" if same else f"not the flash of {image.parent.name}"
        return _with(raw, "passed" if same else "failed", note)
    if raw.name.startswith(LAYER) or raw.name in LOADS:
        return _with(raw, raw.status, f"{raw.detail} ticks for the layer alone")
    return raw


def _with(raw: Outcome, status: str, note: str) -> Outcome:
    return Outcome(**{**asdict(raw), "status": status, "note": note})


def examine(transport: Transport, build_dir: Path | None) -> Report:
    """Identity, fault record and all tests of the board at `transport`."""
    hello = Device(transport).hello()
    questions = Questions(transport)
    return Report(hello, read_fault(questions), outcomes(questions, build_dir))


def text(report: Report, build_dir: Path | None) -> str:
    """The table."""
    hello = report.hello
    speed = f", {hello.tick_hz / 1e6:.0f} MHz" if hello.tick_hz else ""
    lines = [
        f"{hello.board}, engine {hello.engine}{speed}, id {hello.uid.hex()}, "
        f"started by {cause_name(hello.reset_cause)}"
    ]
    for o in report.outcomes:
        lines.append(
            f"  {MARKS[o.status]:6s} {o.name:15s} 0x{o.detail:08x} {o.ticks:>12d} ticks  {o.note}".rstrip()
        )
    lines += _loads(report)
    if report.fault is not None:
        elf = None if build_dir is None else build_dir / "firmware.elf"
        lines.append(fault_text(report.fault, elf))
    return "\n".join(lines)


def _loads(report: Report) -> list[str]:
    """Which loop of the convolutions was faster on the same layer, where both ran; an emulator has no cycles to tell by."""
    ticks = [o.detail for o in report.outcomes if o.name in LOADS and o.status == "passed"]
    if len(ticks) != len(LOADS):
        return []
    both = f"pointwise LDRD {ticks[0]} ticks, LDR {ticks[1]} ticks"
    if report.hello.caps & spec.protocol()["caps"]["instructions"]:
        return [f"  {both}, of instructions: only a real board can say which takes fewer cycles"]
    faster = "without" if ticks[0] <= ticks[1] else "with"
    return [f"  {both}, equal bits: on this board convolutions are faster {faster} build --paired-loads"]


def boards_of(
    *, runs: Path, port: str | None, board: str | None, build_dir: Path | None, baud: int | None
) -> tuple[Boards, Path | None]:
    """The one board that the options name, and its build folder where there is one."""
    if (port is None) == (board is None):
        raise DftError(
            "which board?", "give --port /dev/ttyACM0 for a real one, or --board mps2_an500 or host"
        )
    if port is not None:
        if build_dir is not None:
            read_manifest(build_dir, "build")
        return port_boards(port, runs / "bundle", baud), build_dir
    assert board is not None
    folder = build_dir or runs / "build" / board
    return local_boards(board, runs / "bundle", folder), folder


def selftest_command(
    *,
    runs: Path,
    port: str | None = None,
    board: str | None = None,
    build_dir: Path | None = None,
    baud: int | None = None,
) -> Report:
    """`dftiny selftest`. CheckFailed, after the table, when a test failed."""
    boards, folder = boards_of(runs=runs, port=port, board=board, build_dir=build_dir, baud=baud)
    with boards.openers[0]() as transport:
        report = examine(transport, folder)
    print(text(report, folder))
    if report.failed:
        raise CheckFailed(
            f"{len(report.failed)} of {len(report.outcomes)} self-tests failed: {', '.join(report.failed)}",
            "DESIGN.md, chapter The board, says what each looks at",
        )
    return report


def fault_command(
    *,
    runs: Path,
    port: str | None = None,
    board: str | None = None,
    build_dir: Path | None = None,
    baud: int | None = None,
) -> FaultRecord | None:
    """`dftiny fault`."""
    boards, folder = boards_of(runs=runs, port=port, board=board, build_dir=build_dir, baud=baud)
    with boards.openers[0]() as transport:
        Device(transport).hello(
            session=0
        )  # something else on the port is told so; a host at work keeps its session
        record = read_fault(Questions(transport))
    elf = None if folder is None else folder / "firmware.elf"
    print("no fault since power-on" if record is None else fault_text(record, elf))
    return record


def report_json(report: Report) -> dict[str, Any]:
    """The report for a file, without the fault (fault.fault_json)."""
    hello = {k: v.hex() if isinstance(v, bytes) else v for k, v in asdict(report.hello).items()}
    return {"hello": hello, "selftest": [asdict(o) for o in report.outcomes]}
