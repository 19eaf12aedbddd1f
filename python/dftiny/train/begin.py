"""Where a run begins: the recipe with what the command line overrides, and the weights. Called by train/training.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dftiny import spec
from dftiny.errors import DftError
from dftiny.nets.checkpoint import Checkpoint, load_checkpoint, load_weights
from dftiny.nets.registry import check
from dftiny.train.recipe import ANY_NET, TUNING, Recipe, parse_recipe


@dataclass(frozen=True)
class Wanted:
    """What overrides the recipe's own; None leaves it."""

    net: str | None = None
    tile: int | None = None
    sharing: str | None = None
    steps: int | None = None

    def over(self, recipe: Recipe, what: str) -> Recipe:
        """`recipe` with these in their places, checked. Given steps stand against epochs too."""
        given = {
            "net": self.net,
            "tile": self.tile,
            "sharing": self.sharing,
            "steps": self.steps,
            "epochs": None if self.steps is None else 0,
        }
        return parse_recipe({**recipe.values(), **{k: v for k, v in given.items() if v is not None}}, what)


def plan_of(recipe: str, wanted: Wanted, begin: Checkpoint | None) -> Recipe:
    """The recipe to be run. DftError when it names no net and nothing else does, or needs a start and has none."""
    name = parse_recipe(spec.recipe(recipe), recipe).name
    if name in TUNING and begin is None:
        raise DftError(
            f"the recipe {name} tunes a trained net",
            "give --start RUN, the folder that its dftiny train wrote",
        )
    return _plan(recipe, wanted, begin)


def _plan(recipe: str, wanted: Wanted, begin: Checkpoint | None) -> Recipe:
    plan = wanted.over(parse_recipe(spec.recipe(recipe), recipe), recipe)
    if plan.net == ANY_NET and begin is not None:
        plan = Wanted(begin.preset, begin.tile).over(plan, recipe)
    if plan.net == ANY_NET:
        raise DftError(f"the recipe {plan.name} is for any net", "give --net (dftiny models), or --start")
    if plan.fake_quant and begin is None:
        raise DftError(f"the recipe {plan.name} fine-tunes a trained net", "give --start with its checkpoint")
    check(plan.net, plan.tile)
    return plan


def begin_with(
    recipe: str, wanted: Wanted, start: Path | None, weights: Path | None, seed: int
) -> Checkpoint:
    """The weights to begin with: a checkpoint of dftiny, or public ones. DftError when they do not fit the recipe."""
    plan = wanted.over(parse_recipe(spec.recipe(recipe), recipe), recipe)
    if start is None:
        assert weights is not None
        return _public(_plan(recipe, wanted, None), weights, seed)
    if weights is not None:
        raise DftError("--start and --weights both say where to begin", "give one of them")
    found = load_checkpoint(start)
    net = found.preset if plan.net == ANY_NET else plan.net
    tile = found.tile if plan.net == ANY_NET and wanted.tile is None else plan.tile
    if (found.preset, found.tile) != (net, tile):
        raise DftError(
            f"{start} is {found.preset} for tiles of {found.tile} px, "
            f"the recipe {plan.name} trains {net} at {tile} px",
            "choose another --start or --recipe",
        )
    return found


def _public(plan: Recipe, path: Path, seed: int) -> Checkpoint:
    """Public weights to begin with; says on the screen when the head is not among them."""
    found, whole = load_weights(path, preset=plan.net, tile=plan.tile, seed=seed)
    if not whole:
        print(f"{path}: backbone of {plan.net} taken, its head starts at random")
    return found
