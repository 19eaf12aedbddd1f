"""A bundle folder with just what `dftiny build` needs, and the firmware made from it. For tests only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dftiny.artifact import write_json, write_manifest
from dftiny.budget import region_specs
from dftiny.build import build
from dftiny.codegen.model_c import model_c
from dftiny.codegen.selftest_c import selftest_c
from dftiny.graph import Graph
from dftiny.plan import plan
from dftiny.target import load_target


def linked(graph: Graph, board: str, target: str, folder: Path) -> dict[str, Any]:
    """size.json of the firmware of `graph` on `board`."""
    layout = plan(graph, region_specs(load_target(target)))
    bundle = folder / "bundle"
    (bundle / "src").mkdir(parents=True)
    value = {
        "input": {"shape": graph.input.shape[1:]},
        "output": {"shape": graph.output.shape[1:]},
        "regions": [{"name": n, "bytes": b, "align": 32} for n, b in layout.region_bytes.items()],
        "ops": [{} for _ in graph.ops],
    }
    write_json(bundle / "bundle.json", value)
    for name, text in model_c(graph, layout, bundle_digest=bytes(range(32))).items():
        (bundle / "src" / name).write_text(text, encoding="utf-8")
    (bundle / "selftest").mkdir()
    for name, text in selftest_c(layout).items():
        (bundle / "selftest" / name).write_text(text, encoding="utf-8")
    files = [p.relative_to(bundle).as_posix() for p in bundle.rglob("*.*")]
    write_manifest(bundle, "bundle", files=sorted(files))
    build(bundle, board, folder / "build")
    return json.loads((folder / "build" / "size.json").read_text(encoding="utf-8"))
