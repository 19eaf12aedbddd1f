"""Everything generated for one firmware build, written into one folder. Also `python -m dftiny.codegen.firmware`,
which CMake calls when somebody builds without `dftiny build`.

The model's own C code is not made here: it lies in the bundle (codegen/model_c.py). Called by build.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dftiny import spec
from dftiny.artifact import atomic_write
from dftiny.codegen.linker_ld import linker_ld
from dftiny.codegen.needs import FirmwareNeeds, echo_needs, needs_of_bundle, tflm_needs
from dftiny.codegen.protocol_h import shipped_protocol_h
from dftiny.codegen.regions_c import board_config_h, echo_config_h, regions_c
from dftiny.codegen.tflm_model import operator_kinds, tflm_model_h, tflm_model_s
from dftiny.codegen.verdict_c import verdict_c
from dftiny.errors import DftError
from dftiny.target import Target, load_target


def firmware_needs(bundle: Path | None, engine: str, target: Target) -> FirmwareNeeds:
    """What the build must provide for `engine`. Only the echo engine can do without a bundle."""
    if engine == "echo":
        return echo_needs(bundle, target)
    if bundle is None:
        raise DftError(f"engine {engine!r} needs a bundle", "give the folder that dftiny export wrote")
    if engine == "tflm":
        return tflm_needs(bundle, target)
    return needs_of_bundle(bundle)


def firmware_files(bundle: Path | None, board: str, engine: str) -> dict[str, str]:
    """Name → text of every generated file for this board, engine and bundle."""
    board_facts = spec.board(board)
    target = load_target(board_facts["target"])
    needs = firmware_needs(bundle, engine, target)
    files = {
        "dft_protocol.h": shipped_protocol_h(),
        "dft_board_config.h": board_config_h(board_facts, target),
        "regions.c": regions_c(needs, target),
        "dft_verdict_data.c": verdict_c(needs.verdict),
    }
    if board_facts["toolchain"] != "native":
        files["link.ld"] = linker_ld(target)
    if engine == "echo":
        files["dft_echo_config.h"] = echo_config_h(needs)
    if engine == "tflm" and bundle is not None:
        files["dft_tflm_model.h"] = tflm_model_h(needs, operator_kinds(bundle / "model.tflite"))
        files["dft_tflm_model.S"] = tflm_model_s()
    return files


def generate(bundle: Path | None, board: str, engine: str, out: Path) -> list[Path]:
    """Write the generated files into `out` (made if missing); returns their paths, sorted.

    A file that already says the same is left alone, so that nothing is compiled again for it.
    """
    paths = []
    for name, text in sorted(firmware_files(bundle, board, engine).items()):
        path = out / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            with atomic_write(path, "w") as f:
                f.write(text)
        paths.append(path)
    return paths


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m dftiny.codegen.firmware --board B --engine E [--bundle DIR] --out DIR`; exit code as dftiny's."""
    parser = argparse.ArgumentParser(
        description="Generate the headers, regions and linker script of a build."
    )
    parser.add_argument("--board", required=True)
    parser.add_argument("--engine", required=True, choices=["aot", "echo", "tflm"])
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        generate(options.bundle, options.board, options.engine, options.out)
    except DftError as e:
        print(f"dftiny: {e}", file=sys.stderr)
        return e.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
