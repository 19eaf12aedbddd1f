"""A training recipe: the TOML file as a checked, frozen value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

from dftiny.errors import DftError
from dftiny.train.augment import AUGMENTATIONS

_TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
_PARTS = ("warmup", "periodic", "processed", "jpeg", "moved")
ANY_NET = "any"
MIXED = "mixed"
SUPERVISED, SIMCLR = "supervised", "simclr"
# Recipes that tune a trained net: from random weights they would make another net than their name says. By name and
# not by a key of the recipe, which would change the digest of every run that was made with it.
TUNING = ("finetune_head", "finetune_all", "simclr_head", "simclr_unfrozen")
_WORDS = {
    "trainable": ("all", "head"),
    "schedule": ("onecycle", "constant"),
    "method": (SUPERVISED, SIMCLR),
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything a training run depends on beside the data and the seed; spec/recipes/*.toml says what each is.

    `net` may be "any": then the command line or the checkpoint to start with names it. `sharing` is "pre", a profile of
    data/sharing.py, a platform of the data set's own, or "mixed": all of them, drawn for each pair. `epochs` above 0 stands in
    place of `steps`. `temperature` and `augment` belong to SimCLR.
    """

    name: str
    net: str
    tile: int
    steps: int
    batch: int
    peak_rate: float
    weight_decay: float
    warmup: float = 0.3
    periodic: float = 0.0
    processed: float = 0.0
    checkpoint_every: int
    fake_quant: bool = False
    method: str = SUPERVISED
    trainable: str = "all"
    freeze_norm: bool = False
    schedule: str = "onecycle"
    epochs: int = 0
    pairs: bool = True
    sharing: str = "pre"
    jpeg: float = 0.0
    moved: float = 0.0
    temperature: float = 0.07
    augment: str = ",".join(AUGMENTATIONS)

    def for_images(self, images: int) -> Recipe:
        """The recipe with its steps for a training split of `images`, where it counts in epochs."""
        if not self.epochs:
            return self
        return replace(self, steps=max(2, math.ceil(self.epochs * images / self.batch)))

    def values(self) -> dict[str, Any]:
        """What a manifest and a digest hold of it: a key at its default is left away, so old runs stay what they are."""
        return {k: v for k, v in asdict(self).items() if k not in _OPTIONAL or v != _OPTIONAL[k]}

    def toml(self) -> str:
        """The recipe as TOML, keys in a fixed order."""
        return "".join(f"{k} = {_toml(v)}\n" for k, v in self.values().items())


_OPTIONAL: Mapping[str, Any] = {f.name: f.default for f in fields(Recipe) if f.default is not MISSING}


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def parse_recipe(value: Mapping[str, Any], what: str) -> Recipe:
    """Check a recipe read from `what`; DftError names the key that is missing, unknown or out of range."""
    known = {f.name: _TYPES[str(f.type)] for f in fields(Recipe)}
    unknown, missing = sorted(set(value) - set(known)), sorted(set(known) - set(value) - set(_OPTIONAL))
    if unknown or missing:
        word = f"does not know {unknown[0]!r}" if unknown else f"lacks {missing[0]!r}"
        raise DftError(f"the recipe {what} {word}", f"its keys are: {', '.join(known)}")
    checked: dict[str, Any] = {}
    for key, kind in known.items():
        given = value.get(key, _OPTIONAL.get(key))
        if kind is float and isinstance(given, int) and not isinstance(given, bool):
            given = float(given)
        if not isinstance(given, kind) or (isinstance(given, bool) and kind is not bool):
            raise DftError(f"{key} = {given!r} in the recipe {what} is not of type {kind.__name__}")
        checked[key] = given
    recipe = Recipe(**checked)
    _check_ranges(recipe, what)
    return recipe


def _check_ranges(recipe: Recipe, what: str) -> None:
    if any(c in recipe.name + recipe.net + recipe.sharing for c in '"\\\n'):
        raise DftError(f"name, net and sharing in the recipe {what} must be plain words")
    least = 4 if recipe.method == SUPERVISED else 2
    if recipe.steps < 2 or recipe.checkpoint_every < 1 or recipe.batch < least or recipe.batch % 2:
        raise DftError(
            f"the recipe {what} needs steps >= 2, checkpoint_every >= 1 and an even batch >= {least}"
        )
    if not 0 < recipe.peak_rate < 1 or not 0 <= recipe.weight_decay < 1:
        raise DftError(f"the recipe {what} needs a peak_rate in 0..1 and a weight_decay in 0..1")
    for key in _PARTS:
        if not 0 <= getattr(recipe, key) <= 1 or (key == "warmup" and not 0 < recipe.warmup < 1):
            raise DftError(f"{key} in the recipe {what} must lie between 0 and 1")
    if not 0 <= recipe.epochs <= 10_000 or not 0 < recipe.temperature <= 100:
        raise DftError(f"the recipe {what} needs epochs in 0..10000 and a temperature in 0..100")
    _check_words(recipe, what)


def _check_words(recipe: Recipe, what: str) -> None:
    for key, known in _WORDS.items():
        if getattr(recipe, key) not in known:
            raise DftError(
                f"{key} = {getattr(recipe, key)!r} in the recipe {what} is unknown",
                f"known: {', '.join(known)}",
            )
    unknown = sorted(set(filter(None, recipe.augment.split(","))) - set(AUGMENTATIONS))
    if unknown:
        raise DftError(
            f"the recipe {what} does not know the augmentation {unknown[0]!r}",
            f"known: {', '.join(AUGMENTATIONS)}",
        )
    if recipe.method == SIMCLR and (recipe.trainable != "all" or recipe.fake_quant):
        raise DftError(f"the recipe {what} trains by SimCLR, which is of the whole net and in float")
