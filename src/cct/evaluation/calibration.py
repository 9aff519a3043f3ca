"""Calibration: the temperature that makes a classifier's probabilities honest."""

import numpy as np

from cct.evaluation.softmax import DECIMALS, log_softmax

TEMPERATURES = 0.05, 20.0  # lowest and highest


def fit_temperature(logits_nk: np.ndarray, labels_n: np.ndarray) -> float:
    """The temperature T for which softmax(logits / T) has the lowest cross entropy.

    Above 1 the model was too sure of itself, and below 1 not sure enough. The order of the classes does not change.
    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2. The true class has the target
    (n + 1) / (n + 2) instead of 1, as in Platt 1999, section 2.2. Otherwise a few examples, all of them right, would
    make every later prediction certain.

    Args:
        logits_nk: outputs of the model, before softmax.
        labels_n: true class indices. The examples must be new to the model, and none of the test split.

    Returns:
        The temperature, rounded to `DECIMALS`, so that other orders of summation give the same.

    Raises:
        MetricsError: a logit is infinite or not a number.
    """
    from scipy.optimize import minimize_scalar

    examples, classes = logits_nk.shape
    rest = 1 / (examples + 2)
    target_nk = np.full((examples, classes), rest / (classes - 1) if classes > 1 else 0.0)
    target_nk[np.arange(examples), labels_n] = 1 - rest if classes > 1 else 1.0
    logits_nk = logits_nk.astype(np.float64)

    def loss(log_temperature: float) -> float:
        return float(-(target_nk * log_softmax(logits_nk / np.exp(log_temperature))).sum() / examples)

    lowest, highest = np.log(TEMPERATURES)
    found = minimize_scalar(loss, bounds=(lowest, highest), method="bounded", options={"xatol": 1e-10})
    return round(float(np.exp(found.x)), DECIMALS)
