"""What bench asks of a bundle: the oracle's answers, scores of outputs, and a network's input from pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny import int8
from dftiny.bundle import Bundle, load_bundle
from dftiny.errors import DftError
from dftiny.graph import Graph


@dataclass(frozen=True)
class Model:
    """An opened bundle with its oracle. `bundle.digest` (32 bytes) is what the firmware must report."""

    bundle: Bundle

    @cached_property
    def _graph(self) -> Graph:
        return self.bundle.graph()

    @property
    def two_classes(self) -> bool:
        """One score a tile tells it all: a single logit, or two classes."""
        return len(self.bundle.classes) == 2

    def oracle(self, tiles: NDArray[np.int8]) -> NDArray[np.int8]:
        """What every board must answer: int8 [n, outputs] for int8 tiles [n, H, W, C]."""
        return int8.run(self._graph, tiles).reshape(len(tiles), -1)

    def scores(self, outputs: NDArray[np.int8]) -> NDArray[np.float64]:
        """float64 [n] that grows with the positive class, or [n, classes] for more than two classes."""
        return scores(
            outputs,
            self.bundle.output_scale,
            self.bundle.output_zero_point,
            self.bundle.classes,
            self.bundle.positive,
        )

    def to_int8(self, pixels: NDArray[np.uint8]) -> NDArray[np.int8]:
        """The network's input for pixels uint8 [n, H, W, 3]: exactly pixel - 128. DftError for another input."""
        edge = self._graph.input
        if edge.scale != 1.0 or edge.zero_point != -128:
            raise DftError(
                f"{self.bundle.name} does not take pixel - 128 (scale {edge.scale}, zero point {edge.zero_point})",
                "export it again: dftiny export folds normalisation into the graph; or bench its golden tiles",
            )
        return int8.from_pixels(pixels)

    def op_bytes(self) -> list[int]:
        """Bytes of weights and biases that each operator brings along, in the order of the model."""
        data = {t.index: t.nbytes for t in self._graph.tensors if t.data is not None}
        return [sum(data.get(i, 0) for i in op.inputs) for op in self._graph.operators]

    def described(self) -> dict[str, Any]:
        """The part of bundle.json that bench.json repeats."""
        b = self.bundle
        return {
            "digest": b.digest.hex(),
            "name": b.name,
            "model_sha256": b.model_sha256,
            "target": b.target,
            "engine": b.engine,
            "tile": b.tile,
            "classes": list(b.classes),
            "positive": b.positive,
            "threshold": b.threshold,
            "macs": b.macs,
            "output": {
                "shape": list(b.output_shape),
                "scale": b.output_scale,
                "zero_point": b.output_zero_point,
            },
        }


def scores(
    outputs: NDArray[np.int8], scale: float, zero_point: int, classes: tuple[str, ...], positive: str
) -> NDArray[np.float64]:
    """Dequantised int8 [n, k] as one score [n] (k = 1: the logit; two classes: their difference), else [n, k]."""
    logits = (outputs.astype(np.float64) - zero_point) * scale
    if logits.shape[1] == 1:
        return logits[:, 0]
    if len(classes) == 2 and positive in classes:
        at = classes.index(positive)
        return logits[:, at] - logits[:, 1 - at]
    return logits


def load_model(folder: Path) -> Model:
    """Open a bundle folder, hashes verified. DftError when it is not one, CheckFailed when it was changed."""
    return Model(load_bundle(folder))
