"""`dftiny export --library DIR`: a bundle as C for firmware of somebody else's. One header, one CMake target, one
golden tile to try it with; only the kernels that the model needs.

Composes: the bundle's own C, files of the firmware tree (codegen/needed_files.py) and texts about them
(codegen/library_text.py). Its example is compiled from what was written, and must give the golden tile's answer. Called by
bundle.export.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from dftiny import spec
from dftiny.artifact import Manifest, atomic_write, new_folder, refuse_foreign, tool_versions, write_manifest
from dftiny.bundle import Bundle
from dftiny.codegen.library_text import Edge, Library, Sources, golden_h, library_texts, place, sources_of
from dftiny.codegen.needed_files import needed_files
from dftiny.codegen.needs import RegionNeed
from dftiny.errors import CheckFailed, DftError
from dftiny.export import host

STAGE, OPTION = "library", "--library"
MODEL_C = "src/dft_model.c"
INCLUDES = ("include", "src", "src/engine", "src/kernels", "example")  # as its CMakeLists.txt has them
EXAMPLE, NOT_RUN = "example/main.c", "not run: no C compiler for this computer"
EXAMPLE_S = 300


def refuse_library(out: Path, bundle: Path) -> None:
    """DftError when a library of the bundle folder `bundle` cannot be written to `out`: asked before slow work."""
    one, other = out.resolve(), bundle.resolve()
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise DftError(
            f"library and bundle cannot lie in each other: {out}, {bundle}", f"choose another {OPTION}"
        )
    refuse_foreign(out, stage=STAGE, option=OPTION)


def write_library(bundle: Bundle, out: Path) -> Manifest:
    """Write the library of `bundle` into the folder `out`, which is whole or absent.

    Raises DftError when `out` holds something else or cannot be written, CheckFailed when its example gives another answer
    than the golden one. The manifest's metrics say whether the example was run.
    """
    refuse_library(out, bundle.folder)
    model_c = (bundle.folder / MODEL_C).read_text(encoding="utf-8")
    files = needed_files([model_c], spec.firmware_dir())
    inputs, outputs = bundle.golden()
    sources = sources_of(files)
    texts = library_texts(_facts(bundle), sources)
    texts |= {MODEL_C: model_c, "example/golden.h": golden_h(inputs[0], outputs[0])}
    with new_folder(out, stage=STAGE, option=OPTION) as folder:
        for name, text in texts.items():
            with atomic_write(folder / name, "w") as f:
                f.write(text)
        _copy(files, folder)
        example = _example(folder, sources)
        return write_manifest(
            folder,
            STAGE,
            files=[p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()],
            parents={"bundle": bundle.manifest.digest},
            config={"name": bundle.name, "bundle_digest": bundle.digest.hex()},
            metrics={"regions": {r.name: r.bytes for r in bundle.regions}, "example": example},
            tools=tool_versions("jinja2"),
        )


def _example(folder: Path, sources: Sources) -> str:
    """Compile the library's own files with its example, as other firmware would, and run it. "passed", or NOT_RUN."""
    cc = host.compiler()
    if cc is None:
        return NOT_RUN
    with tempfile.TemporaryDirectory(prefix="dftiny-library-") as name:
        files = [folder / f for f in (*sources.everywhere, *sources.portable, EXAMPLE)]
        plain = replace(cc, sanitize=False)  # the sanitizers have seen the same files in export's gate
        made = host.program(plain, files, [folder / i for i in INCLUDES], Path(name), "the library")
        try:
            code = subprocess.run([made], cwd=name, check=False, timeout=EXAMPLE_S).returncode
        except (OSError, subprocess.TimeoutExpired) as e:
            raise CheckFailed(f"the library's example did not end: {e}", "please report the model") from e
    if code:
        raise CheckFailed(
            f"the library's example does not give the golden tile's answer (code {code})",
            "the library was not written: please report the model",
        )
    return "passed"


def _facts(bundle: Bundle) -> Library:
    graph = bundle.graph()
    return Library(
        name=bundle.name,
        digest=bundle.digest,
        input=Edge(bundle.input_shape, graph.input.scale, graph.input.zero_point),
        output=Edge(bundle.output_shape, bundle.output_scale, bundle.output_zero_point),
        regions=tuple(RegionNeed(r.name, r.bytes, r.align) for r in bundle.regions),
        ops=len(bundle.ops),
        macs=bundle.macs,
        classes=bundle.classes,
        positive=bundle.positive,
        threshold=bundle.threshold,
        by_rows=bundle.input_by_rows,
    )


def _copy(files: tuple[str, ...], folder: Path) -> None:
    for path in files:
        to = folder / place(path)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(spec.firmware_dir() / path, to)
    shutil.copyfile(spec.tree_dir() / "LICENSE", folder / "LICENSE")
