"""An operator of a file with its tensors in hand, and the questions that every check asks of it.

Used by checks.py and checks_layout.py alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dftiny.graph.flat import RawOp
from dftiny.graph.types import Tensor

MAX_TAPS = 1 << 16  # products per output: |Σ| ≤ 2^16 · 128 · 255 < 2^31, so int32 accumulators never wrap
MAX_RANK = 4  # most operators of TFLM, and the kernels, walk over at most four dimensions


class Refused(ValueError):
    """Why an operator is not supported, as the end of the sentence "operator 3 (ADD) …", and the nearest rewrite that
    would work, where there is a better one than exporting again."""

    def __init__(self, why: str, rewrite: str = "") -> None:
        super().__init__(why)
        self.rewrite = rewrite


@dataclass(frozen=True)
class View:
    """An operator with its tensors in hand."""

    raw: RawOp
    tensors: Sequence[Tensor]

    def arity(self, low: int, high: int | None = None) -> None:
        """From `low` to `high` inputs (or just `low`), one output."""
        n, high = len(self.raw.inputs), high or low
        if not low <= n <= high or len(self.raw.outputs) != 1:
            raise Refused(f"has {n} inputs and {len(self.raw.outputs)} outputs")

    def operands(self, n: int) -> None:
        """n inputs and any number of outputs but none."""
        if len(self.raw.inputs) != n or not self.raw.outputs:
            raise Refused(f"has {len(self.raw.inputs)} inputs and {len(self.raw.outputs)} outputs")

    def input(self, i: int) -> Tensor:
        """Input i, which must be there."""
        if self.raw.inputs[i] < 0:
            raise Refused(f"lacks its input {i}")
        return self.tensors[self.raw.inputs[i]]

    def output(self, k: int = 0) -> Tensor:
        """Output k."""
        return self.tensors[self.raw.outputs[k]]

    def activation(self, i: int) -> Tensor:
        """Input i, an int8 tensor with one scale."""
        return int8_activation(self.input(i))

    def result(self, shape: Sequence[int], k: int = 0) -> Tensor:
        """Output k, an int8 tensor with one scale and of this shape."""
        out = int8_activation(self.output(k))
        if out.shape != tuple(shape):
            raise Refused(f"writes tensor {out.name} of shape {list(out.shape)}, not {list(shape)}")
        return out

    def constant(self, i: int, types: tuple[str, ...]) -> np.ndarray:
        """Input i, a constant of one of these types."""
        t = self.input(i)
        if t.data is None or t.dtype.name not in types:
            raise Refused(
                f"needs a constant {' or '.join(types)} tensor as input {i}, {t.name} is not one",
                "make axes, shapes, indices and amounts constants of that type before converting",
            )
        return t.data


def int8_activation(t: Tensor) -> Tensor:
    """`t`, if it is int8 with one scale; Refused otherwise."""
    if t.dtype != np.int8:
        raise Refused(
            f"works on tensor {t.name} of {t.dtype.name}, not int8",
            "keep integers out of the model: compute on int8 or before it",
        )
    if t.quant is None:
        raise Refused(f"works on tensor {t.name}, which has no quantisation")
    if t.quant.per_channel:
        raise Refused(f"works on tensor {t.name}, an activation with several scales")
    return t


def same_quant(*tensors: Tensor) -> None:
    """Refused unless all have bit-equal scale and zero point."""
    first = tensors[0]
    for t in tensors[1:]:
        if first.quant is None or not first.quant.same(t.quant):
            raise Refused(
                f"has different quantisation at {first.name} and {t.name}, which TFLM's kernel would ignore",
                "calibrate again with one converter run, which gives these tensors one scale, or put a QUANTIZE between",
            )


def spatial(t: Tensor) -> tuple[int, int, int]:
    """(height, width, channels) of a map [1, H, W, C]; Refused otherwise."""
    if len(t.shape) != 4 or t.shape[0] != 1:
        raise Refused(
            f"works on tensor {t.name} of shape {list(t.shape)}, not [1, H, W, C]",
            "export with batch 1; a signal in time is a map of height 1",
        )
    return t.shape[1], t.shape[2], t.shape[3]
