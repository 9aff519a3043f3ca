"""The metrics of a trained classifier, from its logits and the true labels.

Names: n examples, k classes. Labels are class indices. Every sum is in float64, for any input type.

`wilson_interval` gives the numbers of `scipy.stats.binomtest`. The stage `evaluate` needs nothing else of
`scipy.stats`, whose import takes 0.7 s of processor time (SciPy 1.17.1, AMD EPYC).
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from cct.evaluation.conformal import prediction_sets
from cct.evaluation.softmax import DECIMALS, MetricsError, log_softmax, softmax

CALIBRATION_BINS = 15


def cross_entropy(logits_nk: np.ndarray, labels_n: np.ndarray) -> float:
    """Mean negative log likelihood of the true labels, in nats, without label smoothing.

    Raises:
        MetricsError: a logit is infinite or not a number.
        ValueError: there is no example, or a label is outside 0..k-1.
    """
    labels_n = _labels(labels_n, logits_nk)
    return float(-log_softmax(logits_nk)[np.arange(len(labels_n)), labels_n].mean())


def top_k_accuracy(probabilities_nk: np.ndarray, labels_n: np.ndarray, k: int) -> float:
    """Share of examples whose true class is among the k highest scores (probabilities or logits: only order counts).

    Among equal scores the lower class index ranks first, as in `argmax`, so k = 1 gives the accuracy of `argmax`.
    With k at or above the number of classes the result is 1.

    Raises:
        ValueError: k < 1, there is no example, or a label is outside the classes.
    """
    if k < 1:
        raise ValueError(f"k = {k}: must be at least 1")
    labels_n = _labels(labels_n, probabilities_nk)
    classes = probabilities_nk.shape[1]
    true_n1 = np.take_along_axis(probabilities_nk, labels_n[:, None], axis=1)
    later_nk = np.arange(classes) > labels_n[:, None]
    # This counts the scores below, so that a NaN, which is above no score, is a miss and not a hit.
    beaten_n = ((probabilities_nk < true_n1) | ((probabilities_nk == true_n1) & later_nk)).sum(axis=1)
    return float((beaten_n >= classes - k).mean())


def wilson_interval(correct: int, total: int, confidence: float) -> tuple[float, float]:
    """Wilson score interval of a proportion, as (low, high) within 0..1.

    Unlike the normal approximation, it stays within 0..1, and its width is not 0 at 0 and 100 %.
    Source: Wilson 1927, JASA 22, without continuity correction, as Brown, Cai & DasGupta 2001 recommend.

    Raises:
        ValueError: not 0 <= correct <= total, total < 1, or confidence outside 0..1.
    """
    if total < 1 or not 0 <= correct <= total:
        raise ValueError(f"{correct} correct of {total}: must be 0 <= correct <= total and total >= 1")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence = {confidence}: must be between 0 and 1")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / total
    scale = 1 + z * z / total
    centre = (share + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    # At the ends the exact bounds are 0 and 1. Floats would be off by a rounding.
    return (centre - half if correct else 0.0), (centre + half if correct < total else 1.0)


def confusion_matrix(labels_n: np.ndarray, predicted_n: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes) as int64: rows are true classes, columns predicted ones.

    Raises:
        ValueError: the lengths differ, or a label is outside 0..classes-1.
    """
    labels_n, predicted_n = (_indices(values_n, classes) for values_n in (labels_n, predicted_n))
    if len(labels_n) != len(predicted_n):
        raise ValueError(f"{len(labels_n)} labels for {len(predicted_n)} predictions")
    return np.bincount(labels_n * classes + predicted_n, minlength=classes**2).reshape(classes, classes)


def per_class_accuracy(labels_n: np.ndarray, predicted_n: np.ndarray, classes: int) -> np.ndarray:
    """Recall of each true class, (classes,): its share that was predicted right. NaN for a class without examples.

    Raises:
        ValueError: as `confusion_matrix`.
    """
    matrix_kk = confusion_matrix(labels_n, predicted_n, classes=classes)
    examples_k = matrix_kk.sum(axis=1)
    return np.divide(matrix_kk.diagonal(), examples_k, out=np.full(classes, np.nan), where=examples_k > 0)


def balanced_accuracy(labels_n: np.ndarray, predicted_n: np.ndarray, classes: int) -> float:
    """Mean recall of the classes that have examples, as scikit-learn's `balanced_accuracy_score`.

    Raises:
        ValueError: there is no example, or as `confusion_matrix`.
    """
    recall_k = per_class_accuracy(labels_n, predicted_n, classes)
    if not len(labels_n):
        raise ValueError("no example")
    return float(np.nanmean(recall_k))


