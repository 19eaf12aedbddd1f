"""The diagnosis as text and as JSON: worst layers, likely causes, and what to try.

Called by export (`--explain`, and by itself when a gate fails) and by `dftiny diagnose`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dftiny.diagnose import Cures
from dftiny.diagnose.causes import Cause, causes
from dftiny.diagnose.cure import cured
from dftiny.diagnose.floats import FloatNet, dequantised
from dftiny.diagnose.measure import Measured, measured
from dftiny.diagnose.twin import float_twin
from dftiny.errors import DftError
from dftiny.graph import Graph

SCHEMA = 1
TILES = 16
WORST = 10
# What is tried on the calibration tiles, so that a suggestion comes with its effect.
TRIALS = (
    Cures("best"),
    Cures(equalise=True),
    Cures(correct_bias=True),
    Cures("best", equalise=True, correct_bias=True),
)


@dataclass(frozen=True)
class Trial:
    """Options of `dftiny export` and the logits' signal to noise in dB that they lead to."""

    options: str
    logits_db: float


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What was found. `reference` says what int8 was compared with; `trials` are sorted, the best first."""

    model: str
    reference: str
    tiles: int
    measured: Measured
    causes: tuple[Cause, ...]
    trials: tuple[Trial, ...]

    def as_json(self) -> dict[str, Any]:
        """For explain.json: plain numbers and words."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "reference": self.reference,
            "tiles": self.tiles,
            "logits_sqnr_db": _plain(self.measured.logits_db),
            "layers": [_rounded(asdict(e)) for e in self.measured.layers],
            "roundings": [_rounded(asdict(a)) for a in self.measured.alone],
            "causes": [asdict(c) for c in self.causes],
            "trials": [_rounded(asdict(t)) for t in self.trials],
        }


def diagnose(
    graph: Graph,
    tiles: np.ndarray,
    *,
    model: bytes = b"",
    floats: bytes | None = None,
    name: str | None = None,
    trials: bool = True,
) -> Diagnosis:
    """Compare int8 `graph` on uint8 tiles [n, H, W, C] with its float twin, the .tflite `floats`, or, without one, with
    its own weights in float. With the twin and the int8 file `model`, cures are tried as well."""
    net: FloatNet = dequantised(graph) if floats is None else float_twin(graph, floats)
    few = tiles[:: max(1, len(tiles) // TILES)][:TILES]
    m = measured(graph, net, few)
    tried = _tried(model, floats, tiles, graph.name) if trials and floats is not None and model else ()
    reference = "the float model" if net.exact else "its own weights in float (rounded weights are not seen)"
    return Diagnosis(name or graph.name, reference, len(few), m, causes(graph, m), tried)


def _tried(model: bytes, floats: bytes, tiles: np.ndarray, name: str) -> tuple[Trial, ...]:
    found = []
    for cures in TRIALS:
        try:
            made = cured(model, floats, tiles, cures, name)
        except DftError:
            continue  # constants that share a buffer, or scales that TFLM cannot run: nothing to offer
        found.append(Trial(cures.options, max(made.sqnr_db.values())))
    return tuple(sorted(found, key=lambda t: -t.logits_db))


def _plain(value: float) -> float:
    return round(value, 6) if math.isfinite(value) else math.copysign(1e30, value)


def _rounded(entry: dict[str, Any]) -> dict[str, Any]:
    return {k: _plain(v) if isinstance(v, float) else v for k, v in entry.items()}


def lines(d: Diagnosis) -> list[str]:
    """What a person reads, one line each."""
    m = d.measured
    text = [f"{d.model}: logits at {m.logits_db:.1f} dB against {d.reference}, on {d.tiles} tiles"]
    if d.causes:
        text.append("likely causes, worst first:")
    for i, c in enumerate(d.causes, 1):
        where = f"operator {c.op} ({c.layer})" + ("" if c.channel is None else f", channel {c.channel}")
        alone = "" if c.alone_db is None else f"; alone it leaves {c.alone_db:.1f} dB"
        text += [f"  {i}. {c.kind}: {where}", f"     {c.detail}{alone}", f"     try: {c.attempt}"]
    if not d.causes:
        text.append("no rounding hurts the answer by itself")
    return [*text, *_trial_lines(d), *_table(d)]


def _trial_lines(d: Diagnosis) -> list[str]:
    return (
        ["tried on the calibration tiles:", *(f"  {t.logits_db:6.1f} dB with {t.options}" for t in d.trials)]
        if d.trials
        else []
    )


_COLUMNS: tuple[tuple[str, int, Callable[[Any], str]], ...] = (
    ("op", 4, lambda e: str(e.op)),
    ("kind", 18, lambda e: e.kind),
    ("dB", 7, lambda e: f"{e.sqnr_db:.1f}"),
    ("own dB", 7, lambda e: f"{e.own_db:.1f}"),
    ("float range", 19, lambda e: f"{e.low:.3g} … {e.high:.3g}"),
    ("int8 carries", 19, lambda e: f"{e.carried_low:.3g} … {e.carried_high:.3g}"),
    ("cut off", 8, lambda e: f"{e.saturated:.2%}"),
    ("codes", 6, lambda e: str(e.codes_used)),
)


def _table(d: Diagnosis) -> list[str]:
    """The layers whose int8 values are farthest from the float ones."""
    worst = sorted(d.measured.layers, key=lambda e: e.sqnr_db)[:WORST]
    head = "".join(f"{title:>{width}}" for title, width, _ in _COLUMNS)
    rows = ["".join(f"{text(e):>{width}}" for _, width, text in _COLUMNS) + f"  {e.name}" for e in worst]
    return ["worst layers (whole net, and the operator's own share):", head + "  layer", *rows]
