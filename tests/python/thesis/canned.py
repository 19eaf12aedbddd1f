"""Score sheets with made-up logits, so that tables and figures can be checked without training anything."""

from __future__ import annotations

import numpy as np

from dftiny.thesis.sheet import Sheet

CONDITIONS = ("pre", "facebook-like", "telegram-like", "twitter-like")
METHODS = (
    "supervised", "random", *(f"{w}_{c}" for w in ("head", "all") for c in CONDITIONS[1:]), "mixed",
    *(f"mixed_head_{c}" for c in CONDITIONS), "simclr_head", "simclr_unfrozen", "simclr_thesis_head",
)  # fmt: skip
# Kinds and labels (1: real); copies off the grid are of both.
PLAIN = (("real", 1), ("gen_a", 0), ("blur", 1), ("denoise", 1))
FURTHER = (("gen_new", 0), ("resized", 0), ("resized", 1), ("offgrid", 0), ("offgrid", 1))


def sheet(net: str, fold: int, seed: int = 0, *, photographs: int = 4) -> Sheet:
    """Two crops of each photograph in every condition; a real's logit is 1 above a fake's, the noise is by condition."""
    rng = np.random.default_rng([fold, seed, len(net)])
    rows = [
        (split, f"photo{fold}{split}{p}", kind, c, label, kind in ("real", "gen_a"))
        for split in ("val", "test")
        for p in range(photographs)
        for _ in range(2)
        for c in CONDITIONS
        for kind, label in (*PLAIN, *(FURTHER if split == "test" else ()))
    ]  # fmt: skip
    split, source, kind, sharing, target, seen = (np.array(v) for v in zip(*rows, strict=True))
    noise = np.array([0.3 + 0.5 * CONDITIONS.index(str(c)) for c in sharing])
    logits = {
        m: (target - 0.5 + noise * rng.normal(size=len(rows)) * (2 if m == "random" else 1)).astype(
            np.float32
        )
        for m in METHODS
    }
    truth = np.eye(len(CONDITIONS))[[CONDITIONS.index(str(c)) for c in sharing]]
    history = {
        b: (truth + 0.4 * rng.normal(size=truth.shape)).astype(np.float32) for b in ("supervised", "mixed")
    }
    return Sheet(
        net,
        fold,
        seed,
        CONDITIONS,
        split,
        source,
        kind,
        sharing,
        target.astype(np.int64),
        seen,
        logits,
        history,
    )
