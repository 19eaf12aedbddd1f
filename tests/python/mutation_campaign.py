"""Damaged .tflite files through `dftiny budget`: each must end in a report, or in one sentence with exit 2, within its
limits of time and memory.

`tried` runs one mutant in a child forked for it. Called by tools/campaign mutate and by the everyday test of a short
campaign. For tests only.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from mutants import Anatomy, Mutant, mutant
from randomnets import RandomNet
from widenets import WideNet

from dftiny import cli

ROOT = Path(__file__).resolve().parents[2]
LIMIT_BYTES = 500 << 20
LIMIT_S = 2.0
START_S = 0.5  # of these two seconds, to start Python and import what the child finds imported already
HANGS_S = 120  # by the clock: it waits for something
RANDOM_NETS = 6


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
    """Good files: random nets of every operator, the recorded nets of several families, the released model."""
    found = {f"random {seed}": RandomNet(seed, steps=8).model.bytes() for seed in range(RANDOM_NETS)}
    found |= {f"wide {seed}": WideNet(seed).model.bytes() for seed in range(RANDOM_NETS)}
    with np.load(ROOT / "tests/vectors/further_nets.npz") as v:
        found |= {k.removeprefix("model_"): v[k].tobytes() for k in v.files if k.startswith("model_")}
    for path in sorted((ROOT / "models").glob("*.demo/model.tflite")):
        found[path.parent.name] = path.read_bytes()
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
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (int(LIMIT_S), int(LIMIT_S) + 1))
    code, out, err = 99, io.StringIO(), io.StringIO()
    sys.argv = ["dftiny", "budget", str(folder / "mutant.tflite"), "--engine", engine, "--json"]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 98
    except BaseException:
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
