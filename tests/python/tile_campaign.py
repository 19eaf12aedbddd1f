"""`tools/campaign tiles`: is the engine equal to TFLM on tiles of real pictures and on inputs made to be nasty?

A net with random weights answers all tiles with a few values, which a wrong bit inside may not change: so the net is also
cut off behind some of its operators, and the maps there are compared, whole and bit for bit. Each cut is a file of its own
that is planned, generated, compiled and run like the net itself; a few of the inputs are enough there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from graph_file import tflite_bytes
from host_model import PLAIN, HostModel, build_library

from dftiny import graph as graphs
from dftiny import int8
from dftiny.data.index import read_picture
from dftiny.data.tiles import tiles as cut_tiles
from dftiny.errors import DftError
from dftiny.export import tflm
from dftiny.graph import Graph
from dftiny.models import released
from dftiny.plan import RegionSpec, plan
from dftiny.steps import VIEWS

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "dftiny-runs/data"
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".tif", ".tiff")
ROOMY = [RegionSpec("axi", 16 << 20)]
FEW = 8  # distinct answers below which answers alone prove nothing
EVERY = 10  # one input in so many is compared behind cuts
RANDOM = 8
EXAMPLE = """example:
    tools/campaign tiles                                     the released nets on 200 tiles of dftiny-runs/data
    tools/campaign tiles net.tflite --data photos --cuts 12  your net on your pictures, and 12 maps inside it"""


@dataclass(frozen=True)
class Compared:
    """A net, or the part of it up to operator `behind` ("": whole): `wrong` is why it differs, or ""."""

    behind: str
    inputs: int
    distinct: int
    wrong: str


def arguments(argv: list[str]) -> argparse.Namespace:
    """What was asked; DftError where it cannot be."""
    parser = argparse.ArgumentParser(
        prog="tools/campaign tiles",
        description=(__doc__ or "").split("\n\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL.tflite", help="default: the released")
    parser.add_argument("--tiles", type=int, default=200, metavar="N", help="of pictures (default 200)")
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help="a folder of pictures")
    parser.add_argument("--cuts", type=int, default=6, metavar="N", help="maps inside (default 6)")
    args = parser.parse_args(argv)
    if args.tiles < 1:
        raise DftError(f"--tiles {args.tiles} compares nothing", "give 1 or more")
    if args.cuts < 0:
        raise DftError(f"--cuts {args.cuts} makes no sense", "give 0 to compare only the answers")
    args.models = args.models or [folder / "model.tflite" for _, folder in released()]
    return args


def loaded(path: Path) -> tuple[Graph, bytes]:
    """The net of `path`, which must take a square tile of RGB."""
    try:
        data = path.read_bytes()
    except OSError as e:
        raise DftError(f"cannot read {path}: {e.strerror}") from e
    found = graphs.load(data, name=path.stem if path.stem != "model" else path.parent.name)
    shape = found.input.shape
    if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
        raise DftError(
            f"{found.name} takes {list(shape)}, not a square tile of RGB", "tiles are cut from pictures"
        )
    return found, data


def pictures(folder: Path) -> list[Path]:
    """The pictures anywhere in `folder`, sorted; DftError where there is none."""
    try:
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES and p.is_file())
    except OSError as e:
        raise DftError(f"cannot read {folder}: {e.strerror}") from e
    if not paths:
        raise DftError(
            f"{folder} holds no pictures", "dftiny data makes dftiny-runs/data; or give --data FOLDER"
        )
    return paths


def real_tiles(paths: Sequence[Path], tile: int, n: int) -> np.ndarray:
    """int8[n, tile, tile, 3] cut from the pictures `paths`, spread over them and over each of them."""
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(len(paths), n)).astype(int)]
    found: list[np.ndarray] = []
    for i, path in enumerate(chosen):
        share = n * (i + 1) // len(chosen) - n * i // len(chosen)
        some = cut_tiles(read_picture(path), tile)
        found.append(some[np.linspace(0, len(some) - 1, share).astype(int)])
    return int8.from_pixels(np.concatenate(found))


def nasty(shape: Sequence[int]) -> np.ndarray:
    """int8[12 + RANDOM, H, W, C]: constants, both extremes in turn along each axis, halves, a spot, a ramp, noise."""
    h, w, c = np.indices(shape)
    signs = [h, w, c, h + w, h + w + c, h // 8 + w // 8, h >= shape[0] // 2, w >= shape[1] // 2]
    made = [np.full(shape, -128), np.full(shape, 127)]
    made += [np.where(s % 2 == 0, -128, 127) for s in signs]
    made += [np.where((h == 0) & (w == 0), 127, -128), (h * 5 + w * 3 + c) % 256 - 128]
    noise = np.random.default_rng(0).integers(-128, 128, (RANDOM, *shape))
    return np.concatenate([np.array(made), noise]).astype(np.int8)


def cuts(graph: Graph, n: int) -> Iterator[tuple[str, Graph]]:
    """`n` parts of the net from its input on, ended behind operators spread over it; fewer where it has fewer."""
    ends = [
        i
        for i, op in enumerate(graph.ops[:-1])
        if op.kind not in VIEWS and len(op.outputs) == 1 and _runs(graph, i)
    ]
    for i in sorted({ends[round(k)] for k in np.linspace(0, len(ends) - 1, min(n, len(ends)))}):
        op = graph.ops[i]
        part = replace(graph, ops=graph.ops[: i + 1], outputs=op.outputs)
        yield f"operator {op.index} ({op.kind})", part


def _runs(graph: Graph, i: int) -> bool:
    """The map behind operator `i` is int8: an answer that can be compared."""
    found = graph.tensors[graph.ops[i].outputs[0]]
    return found.quant is not None and found.data is None


def compared(graph: Graph, data: bytes, x: np.ndarray, library: Path, behind: str = "") -> Compared:
    """Engine and oracle against TFLM (against each other where its wheel is not installed)."""
    ours = int8.run(graph, x)
    expected = tflm.run_tflm(data, x) if tflm.available() else ours
    distinct = len(np.unique(expected))
    found = [("oracle", ours)]
    with tempfile.TemporaryDirectory(prefix="dftiny-tiles-") as folder:
        try:
            model = HostModel(graph, plan(graph, ROOMY), library, Path(folder), PLAIN)
            found.append(("engine", model.run(x)))
        except AssertionError as e:  # what a compiler or the program said
            last = (str(e).strip().splitlines() or ["it died without a word"])[-1]
            return Compared(behind, len(x), distinct, f"engine: {last[:300]}")
    for who, y in found:
        differ = np.flatnonzero((y.reshape(len(x), -1) != expected.reshape(len(x), -1)).any(1))
        if len(differ):
            return Compared(
                behind, len(x), distinct, f"{who}: {len(differ)} inputs differ, the first {differ[0]}"
            )
    return Compared(behind, len(x), distinct, "")


def verdict(name: str, answers: Compared, maps: Sequence[Compared], nasty_n: int) -> tuple[str, bool]:
    """(the line about one net, whether it passes)."""
    wrong = [f"{c.behind or 'answers'}: {c.wrong}" for c in (answers, *maps) if c.wrong]
    against = "TFLM" if tflm.available() else "the oracle (tflite-micro is not installed)"
    said = f"{name}: {answers.inputs - nasty_n} tiles and {nasty_n} nasty inputs, {answers.distinct} distinct output values"
    if maps:
        said += (
            f"; maps behind {len(maps)} operators on {maps[0].inputs} inputs,"
            f" {min(m.distinct for m in maps)} to {max(m.distinct for m in maps)} distinct values"
        )
    if wrong:
        return f"{said}; NOT equal to {against}: {'; '.join(wrong)}", False
    if answers.distinct < FEW and not any(m.distinct >= FEW for m in maps):
        return f"{said}; equal to {against}, but so few values prove nothing: give --cuts", False
    return f"{said}; equal to {against}", True


def one(path: Path, paths: Sequence[Path], args: argparse.Namespace, library: Path) -> bool:
    """One net, told on stdout; whether it passes. Progress goes to stderr."""
    graph, data = loaded(path)
    special = nasty(graph.input.shape[1:])
    x = np.concatenate([special, real_tiles(paths, graph.input.shape[1], args.tiles)])
    print(f"{graph.name}: answers to {len(x)} inputs", file=sys.stderr, flush=True)
    answers = compared(graph, data, x, library)
    maps = []
    for behind, part in cuts(graph, args.cuts):
        print(f"{graph.name}: the map behind {behind}", file=sys.stderr, flush=True)
        cut = tflite_bytes(part)
        again = graphs.load(cut, name=graph.name)
        maps.append(compared(again, cut, x[::EVERY], library, behind))
    line, passed = verdict(graph.name, answers, maps, len(special))
    print(line, flush=True)
    return passed


def main(argv: list[str]) -> int:
    """tools/campaign tiles. Exit code 0: all equal; 1: not, or nothing was proven."""
    args = arguments(argv)
    for path in args.models:
        loaded(path)  # bad input is named before anything is compiled
    paths = pictures(args.data)
    with tempfile.TemporaryDirectory(prefix="dftiny-tiles-") as folder:
        library = build_library(Path(folder), PLAIN)
        passed = [one(path, paths, args, library) for path in args.models]
    return 0 if all(passed) else 1
