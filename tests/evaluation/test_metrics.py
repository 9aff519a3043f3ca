import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as oracle

from cct.evaluation.metrics import (
    TEST_METRICS,
    EvaluationMetric,
    MetricsError,
    balanced_accuracy,
    compute_metrics,
    confusion_matrix,
    cross_entropy,
    expected_calibration_error,
    macro_f1,
    per_class_accuracy,
    softmax,
    top_k_accuracy,
    wilson_interval,
)
from cct.evaluation.params import EvaluateParams
from cct.params import ParamsError, parse
from cct.tracking.names import result_metrics
from cct.tracking.promote import comparable_metrics

CLASSES = 7


@pytest.fixture(scope="module")
def scored() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    labels_n = rng.integers(CLASSES, size=500).astype(np.uint8)  # as the splits are stored
    logits_nk = rng.normal(size=(500, CLASSES)).astype(np.float32)
    logits_nk[np.arange(500), labels_n] += 1
    return logits_nk, labels_n


def test_importing_is_light():
    code = "import sys, cct.evaluation.metrics, cct.evaluation.figures.params; print(*sys.modules)"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    loaded = subprocess.check_output([sys.executable, "-c", code], env=env, text=True).split()
    assert not {"keras", "tensorflow", "mlflow", "sklearn", "scipy", "matplotlib", "pandas"} & set(loaded)


def test_softmax_sums_to_one_and_ignores_a_shift(scored):
    logits_nk, _ = scored
    probabilities_nk = softmax(logits_nk)
    assert probabilities_nk.dtype == np.float64
    np.testing.assert_allclose(probabilities_nk.sum(axis=1), 1)
    np.testing.assert_allclose(softmax(np.array([[0.0, math.log(3)]]) + 1e6), [[0.25, 0.75]])
    np.testing.assert_array_equal(softmax(np.array([[-1e30, 1e30]])), [[0, 1]])


def test_cross_entropy_is_that_of_scikit_learn(scored):
    logits_nk, labels_n = scored
    expected = oracle.log_loss(labels_n, softmax(logits_nk), labels=range(CLASSES))
    assert cross_entropy(logits_nk, labels_n) == pytest.approx(expected, rel=1e-12)


def test_cross_entropy_of_a_sure_mistake_is_large_but_finite():
    assert cross_entropy(np.array([[5000.0, 0.0]]), np.array([1])) == pytest.approx(5000)


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_top_k_is_that_of_scikit_learn(scored, k):
    logits_nk, labels_n = scored
    expected = oracle.top_k_accuracy_score(labels_n, logits_nk, k=k, labels=range(CLASSES))
    assert top_k_accuracy(logits_nk, labels_n, k) == expected


@pytest.mark.parametrize(("k", "expected"), [(1, 0.25), (2, 0.5), (3, 0.75), (4, 1), (99, 1)])
def test_top_k_ranks_the_lower_index_first_among_equals(k, expected):
    assert top_k_accuracy(np.full((4, 4), 0.25), np.arange(4), k) == expected


def test_top_1_is_the_accuracy_of_argmax_with_ties(scored):
    logits_nk, labels_n = scored
    coarse_nk = logits_nk.round()
    assert top_k_accuracy(coarse_nk, labels_n, 1) == (coarse_nk.argmax(axis=1) == labels_n).mean()


def test_top_k_counts_nan_as_a_miss():
    assert top_k_accuracy(np.full((3, 4), np.nan), np.array([0, 1, 2]), 2) == 0


@pytest.mark.parametrize(
    ("correct", "total", "confidence", "low", "high"),
    [
        (9, 10, 0.95, 0.5958, 0.9821),
        (
            81,
            263,
            0.95,
            0.2553,
            0.3662,
        ),  # this and the next three: the examples of Newcombe 1998, Statistics in Medicine 17
        (15, 148, 0.95, 0.0624, 0.1605),
        (0, 20, 0.95, 0, 0.1611),
        (1, 29, 0.95, 0.0061, 0.1718),
        (29, 29, 0.95, 0.8830, 1),
    ],
)
def test_wilson_interval_is_the_published_one(correct, total, confidence, low, high):
    assert wilson_interval(correct, total, confidence=confidence) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.9999])
def test_wilson_interval_is_that_of_scipy(confidence):
    for correct, total in ((0, 1), (1, 1), (7, 31), (9_123, 10_000), (10_000, 10_000)):
        expected = binomtest(correct, total).proportion_ci(confidence, method="wilson")
        assert wilson_interval(correct, total, confidence=confidence) == pytest.approx((expected.low, expected.high))


def test_wilson_bounds_solve_their_equation():
    low, high = wilson_interval(7, 31, confidence=0.9)
    for bound in (low, high):  # |share - bound| is z standard deviations of the bound's own binomial
        assert abs(7 / 31 - bound) / math.sqrt(bound * (1 - bound) / 31) == pytest.approx(1.6448536269514722)


