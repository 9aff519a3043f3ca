"""Probabilities from logits, in float64."""

import numpy as np

from cct.errors import CCTError

DECIMALS = 6  # in reports: finer than one example in 100,000, coarser than rounding noise of another order of summation


class MetricsError(CCTError):
    """The outputs of a model cannot be scored: they are absent, not finite, or not for these classes."""


def softmax(logits_nk: np.ndarray) -> np.ndarray:
    """Probabilities (n, k) as float64. Each row sums to one.

    Raises:
        MetricsError: a logit is infinite or not a number.
    """
    return np.exp(log_softmax(logits_nk))


def log_softmax(logits_nk: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities (n, k), as float64.

    Raises:
        MetricsError: a logit is infinite or not a number.
    """
    bad = int((~np.isfinite(logits_nk)).any(axis=1).sum())
    if bad:
        raise MetricsError(
            f"the model gave infinite or undefined outputs for {bad} of {len(logits_nk)} examples: its training "
            "diverged; try a lower learning rate"
        )
    shifted_nk = logits_nk.astype(np.float64)
    shifted_nk -= shifted_nk.max(axis=1, keepdims=True)
    return shifted_nk - np.log(np.exp(shifted_nk).sum(axis=1, keepdims=True))
