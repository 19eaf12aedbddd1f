"""`dftiny doctor`: what this computer has, what it lacks for which command, and what to do about it.

Looks, changes nothing. Exit 0 unless the base install itself is broken.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dftiny import spec
from dftiny.errors import DftError
from dftiny.flash import INSTALL, find_programmer
from dftiny.link.transport import permission_hint, ports_found

BASE = (
    "click",
    "rich",
    "numpy",
    "pillow",
    "pyserial",
    "cobs",
    "flatbuffers",
    "tflite",
    "scikit-learn",
    "jinja2",
    "jsonschema",
)
EXTRAS = (
    ("torch", "data, train, evaluate", "train"),
    ("onnx2tf", "export", "export"),
    ("tensorflow", "export", "export"),
    ("tflite-micro", "export, compare", "export"),
)
TOOLS = (
    ("cmake", "build", "cmake"),
    ("ninja", "build", "ninja-build"),
    ("gcc", "export, build --board host", "gcc"),
    ("arm-none-eabi-gcc", "build", "gcc-arm-none-eabi libnewlib-arm-none-eabi"),
    ("qemu-system-arm", "bench --board mps2_an500", "qemu-system-arm"),
)


@dataclass(frozen=True)
class Finding:
    """One line: `state` is "ok", "missing" (something optional) or "broken" (nothing works without it)."""

    state: str
    what: str
    detail: str
    todo: str = ""


def findings() -> list[Finding]:
    """Everything that was looked at, in the order it is shown."""
    return [*_python(), *_extras(), *_tools(), *_programmer(), *_renode(), *_firmware(), *_ports()]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _python() -> Iterator[Finding]:
    version = ".".join(str(v) for v in sys.version_info[:3])
    fits = (3, 10) <= sys.version_info[:2] < (3, 14)
    yield Finding("ok" if fits else "broken", "python", version, "" if fits else "use Python 3.10 to 3.13")
    lacking = [p for p in BASE if _version(p) is None]
    if lacking:
        yield Finding("broken", "base packages", f"without {', '.join(lacking)}", "pip install dftiny")
    else:
        yield Finding("ok", "base packages", f"{len(BASE)} found")


def _extras() -> Iterator[Finding]:
    for package, commands, extra in EXTRAS:
        version = _version(package)
        if version is None:
            yield Finding("missing", package, f"for: {commands}", f"pip install 'dftiny[{extra}]'")
        else:
            yield Finding("ok", package, version)


def _tools() -> Iterator[Finding]:
    for tool, commands, package in TOOLS:
        if shutil.which(tool) is None:
            yield Finding("missing", tool, f"for: {commands}", f"sudo apt install {package}")
        else:
            yield Finding("ok", tool, _first_line(tool))


def _first_line(tool: str) -> str:
    try:
        done = subprocess.run(
            [tool, "--version"], capture_output=True, text=True, errors="replace", check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        return f"does not answer --version ({type(e).__name__})"
    return next(iter(done.stdout.splitlines()), "says no version")


def _programmer() -> Iterator[Finding]:
    found = find_programmer()
    if found is None:
        yield Finding(
            "missing", "a programmer", "for: flash (the board's drive does too)", INSTALL.format(drives="")
        )
    else:
        yield Finding("ok", found[0].name, str(found[1]))


def _renode() -> Iterator[Finding]:
    if shutil.which("renode") is None:
        yield Finding(
            "missing", "renode", "for: tools/renode (CI runs it)", "see renode.io, or leave it to CI"
        )
    else:
        yield Finding("ok", "renode", "found")


def _firmware() -> Iterator[Finding]:
    try:
        spec.firmware_dir()
        boards, targets = spec.names("boards"), spec.names("targets")
        yield Finding("ok", "firmware tree", f"{len(boards)} boards, {len(targets)} targets")
    except DftError as e:
        yield Finding("broken", "firmware tree", e.cause, e.hint)


def _ports() -> Iterator[Finding]:
    found = ports_found()
    if not found:
        yield Finding(
            "missing", "serial port", "no port found", "plug the board in (the ST-LINK's USB connector)"
        )
    for device, description in found:
        text = "serial port" if description in ("", "n/a") else description
        if os.name == "posix" and Path(device).exists() and not os.access(device, os.R_OK | os.W_OK):
            yield Finding("missing", device, f"{text}; no permission to open it", permission_hint(device))
        else:
            yield Finding("ok", device, f"{text}; try: dftiny bench --port {device}")


def doctor() -> int:
    """Print the table; the exit code."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    colours = {"ok": "green", "missing": "yellow", "broken": "red"}
    table = Table(box=None, pad_edge=False)
    for title in ("", "what", "found", "what to do"):
        table.add_column(title, overflow="fold")
    looked = findings()
    for f in looked:
        table.add_row(f"[{colours[f.state]}]{f.state}[/]", f.what, escape(f.detail), escape(f.todo))
    Console(highlight=False).print(table)
    return int(any(f.state == "broken" for f in looked))
