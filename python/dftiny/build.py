"""`dftiny build`: bundle + board → firmware.elf .bin .hex .map, generated files, sizes, manifest.

Generates, runs CMake and Ninja on the firmware tree in a temporary folder, and keeps what is worth keeping.
Equal inputs give equal bytes: no path, user or time reaches an ELF. Called by cli.py and tools/demo.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dftiny import elf, spec, stack
from dftiny.artifact import (
    Manifest,
    new_folder,
    read_manifest,
    sha256_file,
    tool_versions,
    write_json,
    write_manifest,
)
from dftiny.codegen.firmware import generate
from dftiny.errors import CheckFailed, DftError
from dftiny.target import load_target

BUILD_S = 900.0  # a generous end for a compiler that hangs

BUILT_CORE = "cortex-m7"  # whose flags firmware/cmake/arm-none-eabi.cmake has
# What each toolchain runs, and the Debian package that brings it.
_TOOLS: Mapping[str, Mapping[str, str]] = {
    "native": {"cmake": "cmake", "ninja": "ninja-build", "cc": "gcc"},
    "arm-none-eabi": {
        "cmake": "cmake",
        "ninja": "ninja-build",
        "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
        "arm-none-eabi-objcopy": "binutils-arm-none-eabi",
        "arm-none-eabi-objdump": "binutils-arm-none-eabi",
    },
}


@dataclass(frozen=True)
class Tflm:
    """The user's TensorFlow Lite Micro: a checkout built for Cortex-M7, and which of its libraries, if not the one."""

    root: Path
    library: Path | None = None


@dataclass(frozen=True)
class _Job:
    """One build: sources and generated files copied or written under `folder`, so that no path leaks out."""

    folder: Path
    board: str
    engine: str
    toolchain: str
    has_bundle: bool
    sanitize: bool
    paired_loads: bool
    jobs: int
    debug: bool
    tflm: Tflm | None


def build(
    bundle: Path | None,
    board: str,
    out: Path,
    *,
    engine: str = "aot",
    sanitize: bool = False,
    paired_loads: bool = False,
    jobs: int = 2,
    debug: bool = False,
    tflm: Tflm | None = None,
) -> Manifest:
    """Build the firmware of `board` with `engine` into the stage folder `out`; prints what it used.

    `paired_loads` takes the other variant of the convolutions, for those who can measure cycles (both give the same bits).
    `bundle` may be None for the echo engine only. Raises DftError for wrong use and a missing toolchain,
    CheckFailed when something does not fit its region or does not compile.
    """
    facts = spec.board(board)
    name = str(facts["name"])
    toolchain = str(facts["toolchain"])
    _refuse(name, toolchain, engine, sanitize, paired_loads, tflm)
    _refuse_core(str(facts["target"]), toolchain)
    parents = {} if bundle is None else {"bundle": read_manifest(bundle, "bundle").digest}
    _require_tools(toolchain)
    with (
        tempfile.TemporaryDirectory(prefix="dftiny-build-") as temporary,
        new_folder(out, stage="build") as made,
    ):
        job = _Job(
            folder=Path(temporary).resolve(),
            board=board,
            engine=engine,
            toolchain=toolchain,
            has_bundle=bundle is not None,
            sanitize=sanitize,
            paired_loads=paired_loads,
            jobs=jobs,
            debug=debug,
            tflm=tflm,
        )
        _lay_out(job, bundle)
        _compile(job)
        _collect(job, made)
        sizes = _sizes(made, str(facts["target"]), toolchain)
        if toolchain != "native" and engine != "tflm":  # an interpreter's calls cannot be followed
            sizes["stack_bound_bytes"] = _stack_bound(made, str(facts["target"]))
        write_json(made / "size.json", sizes)
        manifest = write_manifest(
            made,
            "build",
            files=sorted(str(p.relative_to(made)) for p in made.rglob("*") if p.is_file()),
            parents=parents,
            config={"board": name, "engine": engine, "sanitize": sanitize, "paired_loads": paired_loads},
            metrics={"regions": sizes["regions"]},
            tools={**tool_versions(), **_tool_versions(toolchain), **_tflm_version(job)},
        )
    _say(out, name, engine, sizes)
    return manifest


