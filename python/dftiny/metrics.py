"""Labels and scores to accuracy, F1, AUC, ROC, threshold: the same for every stage. Pure, knows no files.

Positive class = real = 1; higher scores mean more real. A figure that the input does not allow (an AUC of one
class) is absent from the result, never nan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dftiny.errors import DftError

# A ROC of thousands of points says no more than this many in a report.
ROC_POINTS = 200


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    y, s = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if y.ndim != 1 or s.shape[:1] != y.shape or y.size == 0:
        raise DftError(
            f"labels {list(y.shape)} and scores {list(s.shape)} do not belong together or are empty"
        )
    if not np.isfinite(s).all():
        raise DftError(
            f"{int((~np.isfinite(s)).sum())} scores are not finite numbers", "check the model that made them"
        )
    return y.astype(np.int64), s


def roc(labels: ArrayLike, scores: ArrayLike) -> dict[str, list[float]]:
    """False and true positive rates from (0, 0) to (1, 1), at most ROC_POINTS; both classes must occur."""
    from sklearn.metrics import roc_curve

    y, s = _checked(labels, scores)
    fpr, tpr, _ = roc_curve(y, s)
    if len(fpr) > ROC_POINTS:
        keep = np.unique(np.linspace(0, len(fpr) - 1, ROC_POINTS).round().astype(int))
        fpr, tpr = fpr[keep], tpr[keep]
    return {"fpr": [round(float(v), 6) for v in fpr], "tpr": [round(float(v), 6) for v in tpr]}


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC by ranks, ties counted half (Mann-Whitney). Both classes must occur."""
    y, s = _checked(labels, scores)
    positives = int(y.sum())
    negatives = y.size - positives
    if positives == 0 or negatives == 0:
        raise DftError("an AUC needs both classes")
    _, inverse, counts = np.unique(s, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[inverse]
    return float((ranks[y == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def auc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: Sequence[str] | NDArray[Any],
    *,
    seed: int = 0,
    bootstrap: int = 1000,
) -> tuple[float, float] | None:
    """95 % percentile bootstrap interval of the AUC, resampling whole `groups` (source photographs).

    None when fewer than half of the resamples hold both classes, or there is only one group.
    """
    y, s = _checked(labels, scores)
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    if len(member) != y.size:
        raise DftError(f"{len(member)} groups for {y.size} labels")
    if len(names) < 2:
        return None
    members = [np.flatnonzero(member == g) for g in range(len(names))]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(bootstrap):
        pick = np.concatenate([members[g] for g in rng.integers(0, len(names), len(names))])
        if 0 < y[pick].sum() < pick.size:
            values.append(auc(y[pick], s[pick]))
    if len(values) < max(1, bootstrap // 2):
        return None
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def evaluate_scores(
    labels: ArrayLike,
    scores: ArrayLike,
    threshold: float,
    groups: Sequence[str] | NDArray[Any] | None = None,
    seed: int = 0,
    bootstrap: int = 1000,
) -> dict[str, Any]:
    """Binary metrics of `scores` [n] for `labels` [n] in {0, 1}; real is said when score > threshold.

    Always: n, positives, accuracy, confusion {tp, fn, fp, tn}. With both classes also balanced_accuracy, f1,
    auc, roc and, with `groups`, auc_interval [low, high].
    """
    y, s = _checked(labels, scores)
    if not np.isin(y, (0, 1)).all() or s.ndim != 1:
        raise DftError("binary metrics need labels 0 or 1 and one score each")
    said = s > threshold
    tp, fn = int((said & (y == 1)).sum()), int((~said & (y == 1)).sum())
    fp, tn = int((said & (y == 0)).sum()), int((~said & (y == 0)).sum())
    result: dict[str, Any] = {
        "n": int(y.size),
        "positives": tp + fn,
        "accuracy": (tp + tn) / y.size,
        "confusion": {"tp": tp, "fn": fn, "fp": fp, "tn": tn},
    }
    if tp + fn and fp + tn:
        result["balanced_accuracy"] = (tp / (tp + fn) + tn / (fp + tn)) / 2
        result["f1"] = 2 * tp / (2 * tp + fp + fn)
        result["auc"] = auc(y, s)
        result["roc"] = roc(y, s)
        interval = auc_interval(y, s, groups, seed=seed, bootstrap=bootstrap) if groups is not None else None
        if interval is not None:
            result["auc_interval"] = list(interval)
    return result


def calibrate_threshold(labels: ArrayLike, scores: ArrayLike) -> float:
    """The threshold with the best balanced accuracy, in the middle of the widest best gap of `scores` [n].

    Both classes must occur (DftError).
    """
    y, s = _checked(labels, scores)
    positives = int((y == 1).sum())
    negatives = y.size - positives
    if positives == 0 or negatives == 0:
        raise DftError(
            "a threshold needs both classes in the validation split", "give real and fake validation images"
        )
    order = np.argsort(s, kind="stable")
    s, y = s[order], y[order]
    # Cutting behind position i calls s[: i + 1] fake; only gaps between different scores can be cut.
    cut = np.flatnonzero(s[1:] > s[:-1])
    if cut.size == 0:
        return float(s[0])
    fake_right = np.cumsum(y == 0)[cut] / negatives
    real_right = 1 - np.cumsum(y == 1)[cut] / positives
    balanced = (fake_right + real_right) / 2
    if balanced.max() < 0.5:
        # Scores that run the wrong way: calling everything fake is the best that is left.
        return float(s[-1])
    best = cut[np.isclose(balanced, balanced.max(), rtol=0, atol=1e-12)]
    widest = best[np.argmax(s[best + 1] - s[best])]
    return float((s[widest] + s[widest + 1]) / 2)


def logistic_threshold(labels: ArrayLike, scores: ArrayLike) -> float:
    """The score [n] at which a logistic regression with balanced classes (Platt 1999) says one half.

    With few images it moves less from one draw of photographs to the next than the best cut of those images does
    (`calibrate_threshold`), because all scores have a say in it. Both classes must occur (DftError).
    """
    from sklearn.linear_model import LogisticRegression

    y, s = _checked(labels, scores)
    if not 0 < (y == 1).sum() < y.size:
        raise DftError(
            "a threshold needs both classes in the validation split", "give real and fake validation images"
        )
    centre, width = float(s.mean()), float(s.std())
    if width == 0:
        return centre
    fitted = LogisticRegression(C=1.0, class_weight="balanced").fit(((s - centre) / width)[:, None], y)
    slope, offset = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    # Scores that run the wrong way have no such point: the best cut knows what to do with them.
    return centre - width * offset / slope if slope > 0.05 else calibrate_threshold(y, s)


def evaluate_classes(labels: ArrayLike, scores: ArrayLike, classes: Sequence[str]) -> dict[str, Any]:
    """Metrics of a classifier with more than two classes: `labels` [n] in 0..k-1, `scores` [n, k].

    Always: n, classes, accuracy, confusion [true][said]. macro_f1 (mean over the classes that occur in
    labels) whenever at least two classes occur.
    """
    y, s = _checked(labels, scores)
    k = len(classes)
    if s.ndim != 2 or s.shape[1] != k or y.min() < 0 or y.max() >= k:
        raise DftError(f"scores {list(s.shape)} do not fit {k} classes")
    said = s.argmax(1)
    confusion = np.zeros((k, k), dtype=np.int64)
    np.add.at(confusion, (y, said), 1)
    result: dict[str, Any] = {
        "n": int(y.size),
        "classes": list(classes),
        "accuracy": float((said == y).mean()),
        "confusion": confusion.tolist(),
    }
    present = np.flatnonzero(confusion.sum(1))
    if present.size > 1:
        right = np.diag(confusion)[present]
        f1 = 2 * right / (confusion.sum(1)[present] + confusion.sum(0)[present])
        result["macro_f1"] = float(f1.mean())
    return result
