"""Pooled figures equal the plain metrics where those apply, and pairs never cross a fold."""

from __future__ import annotations

import numpy as np
import pytest

from dftiny.errors import DftError
from dftiny.metrics import auc, evaluate_scores
from dftiny.thesis.pool import Judged, paired, pooled


def part(seed: int, *, shift: float = 0.0, photographs: int = 5, fold: int = 0) -> Judged:
    rng = np.random.default_rng(seed)
    targets = np.array([1, 0, 0] * photographs * 2)
    sources = tuple(f"f{fold}p{i}" for i in range(photographs) for _ in range(6))
    logits = np.round(targets + 0.8 * rng.normal(size=len(targets)), 1) + shift
    return Judged(logits, targets, sources, 0.5 + shift)


def test_one_part_is_what_metrics_says() -> None:
    one = part(1)
    said = pooled([one], bootstrap=20)
    plain = evaluate_scores(one.targets, one.logits, one.threshold)
    assert said["accuracy"].value == pytest.approx(plain["balanced_accuracy"], abs=1e-12)
    assert said["auc"].value == pytest.approx(plain["auc"], abs=1e-12)
    assert said["false_alarms"].value == plain["confusion"]["fn"] / plain["positives"]
    assert said["auc"].images == len(one.targets)


def test_f1_is_that_of_a_test_set_with_as_many_of_both() -> None:
    one = part(2)
    real = one.targets == 1
    doubled = [np.concatenate([v[real], v[real], v[~real]]) for v in (one.targets, one.logits)]
    plain = evaluate_scores(*doubled, one.threshold)
    assert doubled[0].mean() == 0.5
    assert pooled([one], bootstrap=2)["f1"].value == pytest.approx(plain["f1"], abs=1e-12)


def test_folds_on_another_scale_do_not_mix() -> None:
    """A fold whose logits are all higher must not make or lose pairs with the other fold."""
    parts = [part(3), part(4, shift=50.0, fold=1)]
    said = pooled(parts, bootstrap=50)
    each = [auc(p.targets, p.logits) for p in parts]
    assert said["auc"].value == pytest.approx(np.mean(each), abs=1e-12)
    both = np.concatenate([p.logits for p in parts])
    assert abs(auc(np.concatenate([p.targets for p in parts]), both) - said["auc"].value) > 0.05


def test_interval_is_by_photograph_and_repeats() -> None:
    one = part(5, photographs=9)
    said, again = pooled([one], bootstrap=300), pooled([one], bootstrap=300)
    assert said == again
    interval = said["accuracy"].interval
    assert interval is not None and interval[0] < said["accuracy"].value < interval[1]
    alone = Judged(one.logits, one.targets, ("same",) * len(one.targets), one.threshold)
    assert pooled([alone], bootstrap=20)["accuracy"].interval is None


def test_seeds_of_one_fold_narrow_nothing_by_being_counted_as_photographs() -> None:
    """The same images judged three times give the interval of once."""
    one = part(6)
    once, thrice = pooled([one], bootstrap=200), pooled([one] * 3, bootstrap=200)
    assert once["auc"].value == pytest.approx(thrice["auc"].value, abs=1e-12)
    assert once["auc"].interval == pytest.approx(thrice["auc"].interval, abs=1e-12)


def test_a_missing_class_leaves_figures_out() -> None:
    one = part(7)
    reals = one.targets == 1
    only = Judged(one.logits[reals], one.targets[reals], tuple(np.array(one.sources)[reals]), one.threshold)
    assert set(pooled([only], bootstrap=10)) == {"false_alarms"}


def test_a_paired_difference_is_that_of_the_pooled_figures_and_narrower_than_an_unpaired_one() -> None:
    """Two nets that judge nearly alike: what both get wrong of a photograph does not widen the difference."""
    one = [part(8), part(9, fold=1)]
    nudged = [
        Judged(p.logits + 0.1 * (np.arange(len(p.logits)) % 7 == 0), p.targets, p.sources, p.threshold)
        for p in one
    ]
    more, alone, other = paired(nudged, one), pooled(nudged), pooled(one)
    for metric, figure in more.items():
        assert figure.value == pytest.approx(alone[metric].value - other[metric].value, abs=1e-12)
    assert set(more) == set(alone)
    low, high = more["auc"].interval or (0, 0)
    assert 0 < high - low < 0.5 * np.subtract(*reversed(alone["auc"].interval or (0, 0)))
    assert paired(one, one)["accuracy"].interval == (0.0, 0.0)


def test_a_difference_of_other_photographs_is_refused() -> None:
    with pytest.raises(DftError, match="did not judge the same photographs"):
        paired([part(8)], [part(8, fold=1)])
