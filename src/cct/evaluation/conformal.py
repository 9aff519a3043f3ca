"""Conformal prediction sets: classes that hold the true one with a chosen probability."""

from collections.abc import Sequence

import numpy as np

from cct.evaluation.softmax import DECIMALS

PERCENTS = range(1, 100)  # the coverages that have a threshold


def set_thresholds(probabilities_nk: np.ndarray, labels_n: np.ndarray) -> list[float]:
    """The lowest probability of a class in the set, for a coverage of 1, 2, ... 99 percent.

    New examples of the same kind then have their true class in the set at least that often. Split conformal prediction
    with the score 1 - p of the true class. It gives the smallest sets on average.
    Source: Sadinle et al., arXiv:1609.00451; Angelopoulos & Bates, arXiv:2107.07511, section 1.

    Args:
        probabilities_nk: calibrated ones, (n, k).
        labels_n: true class indices. The examples must be new to the model, and none of the test split.

    Returns:
        Thresholds, rounded down to `DECIMALS`. 0, which all classes reach, where n examples are too few.
    """
    true_n = np.sort(probabilities_nk[np.arange(len(labels_n)), labels_n])[::-1]
    ranks = [-(-(len(true_n) + 1) * percent // 100) for percent in PERCENTS]
    scale = 10**DECIMALS
    return [float(np.floor(true_n[rank - 1] * scale) / scale) if rank <= len(true_n) else 0.0 for rank in ranks]


def percent_of(coverage: float) -> int:
    """A coverage such as 0.95 in percent.

    Raises:
        ValueError: it is no whole percent from 1 to 99.
    """
    if not 0 < coverage < 1 or abs(round(100 * coverage) / 100 - coverage) > 1e-9:
        raise ValueError(f"{coverage:g} must be a whole percent: 0.01, 0.02, ... 0.99")
    return round(100 * coverage)


def threshold_of(thresholds: Sequence[float], coverage: float) -> float:
    """The threshold of a coverage among those of `set_thresholds`.

    Raises:
        ValueError: as `percent_of`.
    """
    return thresholds[percent_of(coverage) - PERCENTS[0]]


def prediction_sets(probabilities_nk: np.ndarray, threshold: float) -> np.ndarray:
    """Which of the k classes are in the set of each of n examples, (n, k). The most probable class always is."""
    chosen_nk = probabilities_nk >= threshold
    chosen_nk[np.arange(len(chosen_nk)), probabilities_nk.argmax(axis=1)] = True
    return chosen_nk
