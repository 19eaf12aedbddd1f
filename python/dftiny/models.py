"""Released models and trainable nets, as a table. Needs no torch for the released ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dftiny import spec
from dftiny.artifact import atomic_write, read_manifest
from dftiny.errors import DftError

DEFAULT_MODEL = "phinet_demo_128.demo"
# The tile sizes, in pixels, for which the table of nets is made.
TILES = (96, 128, 160, 224)


@dataclass(frozen=True)
class Row:
    """One line of the table; counts are of the float net, for one tile of `tile` pixels."""

    name: str
    tile: int
    parameters: int
    macs: int
    note: str


def released() -> Iterator[tuple[str, Path]]:
    """Name and folder of every released model, sorted."""
    for folder in sorted(spec.models_dir().iterdir()):
        if (folder / "manifest.json").is_file():
            yield folder.name, folder


def released_model(name: str = DEFAULT_MODEL) -> Path:
    """The folder of the released model `name`; DftError when there is none."""
    known = dict(released())
    if name not in known:
        raise DftError(f"there is no released model {name!r}", f"known: {', '.join(known) or 'none'}")
    return known[name]


@dataclass(frozen=True)
class NetRow:
    """A preset of the registry: its own tile size, and by tile size (MACs, RAM in bytes; 0 where it stays on the host)."""

    name: str
    tile: int
    parameters: int
    summary: str
    at: dict[int, tuple[int, int]]


def net_rows() -> list[NetRow]:
    """The nets that `dftiny train` knows, as tools/net_table counted and planned them; needs no torch."""
    return [
        NetRow(
            name,
            int(value["tile"]),
            int(value["parameters"]),
            str(value["summary"]),
            {int(tile): (int(v["macs"]), int(v["ram_bytes"])) for tile, v in value["at"].items()},
        )
        for name, value in spec.nets().items()
    ]


def _released_rows() -> Iterator[Row]:
    for name, folder in released():
        manifest = read_manifest(folder)
        c = manifest.config
        yield Row(
            name,
            int(c["tile"]),
            int(c["parameters"]),
            int(c["macs"]),
            "released with checkpoint and calibration tiles",
        )


def models_table() -> str:
    """The released models, then the nets that `dftiny train` knows, with MACs and RAM at each tile size."""
    head = f"Released models (dftiny export takes {DEFAULT_MODEL} without being told)"
    nets = (
        "Nets to train (dftiny train --recipe …): MACs of one tile, and RAM for activations on the STM32H743"
    )
    return "\n".join([head, *_lines(list(_released_rows())), "", nets, *_net_lines(net_rows())])


def _net_lines(rows: list[NetRow]) -> list[str]:
    columns = "".join(f"{f'{tile} px':>19}" for tile in TILES)
    lines = [f"  {'name':<15}{'parameters':>12}{columns}"]
    for row in rows:
        cells = "".join(f"{_cell(*row.at[tile]):>19}" for tile in TILES)
        lines.append(f"  {row.name:<15}{row.parameters:>12,}{cells}")
    return [*lines, "", *(f"  {row.name:<15} {row.summary} Its tile: {row.tile} px." for row in rows)]


def _cell(macs: int, ram_bytes: int) -> str:
    ram = f"{ram_bytes / 1024:.1f} KB" if ram_bytes else "host"
    return f"{macs / 1e6:.1f} M {ram:>9}"


def readme() -> str:
    """The text of models/README.md, made from the models' manifests; a test holds the file to it."""
    head = """# Released models

One folder a model: `checkpoint.safetensors`, its `recipe.toml`, calibration and golden tiles that may be shipped, `card.md` with
what it is, what it is not and what was measured, and `manifest.json`. Made by `python -m dftiny.release`; this page by
`python -m dftiny.models`.

| model | tile, px | parameters | MACs a tile | threshold (image logit) |
|---|---|---|---|---|
"""
    rows = []
    for name, folder in released():
        c = read_manifest(folder).config
        rows.append(
            f"| [{name}]({name}/card.md) | {c['tile']} | {c['parameters']:,} | {c['macs']:,} | {c['threshold']:+.3f} |"
        )
    return head + "\n".join(rows) + "\n"


def _lines(rows: list[Row]) -> list[str]:
    head = f"  {'name':<24}{'tile':>6}{'parameters':>12}{'MACs a tile':>14}  "
    return [head] + [f"  {r.name:<24}{r.tile:>6}{r.parameters:>12,}{r.macs:>14,}  {r.note}" for r in rows]


if __name__ == "__main__":
    with atomic_write(spec.models_dir() / "README.md", "w") as file:
        file.write(readme())
