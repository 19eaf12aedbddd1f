"""What came back, checked against the oracle and written down: tiles.jsonl line by line, bench.json at the end.

bench.json keeps instructions (exact, emulator) and cycles (measured, silicon) apart; a field that the board may
not claim is absent, never zero. Its shape is spec/schema/bench.json. Called by run.py.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny import spec
from dftiny.artifact import read_json
from dftiny.bench.images import Item, Work
from dftiny.bench.model import Model
from dftiny.bench.stream import Lane, TileDone
from dftiny.data.tiles import image_logit
from dftiny.errors import DftError
from dftiny.evaluate import image_metrics
from dftiny.metrics import evaluate_classes

SCHEMA = 1
SHOWN_DIFFERENCES = 10


@dataclass
class Image:
    """One image's results so far, by tile."""

    item: Item
    done: dict[int, TileDone] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Every tile has come back."""
        return len(self.done) == self.item.tiles


@dataclass
class Record:
    """All results of a run. `lines` is what tiles.jsonl will hold; an image's lines are written once it is compared.

    Ticks stand there only where the board may say what they count: a process of this computer may not.
    """

    model: Model
    work: Work
    lines: io.StringIO
    lanes: Sequence[Lane]
    images: dict[int, Image] = field(default_factory=dict)
    checked: dict[int, dict[str, Any]] = field(default_factory=dict)
    identical: int = 0
    compared: int = 0
    different: list[dict[str, Any]] = field(default_factory=list)

    def add(self, done: TileDone) -> None:
        """Keep one tile; compare and write its image when that was the last one missing."""
        image = self.images.setdefault(done.image, Image(self.work.items[done.image]))
        image.done[done.tile] = done
        if image.whole:
            self.check(done.image)

    def check(self, i: int) -> None:
        """Compare an image's tiles with the oracle, `==`, and write their lines."""
        image = self.images.pop(i)
        order = sorted(image.done)
        inputs, _ = image.item.load()
        board = np.stack([image.done[t].output for t in order])
        oracle = self.model.oracle(inputs[order])
        same = (board == oracle).all(axis=1)
        ticks_mean = claimed(self.lanes)[0]
        for k, t in enumerate(order):
            line: dict[str, Any] = {"id": image.item.id, "tile": t, "output": board[k].tolist()}
            if ticks_mean:
                line["ticks"] = image.done[t].ticks
            if not same[k]:
                line["oracle"] = oracle[k].tolist()
                self.different.append({key: line[key] for key in ("id", "tile", "output", "oracle")})
            self.lines.write(json.dumps(line, separators=(",", ":")) + "\n")
        self.identical += int(same.sum())
        self.compared += len(order)
        if image.whole:
            ticks = [image.done[t].ticks for t in order]
            self.checked[i] = {"outputs": board, "ticks": ticks, "identical": bool(same.all())}

    def check_rest(self) -> None:
        """At the end of a run that was cut short: the tiles of images that are not whole."""
        for i in sorted(self.images):
            self.check(i)


def may_claim(board: str, hello_claims: frozenset[str]) -> tuple[dict[str, Any], frozenset[str]]:
    """spec/boards' facts of that board ({} for a stranger) and what both the board and they claim."""
    try:
        facts = dict(spec.board(board))
    except DftError:
        return {}, frozenset()
    return facts, frozenset(facts["claims"]) & hello_claims


def claimed(lanes: Sequence[Lane]) -> tuple[str, int]:
    """What a tick may be called, "instructions" or "cycles", and how many of them it is; ("", 0) where neither."""
    hello = next((lane.hello for lane in lanes if lane.hello), None)
    if hello is None:
        return "", 0
    facts, claims = may_claim(hello.board, hello.claims)
    if "instructions" in claims:
        return "instructions", int(facts["instructions_per_tick"])
    return ("cycles", 1) if "cycles" in claims else ("", 0)


def sort_lines(path: Path, work: Work) -> None:
    """Put tiles.jsonl into the order of the images, so that equal runs leave equal files with any number of boards."""
    order = {item.id: i for i, item in enumerate(work.items)}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    lines.sort(key=lambda line: order[json.loads(line)["id"]])
    path.write_text("".join(lines), encoding="utf-8")


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    return {"mean": float(values.mean()), "min": float(values.min()), "max": float(values.max())}


