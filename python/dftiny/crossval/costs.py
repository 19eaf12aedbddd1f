"""One table of accuracy against cost: every recipe of a cross-validation a row, small nets beside large ones. Called by report.

Costs are of the first finished round's bundle, as its budget says: folds differ in numbers, hardly in sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dftiny.artifact import read_json, read_manifest
from dftiny.bundle import BUDGET
from dftiny.crossval.fold import BUNDLE, TRAIN
from dftiny.errors import DftError
from dftiny.thesis.pool import Figure
from dftiny.thesis.results import INT8, Results
from dftiny.thesis.table import ABSENT, Table, interval, percent
from dftiny.thesis.tables import short

COLUMNS = ("recipe", "rounds", "parameters", "MACs", "flash, bytes", "RAM, bytes", "instructions")
NOTES = (
    "{what}, our engine: flash = weights, code and all other constants; RAM = activations with",
    "the resident input; instructions as the cost model estimates them. int8 balanced accuracy (95 % by photograph), reals",
    "against the seen generators, thresholds from each condition's validation images",
)


@dataclass(frozen=True)
class Cost:
    """What the net of `rounds` rounds takes on the chip `target`: counts, bytes, and instructions a tile of `tile_px`,
    None where no model estimates them."""

    rounds: int
    target: str
    tile_px: int
    parameters: int
    macs: int
    flash_bytes: int
    ram_bytes: int
    instructions: int | None


def cost_of(place: Path, rounds: int) -> Cost:
    """The cost of the net of the round in `place`, one of `rounds`. DftError when its stages lack what a budget holds."""
    budget: dict[str, Any] = read_json(place / BUNDLE / BUDGET, "budget")
    trained = read_manifest(place / TRAIN)
    try:
        return Cost(
            rounds,
            str(budget["target"]),
            int(trained.config["recipe"]["tile"]),
            int(trained.metrics["parameters"]),
            int(budget["macs"]),
            int(budget["flash_bytes"]),
            int(budget["ram_bytes"]),
            budget.get("instructions_estimated"),
        )
    except (KeyError, TypeError, ValueError) as e:
        raise DftError(f"{place} lacks a count: {e}", "remove that folder and run it again") from e


def cost_table(costs: Sequence[tuple[str, Cost, Results]]) -> tuple[Table, list[dict[str, Any]]]:
    """The table of recipes with their costs and figures, cheapest first, and the costs as JSON has them."""
    ordered = sorted(costs, key=lambda c: (c[1].macs, c[0]))
    conditions = list(dict.fromkeys(c for _, _, results in ordered for c in results.conditions))
    rows = tuple(
        (recipe, *_counts(cost), *(_accuracy(results, recipe, c) for c in conditions))
        for recipe, cost, results in ordered
    )
    columns = (*COLUMNS, *map(short, conditions))
    values = [{"recipe": recipe, **vars(cost)} for recipe, cost, _ in ordered]
    notes = (NOTES[0].format(what=_what({recipe: cost for recipe, cost, _ in ordered})), *NOTES[1:])
    return Table("of costs", "accuracy against what it takes, a row a recipe", columns, rows, notes), values


def _what(costs: Mapping[str, Cost]) -> str:
    """What the counts are of: tile and chip, and which recipes' where these differ."""
    recipes: dict[str, list[str]] = {}
    for recipe, cost in costs.items():
        recipes.setdefault(f"a tile of {cost.tile_px} px on the {cost.target.upper()}", []).append(recipe)
    if len(recipes) == 1:
        return next(iter(recipes))
    return ", ".join(f"{what} ({' '.join(who)})" for what, who in recipes.items())


def _counts(cost: Cost) -> tuple[str, ...]:
    whole = (cost.rounds, cost.parameters, cost.macs, cost.flash_bytes, cost.ram_bytes, cost.instructions)
    return tuple(ABSENT if n is None else f"{n:,}" for n in whole)


def _accuracy(results: Results, recipe: str, condition: str) -> str:
    found: Figure | None = results.get(recipe, INT8, "known", condition, "accuracy")
    return percent(found) if found is None else f"{percent(found)} ({interval(found)})"
