"""Conformal prediction sets."""

import numpy as np
import pytest

from cct.evaluation.conformal import percent_of, prediction_sets, set_thresholds, threshold_of
from cct.evaluation.softmax import softmax


@pytest.mark.parametrize("examples", [20, 99, 250])
def test_each_of_n_examples_is_covered_by_the_others_as_often_as_promised(examples):
    """Exactly, not only on average: of n + 1 scores, k are within the k-th smallest of the n others."""
    generator = np.random.default_rng(examples)
    probabilities_nk = softmax(generator.normal(size=(examples + 1, 4)) * 2)
    labels_n = generator.integers(4, size=examples + 1)
    true_n = probabilities_nk[np.arange(examples + 1), labels_n]
    rest = [np.delete(np.arange(examples + 1), i) for i in range(examples + 1)]
    thresholds = [set_thresholds(probabilities_nk[others], labels_n[others]) for others in rest]
    for coverage in (0.5, 0.8, 0.95):
        covered = sum(p >= threshold_of(t, coverage) for p, t in zip(true_n, thresholds, strict=True))
        wanted = coverage * (examples + 1)
        assert wanted <= covered < wanted + 1


def test_too_few_examples_promise_all_classes():
    thresholds = set_thresholds(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 1]))
    assert threshold_of(thresholds, 0.33) == 0.9 and threshold_of(thresholds, 0.66) == 0.6
    assert threshold_of(thresholds, 0.67) == 0.0  # three examples would be needed, of which two are right
    assert prediction_sets(np.array([[1.0, 0.0]]), 0.0).tolist() == [[True, True]]


def test_a_set_is_never_empty():
    assert prediction_sets(np.array([[0.4, 0.35, 0.25], [0.2, 0.2, 0.6]]), 0.5).tolist() == [
        [True, False, False],
        [False, False, True],
    ]


def test_a_higher_coverage_has_larger_sets():
    generator = np.random.default_rng(1)
    probabilities_nk, labels_n = softmax(generator.normal(size=(300, 6))), generator.integers(6, size=300)
    thresholds = set_thresholds(probabilities_nk, labels_n)
    assert len(thresholds) == 99 and thresholds == sorted(thresholds, reverse=True)


@pytest.mark.parametrize("wrong", [0, 1, 0.955, -0.5, 95, float("nan")])
def test_a_coverage_is_a_whole_percent(wrong):
    with pytest.raises(ValueError, match=r"0\.01, 0\.02"):
        percent_of(wrong)
    assert [percent_of(percent / 100) for percent in range(1, 100)] == list(range(1, 100))
