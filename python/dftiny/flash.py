"""`dftiny flash`: write a build onto a board with STM32_Programmer_CLI: address, verify, reset.

The programmer is ST's and is not shipped. It is found on PATH or where ST's installers put it. Never run here
on a real board: the arguments are those of ST's manual UM2237 (unverified), tested against a stand-in.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dftiny import spec
from dftiny.artifact import Manifest, read_manifest
from dftiny.errors import CheckFailed, DftError

PROGRAMMER = "STM32_Programmer_CLI"
FLASH_S = 180.0  # two megabytes over SWD take some ten seconds; a hanging programmer must not hang us
LAST_LINES = 3


def flash(
    build_dir: Path,
    *,
    port: str = "SWD",
    serial_number: str | None = None,
    programmer: Path | None = None,
) -> None:
    """Write, verify, reset; prints what was written.

    DftError for a build that is not for silicon and for a missing programmer, CheckFailed with the programmer's
    last lines when it fails.
    """
    manifest = read_manifest(build_dir, "build")
    facts = _silicon_board(build_dir, manifest)
    image = build_dir / "firmware.bin"
    if not image.is_file():
        raise DftError(
            f"{build_dir} holds no firmware.bin", f"build it again: dftiny build --board {facts['name']}"
        )
    address = flash_address(str(facts["target"]))
    connect = ["-c", f"port={port}", "mode=UR", *([f"sn={serial_number}"] if serial_number else [])]
    argv = [programmer or find_programmer(), *connect, "-w", image, f"0x{address:08X}", "-v", "-rst"]
    print(f"flash: {image} to {facts['title']} at 0x{address:08X}", flush=True)
    _run([str(a) for a in argv])
    print(
        f"flash: {image.stat().st_size} bytes written and verified, board reset; next: dftiny bench --port PORT"
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
                yield (
                    Path(os.environ[variable])
                    / "STMicroelectronics"
                    / "STM32Cube"
                    / bin_folder
                    / f"{PROGRAMMER}.exe"
                )
        return
    if sys.platform == "darwin":
        app = Path(
            "STMicroelectronics/STM32Cube/STM32CubeProgrammer/STM32CubeProgrammer.app/Contents/MacOs/bin"
        )
        yield Path("/Applications") / app / PROGRAMMER
    for root in (Path.home(), Path("/usr/local"), Path("/opt")):
        yield root / "STMicroelectronics" / "STM32Cube" / bin_folder / PROGRAMMER
    yield Path("/opt/st/stm32cubeprog/bin") / PROGRAMMER


def find_programmer() -> Path:
    """The programmer; DftError that says what to install."""
    on_path = shutil.which(PROGRAMMER)
    if on_path:
        return Path(on_path)
    for place in usual_places():
        if place.is_file():
            return place
    raise DftError(
        f"{PROGRAMMER} was not found",
        "install STM32CubeProgrammer from st.com and put its bin folder on PATH; or copy firmware.bin onto the "
        "board's USB drive (NODE_H743ZI)",
    )


def _run(argv: list[str]) -> None:
    try:
        done = subprocess.run(
            argv,
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
            f"{argv[0]} did not end within {FLASH_S:.0f} s", "unplug the board, plug it in, try again"
        ) from e
    except OSError as e:
        raise DftError(f"cannot start {argv[0]}: {e.strerror}", "install STM32CubeProgrammer again") from e
    if done.returncode:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        said = " / ".join(lines[-LAST_LINES:]) or "it said nothing"
        raise CheckFailed(
            f"{PROGRAMMER} failed with code {done.returncode}: {said}",
            "check the USB cable at the ST-LINK connector, close other debuggers, try again",
        )
