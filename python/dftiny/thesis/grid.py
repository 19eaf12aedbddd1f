"""The grid as values: which cells there are, where each lies, what it begins with, and what tells it is finished.

Called by run and plan. Reads spec/thesis.toml; trains nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dftiny import spec
from dftiny.artifact import canonical_json, sha256_file
from dftiny.data.index import DataIndex
from dftiny.data.sharing import PRE
from dftiny.errors import DftError
from dftiny.thesis.figures import NETS

SCORES = "scores"
CONTROL = "random"  # begins at random, whatever weights there are


@dataclass(frozen=True)
class Weights:
    """Public weights of a backbone: their file and its SHA-256."""

    file: Path
    sha256: str


@dataclass(frozen=True)
class Cell:
    """One training run. `start` is the method whose checkpoint it begins with, `sharing` the platform it is tuned to.

    `fold` is None for a data set with splits of its own; `steps` None means the recipe's; without `start` and
    `weights` it begins at random.
    """

    net: str
    tile: int
    fold: int | None
    seed: int
    method: str
    recipe: str
    start: str | None
    sharing: str | None
    steps: int | None
    pretext: bool
    weights: Weights | None = None


@dataclass(frozen=True)
class Group:
    """All cells of one net, fold and seed: trained on the same images, judged together in one pass."""

    net: str
    tile: int
    fold: int | None
    seed: int
    cells: tuple[Cell, ...]

    @property
    def place(self) -> Path:
        """The group's folder below the output folder."""
        return Path(self.net) / _round(self.fold, self.seed)

    def cell(self, method: str) -> Cell:
        """The cell of that method."""
        return next(c for c in self.cells if c.method == method)


@dataclass(frozen=True)
class Piece:
    """What one job makes: the cell `method` of a group, or its SCORES."""

    group: Group
    method: str

    @property
    def name(self) -> str:
        """What the progress line calls it, and jobs that wait for it."""
        return f"{self.group.place.as_posix()} {self.method}"


@dataclass(frozen=True)
class Grid:
    """A whole grid: `nets` maps the thesis' names to presets, `conditions` are the data set's sharings, pre first."""

    name: str
    nets: Mapping[str, str]
    conditions: tuple[str, ...]
    groups: tuple[Group, ...]

    @property
    def cells(self) -> int:
        """Training runs in it."""
        return sum(len(g.cells) for g in self.groups)


def grid(
    name: str,
    index: DataIndex,
    *,
    nets: Sequence[str] = (),
    folds: Sequence[int] = (),
    seeds: int | None = None,
    steps: int | None = None,
    weights: Sequence[str] = (),
) -> Grid:
    """The grid `name` ("full", "small" or "quick") on the data set `index`.

    `nets` (the thesis' names, presets, or NAME=PRESET) and `folds` choose among what there is, `seeds` and `steps` override.
    `weights` (NAME=FILE) are public ones to begin with: then "supervised" is the thesis' frozen backbone and a head.
    DftError for a name, a fold or a file that there is not.
    """
    wanted = setting_of(name)
    conditions = conditions_of(index)
    chosen = _nets(wanted["nets"], nets)
    public = _weights(weights, chosen)
    rounds = _rounds(index, folds, wanted["folds"])
    groups = [
        _group(wanted, (preset, fold, seed), conditions, steps, public.get(preset))
        for fold in rounds
        for preset in chosen.values()
        for seed in range(seeds or _seeds(wanted, preset))
    ]
    return Grid(name, chosen, conditions, tuple(groups))


def setting_of(name: str) -> Mapping[str, Any]:
    """What spec/thesis.toml says of the grid `name`; what it leaves out is as in the grid that it is like."""
    grids = spec.thesis()["grid"]
    own = grids[name]
    return {**grids[own["like"]], **own} if "like" in own else own


def conditions_of(index: DataIndex) -> tuple[str, ...]:
    """The data set's sharing conditions: before sharing, then one for each of the thesis' platforms that it has."""
    found = sorted({r.sharing for r in index.images})
    platforms = spec.thesis()["columns"][1:]
    shared = [next((s for s in found if s.lower().startswith(p)), None) for p in platforms]
    if PRE not in found:
        raise DftError(f"the data set {index.name!r} has no images before sharing", "build the data again")
    return (PRE, *(s for s in shared if s is not None))


