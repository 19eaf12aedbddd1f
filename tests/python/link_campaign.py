"""The link under fire: thousands of tiles through the host board while its line loses, damages, doubles, delays and
reorders frames and the board resets; and how fast it is without faults. Called by tools/campaign and test_campaign.py.

A small network whose next tile is received while one is computed; what each tile must give is known beforehand, so a
result that is wrong, missing, doubled or out of order is seen.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from flatmodel import FlatModel, conv_options
from numpy.typing import NDArray

from dftiny import bundle as bundles
from dftiny import int8
from dftiny.artifact import new_folder, read_json, write_manifest
from dftiny.build import build
from dftiny.link.boards import host_board
from dftiny.link.device import Device
from dftiny.link.pack import Geometry

TILES = 32  # different ones, in random order

# Name → share of the tiles, and flags of the host board. P per frame, in each direction, resets per frame received.
FAULTS: dict[str, tuple[float, str]] = {
    "none": (1.0, ""),
    "lose 1 %": (1.0, "--lose={p}"),
    "damage 1 %": (1.0, "--damage={p}"),
    "double 1 %": (1.0, "--duplicate={p}"),
    "reorder 1 %": (1.0, "--reorder={p}"),
    "stall, 0.01 % of the bytes": (1.0, "--stall=1:{stall}"),
    "reset 1 %": (1.0, "--reset={p}"),
    "all of them, 0.01 % each": (1.0, "ALL 0.0001"),
    "all of them, 0.1 % each": (1.0, "ALL 0.001"),
    "all of them, 1 % each": (1.0, "ALL 0.01"),
    "bytes: 0.01 % lost, 0.01 % flipped": (1.0, "--drop=0.0001 --flip=0.0001"),
    "bytes: 0.1 % lost, 0.1 % flipped": (0.2, "--drop=0.001 --flip=0.001"),
    # A few: most frames are damaged, and of hundreds of tiles one is given up by the host, as it should be.
    "bytes: 0.5 % lost, 0.5 % flipped": (0.001, "--drop=0.005 --flip=0.005"),
}


def flags_of(name: str, seed: int) -> list[str]:
    """The host board's flags of one row of FAULTS."""
    text = FAULTS[name][1]
    if text.startswith("ALL"):
        p = float(text.split()[1])
        kinds = ("lose", "damage", "duplicate", "reorder", "reset")
        text = " ".join(f"--{k}={p}" for k in kinds) + f" --stall=1:{p / 100}"
    return [*text.format(p=0.01, stall=0.0001).split(), f"--seed={seed}"]


