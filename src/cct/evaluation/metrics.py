"""Numbers about a trained classifier, from its logits and the true labels, each with its uncertainty where it has one.

Names: n images, k classes. Labels are class indices. Every sum is in float64, whatever came in.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from pydantic import Field

from cct.errors import CCTError
from cct.params import Section

DECIMALS = 6  # in reports: finer than one image in 100,000, coarser than the noise of another order of summation


class MetricsError(CCTError):
    """The outputs of a model cannot be scored: they are not finite, not there, or not for these classes."""


class EvaluateParams(Section):
    """`evaluate` in `params.yaml`."""

    batch_size: int = Field(
        ge=1, le=65536, description="images per forward pass, 1 to 65536; memory and speed, not a setting of quality"
    )
    confidence_level: float = Field(
        gt=0, lt=1, description="level of the accuracy's interval, between 0 and 1; 0.95 is a 95 % interval"
    )


def softmax(logits_nk: np.ndarray) -> np.ndarray:
    """Probabilities (n, k) as float64, each row summing to one.

    Raises:
        MetricsError: a logit is infinite or not a number.
    """
    return np.exp(_log_softmax(logits_nk))


def cross_entropy(logits_nk: np.ndarray, labels_n: np.ndarray) -> float:
    """Mean negative log likelihood of the true labels, in nats, without label smoothing.

    Raises:
        MetricsError: a logit is infinite or not a number.
        ValueError: there is no image, or a label is outside 0..k-1.
    """
    labels_n = _labels(labels_n, logits_nk)
    return float(-_log_softmax(logits_nk)[np.arange(len(labels_n)), labels_n].mean())


def top_k_accuracy(probabilities_nk: np.ndarray, labels_n: np.ndarray, k: int) -> float:
    """Share of images whose true class is among the k highest scores (probabilities or logits: only order counts).

    Of equal scores the lower class index is ranked first, as `argmax` does, so k = 1 is the accuracy of `argmax`.
    With k at or above the number of classes the answer is 1.

    Raises:
        ValueError: k < 1, there is no image, or a label is outside the classes.
    """
    if k < 1:
        raise ValueError(f"k = {k}: must be at least 1")
    labels_n = _labels(labels_n, probabilities_nk)
    classes = probabilities_nk.shape[1]
    true_n1 = np.take_along_axis(probabilities_nk, labels_n[:, None], axis=1)
    later_nk = np.arange(classes) > labels_n[:, None]
    # Counted from below, so that a NaN, which is above nothing, is a miss and not a hit.
    beaten_n = ((probabilities_nk < true_n1) | ((probabilities_nk == true_n1) & later_nk)).sum(axis=1)
    return float((beaten_n >= classes - k).mean())


def wilson_interval(correct: int, total: int, confidence: float) -> tuple[float, float]:
    """Wilson score interval of a proportion, as (low, high) within 0..1.

    Unlike the normal approximation it stays inside 0..1 and has a width at 0 and at 100 %.
    Source: Wilson 1927, JASA 22; without continuity correction, as Brown, Cai & DasGupta 2001 recommend.

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
    # At the ends the bounds are exact on paper and off by one rounding in floats.
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
    """Share of each true class that was predicted right (its recall), shape (classes,); NaN for a class without images.

    Raises:
        ValueError: as `confusion_matrix`.
    """
    matrix_kk = confusion_matrix(labels_n, predicted_n, classes=classes)
    images_k = matrix_kk.sum(axis=1)
    return np.divide(matrix_kk.diagonal(), images_k, out=np.full(classes, np.nan), where=images_k > 0)


