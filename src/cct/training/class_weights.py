"""The weights of classes in the training loss, by name. To add one, write a function as below and an entry.

This module is light, because the schema reads its names.
"""

from collections.abc import Callable

import numpy as np

from cct.errors import CCTError

BETA = 0.999  # of `effective`; the paper tries 0.9, 0.99, 0.999 and 0.9999


# Each takes the number of training examples of each class (k,), all above 0. It returns weights (k,) at any scale.
def _balanced(count_k: np.ndarray) -> np.ndarray:
    """n / (k * n_c): each class has the same sum of weights, as in scikit-learn's `class_weight="balanced"`."""
    return count_k.sum() / (len(count_k) * count_k)


def _effective(count_k: np.ndarray) -> np.ndarray:
    """(1 - beta) / (1 - beta^n_c): the inverse of the effective number of examples.

    Source: Cui et al. 2019, Class-Balanced Loss Based on Effective Number of Samples, arXiv:1901.05555, equation 4.
    """
    return (1 - BETA) / (1 - BETA**count_k)


CLASS_WEIGHTS: dict[str, Callable[[np.ndarray], np.ndarray] | None] = {
    "none": None,
    "balanced": _balanced,
    "effective": _effective,
}


def class_weights(name: str, labels_n: np.ndarray, classes: int) -> np.ndarray | None:
    """The weight of each class, (classes,) float32. Their mean over the training examples is 1.

    So the loss keeps its scale, and the learning rate its meaning.

    Args:
        name: a key of `CLASS_WEIGHTS`.
        labels_n: class indices of the training examples, before augmentation.
        classes: number of classes.

    Returns:
        None if the entry has no function: the loss has no weights.

    Raises:
        CCTError: a class has no training example.
    """
    function = CLASS_WEIGHTS[name]
    if function is None:
        return None
    count_k = np.bincount(labels_n, minlength=classes).astype(np.float64)
    if not count_k.all():
        absent = ", ".join(map(str, np.flatnonzero(count_k == 0)))
        raise CCTError(f"train.class_weights = {name}: no training example has label {absent}; set it to none")
    weights_k = function(count_k)
    return (weights_k * count_k.sum() / (weights_k @ count_k)).astype("float32")