def macro_f1(labels_n: np.ndarray, predicted_n: np.ndarray, classes: int) -> float:
    """Mean F1 score of the classes that have examples or predictions, as scikit-learn's `f1_score(average="macro")`.

    F1 is the harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN). It is 0 for a class that has examples and
    no prediction, or predictions and no example.

    Raises:
        ValueError: there is no example, or as `confusion_matrix`.
    """
    matrix_kk = confusion_matrix(labels_n, predicted_n, classes=classes)
    if not len(labels_n):
        raise ValueError("no example")
    sum_k = matrix_kk.sum(axis=0) + matrix_kk.sum(axis=1)  # 2 TP + FP + FN
    seen_k = sum_k > 0
    return float((2 * matrix_kk.diagonal()[seen_k] / sum_k[seen_k]).mean())


def confidence_bins(confidence_n: np.ndarray, bins: int = CALIBRATION_BINS) -> np.ndarray:
    """The bin (n,) of each confidence, from 0. The m-th of equally wide bins, from 1, is ((m-1)/bins, m/bins]."""
    return np.digitize(confidence_n, np.linspace(0, 1, bins + 1)[1:-1], right=True)


def expected_calibration_error(
    probabilities_nk: np.ndarray, labels_n: np.ndarray, bins: int = CALIBRATION_BINS
) -> float:
    """Mean distance between confidence and accuracy over equally wide bins of confidence, weighted by their examples.

    The confidence is the highest probability. `confidence_bins` has the bins.
    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.

    Raises:
        ValueError: bins < 1, there is no example, or a label is outside 0..k-1.
    """
    if bins < 1:
        raise ValueError(f"bins = {bins}: must be at least 1")
    labels_n = _labels(labels_n, probabilities_nk)
    bin_n = confidence_bins(probabilities_nk.max(axis=1), bins)
    excess_n = probabilities_nk.max(axis=1) - (probabilities_nk.argmax(axis=1) == labels_n)
    return float(np.abs(np.bincount(bin_n, weights=excess_n)).sum() / len(labels_n))


def brier_score(probabilities_nk: np.ndarray, labels_n: np.ndarray) -> float:
    """Mean squared distance between the probabilities and the true class's one-hot vector, from 0 (best) to 2.

    Source: Brier 1950, Verification of Forecasts Expressed in Terms of Probability, equation 2.

    Raises:
        ValueError: there is no example, or a label is outside 0..k-1.
    """
    labels_n = _labels(labels_n, probabilities_nk)
    distance_nk = np.asarray(probabilities_nk, np.float64) - np.eye(probabilities_nk.shape[1])[labels_n]
    return float((distance_nk**2).sum(axis=1).mean())


class Scores(NamedTuple):
    """The inputs of test metrics. Calibrated logits are divided by the model's temperature."""

    logits_nk: np.ndarray
    probabilities_nk: np.ndarray
    labels_n: np.ndarray
    calibrated_logits_nk: np.ndarray
    calibrated_nk: np.ndarray  # probabilities
    sets_nk: np.ndarray  # which classes are in the conformal prediction sets


class EvaluationMetric(NamedTuple):
    """How a test metric is computed and compared.

    Attributes:
        function: computes its value.
        higher_is_better: whether higher values are better.
        interval: computes its lower and upper end at a confidence level. None: no interval is known.
        min_classes: with fewer classes the metric has no meaning and is left out.
    """

    function: Callable[[Scores], float]
    higher_is_better: bool
    interval: Callable[[Scores, float], tuple[float, float]] | None = None
    min_classes: int = 2


def _loss(scores: Scores) -> float:
    return cross_entropy(scores.logits_nk, scores.labels_n)


def _accuracy(scores: Scores) -> float:
    return float((scores.logits_nk.argmax(axis=1) == scores.labels_n).mean())


def _accuracy_interval(scores: Scores, confidence: float) -> tuple[float, float]:
    correct = int((scores.logits_nk.argmax(axis=1) == scores.labels_n).sum())
    return wilson_interval(correct, len(scores.labels_n), confidence=confidence)


def _top_5_accuracy(scores: Scores) -> float:
    return top_k_accuracy(scores.logits_nk, scores.labels_n, 5)


def _balanced_accuracy(scores: Scores) -> float:
    return balanced_accuracy(scores.labels_n, scores.logits_nk.argmax(axis=1), scores.logits_nk.shape[1])


def _macro_f1(scores: Scores) -> float:
    return macro_f1(scores.labels_n, scores.logits_nk.argmax(axis=1), scores.logits_nk.shape[1])


def _calibration_error(scores: Scores) -> float:
    return expected_calibration_error(scores.probabilities_nk, scores.labels_n)


