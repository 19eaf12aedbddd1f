"""Where int8 and float part, why, and what cures it: from an int8 .tflite and, where there is one, its float twin.

floats (the graph in float32) · twin (weights of the float model) · measure (error per tensor) · causes (rules that
name the layer and the channel) · equalise, ranges, requantise, bias (the cures) · cure (which of them, by result) ·
explain (text and JSON). Pure numpy; used by export and by `dftiny diagnose`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Method = Literal["minmax", "percentile", "mse"]
Choice = Literal["converter", "minmax", "percentile", "mse", "best"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "mse")
CHOICES: tuple[Choice, ...] = ("converter", *METHODS, "best")


@dataclass(frozen=True)
class Cures:
    """What is to be done to the converter's int8 model; nothing by default. Equalisation and bias correction write all
    numbers anew: with `method` "converter" they use "minmax"."""

    method: Choice = "converter"
    equalise: bool = False
    correct_bias: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is to be done."""
        return self != Cures()

    @property
    def options(self) -> str:
        """The options of `dftiny export` that ask for it."""
        parts = [] if self.method == "converter" else [f"--calibration-method {self.method}"]
        parts += ["--equalise"] if self.equalise else []
        return " ".join([*parts, *(["--correct-bias"] if self.correct_bias else [])])