def counts(record: Record, lanes: Sequence[Lane]) -> dict[str, Any]:
    """ "instructions" or "cycles" per tile and "ops", as far as the board may claim them; else {}."""
    unit, per_tick = claimed(lanes)
    if not unit or not record.checked:
        return {}
    ticks = np.concatenate([np.array(c["ticks"], dtype=np.float64) for c in record.checked.values()])
    # How far one figure may be off, in its own unit: a tick is the smallest step that the board counts.
    result: dict[str, Any] = {
        unit: {"per_tile": _spread(ticks * float(per_tick)), "tiles": len(ticks), "granularity": per_tick}
    }
    clock_hz = max(lane.hello.tick_hz for lane in lanes if lane.hello)
    if unit == "cycles" and clock_hz:
        result["cycles"]["clock_hz"] = clock_hz
    macs = record.model.bundle.macs
    if macs:
        result[unit]["per_mac"] = float(ticks.mean() * per_tick / macs)
    ops = [t for lane in lanes for t in lane.op_ticks]
    if ops and all(len(t) == len(ops[0]) for t in ops):
        mean = np.mean(ops, axis=0) * per_tick
        result["op_counts"] = {"unit": unit, "images": len(ops), "per_tile": [float(v) for v in mean]}
    return result


def op_table(model: Model, op_counts: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One row an operator of the model: kind, MACs, bytes of constants, and counts where they were taken."""
    sizes = model.op_bytes()
    rows: list[dict[str, Any]] = [{**asdict(op), "bytes": sizes[op.index]} for op in model.bundle.ops]
    if op_counts and len(op_counts["per_tile"]) == len(rows):
        for row, count in zip(rows, op_counts["per_tile"], strict=True):
            row[op_counts["unit"]] = count
    return rows


def memory(lanes: Sequence[Lane]) -> dict[str, int]:
    """Peaks over all boards in bytes; what a board does not measure is absent."""
    stats = [asdict(lane.stats) for lane in lanes if lane.stats]
    names = ("stack_peak_bytes", "stack_bytes", "arena_bytes")
    peaks = {n: max(s[n] for s in stats) for n in names if stats}
    return {n: v for n, v in peaks.items() if v}


def link(lanes: Sequence[Lane], tile_bytes: int, seconds: float) -> dict[str, Any]:
    """Traffic of all boards together. Rates are this computer's wall clock: of the link, never of inference."""
    total: dict[str, Any] = {}
    for lane in lanes:
        for name, value in asdict(lane.count).items():
            total[name] = total.get(name, 0) + value
    busy = total.pop("busy_s")
    if busy > 0:
        total["input_bytes_per_s_per_board"] = total["input_bytes"] / busy
    causes: Counter[str] = sum((lane.causes for lane in lanes), Counter())
    if causes:
        total["reset_causes"] = dict(sorted(causes.items()))
    return {**total, "boards": len(lanes), "tile_bytes": tile_bytes, "wall_s": seconds}


def judged(record: Record) -> list[dict[str, Any]]:
    """Whole images in the order of the work: logit (or one a class), what was said, and whether every bit fits."""
    model, rows = record.model, []
    for i in sorted(record.checked):
        item, found = record.work.items[i], record.checked[i]
        scores = model.scores(found["outputs"])
        entry: dict[str, Any] = {"id": item.id, "tiles": item.tiles, "identical": found["identical"]}
        if item.row is not None:
            entry |= {k: getattr(item.row, k) for k in ("label", "kind", "source", "sharing", "seen")}
        if scores.ndim == 1:
            logit = image_logit(scores)
            entry["logit"] = logit
            classes = model.bundle.classes
            positive = classes.index(model.bundle.positive)
            entry["said"] = classes[positive if logit > model.bundle.threshold else 1 - positive]
        else:
            entry["logits"] = [float(v) for v in scores.mean(axis=0)]
            entry["said"] = model.bundle.classes[int(np.argmax(entry["logits"]))]
        rows.append(entry)
    return rows


def metrics(record: Record, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Metrics that fit: by sharing and group for real/fake, one block for more classes, {} without labels."""
    model = record.model
    labelled = [(record.work.items[i].row, r) for i, r in zip(sorted(record.checked), rows, strict=True)]
    known = [(row, r) for row, r in labelled if row is not None]
    if not known:
        return {}
    classes = model.bundle.classes
    if set(classes) == {"real", "fake"}:
        return image_metrics(
            [row for row, _ in known], [r["logit"] for _, r in known], model.bundle.threshold
        )
    if all(row.label in classes for row, _ in known):
        labels = [classes.index(row.label) for row, _ in known]
        return {"classes": evaluate_classes(labels, [_class_scores(model, r) for _, r in known], classes)}
    return {}


def _class_scores(model: Model, row: Mapping[str, Any]) -> list[float]:
    """One score a class, the largest of them what was said: a single logit is set against the threshold."""
    if "logits" in row:
        return list(row["logits"])
    above = float(row["logit"]) - model.bundle.threshold
    return [above if name == model.bundle.positive else -above for name in model.bundle.classes]


def beside(folder: Path | None, name: str) -> dict[str, Any]:
    """A JSON file of another stage that the report shows as it is, {} where there is none."""
    return dict(read_json(folder / name)) if folder is not None and (folder / name).is_file() else {}