def expected_calibration_error(probabilities_nk: np.ndarray, labels_n: np.ndarray, bins: int = 15) -> float:
    """Mean distance between confidence and accuracy over equally wide bins of confidence, weighted by their images.

    The confidence is the highest probability; the m-th bin is ((m-1)/bins, m/bins].
    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.

    Raises:
        ValueError: bins < 1, there is no image, or a label is outside 0..k-1.
    """
    if bins < 1:
        raise ValueError(f"bins = {bins}: must be at least 1")
    labels_n = _labels(labels_n, probabilities_nk)
    bin_n = np.digitize(probabilities_nk.max(axis=1), np.linspace(0, 1, bins + 1)[1:-1], right=True)
    excess_n = probabilities_nk.max(axis=1) - (probabilities_nk.argmax(axis=1) == labels_n)
    return float(np.abs(np.bincount(bin_n, weights=excess_n)).sum() / len(labels_n))


def compute_metrics(
    logits_nk: np.ndarray, labels_n: np.ndarray, class_names: Sequence[str], confidence: float
) -> dict[str, Any]:
    """Everything a report says of a test split, ready for JSON: plain numbers of at most `DECIMALS` decimals.

    Args:
        logits_nk: outputs of the model, before softmax.
        labels_n: true class indices.
        class_names: k names in the order of the indices.
        confidence: level of the accuracy's Wilson interval.

    Returns:
        {"test": {"loss", "accuracy", "accuracy_low", "accuracy_high", "top_5_accuracy", "calibration_error",
        "images"}, "per_class": {name: accuracy}}. Below 6 classes "top_5_accuracy" is left out, as it is always 1;
        a class without a test image is None.

    Raises:
        MetricsError: there is no image, a logit is not finite, or there are not as many outputs as names.
    """
    images, classes = logits_nk.shape
    if not images:
        raise MetricsError("the test split has no image, so there is nothing to measure")
    if classes != len(class_names):
        raise MetricsError(f"the model has {classes} outputs but the data has {len(class_names)} classes; train again")
    probabilities_nk, predicted_n = softmax(logits_nk), logits_nk.argmax(axis=1)
    correct = int((predicted_n == labels_n).sum())
    low, high = wilson_interval(correct, images, confidence=confidence)
    test = {
        "loss": cross_entropy(logits_nk, labels_n),
        "accuracy": correct / images,
        "accuracy_low": low,
        "accuracy_high": high,
        "top_5_accuracy": top_k_accuracy(logits_nk, labels_n, 5),
        "calibration_error": expected_calibration_error(probabilities_nk, labels_n),
    }
    if classes < 6:
        del test["top_5_accuracy"]
    accuracy_k = per_class_accuracy(labels_n, predicted_n, classes=classes).tolist()
    return {
        "test": {name: round(value, DECIMALS) for name, value in test.items()} | {"images": images},
        "per_class": {
            name: None if math.isnan(accuracy) else round(accuracy, DECIMALS)
            for name, accuracy in zip(class_names, accuracy_k, strict=True)
        },
    }


def _log_softmax(logits_nk: np.ndarray) -> np.ndarray:
    bad = int((~np.isfinite(logits_nk)).any(axis=1).sum())
    if bad:
        raise MetricsError(
            f"the model gave infinite or undefined outputs for {bad} of {len(logits_nk)} images: its training "
            "diverged; try a lower learning rate"
        )
    shifted_nk = logits_nk.astype(np.float64)
    shifted_nk -= shifted_nk.max(axis=1, keepdims=True)
    return shifted_nk - np.log(np.exp(shifted_nk).sum(axis=1, keepdims=True))


def _labels(labels_n: np.ndarray, scores_nk: np.ndarray) -> np.ndarray:
    if not len(scores_nk) or labels_n.shape != scores_nk.shape[:1]:
        raise ValueError(f"labels of shape {labels_n.shape} for scores of shape {scores_nk.shape}")
    return _indices(labels_n, scores_nk.shape[1])


def _indices(values_n: np.ndarray, classes: int) -> np.ndarray:
    # Labels are stored as uint8, in which arithmetic wraps, and a negative index would silently count from the end.
    values_n = np.asarray(values_n).astype(np.int64)
    if values_n.ndim != 1 or ((values_n < 0) | (values_n >= classes)).any():
        raise ValueError(f"class indices must be one row of numbers from 0 to {classes - 1}")
    return values_n