def _refuse(
    name: str, toolchain: str, engine: str, sanitize: bool, paired_loads: bool, tflm: Tflm | None
) -> None:
    """DftError for a board that there is not, and for wishes that do not go with it."""
    if not (spec.firmware_dir() / "boards" / name).is_dir():
        raise DftError(f"there is no firmware for board {name!r}", "see firmware/boards for how to write one")
    if sanitize and toolchain != "native":
        raise DftError(f"sanitizers need an operating system, {name} has none", "use --board host")
    if paired_loads and toolchain == "native":
        raise DftError("--paired-loads chooses between kernels of the Cortex-M7", "use --board nucleo_h743zi")
    if engine == "tflm":
        _require_tflm(tflm, toolchain)


def _refuse_core(target: str, toolchain: str) -> None:
    """DftError for a chip whose core is not the one that the toolchain file compiles for."""
    core = load_target(target).core
    if toolchain != "native" and core != BUILT_CORE:
        raise DftError(
            f"the firmware is compiled for {BUILT_CORE}, {target} has a {core}",
            "give firmware/cmake/arm-none-eabi.cmake that core's flags, and boards/cortex_m its startup, first",
        )


def _require_tools(toolchain: str) -> None:
    for tool, package in _TOOLS[toolchain].items():
        if shutil.which(tool) is None:
            raise DftError(f"{tool} was not found", f"install it: sudo apt install {package}")


def _require_tflm(tflm: Tflm | None, toolchain: str) -> None:
    if tflm is None:
        hint = "give --tflm-root (or TFLM_ROOT), a checkout of tflite-micro that was built for cortex-m7+fp"
        raise DftError("the tflm engine needs TensorFlow Lite Micro", hint)
    if not (tflm.root / "tensorflow/lite/micro/micro_interpreter.h").is_file():
        raise DftError(f"{tflm.root} is no checkout of tflite-micro", "see dftiny build --help")
    if toolchain == "native":
        raise DftError(
            "the tflm engine is built for the Cortex-M7 boards", "use --board mps2_an500 or nucleo_h743zi"
        )
    if shutil.which("arm-none-eabi-g++") is None:
        raise DftError(
            "arm-none-eabi-g++ was not found",
            "install it: sudo apt install gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib",
        )


def _tool_versions(toolchain: str) -> dict[str, str]:
    versions = {}
    for tool in _TOOLS[toolchain]:
        out = subprocess.run(
            [tool, "--version"], capture_output=True, text=True, check=False, timeout=60
        ).stdout
        versions[tool] = out.splitlines()[0] if out else "unknown"
    return versions


def _tflm_version(job: _Job) -> dict[str, str]:
    """Which library was linked: TFLM has no releases, so its digest is its name."""
    if job.tflm is None:
        return {}
    cache = (job.folder / "CMakeCache.txt").read_text(encoding="utf-8")
    found = re.search(r"^DFT_TFLM_LINKED:[A-Z]+=(.+)$", cache, re.MULTILINE)
    return {"libtensorflow-microlite.a": sha256_file(Path(found.group(1)))} if found else {}


def _lay_out(job: _Job, bundle: Path | None) -> None:
    """Bundle and generated files beside the objects: CMake then names objects without this machine's paths."""
    generate(bundle, job.board, job.engine, job.folder / "gen")
    for part in () if bundle is None else (bundle / name for name in ("src", "selftest")):
        if part.is_dir():
            shutil.copytree(part, job.folder / "bundle" / part.name)
    if bundle is not None and job.engine == "tflm":
        (job.folder / "bundle").mkdir(exist_ok=True)
        shutil.copy2(bundle / "model.tflite", job.folder / "bundle" / "model.tflite")


def _compile(job: _Job) -> None:
    configure: list[str | Path] = [
        *("cmake", "-G", "Ninja", "-S", spec.tree_dir(), "-B", job.folder, "-DCMAKE_BUILD_TYPE="),
        f"-DDFT_BOARD={spec.board(job.board)['name']}",
        f"-DDFT_ENGINE={job.engine}",
        f"-DDFT_GEN={job.folder / 'gen'}",
        f"-DDFT_BUNDLE={job.folder / 'bundle' if job.has_bundle else ''}",
        f"-DDFT_SANITIZE={'ON' if job.sanitize else 'OFF'}",
        f"-DDFT_PAIRED_LOADS={'ON' if job.paired_loads else 'OFF'}",
    ]
    if job.tflm is not None and job.engine == "tflm":
        configure.append(f"-DTFLM_ROOT={job.tflm.root.resolve()}")
        if job.tflm.library is not None:
            configure.append(f"-DTFLM_LIBRARY={job.tflm.library.resolve()}")
    if job.toolchain != "native":
        path = spec.firmware_dir() / "cmake" / f"{job.toolchain}.cmake"
        configure.append(f"-DCMAKE_TOOLCHAIN_FILE={path}")
    _run(job, configure, "CMake could not configure the firmware")
    _run(job, ["cmake", "--build", job.folder, "--parallel", str(job.jobs)], "the firmware did not build")


