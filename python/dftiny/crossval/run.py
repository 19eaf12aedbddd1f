"""Run the rounds of a cross-validation that are missing, and show the figures. Called by `dftiny crossval`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dftiny import spec
from dftiny.artifact import canonical_json, read_json, read_manifest, write_json
from dftiny.crossval.fold import SCORES, Round, judge_round, platforms, train_round
from dftiny.crossval.report import SETTING, report
from dftiny.crossval.tune import STEPS, Tuning, check_tuning, tuning_jobs
from dftiny.data.index import load_index
from dftiny.diagnose import Cures
from dftiny.errors import CheckFailed, DftError
from dftiny.thesis.jobs import Job, run_jobs
from dftiny.thesis.sheet import STAGE


@dataclass(frozen=True)
class Wishes:
    """What `dftiny crossval` was asked for; see its options. No folds mean all of them."""

    recipes: tuple[str, ...]
    folds: tuple[int, ...] = ()
    seed: int = 0
    steps: int | None = None
    jobs: int = 2
    correct_bias: bool = False
    tune: tuple[str, ...] = ()
    tune_steps: int | None = None


def crossval(data: Path, out: Path, wishes: Wishes) -> None:
    """Train, export and judge every recipe in every fold of `data` into `out`, and print the figures.

    With recipes to `tune`, a copy of every round's net is tuned to every platform of the data and judged too.
    Rounds and tunings of the same settings that are there already are kept. DftError for a data folder without folds, CheckFailed when a net fails.
    """
    index = load_index(data)
    index.of_fold(0)  # says what is missing before anything slow
    rounds = _rounds(wishes, range(index.folds), out)
    digest = read_manifest(data, "data").digest
    _claim(out, digest)
    write_json(out / SETTING, {
        "data": index.name,
        "digest": digest,
        "photographs": len({r.source for r in index.images}),
        "rounds": sorted({*_known(out), *(r.place.relative_to(out).as_posix() for r in rounds)}),
    })  # fmt: skip
    shared = platforms(index.images)
    jobs = [j for r in rounds for j in _jobs(r, data, _tunings(r, wishes, shared))]
    if jobs:
        run_jobs(jobs, workers=wishes.jobs, title="crossval", done=lambda _: None)
    report(out)


def _known(out: Path) -> list[str]:
    path = out / SETTING
    return [str(r) for r in read_json(path, "cross-validation")["rounds"]] if path.is_file() else []


def _claim(out: Path, digest: str) -> None:
    """DftError when `out` holds something else, or rounds on other data."""
    if (out / SETTING).is_file():
        if read_json(out / SETTING, "cross-validation")["digest"] != digest:
            raise DftError(f"{out} holds a cross-validation on other data", "choose another --out")
    elif out.exists() and any(out.iterdir()):
        raise DftError(f"{out} exists and holds no cross-validation", "choose another --out")
    out.mkdir(parents=True, exist_ok=True)


def _rounds(wishes: Wishes, folds: Sequence[int], out: Path) -> list[Round]:
    from dftiny.train.recipe import ANY_NET

    unknown = [k for k in wishes.folds if k not in folds]
    if unknown:
        raise DftError(f"the data have no fold {unknown[0]}", f"they have folds 0 to {len(folds) - 1}")
    for recipe in wishes.recipes:
        if spec.recipe(recipe).get("net") == ANY_NET:
            raise DftError(
                f"the recipe {recipe} is for any net",
                "name the net in a recipe of your own: --recipe my.toml",
            )
    for recipe in wishes.tune:
        check_tuning(recipe)
    cures = Cures(correct_bias=wishes.correct_bias)
    return [
        Round(
            recipe,
            k,
            wishes.seed,
            wishes.steps,
            out / Path(recipe).stem / f"fold{k}_seed{wishes.seed}",
            cures,
        )
        for recipe in wishes.recipes
        for k in wishes.folds or folds
    ]


def _tunings(this: Round, wishes: Wishes, shared: Sequence[str]) -> list[Tuning]:
    return [Tuning(this, recipe, s, wishes.tune_steps or STEPS) for recipe in wishes.tune for s in shared]


def _jobs(this: Round, data: Path, tunings: Sequence[Tuning] = ()) -> list[Job]:
    """What is missing of a round: training itself keeps what is finished. Seconds are relative only, for the bar."""
    if _kept(this):
        return list(tuning_jobs(this, tunings, data, ()))
    name = f"{this.recipe} fold {this.fold}"
    train = Job(f"{name} train", train_round, (this, data), (), 5.0)
    judge = Job(f"{name} judge", judge_round, (this, data), (train.name,), 5.0)
    return [train, judge, *tuning_jobs(this, tunings, data, (train.name, judge.name))]


def _kept(this: Round) -> bool:
    """Whether the round is there, whole, and of these very settings."""
    try:
        made = read_manifest(this.place / SCORES, STAGE)
    except (DftError, CheckFailed):
        return False
    return canonical_json(made.config) == canonical_json(this.config)
