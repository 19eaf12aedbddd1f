"""`dftiny flash`: write a build onto a board, verify, reset, with whichever programmer is installed.

Programmers are tried in the order of PROGRAMMERS; with none, firmware.bin is copied onto the drive that the board's ST-LINK
shows. None of them is shipped. Never run here on a real board: the arguments are those of their manuals (ST's UM2237,
openocd's and pyocd's documentation, st-flash's man page; unverified), tested against stand-ins.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dftiny import spec
from dftiny.artifact import Manifest, read_manifest
from dftiny.errors import CheckFailed, DftError

PROGRAMMER = "STM32_Programmer_CLI"
FLASH_S = 180.0  # two megabytes over SWD take some ten seconds; a hanging programmer must not hang us
DRIVE_S = 3.0  # after a copy the ST-LINK takes its drive away and brings it back, with FAILED where it failed
FAILED = "FAIL.TXT"
LAST_LINES = 3
INSTALL = (
    "install STM32CubeProgrammer from st.com and put its bin folder on PATH, or: sudo apt install openocd "
    "(or stlink-tools), or: pip install pyocd; or plug the board's USB in, so that its drive {drives} is mounted"
)


@dataclass(frozen=True)
class Job:
    """What is to be written where. `facts` is the board's table in spec/boards."""

    image: Path
    address: int
    serial_number: str | None
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Programmer:
    """A program and the commands that write, verify and reset with it, one after the other."""

    name: str
    commands: Callable[[Job, str], tuple[tuple[str, ...], ...]]


def _cube(job: Job, program: str) -> tuple[tuple[str, ...], ...]:
    probe = () if job.serial_number is None else (f"sn={job.serial_number}",)
    write = ("-w", str(job.image), f"0x{job.address:08X}", "-v", "-rst")
    return ((program, "-c", "port=SWD", "mode=UR", *probe, *write),)


def _openocd(job: Job, program: str) -> tuple[tuple[str, ...], ...]:
    probe = () if job.serial_number is None else ("-c", f"adapter serial {job.serial_number}")
    # Braces: Tcl takes what is between them as it stands.
    write = f"program {{{job.image}}} verify reset exit 0x{job.address:08X}"
    return ((program, "-f", str(job.facts["openocd"]), *probe, "-c", write),)


def _st_flash(job: Job, program: str) -> tuple[tuple[str, ...], ...]:
    probe = () if job.serial_number is None else ("--serial", job.serial_number)
    # It always verifies what it has written.
    how = ("--connect-under-reset", "--reset")
    return ((program, *probe, *how, "write", str(job.image), f"0x{job.address:08X}"),)


def _pyocd(job: Job, program: str) -> tuple[tuple[str, ...], ...]:
    probe = () if job.serial_number is None else ("--uid", job.serial_number)
    where = ("--target", str(job.facts["pyocd"]), *probe, "--connect", "under-reset")
    load = (program, "load", *where, "--base-address", f"0x{job.address:08X}", str(job.image))
    compare = f'compare 0x{job.address:08X} "{job.image}"'  # load does not
    return (load, (program, "commander", *where, "-c", compare, "-c", "reset"))


PROGRAMMERS = (
    Programmer(PROGRAMMER, _cube),
    Programmer("openocd", _openocd),
    Programmer("st-flash", _st_flash),
    Programmer("pyocd", _pyocd),
)


def flash(build_dir: Path, *, serial_number: str | None = None, programmer: str | None = None) -> None:
    """Write, verify, reset; prints what was written and by what.

    `programmer` is a name of PROGRAMMERS, "drive", or None for whichever is there. DftError for a build that is not for
    silicon and where there is nothing to write with, CheckFailed with the programmer's last lines when it fails.
    """
    manifest = read_manifest(build_dir, "build")
    facts = _silicon_board(build_dir, manifest)
    image = build_dir / "firmware.bin"
    if not image.is_file():
        raise DftError(
            f"{build_dir} holds no firmware.bin", f"build it again: dftiny build --board {facts['name']}"
        )
    job = Job(image, flash_address(str(facts["target"])), serial_number, facts)
    found = None if programmer == "drive" else find_programmer(programmer)
    if found is None:
        _copy_to_drive(job, programmer)
        return
    chosen, program = found
    print(f"flash: {image} to {facts['title']} at 0x{job.address:08X}, by {chosen.name}", flush=True)
    for command in chosen.commands(job, str(program)):
        _run(chosen.name, command)
    print(
        f"flash: {image.stat().st_size} bytes written and verified, board reset; next: dftiny selftest --port PORT"
    )


def _silicon_board(build_dir: Path, manifest: Manifest) -> dict[str, object]:
    name = str(manifest.config.get("board", ""))
    facts = dict(spec.board(name))
    if not facts.get("silicon"):
        raise DftError(
            f"{build_dir} is a build for {facts.get('title', name)}, which has no flash",
            "build for a real board: dftiny build --board nucleo_h743zi",
        )
    return facts