def key_of(cell: Cell, group: Group, data: str) -> str:
    """What tells a finished cell from one of other settings, hex: recipe, cell, data digest, and the key of its start."""
    before = "" if cell.start is None else key_of(group.cell(cell.start), group, data)
    parts = [
        dict(spec.recipe(cell.recipe)),
        cell.net,
        cell.tile,
        cell.fold,
        cell.seed,
        cell.sharing,
        cell.steps,
    ]
    if cell.weights is not None:
        parts.append(cell.weights.sha256)
    return hashlib.sha256(canonical_json([*parts, data, before])).hexdigest()


def _group(
    wanted: Mapping[str, Any],
    place: tuple[str, int | None, int],
    conditions: Sequence[str],
    steps: int | None,
    weights: Weights | None,
) -> Group:
    """The cells of one net, fold and seed (`place`)."""
    net, fold, seed = place
    tile = int(wanted["tile"])
    cells: list[Cell] = []
    for method in wanted["methods"]:
        kind = spec.thesis()["methods"][method]
        recipe, begin = kind["recipe"], None
        if weights is not None and "start" not in kind and method != CONTROL:
            begin, recipe = weights, kind.get("public", recipe)
        length = steps or wanted["steps"].get(method)
        pretext = kind.get("pretext", False)
        one = Cell(net, tile, fold, seed, method, recipe, kind.get("start"), None, length, pretext, begin)
        if kind.get("each", False):
            cells += [replace(one, method=f"{method}_{c}", sharing=c) for c in conditions[1:]]
        else:
            cells.append(one)
    return Group(net, tile, fold, seed, tuple(cells))


def _nets(known: Mapping[str, str], asked: Sequence[str]) -> dict[str, str]:
    """Presets by the thesis' names: all, those asked for by either name, or others as NAME=PRESET."""
    other = dict(a.split("=", 1) for a in asked if "=" in a)
    odd = [a for a in asked if a not in (*known, *known.values()) and "=" not in a]
    odd += [f"{n}={p}" for n, p in other.items() if n not in known or p not in spec.nets()]
    if odd:
        raise DftError(
            f"the grid has no net {odd[0]!r}",
            f"known: {', '.join([*known, *known.values()])}, or {NETS[1]}=phinet_thesis for another preset",
        )
    chosen = {n for n in known if not asked or n in asked or known[n] in asked or n in other}
    return {n: other.get(n, known[n]) for n in NETS if n in chosen}


def _weights(given: Sequence[str], nets: Mapping[str, str]) -> dict[str, Weights]:
    """Public weights by preset, from NAME=FILE; hashed once, here."""
    found = {}
    for one in given:
        name, _, file = one.partition("=")
        preset = nets.get(name, name)
        if preset not in nets.values() or not Path(file).is_file():
            word = (
                f"there is no file {file!r}" if preset in nets.values() else f"the grid has no net {name!r}"
            )
            raise DftError(f"--weights {one}: {word}", "give the net and its file: --weights ResNet50=FILE")
        found[preset] = Weights(Path(file).resolve(), sha256_file(Path(file)))
    return found


def _rounds(index: DataIndex, asked: Sequence[int], usual: int) -> list[int | None]:
    if index.folds == 0:
        if asked:
            raise DftError(f"the data set {index.name!r} has no folds", "leave --folds away")
        return [None]
    odd = [k for k in asked if not 0 <= k < index.folds]
    if odd:
        raise DftError(f"fold {odd[0]} is not in this data set", f"it has folds 0 to {index.folds - 1}")
    return list(dict.fromkeys(asked)) or list(range(min(usual, index.folds)))


def _seeds(wanted: Mapping[str, Any], preset: str) -> int:
    large = spec.nets()[preset]["parameters"] > wanted["large"]
    return 1 if large else int(wanted["seeds"])


def _round(fold: int | None, seed: int) -> str:
    return f"seed{seed}" if fold is None else f"fold{fold}.seed{seed}"
