"""Random and hand-made verdict models. For tests only."""

from __future__ import annotations

import numpy as np

from dftiny.verdict.model import VerdictModel, verdict_model


def random_model(rng: np.random.Generator, tiles_max: int) -> VerdictModel:
    """A possible verdict of `tiles_max` tiles; sums of its evidence pass every bound now and then."""
    seen = np.arange(1, tiles_max + 1)
    width = (200 * np.sqrt(seen)).astype(int)
    middle = rng.integers(-50, 50, tiles_max)
    inner = rng.integers(-20, width // 4 + 1)
    last = rng.integers(1, 300, tiles_max)
    return verdict_model(
        {
            "evidence": np.sort(rng.integers(-900, 900, 256)),
            "real_from": middle + width,
            "fake_to": middle - width,
            "between_from": middle - inner,
            "between_to": middle + inner,
            "last_real": middle + last,
            "last_fake": middle - last,
        }
    )
