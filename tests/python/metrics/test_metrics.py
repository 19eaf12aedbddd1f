"""Metrics against scikit-learn and by hand, and what degenerate inputs leave out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from dftiny.errors import DftError
from dftiny.metrics import (
    auc,
    auc_interval,
    calibrate_threshold,
    evaluate_classes,
    evaluate_scores,
    logistic_threshold,
)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-5, 5)), min_size=2, max_size=60))
def test_equal_to_scikit_learn_with_ties(pairs: list[tuple[int, int]]) -> None:
    labels, scores = [a for a, _ in pairs], [b / 2 for _, b in pairs]
    result = evaluate_scores(labels, scores, 0.25)
    said = [int(s > 0.25) for s in scores]
    assert result["accuracy"] == pytest.approx(sk.accuracy_score(labels, said))
    if len(set(labels)) == 1:
        assert not {"auc", "f1", "roc", "balanced_accuracy", "auc_interval"} & set(result)
        return
    assert result["auc"] == pytest.approx(sk.roc_auc_score(labels, scores))
    assert result["f1"] == pytest.approx(sk.f1_score(labels, said, zero_division=0))
    assert result["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, said))
    assert result["roc"]["fpr"][0] == 0
    assert result["roc"]["tpr"][-1] == 1


def test_confusion_by_hand_and_json() -> None:
    result = evaluate_scores([1, 1, 1, 0, 0], [3.0, 2.0, -1.0, 2.5, -2.0], 0.0, ["a", "a", "b", "b", "c"])
    assert result["confusion"] == {"tp": 2, "fn": 1, "fp": 1, "tn": 1}
    assert (result["n"], result["positives"]) == (5, 3)
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize(
    ("labels", "scores"), [([], []), ([1, 0], [1.0]), ([1, 0], [1.0, float("nan")]), ([1, 2], [0.0, 1.0])]
)
def test_bad_input_is_refused(labels: list[int], scores: list[float]) -> None:
    with pytest.raises(DftError):
        evaluate_scores(labels, scores, 0.0)


def test_interval_resamples_photographs_and_not_images() -> None:
    rng = np.random.default_rng(3)
    # Twenty copies of six photographs' scores hold no more evidence than one copy.
    base_labels = np.tile([1, 0], 6)
    base_scores = rng.normal(size=12) + base_labels
    groups = np.repeat(np.arange(6), 2)
    one = auc_interval(base_labels, base_scores, groups, bootstrap=400)
    many = auc_interval(
        np.tile(base_labels, 20), np.tile(base_scores, 20), np.tile(groups, 20), bootstrap=400
    )
    assert one is not None
    assert many is not None
    assert many == pytest.approx(one)
    assert one[0] <= auc(base_labels, base_scores) <= one[1]
    assert one == auc_interval(base_labels, base_scores, groups, bootstrap=400)


def test_interval_is_absent_for_one_photograph_or_separate_classes() -> None:
    assert auc_interval([1, 0], [1.0, 0.0], ["a", "a"]) is None
    assert "auc_interval" not in evaluate_scores([1, 0], [1.0, 0.0], 0.5, ["a", "a"])


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-8, 8)), min_size=2, max_size=40))
def test_no_threshold_beats_the_calibrated_one(pairs: list[tuple[int, int]]) -> None:
    labels, scores = np.array([a for a, _ in pairs]), np.array([b for _, b in pairs], dtype=float)
    if len(set(labels.tolist())) == 1:
        with pytest.raises(DftError, match="both classes"):
            calibrate_threshold(labels, scores)
        return

    def balanced(threshold: float) -> float:
        said = scores > threshold
        return float((said[labels == 1].mean() + (~said[labels == 0]).mean()) / 2)

    best = (
        max(balanced(t) for t in np.arange(scores.min() + 0.5, scores.max() + 0.1, 0.5))
        if np.ptp(scores)
        else 0.5
    )
    assert balanced(calibrate_threshold(labels, scores)) >= best - 1e-12


def test_threshold_lies_in_the_middle_of_the_gap() -> None:
    assert calibrate_threshold([0, 0, 1, 1], [-3.0, -1.0, 2.0, 5.0]) == 0.5


def test_logistic_threshold_lies_between_the_classes_whatever_their_sizes_and_units() -> None:
    rng = np.random.default_rng(1)
    real, fake = rng.normal(3.0, 1.0, 40), rng.normal(-1.0, 1.0, 400)
    labels, scores = np.repeat([1, 0], [40, 400]), np.concatenate([real, fake])
    threshold = logistic_threshold(labels, scores)
    assert 0.5 < threshold < 1.5
    assert logistic_threshold(labels, 100 * scores + 7) == pytest.approx(100 * threshold + 7)


def test_logistic_threshold_moves_less_than_the_best_cut() -> None:
    labels = np.repeat([1, 0], [20, 60])
    draws = [np.random.default_rng(i).normal(2.0 * labels, 1.0) for i in range(40)]
    moved = [np.std([f(labels, s) for s in draws]) for f in (logistic_threshold, calibrate_threshold)]
    assert moved[0] < 0.6 * moved[1]


def test_logistic_threshold_of_hopeless_scores() -> None:
    assert logistic_threshold([0, 1], [2.0, 2.0]) == 2.0
    backwards = logistic_threshold([0, 0, 1, 1], [3.0, 4.0, 1.0, 2.0])
    assert backwards == calibrate_threshold([0, 0, 1, 1], [3.0, 4.0, 1.0, 2.0])
    with pytest.raises(DftError, match="both classes"):
        logistic_threshold([1, 1], [0.0, 1.0])


def test_more_than_two_classes() -> None:
    scores = np.eye(3)[[0, 1, 2, 1]]
    result = evaluate_classes([0, 1, 2, 2], scores, ["cat", "dog", "bird"])
    assert result["accuracy"] == 0.75
    assert result["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert result["macro_f1"] == pytest.approx(sk.f1_score([0, 1, 2, 2], [0, 1, 2, 1], average="macro"))
    assert "macro_f1" not in evaluate_classes([1, 1], scores[:2], ["cat", "dog", "bird"])
    with pytest.raises(DftError, match="classes"):
        evaluate_classes([0, 3], scores[:2], ["cat", "dog", "bird"])