def _brier_score(scores: Scores) -> float:
    return brier_score(scores.probabilities_nk, scores.labels_n)


def _calibrated_loss(scores: Scores) -> float:
    return cross_entropy(scores.calibrated_logits_nk, scores.labels_n)


def _calibrated_error(scores: Scores) -> float:
    return expected_calibration_error(scores.calibrated_nk, scores.labels_n)


def _calibrated_brier_score(scores: Scores) -> float:
    return brier_score(scores.calibrated_nk, scores.labels_n)


def _set_coverage(scores: Scores) -> float:
    return float(scores.sets_nk[np.arange(len(scores.labels_n)), scores.labels_n].mean())


def _set_size(scores: Scores) -> float:
    return float(scores.sets_nk.sum(axis=1).mean())


# To add a test metric, write its function and an entry. It then appears in metrics.json, in MLflow and in dvc metrics
# show, and `cct promote` knows its direction.
TEST_METRICS = {
    "loss": EvaluationMetric(_loss, higher_is_better=False),
    "accuracy": EvaluationMetric(_accuracy, higher_is_better=True, interval=_accuracy_interval),
    "top_5_accuracy": EvaluationMetric(_top_5_accuracy, higher_is_better=True, min_classes=6),
    "balanced_accuracy": EvaluationMetric(_balanced_accuracy, higher_is_better=True),
    "macro_f1": EvaluationMetric(_macro_f1, higher_is_better=True),
    "calibration_error": EvaluationMetric(_calibration_error, higher_is_better=False),
    "brier_score": EvaluationMetric(_brier_score, higher_is_better=False),
    "calibrated_loss": EvaluationMetric(_calibrated_loss, higher_is_better=False),
    "calibrated_calibration_error": EvaluationMetric(_calibrated_error, higher_is_better=False),
    "calibrated_brier_score": EvaluationMetric(_calibrated_brier_score, higher_is_better=False),
    "set_coverage": EvaluationMetric(_set_coverage, higher_is_better=True),
    "set_size": EvaluationMetric(_set_size, higher_is_better=False),
}


def compute_metrics(
    logits_nk: np.ndarray,
    labels_n: np.ndarray,
    classes: int,
    *,
    confidence: float,
    temperature: float = 1.0,
    threshold: float = 0.0,
) -> dict[str, Any]:
    """All `TEST_METRICS` of a test split, ready for JSON: plain numbers of at most `DECIMALS` decimals.

    Args:
        logits_nk: outputs of the model, before softmax.
        labels_n: true class indices.
        classes: number of classes, k.
        confidence: level of the intervals, between 0 and 1.
        temperature: that calibrates the model (`cct.evaluation.calibration`); it divides the logits.
        threshold: of the prediction sets (`cct.evaluation.conformal`). 0 puts all classes into them.

    Returns:
        {"test": {name: value, ..., "examples": n}}. A metric with an interval also has `NAME_low` and `NAME_high`.

    Raises:
        MetricsError: there is no example, a logit is not finite, or the model does not have k outputs.
    """
    examples, outputs = logits_nk.shape
    if not examples:
        raise MetricsError("the test split is empty: check the archive")
    if outputs != classes:
        raise MetricsError(f"the model has {outputs} outputs but the data has {classes} classes; train again")
    calibrated_nk = logits_nk / temperature
    probabilities_nk = softmax(calibrated_nk)
    scores = Scores(
        logits_nk,
        softmax(logits_nk),
        labels_n,
        calibrated_nk,
        probabilities_nk,
        prediction_sets(probabilities_nk, threshold),
    )
    values: dict[str, float] = {}
    for name, metric in TEST_METRICS.items():
        if classes < metric.min_classes:
            continue
        values[name] = metric.function(scores)
        if metric.interval:
            values[f"{name}_low"], values[f"{name}_high"] = metric.interval(scores, confidence)
    return {"test": {name: round(value, DECIMALS) for name, value in values.items()} | {"examples": examples}}


def _labels(labels_n: np.ndarray, scores_nk: np.ndarray) -> np.ndarray:
    if not len(scores_nk) or labels_n.shape != scores_nk.shape[:1]:
        raise ValueError(f"labels of shape {labels_n.shape} for scores of shape {scores_nk.shape}")
    return _indices(labels_n, scores_nk.shape[1])


def _indices(values_n: np.ndarray, classes: int) -> np.ndarray:
    # Labels are stored as uint8, whose arithmetic wraps. A negative index would silently count from the end.
    values_n = np.asarray(values_n).astype(np.int64)
    if values_n.ndim != 1 or ((values_n < 0) | (values_n >= classes)).any():
        raise ValueError(f"class indices must be one row of numbers from 0 to {classes - 1}")
    return values_n
