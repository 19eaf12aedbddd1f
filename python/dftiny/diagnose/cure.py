"""The cures, chosen by result: equalisation, calibration method, bias correction, as asked for.

"best" makes the int8 model by every method and keeps the one whose logits are nearest to the float ones on
calibration tiles. Called by export.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dftiny import graph as graphs
from dftiny import int8
from dftiny.diagnose import METHODS, Cures, Method
from dftiny.diagnose.bias import TILES, bias_corrected
from dftiny.diagnose.equalise import equalised
from dftiny.diagnose.floats import FloatNet, input_values, run
from dftiny.diagnose.measure import answer_db
from dftiny.diagnose.ranges import Seen, observe
from dftiny.diagnose.requantise import requantised
from dftiny.diagnose.twin import float_twin, rewritten
from dftiny.errors import DftError


@dataclass(frozen=True, eq=False)
class Cured:
    """The new int8 model and its float twin (equalised like it); `method` that made it and `sqnr_db` of its logits, by
    method, on calibration tiles."""

    model: bytes
    floats: bytes
    method: Method
    equalised_tensors: int
    sqnr_db: dict[str, float]


def cured(model: bytes, floats: bytes, tiles: np.ndarray, cures: Cures, name: str) -> Cured:
    """The int8 .tflite `model` made anew from its float twin `floats`, calibrated on uint8 tiles [n, H, W, 3].

    DftError when no choice gives a model that TFLM can run.
    """
    graph = graphs.load(model, name=name)
    net = float_twin(graph, floats)
    seen = observe(net, tiles)
    logits = run(net, input_values(graph, tiles))[graph.outputs[0]]
    changed = 0
    if cures.equalise:
        net, factors = equalised(net, seen)
        seen, changed, floats = observe(net, tiles), len(factors), rewritten(floats, net)
    methods = (
        METHODS if cures.method == "best" else ("minmax",) if cures.method == "converter" else (cures.method,)
    )
    made: dict[Method, bytes] = {}
    refused: DftError | None = None
    for method in methods:
        try:
            made[method] = _made(model, net, seen, method, tiles, cures)
        except DftError as e:
            refused = e
    if not made:
        raise refused or DftError(f"{name} has no calibration method")
    figures = {m: _figure(b, name, tiles, logits) for m, b in made.items()}
    best = max(made, key=lambda m: figures[m])
    return Cured(made[best], floats, best, changed, {k: round(v, 3) for k, v in figures.items()})


def _made(
    model: bytes, net: FloatNet, seen: Mapping[int, Seen], method: Method, tiles: np.ndarray, cures: Cures
) -> bytes:
    made = requantised(model, net, seen, method)
    if not cures.correct_bias:
        return made
    few = tiles[:: max(1, len(tiles) // TILES)][:TILES]
    return bias_corrected(made, graphs.load(made, name=net.graph.name), net, few)


def _figure(model: bytes, name: str, tiles: np.ndarray, logits: np.ndarray) -> float:
    g = graphs.load(model, name=name)
    return answer_db(logits.reshape(len(tiles), -1), int8.run_oracle(g, tiles).reshape(len(tiles), -1))
