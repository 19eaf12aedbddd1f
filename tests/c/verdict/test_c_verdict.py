"""firmware/src/verdict.c with generated tables against its numpy twin: the same state after every message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from verdict_models import random_model

from dftiny.codegen.verdict_c import verdict_c
from dftiny.verdict.model import NONE, VerdictModel
from dftiny.verdict.running import begin

ROOT = Path(__file__).resolve().parents[3]
MODELS = {
    seed: random_model(np.random.default_rng(seed), tiles_max)
    for seed, tiles_max in ((1, 1), (2, 9), (3, 64))
}
EDGES = (0, 1, 2, 2**31 - 1, 2**32 - 2, 2**32 - 1)


@pytest.fixture(scope="module")
def programs(
    compile_c: Callable[[list[Path]], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[int | None, Path]:
    made: dict[int | None, Path] = {}
    for seed, model in [*MODELS.items(), (None, None)]:
        data = tmp_path_factory.mktemp("verdict") / "dft_verdict_data.c"
        data.write_text(verdict_c(model), encoding="utf-8")
        source = ROOT / "firmware" / "src" / "verdict.c"
        made[seed] = compile_c([Path(__file__).with_name("verdict_main.c"), source, data])
    return made


def session(rng: np.random.Generator, model: VerdictModel) -> tuple[list[str], list[str], list[int]]:
    """Lines for the program, the twin's answers, and the decisions that occurred."""
    lines, wanted, decisions = [], [], []
    state, photo = begin(model, 0), 0
    for _ in range(3000):
        if rng.random() < 0.1:
            photo = int(rng.integers(2**32))
            tiles, seen = (int(rng.choice([rng.integers(100), rng.choice(EDGES)])) for _ in range(2))
            seen = seen if rng.random() < 0.5 else 0
            evidence = int(rng.choice([0, rng.integers(-5000, 5000), 2**31 - 1, -(2**31)]))
            lines.append(f"b {photo} {tiles} {seen} {evidence}")
            state = begin(model, tiles, seen, evidence)
        else:
            output = int(rng.integers(-128, 128))
            lines.append(f"a {output} 1")
            state = state.add(output)
        decisions.append(state.decision)
        wanted.append(f"{photo} {state.seen} {state.evidence} {state.decision}")
    return lines, wanted, decisions


@pytest.mark.parametrize("seed", MODELS)
def test_both_languages_agree_after_every_message(
    programs: dict[int | None, Path], run_c: Callable[[Path, str], str], seed: int
) -> None:
    lines, wanted, decisions = session(np.random.default_rng(seed), MODELS[seed])
    assert set(decisions) == {0, 1, 2, 3}
    assert run_c(programs[seed], "\n".join(lines) + "\n").splitlines() == wanted


@pytest.mark.parametrize("seed", [2, None])
def test_two_outputs_or_no_verdict_never_decide(
    programs: dict[int | None, Path], run_c: Callable[[Path, str], str], seed: int | None
) -> None:
    lines = ["b 7 4 0 0", *([f"a 127 {1 if seed is None else 2}"] * 70)]
    assert run_c(programs[seed], "\n".join(lines) + "\n").splitlines() == [f"7 0 0 {NONE}"] * 71


def test_generated_twice_is_the_same() -> None:
    assert verdict_c(MODELS[2]) == verdict_c(random_model(np.random.default_rng(2), 9))