@pytest.mark.parametrize("total", [1, 3, 10_000, 10**7])
def test_wilson_stays_within_0_and_1(total):
    for correct in (0, 1, total - 1, total):
        low, high = wilson_interval(correct, total, confidence=0.999)
        assert 0 <= low <= correct / total <= high <= 1


@pytest.mark.parametrize(("correct", "total", "confidence"), [(0, 0, 0.9), (2, 1, 0.9), (-1, 1, 0.9), (1, 1, 1.0)])
def test_wilson_refuses_the_impossible(correct, total, confidence):
    with pytest.raises(ValueError, match="must be"):
        wilson_interval(correct, total, confidence=confidence)


def test_confusion_is_that_of_scikit_learn(scored):
    logits_nk, labels_n = scored
    predicted_n = logits_nk.argmax(axis=1)
    expected_kk = oracle.confusion_matrix(labels_n, predicted_n)
    np.testing.assert_array_equal(confusion_matrix(labels_n, predicted_n, classes=CLASSES), expected_kk)
    np.testing.assert_allclose(
        per_class_accuracy(labels_n, predicted_n, classes=CLASSES),
        oracle.recall_score(labels_n, predicted_n, average=None),
    )


def test_confusion_does_not_wrap_in_uint8():
    labels_n = np.array([99, 50], dtype=np.uint8)
    matrix_kk = confusion_matrix(labels_n, np.array([98, 50], dtype=np.uint8), classes=100)
    assert matrix_kk.sum() == 2
    assert matrix_kk[99, 98] == matrix_kk[50, 50] == 1


@pytest.mark.parametrize("bad", [-1, 3])
def test_labels_outside_the_classes_are_refused(bad):
    with pytest.raises(ValueError, match="from 0 to 2"):
        confusion_matrix(np.array([bad]), np.array([0]), classes=3)
    with pytest.raises(ValueError, match="from 0 to 2"):
        cross_entropy(np.zeros((1, 3)), np.array([bad]))


# scikit-learn warns of a class that is predicted and has no example, and of a single class.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("labels", "predicted"),
    [
        ([0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 0, 2]),
        ([0, 0, 0, 1], [0, 0, 0, 0]),  # class 1 has no prediction
        ([0, 0, 0, 0], [0, 0, 0, 4]),  # class 4 has no example, and classes 1 to 3 have neither
        ([2, 2], [3, 3]),
        ([1], [1]),
    ],
)
def test_balanced_accuracy_and_macro_f1_are_those_of_scikit_learn(labels, predicted):
    labels_n, predicted_n = np.array(labels, np.uint8), np.array(predicted)
    expected = oracle.balanced_accuracy_score(labels_n, predicted_n)
    assert balanced_accuracy(labels_n, predicted_n, classes=5) == pytest.approx(expected, abs=1e-12)
    expected = oracle.f1_score(labels_n, predicted_n, average="macro", zero_division=0)
    assert macro_f1(labels_n, predicted_n, classes=5) == pytest.approx(expected, abs=1e-12)


def test_a_model_that_neglects_the_rare_class_is_accurate_and_not_balanced():
    """By hand: recalls of 1 and 0; F1 scores of 2 * 9 / (2 * 9 + 1) and 0."""
    labels_n, predicted_n = np.array([0] * 9 + [1]), np.zeros(10, np.int64)
    logits_nk = np.eye(2)[predicted_n]
    test = compute_metrics(logits_nk, labels_n, 2, confidence=0.95)["test"]
    assert (test["accuracy"], test["balanced_accuracy"], test["macro_f1"]) == (0.9, 0.5, round(9 / 19, 6))
    for metric in (balanced_accuracy, macro_f1):
        with pytest.raises(ValueError, match="no example"):
            metric(labels_n[:0], predicted_n[:0], classes=2)


def test_calibration_error_is_the_definition(scored):
    logits_nk, labels_n = scored
    probabilities_nk = softmax(logits_nk)
    confidence_n, right_n = probabilities_nk.max(axis=1), probabilities_nk.argmax(axis=1) == labels_n
    expected = 0.0
    for m in range(15):
        inside_n = (confidence_n > m / 15) & (confidence_n <= (m + 1) / 15)
        if inside_n.any():
            expected += inside_n.mean() * abs(right_n[inside_n].mean() - confidence_n[inside_n].mean())
    assert expected_calibration_error(probabilities_nk, labels_n) == pytest.approx(expected)


def test_calibration_error_by_hand():
    # Four images at 75 %: three right is calibrated, none right is 0.75 off. The edge 0.5 belongs to the lower bin.
    probabilities_nk = np.tile([0.75, 0.25], (4, 1))
    assert expected_calibration_error(probabilities_nk, np.array([0, 0, 0, 1])) == 0
    assert expected_calibration_error(probabilities_nk, np.ones(4, int)) == 0.75
    mixed_nk = np.array([[0.5, 0.5], [0.75, 0.25]])
    assert expected_calibration_error(mixed_nk, np.array([0, 1]), bins=2) == (0.5 + 0.75) / 2
    assert expected_calibration_error(mixed_nk, np.array([0, 1]), bins=1) == 0.125