def flash_address(target: str) -> int:
    """Where the target's flash begins, from its region table."""
    for region in spec.target(target)["region"]:
        if region["kind"] == "flash":
            return int(region["origin"])
    raise DftError(f"target {target} has no flash region", "see spec/targets")


def usual_places() -> Iterator[Path]:
    """Where ST's installers put the programmer when it is not on PATH."""
    bin_folder = Path("STM32CubeProgrammer") / "bin"
    if sys.platform == "win32":
        for variable in ("ProgramFiles", "ProgramFiles(x86)"):
            if os.environ.get(variable):
                root = Path(os.environ[variable]) / "STMicroelectronics" / "STM32Cube"
                yield root / bin_folder / f"{PROGRAMMER}.exe"
        return
    if sys.platform == "darwin":
        app = Path(
            "STMicroelectronics/STM32Cube/STM32CubeProgrammer/STM32CubeProgrammer.app/Contents/MacOs/bin"
        )
        yield Path("/Applications") / app / PROGRAMMER
    for root in (Path.home(), Path("/usr/local"), Path("/opt")):
        yield root / "STMicroelectronics" / "STM32Cube" / bin_folder / PROGRAMMER
    yield Path("/opt/st/stm32cubeprog/bin") / PROGRAMMER


def find_programmer(wanted: str | None = None) -> tuple[Programmer, Path] | None:
    """The first programmer that is installed, or the wanted one; None when none is. DftError for a wanted one."""
    for programmer in PROGRAMMERS:
        if wanted not in (None, programmer.name):
            continue
        on_path = shutil.which(programmer.name)
        if on_path:
            return programmer, Path(on_path)
        for place in usual_places() if programmer.name == PROGRAMMER else ():
            if place.is_file():
                return programmer, place
    if wanted is not None:
        raise DftError(f"{wanted} was not found", INSTALL.format(drives="(see dftiny boards)"))
    return None


def mount_points() -> Iterator[Path]:
    """Folders where an operating system mounts a USB drive under its label."""
    user = os.environ.get("USER", "")
    if sys.platform == "darwin":
        yield Path("/Volumes")
    for root in (Path("/media"), Path("/run/media")):
        yield root / user
        yield root
    yield Path("/mnt")


def find_drive(names: list[str]) -> Path | None:
    """The mounted drive of a board's ST-LINK."""
    for root in mount_points():
        for name in names:
            if (root / name).is_dir():
                return root / name
    return None


def _copy_to_drive(job: Job, wanted: str | None) -> None:
    """The ST-LINK writes what is copied onto its drive; it says so only where it failed."""
    names = [str(n) for n in job.facts.get("drives", [])]
    drive = find_drive(names)
    if drive is None:
        what = (
            "the board's drive" if wanted == "drive" else "no programmer was found, and no drive of the board"
        )
        found = f"{what} is not mounted" if wanted == "drive" else what
        raise DftError(found, INSTALL.format(drives=" or ".join(names)))
    failed = drive / FAILED
    if failed.is_file():  # what it says later could be of either try
        raise CheckFailed(
            f"{failed} tells of an earlier try that failed: {_said(failed)}",
            "plug the board in again, then repeat",
        )
    try:
        _copy(job.image, drive / job.image.name)
    except OSError as e:
        raise CheckFailed(
            f"cannot copy {job.image.name} to {drive}: {e.strerror}", "plug the board in again"
        ) from e
    end = time.monotonic() + DRIVE_S
    while time.monotonic() < end:
        if failed.is_file():
            raise CheckFailed(
                f"the ST-LINK did not take the firmware: {_said(failed)}", "plug the board in again"
            )
        time.sleep(0.1)
    print(
        f"flash: {job.image.stat().st_size} bytes copied to {drive}, which nobody verified; "
        "next: dftiny selftest --port PORT, which compares the flash with the build"
    )


def _copy(image: Path, to: Path) -> None:
    """All of it on the drive, not in this computer's memory, before anybody is told so."""
    with to.open("wb") as f:
        f.write(image.read_bytes())
        f.flush()
        os.fsync(f.fileno())


def _said(failed: Path) -> str:
    """What the ST-LINK wrote into its note of failure; its drive may vanish meanwhile."""
    try:
        return failed.read_text(encoding="utf-8", errors="replace").strip() or "it does not say why"
    except OSError:
        return "it does not say why"


def _run(name: str, command: tuple[str, ...]) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=FLASH_S,
        )
    except subprocess.TimeoutExpired as e:
        raise CheckFailed(
            f"{command[0]} did not end within {FLASH_S:.0f} s", "unplug the board, plug it in, try again"
        ) from e
    except OSError as e:
        raise DftError(f"cannot start {command[0]}: {e.strerror}", f"install {name} again") from e
    if done.returncode:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        said = " / ".join(lines[-LAST_LINES:]) or "it said nothing"
        raise CheckFailed(
            f"{name} failed with code {done.returncode}: {said}",
            "check the USB cable at the ST-LINK connector, close other debuggers, try again",
        )
