"""Damaged .tflite files through `dftiny budget`: each must end in a report, or in one sentence with exit 2, within its
limits of time and memory.

`tried` runs one mutant in a child forked for it. Called by tools/campaign mutate and by the everyday test of a short
campaign. For tests only.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from mutants import STRUCTURAL, Anatomy, Mutant, mutant
from randomnets import RandomNet
from widenets import WideNet

from dftiny import cli
from dftiny.artifact import read_json, write_json
from dftiny.errors import DftError
from dftiny.models import DEFAULT_MODEL, released_model

ROOT = Path(__file__).resolve().parents[2]
LIMIT_BYTES = 500 << 20
LIMIT_S = 2.0
START_S = 0.5  # of these two seconds, to start Python and import what the child finds imported already
HANGS_S = 120  # by the clock: it waits for something
RANDOM_NETS = 6
SLOW = ("tcn_like",)  # planning it undamaged takes two seconds of CPU
RECORD = ROOT / "build/campaign/mutate.json"
BATCH = 200
LISTED = 20


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: "report", "refused" or how it failed; `text` is the sentence or the end of a traceback."""

    seed: int
    kinds: tuple[str, ...]
    verdict: str
    text: str
    cpu_s: float
    peak_bytes: int

    @property
    def failed(self) -> bool:
        """Neither a report nor a sentence."""
        return self.verdict not in ("report", "refused")


@cache
def bases() -> Mapping[str, Anatomy]:
    """Good files: random nets of every operator, the recorded nets of several families, the small released model: a child
    inherits what is known of all of them, and a megabyte of weights leaves it too little of its memory."""
    found = {f"random {seed}": RandomNet(seed, steps=8).model.bytes() for seed in range(RANDOM_NETS)}
    found |= {f"wide {seed}": WideNet(seed).model.bytes() for seed in range(RANDOM_NETS)}
    with np.load(ROOT / "tests/vectors/further_nets.npz") as v:
        names = [k.removeprefix("model_") for k in v.files if k.startswith("model_")]
        found |= {name: v[f"model_{name}"].tobytes() for name in names if name not in SLOW}
    found[DEFAULT_MODEL] = (released_model() / "model.tflite").read_bytes()
    return {name: Anatomy(data) for name, data in found.items()}


@cache
def _warm() -> None:
    """Everything that the command imports, imported once here: a child finds it there."""
    good = next(iter(bases().values())).data
    with tempfile.TemporaryDirectory(prefix="dftiny-mutant-") as name:
        path = Path(name) / "good.tflite"
        path.write_bytes(good)
        sys.argv = ["dftiny", "budget", str(path), "--json"]
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            cli.main()
        assert _is_report(out.getvalue()), "a good file makes no report"


def tried(seed: int) -> Outcome:
    """The mutant of a seed through the command line, in a child with limits."""
    _warm()
    found = mutant(seed, bases())
    with tempfile.TemporaryDirectory(prefix="dftiny-mutant-") as name:
        folder = Path(name)
        (folder / "mutant.tflite").write_bytes(found.data)
        pid = os.fork()
        if pid == 0:
            _child(folder, "tflm" if seed % 4 == 3 else "aot")
        status, usage = _waited(pid)
        return _judged(found, folder, status, usage)


def _waited(pid: int) -> tuple[int, resource.struct_rusage]:
    """The child's status and usage; it is killed when it hangs."""
    end = time.monotonic() + HANGS_S
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return status, usage
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def _child(folder: Path, engine: str) -> None:
    """Runs the command, writes what it said, ends the process."""
    # Beyond what the parent had mapped already: a whole test run maps PyTorch's gigabytes.
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + LIMIT_BYTES, mapped + LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (int(LIMIT_S), int(LIMIT_S) + 1))
    code, out, err = 99, io.StringIO(), io.StringIO()
    sys.argv = ["dftiny", "budget", str(folder / "mutant.tflite"), "--engine", engine, "--json"]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 98
    except BaseException:  # noqa: BLE001 - whatever comes out is what is looked for
        err.write(traceback.format_exc())
    (folder / "out").write_text(out.getvalue())
    (folder / "err").write_text(err.getvalue())
    sys.stdout.flush()
    os._exit(code)


def _judged(found: Mutant, folder: Path, status: int, usage: resource.struct_rusage) -> Outcome:
    out, err = ((folder / n).read_text() if (folder / n).exists() else "" for n in ("out", "err"))
    cpu_s = usage.ru_utime + usage.ru_stime
    verdict = _verdict(os.waitstatus_to_exitcode(status), out, err, cpu_s)
    text = err.strip()[-600:]
    return Outcome(found.seed, found.kinds, verdict, text, cpu_s, usage.ru_maxrss * 1024)