def test_summary_is_plain_json_and_agrees_with_its_parts(scored):
    logits_nk, labels_n = scored
    labels_n = np.where(labels_n == 2, 3, labels_n)
    before_nk = logits_nk.copy()
    summary = compute_metrics(logits_nk, labels_n, CLASSES, confidence=0.95)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    test = summary["test"]
    ends = {f"{name}_{end}" for name, metric in TEST_METRICS.items() if metric.interval for end in ("low", "high")}
    assert test.keys() == {*TEST_METRICS, *ends, "examples"}
    assert test["examples"] == 500
    assert test["accuracy"] == oracle.accuracy_score(labels_n, logits_nk.argmax(axis=1))
    f1 = oracle.f1_score(labels_n, logits_nk.argmax(axis=1), average="macro", zero_division=0)
    assert test["macro_f1"] == pytest.approx(f1, abs=1e-6)
    brier = oracle.brier_score_loss(labels_n, softmax(logits_nk), labels=range(CLASSES), scale_by_half=False)
    assert test["brier_score"] == test["calibrated_brier_score"] == pytest.approx(brier, abs=1e-6)
    assert test["accuracy_low"] < test["accuracy"] < test["accuracy_high"] < test["top_5_accuracy"] < 1
    assert all(value == round(value, 6) and type(value) in (int, float) for value in test.values())
    assert (test["set_coverage"], test["set_size"]) == (1, CLASSES)
    np.testing.assert_array_equal(logits_nk, before_nk)


def test_sets_are_measured_on_calibrated_probabilities():
    logits_nk = np.array([[2.0, 0.0], [0.0, 2.0], [4.0, 0.0], [0.0, 0.5]])
    test = compute_metrics(logits_nk, np.array([0, 0, 0, 0]), 2, confidence=0.95, temperature=2.0, threshold=0.4)
    # Half of each logit: 0.73, 0.27, 0.88 and 0.44 are the true class's probabilities.
    assert test["test"]["set_coverage"] == 0.75 and test["test"]["set_size"] == 1.25


def test_another_entry_of_the_table_is_another_metric(scored, monkeypatch):
    """With its interval, and its direction for `cct promote`: nothing else has to be edited."""
    logits_nk, labels_n = scored
    errors = EvaluationMetric(
        lambda scores: float((scores.logits_nk.argmax(axis=1) != scores.labels_n).mean()),
        higher_is_better=False,
        interval=lambda scores, confidence: (0.0, confidence),
    )
    monkeypatch.setitem(TEST_METRICS, "error_rate", errors)
    test = compute_metrics(logits_nk, labels_n, CLASSES, confidence=0.9)["test"]
    assert test["error_rate"] == pytest.approx(1 - test["accuracy"])
    assert (test["error_rate_low"], test["error_rate_high"]) == (0.0, 0.9)
    assert comparable_metrics()["test/error_rate"] == (False, "test/error_rate_low")
    assert result_metrics({"test": test})["test/error_rate"] == test["error_rate"]


def test_summary_has_no_top_5_below_6_classes():
    for classes in (2, 5, 6):
        summary = compute_metrics(np.eye(classes), np.arange(classes), classes, confidence=0.9)
        assert ("top_5_accuracy" in summary["test"]) == (classes == 6)
        assert summary["test"]["accuracy"] == 1.0


def test_summary_refuses_what_cannot_be_scored():
    logits_nk, labels_n = np.zeros((4, 2), np.float32), np.zeros(4, np.uint8)
    with pytest.raises(MetricsError, match=r"^the test split is empty: check the archive$"):
        compute_metrics(logits_nk[:0], labels_n[:0], 2, confidence=0.95)
    with pytest.raises(MetricsError, match=r"2 outputs .* 3 classes"):
        compute_metrics(logits_nk, labels_n, 3, confidence=0.95)
    logits_nk[1:3, 0] = np.nan, np.inf
    with pytest.raises(MetricsError, match="2 of 4 examples"):
        compute_metrics(logits_nk, labels_n, 2, confidence=0.95)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"batch_size": 65537},
        {"batch_size": 1.5},
        {"confidence_level": 1.0},
        {"confidence_level": 0.0},
        {"coverage": 0.955},
        {"coverage": 1},
    ],
)
def test_params_are_checked(wrong, tmp_path):
    good = {"batch_size": 256, "confidence_level": 0.95, "coverage": 0.9}
    assert parse(EvaluateParams, good, where=tmp_path).confidence_level == 0.95
    with pytest.raises(ParamsError, match=next(iter(wrong))):
        parse(EvaluateParams, good | wrong, where=tmp_path)
