"""Random nets through the whole engine: planner, generator, kernels; on the host with sanitizers and in QEMU with the
M7 kernels; compared with TFLM by ==.

`make` gives the net of a seed, `Runner.batch` runs a few of them in one host program. Called by tools/campaign and by
the everyday test of a short campaign. For tests only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from graph_file import tflite_bytes
from host_model import FIRMWARE, FLAGS, INCLUDES, REPO, run_tool
from random_blocks import block_graph, lively
from random_chains import chain_graph
from random_graphs import KINDS, random_graph, with_large_biases
from randomnets import RandomNet

from dftiny import graph as graphs
from dftiny import int8
from dftiny.codegen.model_c import model_c
from dftiny.errors import CheckFailed, DftError
from dftiny.export import tflm
from dftiny.graph import Graph
from dftiny.plan import DoesNotFit, Plan, RegionSpec, Wishes, plan
from dftiny.rewrite import NAMES as REWRITES
from dftiny.steps import NAMES as STEPS

ROOMY = (RegionSpec("axi", 4 << 20),)
TFLM_S = 120
RUN_S = 60
# What a bug of the planner or the generator raises: a failure of that net, not the end of the campaign.
BUGS = (AssertionError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError)


@dataclass(frozen=True, eq=False)
class Case:
    """A net with inputs int8[n, …], and how it is to be planned. `model` is its .tflite file."""

    seed: int
    graph: Graph
    model: bytes
    x: np.ndarray
    wishes: Wishes
    split: bool  # over two regions


@dataclass(frozen=True)
class Outcome:
    """What became of one seed. `failures` are (where, why); `refused`: the engine says that it cannot run it."""

    seed: int
    failures: tuple[tuple[str, str], ...] = ()
    refused: str = ""
    with_tflm: bool = False
    in_qemu: bool = False
    flat: bool = False
    operators: Counter[str] = field(default_factory=Counter)
    by_rows: Counter[str] = field(default_factory=Counter)  # row kernels, by function
    streamed: int = 0  # segments of several operators
    leaping: int = 0  # of these, with rows that are computed far apart (plan/leaps)


def make(seed: int) -> Case:
    """The net of a seed: half of them blocks that stream, the others chains of single operators and mixed nets; one in
    eight dilated windows in chains."""
    dice = np.random.default_rng([seed, 1])
    graph = graphs.load(_model(seed, dice), name=f"seed {seed}")
    x = lively(graph.input.shape[1:], seed)
    model = tflite_bytes(_rarely_biased(graph, x, seed))
    without = frozenset([str(dice.choice([*REWRITES, *STEPS]))] if dice.integers(4) == 0 else [])
    slack = float(dice.choice([0.0, 0.04, 0.5]))
    wishes = Wishes(slack=slack, input_by_rows=bool(dice.integers(4) == 0), without=without)
    loaded = graphs.load(model, name=f"seed {seed}")
    return Case(seed, loaded, model, x, wishes, bool(dice.integers(3) == 0))


def _rarely_biased(graph: Graph, x: np.ndarray, seed: int) -> Graph:
    """`graph`, one in eight with large biases where something can still be told apart."""
    rare = np.random.default_rng([seed, 2])  # its own: what other seeds give stays what it was
    if rare.integers(8) == 0:
        biased = _alive(with_large_biases(graph, rare), x)
        if len({y.tobytes() for y in int8.run(biased, x)}) > 1:
            return biased
    return _alive(graph, x)


def _alive(graph: Graph, x: np.ndarray) -> Graph:
    """`graph` up to its last operator whose outputs still differ from input to input: behind it no bit can be wrong."""
    values = int8.run_all(graph, x)
    told_apart = [len({y.tobytes() for y in values[op.outputs[0]]}) > 1 for op in graph.ops]
    if told_apart[-1] or not any(told_apart):
        return graph
    end = max(i for i, apart in enumerate(told_apart) if apart) + 1
    return replace(graph, ops=graph.ops[:end], outputs=graph.ops[end - 1].outputs)


def _model(seed: int, dice: np.random.Generator) -> bytes:
    if np.random.default_rng([seed, 3]).integers(8) == 0:
        return tflite_bytes(chain_graph(seed))
    kind = seed % 4
    if kind < 2:
        return tflite_bytes(block_graph(seed, int(dice.integers(1, 5))))
    if kind == 2:
        kinds = [str(k) for k in dice.permutation(KINDS)[: int(dice.integers(2, 9))]]
        found = random_graph(seed, kinds)
        return tflite_bytes(found if found.ops else random_graph(seed, ["CONV_2D"]))
    return RandomNet(seed, steps=int(dice.integers(4, 14)), side=int(dice.integers(5, 20))).model.bytes()


def planned(case: Case) -> Plan:
    """The plan that the case asks for; over two regions where that works out."""
    whole = plan(case.graph, ROOMY, case.wishes)
    if not case.split:
        return whole
    first = max(64, whole.total_bytes * 6 // 10 // 32 * 32)
    try:
        return plan(case.graph, [RegionSpec("axi", first), RegionSpec("d2", 4 << 20)], case.wishes)
    except DoesNotFit:
        return whole


class Runner:
    """Compiles and runs batches in `folder`. Kernels are compiled once, with sanitizers for the host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.library = folder / "libhost.a"
        self.kept = folder / "m7_objects"
        self.kept.mkdir(exist_ok=True)

    def _host_library(self) -> Path:
        if self.library.exists():
            return self.library
        sources = [
            *sorted((FIRMWARE / "kernels").glob("*.c")),
            *sorted((FIRMWARE / "engines/aot").glob("*.c")),
        ]
        objects = []
        for source in [*sources, REPO / "tests/c/kernels/run_many.c"]:
            objects.append(self.folder / f"{source.stem}.o")
            run_tool(
                [
                    "gcc",
                    *FLAGS,
                    *INCLUDES,
                    f"-I{FIRMWARE / 'proving'}",
                    "-c",
                    str(source),
                    "-o",
                    str(objects[-1]),
                ]
            )
        part = self.folder / "part.a"
        run_tool(["ar", "rcs", str(part), *map(str, objects)])
        part.rename(self.library)
        return self.library

    def batch(self, seeds: Sequence[int], qemu: frozenset[int] = frozenset()) -> list[Outcome]:
        """Outcomes of `seeds`; those in `qemu` run in the emulator as well."""
        with tempfile.TemporaryDirectory(prefix="batch-", dir=self.folder) as name:
            here = Path(name)
            cases = [make(s) for s in seeds]
            expected = [int8.run(c.graph, c.x) for c in cases]
            theirs = _tflm(cases, here)
            plans = [_plan_or_reason(c) for c in cases]
            binary = self._link(plans, here)
            out = []
            for i, (case, made) in enumerate(zip(cases, plans, strict=True)):
                failures = _oracle(theirs[i], expected[i])
                if isinstance(made, Broken):
                    failures.append(("planner", made.why))
                in_qemu = case.seed in qemu and isinstance(made, Plan)
                if isinstance(made, Plan):
                    failures += _host(binary, i, case, expected[i])
                if in_qemu:
                    failures += self._qemu(case, expected[i])
                out.append(_outcome(case, made, failures, theirs[i] is not None, in_qemu, expected[i]))
            return out

    def _link(self, plans: Sequence[Plan | Broken | str], here: Path) -> Path:
        objects, names = [], []
        for i, made in enumerate(plans):
            names.append(f"engine_{i}" if isinstance(made, Plan) else "")
            if not isinstance(made, Plan):
                continue
            folder = here / str(i)
            folder.mkdir()
            for name, text in model_c(made.prepared.graph, made, bundle_digest=bytes(32)).items():
                (folder / name).write_text(text)
            objects.append(str(folder / "model.o"))
            source = str(folder / "dft_model.c")
            rename = f"-Ddft_the_engine=engine_{i}"
            run_tool(
                ["gcc", *FLAGS, "-O0", rename, *INCLUDES, f"-I{folder}", "-c", source, "-o", objects[-1]]
            )
        (here / "engines.c").write_text(_engines_c(names))
        binary = here / "many"
        library = str(self._host_library())
        run_tool(["gcc", *FLAGS, *INCLUDES, str(here / "engines.c"), *objects, library, "-o", str(binary)])
        return binary

    def _qemu(self, case: Case, expected: np.ndarray) -> list[tuple[str, str]]:
        from dftiny.counting.cores import core
        from dftiny.counting.engine import generate
        from dftiny.counting.image import build
        from dftiny.counting.run import run
        from dftiny.target import load_target

        with tempfile.TemporaryDirectory(prefix="qemu-", dir=self.folder) as name:
            try:
                engine = generate(case.graph, load_target("stm32h743"), case.wishes)
                image = build(engine, core("m7"), Path(name), self.kept)
                got = run(image, core("m7"), case.x, Path(name)).outputs
            except (CheckFailed, DftError, *BUGS) as e:
                return [("qemu", str(e))]
        return [] if _same(got, expected) else [("qemu", _difference(got, expected))]


