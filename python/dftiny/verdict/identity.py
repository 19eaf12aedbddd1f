"""Do all boards say the same of the same pictures? Outputs of all tiles, verdicts, tiles used, evidence: compared with ==.

The numpy oracle is the measure; a board is whatever has the two functions of detect's Engine. Called by tools/verdict.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dftiny.bench.run import local_boards
from dftiny.build import build
from dftiny.bundle import MODEL, VERDICT, export, load_bundle
from dftiny.data.index import load_index, read_image
from dftiny.data.tiles import tiles
from dftiny.detect.engines import Engine, Oracle, board_engine
from dftiny.detect.judge import Finding, judge_picture
from dftiny.detect.picture import Picture
from dftiny.errors import DftError
from dftiny.verdict.file import VerdictFile, load_verdict
from dftiny.verdict.model import VerdictModel

BOARDS = ("host", "mps2_an500")


@dataclass
class Identity:
    """What one board was compared on, all sums: images, tiles of them, tiles its verdicts took; and what differed, by
    the image's name."""

    board: str
    images: int = 0
    tiles: int = 0
    tiles_used: int = 0
    other_outputs: list[str] = field(default_factory=list)
    other_verdicts: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether something was compared and nothing differed."""
        return self.tiles > 0 and not self.other_outputs and not self.other_verdicts


def compare_boards(
    pictures: Iterable[Picture], file: VerdictFile, model: VerdictModel, oracle: Engine, boards: Mapping[str, Engine]
) -> list[Identity]:  # fmt: skip
    """Every picture through the oracle and each of `boards`."""
    found = [Identity(name) for name in boards]
    for picture in pictures:
        cut = tiles(picture.pixels, file.tile)
        outputs, said = oracle.outputs(cut), judge_picture(picture, file, model, oracle)
        for one in found:
            board, name = boards[one.board], str(picture.path)
            one.images += 1
            one.tiles += len(cut)
            if not np.array_equal(board.outputs(cut), outputs):
                one.other_outputs.append(name)
            told = judge_picture(picture, file, model, board)
            one.tiles_used += told.tiles
            if _told(told) != _told(said):
                one.other_verdicts.append(name)
    return found


def _told(f: Finding) -> tuple[object, ...]:
    """All that a board has a part in."""
    return f.verdict, f.by_tiles, f.p_real, f.tiles, f.offered, f.evidence, f.warnings


def identity(model: Path, data: Path, limit: int | None = None) -> list[Identity]:
    """The released `model` on the test split of `data`, controls and shared copies among it: oracle, host board, QEMU.

    With `limit` so many images, spread over the split. Firmware is built for it; DftError where a compiler or QEMU is missing.
    """
    from rich.progress import track

    rows = [r for r in load_index(data).images if r.split == "test"]
    if limit is not None and limit < len(rows):
        rows = [rows[i] for i in np.linspace(0, len(rows) - 1, limit).astype(int).tolist()]
    if not rows:
        raise DftError(f"{data} has no image in its test split", "give the folder that dftiny data wrote")
    file = load_verdict(model / VERDICT)
    with _boards(model) as (oracle, tables, boards):
        pictures = (
            Picture(Path(r.file), read_image(data, r), 1, r.file.endswith(".jpg"), ())
            for r in track(rows, description="test split")
        )
        return compare_boards(pictures, file, tables, oracle, boards)


@contextlib.contextmanager
def _boards(model: Path) -> Iterator[tuple[Oracle, VerdictModel, dict[str, Engine]]]:
    """The oracle, the verdict's integers and both boards with the model's firmware, built in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="dftiny-identity-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        export(model / MODEL, out=folder / "bundle", quiet=True)
        bundle = load_bundle(folder / "bundle")
        if bundle.verdict is None:
            raise DftError(f"{model} has no {VERDICT}", "run dftiny verdict")
        boards: dict[str, Engine] = {}
        for board in BOARDS:
            build(bundle.folder, board, folder / board)
            opened = local_boards(board, bundle.folder, folder / board)
            boards[board] = stack.enter_context(board_engine(opened, bundle.digest))
        yield Oracle(bundle.graph()), bundle.verdict, boards


def identity_text(found: Iterable[Identity]) -> str:
    """One line a board, and the names of what differs."""
    lines = []
    for one in found:
        lines.append(
            f"{one.board:<12}{one.images} images, {one.tiles} tiles: outputs of {len(one.other_outputs)} images and verdicts of "
            f"{len(one.other_verdicts)} differ from the oracle's; {one.tiles_used} tiles until the verdicts"
        )
        lines += [f"  outputs differ: {name}" for name in one.other_outputs]
        lines += [f"  verdict differs: {name}" for name in one.other_verdicts]
    return "\n".join(lines)
