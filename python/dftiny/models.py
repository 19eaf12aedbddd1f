"""Released models and trainable nets, as a table. Needs no torch for the released ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from dftiny import spec
from dftiny.artifact import atomic_write, read_manifest
from dftiny.errors import DftError

DEFAULT_MODEL = "phinet_demo_128.demo"


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


def _net_rows() -> Iterator[Row]:
    from dftiny.nets.registry import count, create, presets

    for name, preset in presets().items():
        parameters, macs = count(create(name, preset.tile), preset.tile)
        yield Row(name, preset.tile, parameters, macs, preset.summary)


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
    """The released models, then the nets that `dftiny train` knows (when torch is installed)."""
    rows = list(_released_rows())
    lines = ["Released models (dftiny export takes the first without being told)", *_lines(rows)]
    if find_spec("torch") is None:
        return "\n".join([*lines, "", "Nets to train: install dftiny[train] to list them."])
    return "\n".join([*lines, "", "Nets to train (dftiny train --recipe …)", *_lines(list(_net_rows()))])


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
