"""The choice of the validation examples."""

import numpy as np
import pytest

from cct.data.arrays import DataError
from cct.data.splits import stratified_split


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [100, 60, 40]))


@pytest.mark.parametrize(("fraction", "counts"), [(0.1, [10, 6, 4]), (0.26, [26, 16, 10]), (0.99, [99, 59, 39])])
def test_split_takes_the_fraction_of_each_class(labels, fraction, counts):
    if fraction == 0.99:  # 59.4 and 39.6: the second would be all of the 40
        labels = np.delete(labels, np.flatnonzero(labels == 2))
        counts = counts[:2]
    stays, chosen = stratified_split(labels, fraction, seed=0)
    assert np.bincount(labels[chosen]).tolist() == counts
    assert sorted([*stays, *chosen]) == list(range(len(labels)))
    assert (np.diff(stays) > 0).all() and (np.diff(chosen) > 0).all()


def test_split_is_the_seeds(labels):
    first, again, other = (stratified_split(labels, 0.2, seed=seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_split_is_shuffled(labels):
    """Not the last of each class, which is what the Keras example takes of the whole."""
    _, chosen = stratified_split(np.zeros(1000, int), 0.1, seed=0)
    assert chosen.min() < 100 and chosen.max() > 900


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_a_class_left_empty_is_refused(labels, fraction):
    with pytest.raises(DataError, match=r"of the 40 examples with label 2: .* preprocess.validation_fraction"):
        stratified_split(labels, fraction, seed=0)
