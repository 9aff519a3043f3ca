"""The examples whose attention is shown, and their file."""

import hashlib

import numpy as np
import pytest

from cct.evaluation.examples import most_confident, read_relevance, write_relevance
from cct.tables import TableError


def test_each_class_has_its_most_confident_right_and_wrong_example():
    labels_n = np.array([0, 0, 0, 1, 1, 2])
    confidence_n, predicted_n = np.array([0.6, 0.9, 0.8, 0.7, 0.95, 0.5]), np.array([0, 0, 1, 0, 0, 2])
    probabilities_nk = np.zeros((6, 4))
    probabilities_nk[np.arange(6), predicted_n] = confidence_n
    # Class 0: right 1, wrong 2. Class 1: none right, wrong 4. Class 2: right 5, none wrong. Class 3 has no example.
    assert most_confident(probabilities_nk, labels_n).tolist() == [1, 2, 4, 5]


def test_the_first_of_equals_is_taken():
    assert most_confident(np.full((4, 2), 0.5), np.array([0, 0, 1, 1])).tolist() == [0, 2]


def test_the_file_is_read_as_it_is_written(tmp_path):
    shares = np.random.default_rng(0).random((3, 2, 4), "float32")
    digests = set()
    for name in ("a.npy", "b.npy"):
        write_relevance(tmp_path / name, np.array([2, 5, 11]), shares)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    found = read_relevance(tmp_path / "a.npy")
    assert list(found) == [2, 5, 11] and len(digests) == 1
    np.testing.assert_array_equal(np.stack(list(found.values())), shares)


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "attention.npy"
    with pytest.raises(TableError, match="run dvc repro evaluate"):
        read_relevance(path)
    np.save(path, np.zeros(3))
    with pytest.raises(TableError, match="run dvc repro evaluate"):
        read_relevance(path)
    np.save(path, np.array([object()]), allow_pickle=True)
    with pytest.raises(TableError, match="run dvc repro evaluate"):
        read_relevance(path)
    path.write_bytes(b"")
    with pytest.raises(TableError, match="run dvc repro evaluate"):
        read_relevance(path)