def _run(job: _Job, command: Sequence[str | Path], failure: str) -> None:
    try:
        done = subprocess.run(
            [str(c) for c in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=BUILD_S,
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise CheckFailed(f"{failure}: {e}") from e
    if job.debug:
        print(done.stdout, file=sys.stderr)
    if done.returncode:
        hint = "run it again with --debug to see all of it"
        raise CheckFailed(f"{failure}: {_first_error(done.stdout).replace(f'{job.folder}/', '')}", hint)


def _first_error(text: str) -> str:
    """The line a person wants to see first: the linker's overflow or the compiler's first error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for pattern in (
        r"region `\w+' overflowed",
        r"^CMake Error at",
        r"\berror\b",
        r"undefined reference",
        r"CMake Error",
    ):
        for i, line in enumerate(lines):
            if re.search(pattern, line, re.IGNORECASE):
                # CMake says where on the first line and what on the next ones.
                return " ".join(lines[i + 1 : i + 3]) if line.startswith("CMake Error at") else line
    return lines[-1] if lines else "it said nothing"


def _collect(job: _Job, made: Path) -> None:
    shutil.copytree(job.folder / "gen", made / "gen")
    shutil.copy2(job.folder / "firmware.elf", made / "firmware.elf")
    text = (job.folder / "firmware.map").read_text(encoding="utf-8", errors="replace")
    for path, name in ((job.folder, "build"), (spec.tree_dir(), "dftiny")):
        text = text.replace(str(path), name)
    (made / "firmware.map").write_text(text, encoding="utf-8")
    if job.toolchain == "native":
        return
    for kind, suffix in (("binary", "bin"), ("ihex", "hex")):
        _run(
            job,
            ["arm-none-eabi-objcopy", "-O", kind, made / "firmware.elf", made / f"firmware.{suffix}"],
            f"cannot write firmware.{suffix}",
        )


def _sizes(made: Path, target: str, toolchain: str) -> dict[str, Any]:
    """{"regions": {name: {"bytes", "reserved", "total"}}, "sections": {…}, "objects": {…}}; empty for a process."""
    if toolchain == "native":
        return {"regions": {}, "sections": {}, "objects": {}}
    found = elf.sections((made / "firmware.elf").read_bytes())
    uses = elf.region_use(found, load_target(target))
    regions = {name: asdict(use) for name, use in uses.items() if use.bytes or use.reserved}
    for entry in regions.values():
        del entry["name"]
    objects = elf.object_sizes((made / "firmware.map").read_text(encoding="utf-8"))
    return {"regions": regions, "sections": {s.name: s.bytes for s in found}, "objects": objects}


def _stack_bound(made: Path, target: str) -> int | None:
    """Bytes that the stack cannot exceed; None where some call could not be followed. Recursion fails the build."""
    found = stack.bound(made / "firmware.elf")
    reserved = load_target(target).statics_region.stack_bytes
    if found.bytes > reserved:
        raise CheckFailed(
            f"the stack may need {found.bytes} bytes, {target} reserves {reserved}",
            "raise stack_bytes in spec/targets, or shorten " + " -> ".join(name for name, _ in found.frames),
        )
    return None if found.unknown else found.bytes


def _say(out: Path, board: str, engine: str, sizes: Mapping[str, Any]) -> None:
    print(f"firmware for {board}, engine {engine}: {out / 'firmware.elf'}")
    for name, use in sizes["regions"].items():
        reserved = f", {use['reserved']} more reserved for the stack" if use["reserved"] else ""
        print(f"  {name:6s} {use['bytes']:>8d} of {use['total']} bytes{reserved}")
