"""The integers that make verdicts: evidence of each int8 output, bounds for each number of tiles seen.

They stand in bundle.json, so that the bundle's digest covers them, and in the firmware (codegen/verdict_c.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dftiny.errors import DftError

UNIT = 256  # evidence is natural log-likelihood ratios in 1/256
TILES_MAX = 1024
LEVELS = 256
NEVER_REAL, NEVER_FAKE = 2**31 - 1, -(2**31)
NONE, REAL, FAKE, UNDECIDED = 0, 1, 2, 3
NAMES = ("none", "real", "fake", "undecided")


@dataclass(frozen=True, eq=False)
class VerdictModel:
    """`evidence` int16 [256], real over fake in 1/UNIT, of an int8 output at output + 128. All others int32
    [tiles_max], the entry of `seen` tiles at seen - 1: stop and say real at a sum >= real_from, fake at <= fake_to,
    undecided within between_from…between_to; with the last tile real at >= last_real, fake at <= last_fake."""

    evidence: NDArray[np.int16]
    real_from: NDArray[np.int32]
    fake_to: NDArray[np.int32]
    between_from: NDArray[np.int32]
    between_to: NDArray[np.int32]
    last_real: NDArray[np.int32]
    last_fake: NDArray[np.int32]

    @property
    def tiles_max(self) -> int:
        """A photograph is decided after so many tiles at the latest."""
        return len(self.real_from)

    @property
    def flash_bytes(self) -> int:
        """What the tables take on the chip."""
        return sum(int(getattr(self, f.name).nbytes) for f in fields(self))

    def as_json(self) -> dict[str, list[int]]:
        """Lists of integers, by field."""
        return {f.name: getattr(self, f.name).tolist() for f in fields(self)}


def verdict_model(value: Mapping[str, Any]) -> VerdictModel:
    """Read what as_json wrote, or any mapping of integer sequences. DftError when it is not a possible verdict."""
    try:
        arrays = {
            f.name: _array(value[f.name], np.int16 if f.name == "evidence" else np.int32)
            for f in fields(VerdictModel)
        }
    except (KeyError, TypeError, ValueError, OverflowError) as e:
        raise DftError(f"a verdict lacks a table or has a wrong one ({e})", "export the model again") from e
    n = len(arrays["real_from"])
    bounds = [a for name, a in arrays.items() if name != "evidence"]
    if len(arrays["evidence"]) != LEVELS or not 1 <= n <= TILES_MAX or any(len(a) != n for a in bounds):
        raise DftError(
            f"a verdict has {LEVELS} values of evidence and 1 to {TILES_MAX} bounds a table",
            "export the model again",
        )
    made = VerdictModel(**arrays)
    if (made.real_from <= made.fake_to).any() or (made.last_real <= made.last_fake).any():
        raise DftError("a verdict says real and fake of the same evidence", "export the model again")
    return made


def _array(values: Any, dtype: type[np.int16] | type[np.int32]) -> NDArray[Any]:
    """One dimension of integers in range, read-only."""
    wide = np.asarray(values)
    info = np.iinfo(dtype)
    if wide.ndim != 1 or wide.dtype.kind not in "iu" or not wide.size:
        raise ValueError("not a list of integers")
    if int(wide.min()) < info.min or int(wide.max()) > info.max:
        raise ValueError(f"{int(wide.min())} to {int(wide.max())} is out of range")
    made = wide.astype(dtype)
    made.flags.writeable = False
    return made