def _engines_c(names: Sequence[str]) -> str:
    known = [n for n in names if n]
    lines = ['#include "dft/engine.h"', *(f"extern const dft_engine {n};" for n in known)]
    table = ", ".join(f"&{n}" if n else "0" for n in names)
    lines += ["extern const dft_engine *const engines[];", "extern const unsigned engines_n;"]
    lines += [
        f"const dft_engine *const engines[] = {{{table}}};",
        f"const unsigned engines_n = {len(names)};",
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Broken:
    """Planner or generator stopped with a bug of their own."""

    why: str


def _plan_or_reason(case: Case) -> Plan | Broken | str:
    try:
        made = planned(case)
        model_c(made.prepared.graph, made, bundle_digest=bytes(32))
    except DftError as e:
        return str(e)
    except BUGS as e:
        return Broken(f"{type(e).__name__}: {e}"[:300])
    return made


def _tflm(cases: Sequence[Case], here: Path) -> list[np.ndarray | None]:
    """TFLM's outputs, computed in a child that is started again behind a model that kills it (then None)."""
    if not tflm.available():
        return [None] * len(cases)
    for i, case in enumerate(cases):
        (here / f"{i}.tflite").write_bytes(case.model)
        np.save(here / f"{i}.in.npy", case.x)
    start = 0
    while start < len(cases):
        path = os.pathsep.join([*(p for p in sys.path if p), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, __file__, str(here), str(start), str(len(cases))]
        env = {**os.environ, "PYTHONPATH": path}
        subprocess.run(command, capture_output=True, check=False, timeout=TFLM_S, env=env)
        done = [i for i in range(start, len(cases)) if (here / f"{i}.done").exists()]
        start = (done[-1] if done else start - 1) + 2
    found = [here / f"{i}.out.npy" for i in range(len(cases))]
    return [np.load(p) if p.exists() else None for p in found]


def _child(here: Path, start: int, end: int) -> None:
    for i in range(start, end):
        try:
            y = tflm.Interpreter((here / f"{i}.tflite").read_bytes()).run(np.load(here / f"{i}.in.npy"))
            np.save(here / f"{i}.out.npy", y)
        except (RuntimeError, ValueError) as e:
            print(f"{i}: {e}", file=sys.stderr)
        (here / f"{i}.done").touch()


def _same(got: np.ndarray, expected: np.ndarray) -> bool:
    return got.size == expected.size and np.array_equal(got.reshape(-1), expected.reshape(-1))


def _difference(got: np.ndarray, expected: np.ndarray) -> str:
    if got.size != expected.size:
        return f"{got.size} bytes came out, not {expected.size}"
    apart = np.abs(got.reshape(-1).astype(int) - expected.reshape(-1).astype(int))
    return f"{np.count_nonzero(apart)} of {apart.size} bytes differ, by up to {apart.max()}"


def _oracle(theirs: np.ndarray | None, ours: np.ndarray) -> list[tuple[str, str]]:
    if theirs is None or _same(theirs, ours):
        return []
    return [("oracle", _difference(ours, theirs))]


def _host(binary: Path, i: int, case: Case, expected: np.ndarray) -> list[tuple[str, str]]:
    try:
        done = subprocess.run(
            [str(binary), str(i)], input=case.x.tobytes(), capture_output=True, check=False, timeout=RUN_S
        )
    except subprocess.TimeoutExpired:
        return [("host", f"it ran longer than {RUN_S} s")]
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        said = [s for s in lines if "ERROR" in s or "runtime error" in s] or lines[-1:]
        return [("host", (said or ["it died without a word"])[0][:300])]
    got = np.frombuffer(done.stdout, np.int8)
    return [] if _same(got, expected) else [("host", _difference(got, expected))]


def _outcome(
    case: Case,
    made: Plan | Broken | str,
    failures: list[tuple[str, str]],
    with_tflm: bool,
    in_qemu: bool,
    expected: np.ndarray,
) -> Outcome:
    outcome = Outcome(
        case.seed,
        tuple(failures),
        with_tflm=with_tflm,
        in_qemu=in_qemu,
        flat=len({y.tobytes() for y in expected}) == 1,
        operators=Counter(op.kind for op in case.graph.ops),
    )
    if not isinstance(made, Plan):
        return replace(outcome, refused=made if isinstance(made, str) else "")
    by_rows = Counter(lane.call.function for lane in made.lanes if lane.call is not None)
    streamed = sum(len(s.lanes) > 1 for s in made.segments)
    leaping = sum(s.lanes[0].leap > 1 for s in made.segments)
    return replace(outcome, by_rows=by_rows, streamed=streamed, leaping=leaping)


def tools_missing(*, qemu: bool) -> list[str]:
    """Names of the programs that a campaign needs and that are not installed."""
    names = ["gcc", *(["qemu-system-arm", "arm-none-eabi-gcc"] if qemu else [])]
    return [n for n in names if shutil.which(n) is None]


if __name__ == "__main__":
    _child(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
