"""Do all boards say the same of the same pictures? Outputs of all tiles, verdicts, tiles used, evidence: compared with ==.

The numpy oracle is the measure; a board is whatever has the two functions of detect's Engine. Called by tools/verdict.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dftiny import int8
from dftiny.bench.run import local_boards
from dftiny.build import build
from dftiny.bundle import MODEL, VERDICT, export, load_bundle
from dftiny.data.index import ImageRow, load_index, read_image
from dftiny.data.sharing import PRE
from dftiny.data.tiles import tiles
from dftiny.detect.engines import Board, Engine, Oracle, board_engine
from dftiny.detect.judge import Finding, judge_picture
from dftiny.detect.picture import Picture
from dftiny.errors import DftError
from dftiny.link.device import Device
from dftiny.link.replies import Result
from dftiny.verdict.file import VerdictFile, load_verdict
from dftiny.verdict.model import VerdictModel

BOARDS = ("host", "mps2_an500")
SAID_EVERY = 18  # images


class Remembering(Board):
    """A board that is not asked again for the output of a tile that its last verdict has used."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self._known: dict[bytes, int] = {}

    def _run(self, tile: bytes) -> Result:
        result = super()._run(tile)
        self._known[tile] = int(result.output[0])
        return result

    def outputs(self, tiles: NDArray[np.uint8]) -> NDArray[np.int8]:
        """int8 [n] for uint8 tiles [n, H, W, 3]."""
        wanted = [t.tobytes() for t in int8.from_pixels(tiles)]
        out = [self._known[t] if t in self._known else int(self._run(t).output[0]) for t in wanted]
        self._known.clear()
        return np.array(out, np.int8)


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
) -> Iterator[list[Identity]]:  # fmt: skip
    """Every picture through the oracle and each of `boards`; the sums after each of them (the same objects)."""
    found = [Identity(name) for name in boards]
    for picture in pictures:
        cut = tiles(picture.pixels, file.tile)
        outputs, said = oracle.outputs(cut), judge_picture(picture, file, model, oracle)
        for one in found:
            board, name = boards[one.board], str(picture.path)
            told = judge_picture(picture, file, model, board)
            if _told(told) != _told(said):
                one.other_verdicts.append(name)
            if not np.array_equal(board.outputs(cut), outputs):
                one.other_outputs.append(name)
            one.images += 1
            one.tiles += len(cut)
            one.tiles_used += told.tiles
        yield found


def _told(f: Finding) -> tuple[object, ...]:
    """All that a board has a part in."""
    return f.verdict, f.by_tiles, f.p_real, f.tiles, f.offered, f.evidence, f.warnings


def identity(
    model: Path, data: Path, limit: int | None = None, say: Callable[[str], None] = lambda _: None
) -> list[Identity]:
    """The released `model` on the test split of `data`, controls and shared copies behind the rest: oracle, host board, QEMU.

    With `limit` so many images, spread over the split. What is found so far is told to `say` now and then, and is the
    answer when Ctrl-C is pressed. Firmware is built for it; DftError where a compiler or QEMU is missing.
    """
    rows = sorted((r for r in load_index(data).images if r.split == "test"), key=_late)
    if limit is not None and limit < len(rows):
        rows = [rows[i] for i in np.linspace(0, len(rows) - 1, limit).astype(int).tolist()]
    if not rows:
        raise DftError(f"{data} has no image in its test split", "give the folder that dftiny data wrote")
    file, found = load_verdict(model / VERDICT), [Identity(name) for name in BOARDS]
    pictures = (Picture(Path(r.file), read_image(data, r), 1, r.file.endswith(".jpg"), ()) for r in rows)
    with contextlib.suppress(KeyboardInterrupt), _boards(model) as (oracle, tables, boards):
        for found in compare_boards(pictures, file, tables, oracle, boards):
            if found[0].images % SAID_EVERY == 0:
                say(f"of {len(rows)} images so far:\n{identity_text(found)}")
    return found


def _late(row: ImageRow) -> tuple[bool, bool]:
    """Unshared images first, then shared copies, then controls; each in the index's order."""
    return row.is_control, row.sharing != PRE


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
            boards[board] = stack.enter_context(board_engine(opened, bundle.digest, Remembering))
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
