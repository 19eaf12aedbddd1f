"""`dftiny export --library DIR`: a bundle as C for firmware of somebody else's. One header, one CMake target, one
golden tile to try it with; only the kernels that the model needs.

Composes: the bundle's own C, files of the firmware tree (codegen/needed_files.py) and texts about them
(codegen/library_text.py). Called by bundle.export.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from dftiny import spec
from dftiny.artifact import Manifest, atomic_write, new_folder, refuse_foreign, tool_versions, write_manifest
from dftiny.bundle import Bundle
from dftiny.codegen.library_text import Edge, Library, golden_h, library_texts, place, sources_of
from dftiny.codegen.needed_files import needed_files
from dftiny.codegen.needs import RegionNeed
from dftiny.errors import DftError

STAGE, OPTION = "library", "--library"
MODEL_C = "src/dft_model.c"


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

    Raises DftError when `out` holds something else or cannot be written.
    """
    refuse_library(out, bundle.folder)
    model_c = (bundle.folder / MODEL_C).read_text(encoding="utf-8")
    files = needed_files([model_c], spec.firmware_dir())
    inputs, outputs = bundle.golden()
    texts = library_texts(_facts(bundle), sources_of(files))
    texts |= {MODEL_C: model_c, "example/golden.h": golden_h(inputs[0], outputs[0])}
    with new_folder(out, stage=STAGE, option=OPTION) as folder:
        for name, text in texts.items():
            with atomic_write(folder / name, "w") as f:
                f.write(text)
        _copy(files, folder)
        return write_manifest(
            folder,
            STAGE,
            files=[p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()],
            parents={"bundle": bundle.manifest.digest},
            config={"name": bundle.name, "bundle_digest": bundle.digest.hex()},
            metrics={"regions": {r.name: r.bytes for r in bundle.regions}},
            tools=tool_versions("jinja2"),
        )


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
