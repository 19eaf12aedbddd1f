"""verdict.json: all that a model's validation data said about verdicts, independent of one conversion to int8.

Evidence is a line through real logits, so that a net converted again keeps it; the integers for one conversion are made
by `model`. Written by verdict/validation.py, read by the export and by detect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dftiny.artifact import read_json, write_json
from dftiny.errors import DftError
from dftiny.verdict.fit import Bounds, Line, tables
from dftiny.verdict.model import TILES_MAX, VerdictModel

NAME = "verdict.json"
SCHEMA = 1
LOSSLESS, COMPRESSED = "lossless", "compressed"
DIGITS = 6  # equal files from processors whose last bits differ


@dataclass(frozen=True)
class VerdictFile:
    """`probability` gives (slope, offset) of the log odds of "real" from an image's mean evidence, by LOSSLESS and
    COMPRESSED; `ranges` [low, high] of each trait in training (novelty.py); `trained_on` a sentence for people;
    `confirms` the conditions in which the validation data let it say "real"."""

    trained_on: str
    tile: int
    tiles_max: int
    line: Line
    bounds: Bounds
    probability: Mapping[str, tuple[float, float]]
    ranges: Mapping[str, tuple[float, float]]
    confirms: tuple[str, ...]
    validation: Mapping[str, Any]

    def model(self, scale: float, zero_point: int) -> VerdictModel:
        """The integers for a net whose int8 output has this quantisation."""
        return tables(self.line, self.bounds, scale, zero_point, self.tiles_max)

    def p_real(self, condition: str, mean_evidence: float) -> float:
        """Probability of "real" where real and fake are equally frequent, of the mean evidence a tile in nats."""
        slope, offset = self.probability[condition]
        odds = min(max(slope * mean_evidence + offset, -30.0), 30.0)
        return 1 / (1 + math.exp(-odds))


def save_verdict(path: Path, verdict: VerdictFile) -> None:
    """Write `path`."""
    write_json(path, {"schema": SCHEMA, **_rounded(asdict(verdict))})


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, (list, tuple)) else value


def load_verdict(path: Path) -> VerdictFile:
    """Read `path`. DftError when it is not a verdict file or holds impossible values."""
    value = read_json(path, "verdict")
    try:
        if value["schema"] != SCHEMA:
            raise DftError(f"{path} has schema {value['schema']}, this dftiny reads {SCHEMA}", "fit it again")
        made = VerdictFile(
            trained_on=str(value["trained_on"]),
            tile=int(value["tile"]),
            tiles_max=int(value["tiles_max"]),
            line=Line(**{k: float(v) for k, v in value["line"].items()}),
            bounds=Bounds(**{k: float(v) for k, v in value["bounds"].items()}),
            probability={k: _pair(value["probability"][k]) for k in (LOSSLESS, COMPRESSED)},
            ranges={str(k): _pair(v) for k, v in value["ranges"].items()},
            confirms=tuple(str(c) for c in value["confirms"]),
            validation=dict(value["validation"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise DftError(f"{path} is not a dftiny verdict (missing or wrong: {e})", "fit it again") from e
    if not (1 <= made.tiles_max <= TILES_MAX and made.bounds.real > made.bounds.fake and made.line.slope > 0):
        raise DftError(f"{path} holds an impossible verdict", "fit it again")
    return made


def _pair(value: Any) -> tuple[float, float]:
    low, high = value
    return float(low), float(high)
