"""Damaged .tflite files that the reader takes: the oracle's answer beside TFLM's, by ==. A file that both take and answer
otherwise is a lie of the reader: it trusts something that TFLM reads in another way.

TFLM may refuse or read outside of such a file where dftiny does not look: that is counted, not judged. Called by
tools/campaign answers and by the everyday test of a few. For tests only.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
from collections import Counter

import numpy as np
from mutants import mutant
from mutation_campaign import bases

from dftiny import graph, int8
from dftiny.errors import DftError
from dftiny.export import tflm

SECONDS = 30
MOST_ELEMENTS = 200_000  # of an input: larger ones only cost time
_CODES = {0: "equal", 3: "the oracle fails", 4: "TFLM refuses", 5: "different"}
BAD = ("the oracle fails", "different")


def answered(seed: int) -> str:
    """Verdict on a seed: "refused" by the reader, one of _CODES, or "TFLM crashes"."""
    small = {k: v for k, v in bases().items() if not k.endswith(".demo")}
    model = mutant(seed, small).data
    try:
        g = graph.load(model)
    except DftError:
        return "refused"
    if g.input.elements > MOST_ELEMENTS:
        return "too large"
    pid = os.fork()
    if pid == 0:
        os._exit(_compared(g, model, seed))
    _, status = os.waitpid(pid, 0)
    return _CODES.get(os.waitstatus_to_exitcode(status), "TFLM crashes")


def _compared(g: graph.Graph, model: bytes, seed: int) -> int:
    """In a child, since TFLM aborts and crashes: a key of _CODES. What it says on stderr is not wanted."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    x = np.random.default_rng(seed).integers(-128, 128, (2, *g.input.shape[1:])).astype(np.int8)
    try:
        ours = int8.run(g, x)
    except Exception:  # noqa: BLE001 - whatever it is, the reader should have refused the file
        return 3
    try:
        theirs = tflm.Interpreter(model).run(x)
    except Exception:  # noqa: BLE001
        return 4
    return 0 if np.array_equal(ours, theirs) else 5


def main(argv: list[str]) -> int:
    """tools/campaign answers. Exit code 0: no lie, 1: seeds of those found."""
    parser = argparse.ArgumentParser(
        prog="tools/campaign answers", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--files", type=int, default=3000, metavar="N", help="damaged files (default 3000)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="seed of the first (default 0)")
    args = parser.parse_args(argv)
    if not tflm.available():
        raise DftError("tflite-micro is not installed", "it exists for x86-64 Linux only")
    found: Counter[str] = Counter()
    bad = []
    for seed in range(args.first, args.first + args.files):
        verdict = answered(seed)
        found[verdict] += 1
        if verdict in BAD:
            bad.append(seed)
            print(f"seed {seed}: {verdict}", file=sys.stderr, flush=True)
    print(f"{args.files} damaged files: {dict(found)}")
    return 1 if bad else 0
