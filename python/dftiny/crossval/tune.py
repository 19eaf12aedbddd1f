"""What tuning a round's net to one platform alone would gain: a copy trained on, and judged, in float. Stages of their own.

Called by run, through jobs, and by tuned, which reads the sheets. Int8 is left away: the question is what one net for
all gives up, and export changes both alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dftiny import spec
from dftiny.artifact import canonical_json, read_manifest
from dftiny.crossval.fold import SCORES, TRAIN, Round, float_judge, image_logits
from dftiny.data.index import ImageRow, load_index
from dftiny.data.sharing import PRE
from dftiny.errors import CheckFailed, DftError
from dftiny.thesis.jobs import Job
from dftiny.thesis.results import FLOAT
from dftiny.thesis.sheet import STAGE, Sheet, columns_of, write_scores
from dftiny.thesis.work import log_into

TUNED = "tuned"
# A platform of phinet_h743 takes some 85 processor seconds with these; the copy begins with all that the one net for all has learnt.
STEPS = 350


@dataclass(frozen=True)
class Tuning:
    """A copy of the net of `round`, tuned with `recipe` (for any net) to the platform `sharing` in `steps` steps."""

    round: Round
    recipe: str
    sharing: str
    steps: int

    @property
    def place(self) -> Path:
        """Its folder: the stages `train` and `scores`."""
        return self.round.place / TUNED / f"{Path(self.recipe).stem}.{self.sharing}"

    @property
    def config(self) -> dict[str, Any]:
        """What its scores depend on beside the data and the net that it begins with."""
        recipe = {**spec.recipe(self.recipe), "steps": self.steps, "sharing": self.sharing}
        return {"recipe": recipe, "seed": self.round.seed}


def check_tuning(recipe: str) -> None:
    """DftError when `recipe` cannot tune another recipe's net to a platform."""
    from dftiny.train.recipe import ANY_NET, SUPERVISED, parse_recipe

    known = parse_recipe(spec.recipe(recipe), recipe)
    if known.net != ANY_NET or known.method != SUPERVISED:
        raise DftError(
            f"the recipe {recipe} tunes no trained net of another recipe",
            "give one for any net: --tune finetune_all, or --tune finetune_head",
        )


def tuning_jobs(this: Round, wishes: Sequence[Tuning], data: Path, after: Sequence[str]) -> Iterator[Job]:
    """The jobs that are missing of the tunings `wishes` of a round that is made by the jobs `after`, if any."""
    for tuning in wishes:
        if not after and kept(tuning):
            continue
        name = f"{this.recipe} fold {this.fold} {tuning.recipe} {tuning.sharing}"
        yield Job(name, tune, (tuning, data), tuple(after), 2.0)


def kept(this: Tuning) -> bool:
    """Whether it is there, whole, of these very settings, and of the net that its round holds now."""
    try:
        made = read_manifest(this.place / SCORES, STAGE)
        start = read_manifest(this.round.place / TRAIN).digest
    except (DftError, CheckFailed):
        return False
    return canonical_json(made.config) == canonical_json(this.config) and made.parents["start"] == start


def tune(this: Tuning, data: Path) -> None:
    """Train the copy, going on where it stopped, and write its image logits on that platform's images."""
    with log_into(this.place):
        from dftiny.train.training import train

        train(
            this.recipe, data, this.place / TRAIN,
            sharing=this.sharing, fold=this.round.fold, seed=this.round.seed, steps=this.steps,
            start=this.round.place / TRAIN, threads=1,
            thresholds_for=(PRE,),  # the sheet's threshold is chosen from its own logits
        )  # fmt: skip
        _judge(this, data)


def _judge(this: Tuning, data: Path) -> None:
    rows = [r for r in load_index(data).of_fold(this.round.fold).images if _looked_at(r, this.sharing)]
    logits = image_logits(data, rows, {FLOAT: float_judge(this.place)})
    net = str(read_manifest(this.place / TRAIN).config["recipe"]["net"])
    sheet = Sheet(
        net, this.round.fold, this.round.seed, (this.sharing,), **columns_of(rows), logits=logits, history={}
    )  # fmt: skip
    parents = {
        "start": read_manifest(this.round.place / TRAIN).digest,
        TRAIN: read_manifest(this.place / TRAIN).digest,
    }
    write_scores(this.place / SCORES, sheet, parents=parents, config=this.config)


def _looked_at(row: ImageRow, sharing: str) -> bool:
    """Validation and test images of the platform, reals and fakes of the generators that were trained on."""
    plain = not row.is_control and (row.label == "real" or row.seen)
    return row.split in ("val", "test") and row.sharing == sharing and plain