def _verdict(code: int, out: str, err: str, cpu_s: float) -> str:
    if cpu_s > LIMIT_S - START_S:
        return "too slow"
    if code < 0:
        return f"killed by signal {-code}"
    if code == 2 and len(err.strip().splitlines()) == 1 and not out:
        return "refused"
    if code in (0, 1) and "Traceback" not in err and _is_report(out):
        return "report"
    return "traceback" if "Traceback" in err else f"exit {code} without a sentence or a report"


def _is_report(text: str) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and {"macs", "fits", "regions"} <= value.keys()


def main(argv: list[str]) -> int:
    """tools/campaign mutate. Exit code 0: all good, 1: failures, listed."""
    args = _arguments(argv)
    if args.seed is not None:
        found = tried(args.seed)
        print(f"seed {found.seed}, {mutant(args.seed, bases()).base}: {', '.join(found.kinds)}")
        print(f"{found.verdict}, {found.cpu_s:.2f} s, {found.peak_bytes >> 20} MB: {found.text}")
        return 1 if found.failed else 0
    record = _resumed(args)
    seeds = range(record["next_seed"], args.first + args.files)
    with ProcessPoolExecutor(args.jobs) as pool:
        for start in range(seeds.start, seeds.stop, BATCH):
            batch = range(start, min(start + BATCH, seeds.stop))
            for outcome in pool.map(tried, batch, chunksize=10):
                _add(record, outcome)
            if _sources() != record["sources"]:
                raise DftError("the sources changed under the campaign", "run it again")
            record["next_seed"] = batch.stop
            write_json(args.output, record)
            print(
                f"{batch.stop - args.first} files, {len(record['failures'])} failures",
                file=sys.stderr,
                flush=True,
            )
    return _summary(record, args.output)


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/campaign mutate", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument(
        "--files", type=int, default=10_000, metavar="N", help="damaged files (default 10000)"
    )
    parser.add_argument("--first", type=int, default=0, metavar="N", help="seed of the first (default 0)")
    parser.add_argument("--seed", type=int, metavar="N", help="only this one, told at length")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (default 2)")
    parser.add_argument("--output", type=Path, default=RECORD, metavar="FILE", help="the record")
    parser.add_argument("--fresh", action="store_true", help="start anew")
    args = parser.parse_args(argv)
    if args.files < 1 or args.jobs < 1 or args.first < 0:
        raise DftError(
            "the campaign needs files and processes to work with", "see tools/campaign mutate --help"
        )
    return args


def _sources() -> str:
    """SHA-256 of what a result depends on."""
    found = hashlib.sha256()
    folders = (ROOT / "python/dftiny", ROOT / "tests/python", ROOT / "tests/vectors")
    for path in sorted(p for folder in folders for p in folder.rglob("*")):
        if path.suffix in (".py", ".toml", ".npz"):
            found.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _resumed(args: argparse.Namespace) -> dict[str, Any]:
    """The record to go on with, or an empty one."""
    asked = {"first": args.first, "sources": _sources()}
    if args.output.exists() and not args.fresh:
        old: dict[str, Any] = read_json(args.output, "record")
        if all(old.get(k) == v for k, v in asked.items()) and old["next_seed"] <= args.first + args.files:
            return old
    counts = {k: {} for k in ("verdicts", "mutations")}
    return {**asked, **counts, "next_seed": args.first, "slowest_s": 0.0, "peak_bytes": 0, "failures": []}


def _add(record: dict[str, Any], o: Outcome) -> None:
    record["verdicts"] = dict(Counter(record["verdicts"]) + Counter([o.verdict]))
    record["mutations"] = dict(Counter(record["mutations"]) + Counter(o.kinds))
    record["slowest_s"] = round(max(record["slowest_s"], o.cpu_s), 3)
    record["peak_bytes"] = max(record["peak_bytes"], o.peak_bytes)
    if o.failed:
        record["failures"].append({"seed": o.seed, "verdict": o.verdict, "text": o.text})


def _summary(record: dict[str, Any], output: Path) -> int:
    mutations = record["mutations"]
    structural = sum(mutations.get(k, 0) for k in STRUCTURAL) / max(1, sum(mutations.values()))
    print(f"{record['next_seed'] - record['first']} damaged files: {record['verdicts']}")
    print(
        f"mutations {mutations}; {structural:.1%} in tables, offsets, shapes, options, quantisation and operands"
    )
    print(f"slowest {record['slowest_s']:.2f} s of CPU, largest {record['peak_bytes'] >> 20} MB")
    for f in record["failures"][:LISTED]:
        print(f"seed {f['seed']}: {f['verdict']}: {f['text'].splitlines()[-1] if f['text'] else ''}")
    print(f"record: {output}")
    return 1 if record["failures"] else 0