def small_net(tile: int) -> bytes:
    """A 3x3 convolution, mean and three outputs, for tiles of tile x tile x 3."""
    rng = np.random.default_rng(5)
    m = FlatModel()
    x = m.act((1, tile, tile, 3), 1.0, -128)
    y = m.act((1, tile // 2, tile // 2, 8), 4.0, -128)
    w = m.const(rng.integers(-127, 128, (8, 3, 3, 3)).astype(np.int8), [0.01] * 8)
    m.op("CONV_2D", (x, w, -1), (y,), **conv_options(2, "SAME", 1))
    p = m.act((1, 8), 4.0, -128)
    m.op("MEAN", (y, m.const(np.array([1, 2], np.int32))), (p,), KeepDims=False)
    q = m.act((1, 3), 8.0, 0)
    m.op("FULLY_CONNECTED", (p, m.const(rng.integers(-127, 128, (3, 8)).astype(np.int8), 0.01), -1), (q,))
    return m.bytes()


@dataclass(frozen=True)
class Bed:
    """A built host board, tiles int8 [TILES, H, W, C] and what it must answer to them, int8 [TILES, outputs]."""

    elf: Path
    tiles: NDArray[np.int8]
    answers: NDArray[np.int8]


def make_bed(folder: Path, tile: int) -> Bed:
    """Export and build the small net in `folder` (which may hold an earlier one)."""
    rng = np.random.default_rng(9)
    # Smooth enough to be packed, each with a brightness of its own so that outputs differ.
    rough = rng.integers(-9, 10, (TILES, tile, tile, 3)).cumsum(axis=2) + rng.integers(
        -100, 101, (TILES, 1, 1, 1)
    )
    tiles = rough.clip(-128, 127).astype(np.int8)
    if not (folder / "build").exists():
        with new_folder(folder / "bundle") as inside:
            (inside / bundles.MODEL).write_bytes(small_net(tile))
            labels = bundles.Labels(f"link_{tile}.test", ("a", "b", "c"), "a", 0.0)
            bundles.write_bundle(inside, labels, tiles)
            files = [str(p.relative_to(inside)) for p in inside.rglob("*") if p.is_file()]
            write_manifest(inside, "bundle", files=[f for f in files if f != "manifest.json"])
        build(folder / "bundle", "host", folder / "build")
    graph = bundles.load_bundle(folder / "bundle").graph()
    return Bed(folder / "build/firmware.elf", tiles, int8.run(graph, tiles).reshape(TILES, -1))


@dataclass(frozen=True)
class Run:
    """What became of one stretch of tiles."""

    tiles: int
    wrong: int
    missing: int
    seconds: float
    count: dict[str, Any]


def run_tiles(bed: Bed, n: int, flags: list[str], *, seed: int = 1, packed: bool = False) -> Run:
    """n tiles in random order through a board with `flags`; wrong: results that are not their tile's."""
    order = np.random.default_rng(seed).integers(0, TILES, n)
    tile = bed.tiles.shape[1]
    with host_board(bed.elf, flags) as link:
        device = Device(link, geometry=Geometry(tile * 3, 3) if packed else None)
        device.hello()
        start = time.monotonic()
        results = list(islice(device.run(bed.tiles[i].tobytes() for i in order), n + 1))
        seconds = time.monotonic() - start
    wrong = sum(not np.array_equal(r.output, bed.answers[i]) for r, i in zip(results, order, strict=False))
    return Run(n, wrong, n - len(results), seconds, vars(device.count))


def table(bed: Bed, tiles: int, seed: int = 1, only: str = "") -> Iterator[tuple[str, Run]]:
    """Every row of FAULTS whose name holds `only`; the rare hard ones with fewer tiles."""
    for name, (share, _) in FAULTS.items():
        if only not in name:
            continue
        yield name, run_tiles(bed, max(10, int(tiles * share)), flags_of(name, seed), seed=seed)


def throughput(bed: Bed, baud: int, tiles: int, slow_us: int) -> dict[str, Any]:
    """At a rate, through a board whose operators take `slow_us` more each: transfer, compute and both, seconds a tile."""
    slow = [f"--slow={slow_us}"]
    paced = [f"--baud={baud}"]
    n = bed.tiles[0].size
    transfer = run_tiles(bed, tiles, paced)
    compute = run_tiles(bed, tiles, slow)
    both = run_tiles(bed, tiles, paced + slow)
    packed = run_tiles(bed, tiles, paced, packed=True)
    bad = [r for r in (transfer, compute, both, packed) if r.wrong or r.missing]
    return {
        "baud": baud,
        "tile_bytes": n,
        "transfer_s": transfer.seconds / tiles,
        "compute_s": compute.seconds / tiles,
        "both_s": both.seconds / tiles,
        "over_the_longer": both.seconds / max(transfer.seconds, compute.seconds),
        "of_the_raw_rate": n * tiles / transfer.seconds / (baud / 10),
        "packed_s": packed.seconds / tiles,
        "packed_to": packed.count["packed_bytes"] / (n * tiles),
        "wrong": len(bad),
    }


def killed(bed: Bed, kills: int, seed: int) -> tuple[int, int, bool]:
    """`dftiny bench` killed at random moments and resumed: kills, of them in mid-run, and whether the end is the same."""
    folder, rng = bed.elf.parents[1], random.Random(seed)
    base = [
        sys.executable,
        "-c",
        "from dftiny.cli import main; main()",
        "bench",
        "--board",
        "host",
        "--golden",
    ]
    base += ["--build", str(bed.elf.parent), "--bundle", str(folder / "bundle")]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    clean, out, rounds, midway = folder / "clean", folder / "out", 0, 0
    subprocess.run([*base, "--out", str(clean)], check=True, timeout=300, **quiet)
    while rounds < kills:
        argv = [*base, "--flag", "--slow=9000", "--out", str(out), "--resume"]
        results = folder / "out.partial/results.jsonl"
        running = subprocess.Popen(argv, **quiet)
        before, start, wait_s = _lines(results), time.monotonic(), rng.random()
        while _lines(results) == before and running.poll() is None and time.monotonic() - start < 120:
            time.sleep(
                0.01
            )  # starting takes longer than running: wait for the first new result, then a moment
        time.sleep(wait_s * rng.choice((0.0, 0.02, 0.2)))
        running.kill()
        midway += running.wait() < 0
        rounds += 1
        if not results.exists():  # it was through: begin again
            if not _same(clean, out):
                return rounds, midway, False
            shutil.rmtree(out)
    subprocess.run([*base, "--out", str(out), "--resume"], check=True, timeout=300, **quiet)
    return rounds, midway, _same(clean, out)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _same(clean: Path, out: Path) -> bool:
    """The reports are equal but for this run's traffic."""
    reports = [{**read_json(f / "bench.json"), "link": None} for f in (clean, out)]
    return (
        reports[0] == reports[1]
        and (clean / "tiles.jsonl").read_bytes() == (out / "tiles.jsonl").read_bytes()
    )


def shown(name: str, run: Run, tile_bytes: int) -> str:
    """One line of the table."""
    rate = run.tiles * tile_bytes / run.seconds / 1000
    c = run.count
    return (
        f"{name:36s} {run.tiles:6d} tiles, {run.wrong} wrong, {run.missing} missing, {rate:8.1f} kB/s, "
        f"{c['retries']} retries, {c['resets']} resets, {c['frames_bad']} bad frames"
    )


def main(arguments: list[str]) -> int:
    """`tools/campaign link`: the table of faults, then rates. Exit 1 when one result was wrong or lost."""
    parser = argparse.ArgumentParser(
        prog="tools/campaign link", description="Tiles through a line with faults, each result checked."
    )
    parser.add_argument("--tiles", type=int, default=10_000, metavar="N", help="tiles a row (default 10000)")
    parser.add_argument("--tile", type=int, default=32, metavar="PX", help="edge of a tile (default 32)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the faults (default 1)")
    parser.add_argument("--baud", type=int, default=921_600, help="of the rates (default 921600)")
    parser.add_argument(
        "--slow", type=int, default=1500, metavar="US", help="an operator of a slow board takes more"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name holds this text")
    parser.add_argument(
        "--kills", type=int, default=0, metavar="N", help="only: kill -9 a bench so often, and resume"
    )
    parser.add_argument("--rates-only", action="store_true", help="no faults: only how fast it is")
    args = parser.parse_args(arguments)
    if args.tiles < 1 or args.tile < 8:
        parser.error("--tiles is at least 1, --tile at least 8")
    failed = 0
    with TemporaryDirectory(prefix="dftiny-link-") as folder:
        bed = make_bed(Path(folder) / "small", args.tile)
        if args.kills:
            rounds, midway, same = killed(bed, args.kills, args.seed)
            print(
                f"{rounds} kills, {midway} of a running bench; the report is {'the same' if same else 'ANOTHER ONE'}"
            )
            return 0 if same else 1
        for name, run in () if args.rates_only else table(bed, args.tiles, args.seed, args.only):
            print(shown(name, run, bed.tiles[0].size), flush=True)
            failed += run.wrong + run.missing
        if args.only:
            return 1 if failed else 0
        found = throughput(make_bed(Path(folder) / "large", 128), args.baud, 40, args.slow)
    print(" ".join(f"{k}={v:.4g}" for k, v in found.items()))
    return 1 if failed or found["wrong"] else 0
