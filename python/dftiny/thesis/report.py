"""The tables of a grid, from what is there: on the terminal, as markdown and as JSON. Called by run and by the command.

Needs neither the data nor torch: the score sheets hold what the tables are made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dftiny import spec
from dftiny.artifact import MANIFEST, atomic_write, read_json, write_json
from dftiny.data.index import DataIndex
from dftiny.errors import DftError
from dftiny.thesis.controls import control_tables
from dftiny.thesis.grid import SCORES, Cell, Grid
from dftiny.thesis.history import chip_cost
from dftiny.thesis.results import measure
from dftiny.thesis.sheet import Sheet, load_sheet
from dftiny.thesis.table import Table
from dftiny.thesis.tables import thesis_tables

SETTING = "grid.json"
TABLES = "tables.md"
RESULTS = "results.json"


def save_setting(out: Path, grid: Grid, index: DataIndex, digest: str) -> None:
    """Note in `out` what the grid is of, so that its tables can be shown without the data."""
    steps = {_kind(c): c.steps for g in grid.groups for c in g.cells if c.steps is not None}
    write_json(out / SETTING, {
        "grid": grid.name,
        "data": index.name,
        "digest": digest,
        "images": len(index.images),
        "photographs": len({r.source for r in index.images}),
        "tile": grid.groups[0].tile,
        "nets": dict(grid.nets),
        "conditions": list(grid.conditions),
        "groups": [g.place.as_posix() for g in grid.groups],
        "steps": steps,
        "weights": sorted({c.net: c.weights.file.name for g in grid.groups for c in g.cells if c.weights}.items()),
    })  # fmt: skip


def _kind(cell: Cell) -> str:
    """The cell's method as spec/thesis.toml has it: that of a platform's cell without the platform."""
    return cell.method.removesuffix(f"_{cell.sharing}")


def report(out: Path) -> None:
    """Print the tables of the grid in `out`, and write them as tables.md and results.json beside its cells.

    DftError when no grid was begun there.
    """
    if not (out / SETTING).is_file():
        raise DftError(f"{out} holds no grid", f"run one with: dftiny reproduce thesis --out {out}")
    setting = read_json(out / SETTING, "grid")
    try:
        nets, groups = dict(setting["nets"]), [str(g) for g in setting["groups"]]
        sheets = [load_sheet(f) for g in groups if (f := out / g / SCORES).joinpath(MANIFEST).is_file()]
        heading = _heading(setting, sheets)
    except (KeyError, TypeError, ValueError) as e:
        raise DftError(
            f"{out / SETTING} is damaged: {e}", "run the grid again: finished cells are kept"
        ) from e
    results = measure(sheets, nets)
    tables = [*thesis_tables(results), *(_with_cost(t, sheets) for t in control_tables(results))]
    print("\n\n".join(["\n".join(heading), *(t.text() for t in tables)]))
    with atomic_write(out / TABLES, "w") as f:
        f.write(
            "\n\n".join(
                ["# The thesis' tables, reproduced", "\n".join(heading), *(t.markdown() for t in tables)]
            )
            + "\n"
        )
    write_json(
        out / RESULTS,
        {"setting": setting, "tables": [t.value() for t in tables], "figures": results.rows()},
    )
    print(f"\n{out / TABLES} and {out / RESULTS} hold them too")


def _heading(setting: dict[str, Any], sheets: Sequence[Sheet]) -> list[str]:
    """What stands over the tables: the data set's name, what is scored, how much of the grid is there, and how long it learnt."""
    pairs = ", ".join(
        f"{ours} for {theirs} ({_seeds(setting['groups'], ours)})" for theirs, ours in setting["nets"].items()
    )
    judged = len({str(s) for sheet in sheets for s in sheet.source[sheet.split == "test"]})
    steps = ", ".join(f"{k} {v}" for k, v in setting["steps"].items())
    lines = [
        f"data set: {setting['data']} ({setting['photographs']} photographs, {setting['images']} images); "
        "the thesis' figures are of TrueFace",
        f"scored: tiles of {setting['tile']}x{setting['tile']} px at native resolution; an image's logit is the mean over its "
        "disjoint tiles (16 of a 512x512 px image), whole images are not shown to the nets",
        f"nets: {pairs}; {setting['grid']} grid, {len(sheets)} of {len(setting['groups'])} rounds finished, "
        f"{judged} photographs tested; intervals by bootstrap over photographs; thresholds from each fold's validation part",
    ]
    if "demo" in setting["data"]:
        lines.append(
            "the platforms are imitated (-like: JPEG as they may do it), the fakes are simulated up-sampling traces"
        )
    public = [
        f"{net} begins with {name}, frozen where supervised" for net, name in setting.get("weights", [])
    ]
    lines += public or [
        "no public weights: supervised trains the whole net, the thesis a head on frozen ImageNet backbones"
    ]
    return lines + ([f"steps of a cell, where not the recipe's: {steps}"] if steps else [])


def _seeds(groups: Sequence[str], net: str) -> str:
    """How many seeds a net has, from the names of its rounds: "phinet_demo/fold0.seed2"."""
    count = len({g.rpartition("seed")[2] for g in groups if g.startswith(f"{net}/")})
    return f"{count} seed{'s' * (count != 1)}"


def _with_cost(table: Table, sheets: Sequence[Sheet]) -> Table:
    """Table G says what the heads cost on the chip."""
    if table.number != "G":
        return table
    notes = []
    for net, width in {s.net: s.features for s in sheets if s.features}.items():
        known = spec.nets().get(net, {}).get("at", {}).get("128")
        if known is not None:
            cost = chip_cost(width, len(sheets[0].conditions), known["macs"])
            notes.append(
                f"{net} on the chip: {cost['parameters']} parameters and {cost['macs']} MACs a tile more "
                f"({100 * cost['part']:.2f} % of its MACs), for the history and a linear head a condition on {width} features"
            )
    return Table(table.number, table.title, table.columns, table.rows, (*table.notes, *notes))
