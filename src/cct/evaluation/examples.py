"""The test examples whose attention is shown, and `reports/attention.npy` with what the model looked at in them."""

import io
from pathlib import Path

import numpy as np

from cct.files import write_atomically
from cct.tables import TableError


def most_confident(probabilities_nk: np.ndarray, labels_n: np.ndarray) -> np.ndarray:
    """The most confident right and the most confident wrong prediction of each class.

    Args:
        probabilities_nk: of n examples and k classes.
        labels_n: true class indices.

    Returns:
        Places of the examples, sorted, each once.
    """
    predicted_n, confidence_n = probabilities_nk.argmax(axis=1), probabilities_nk.max(axis=1)
    found = set()
    for k in range(probabilities_nk.shape[1]):
        for right in (True, False):
            places = np.flatnonzero((labels_n == k) & ((predicted_n == k) == right))
            if len(places):
                found.add(int(places[confidence_n[places].argmax()]))
    return np.array(sorted(found), np.int64)


def write_relevance(path: Path, index_n: np.ndarray, relevance: np.ndarray) -> None:
    """Write a structured array with the fields `index` and `relevance`.

    Args:
        index_n: places of the examples in the test split.
        relevance: the share of each part of these examples in the model's output, (n, ...).
    """
    table = np.zeros(len(index_n), [("index", "<i8"), ("relevance", "<f4", relevance.shape[1:])])
    table["index"], table["relevance"] = index_n, relevance
    content = io.BytesIO()
    np.save(content, table, allow_pickle=False)
    write_atomically(path, content.getbuffer())


def read_relevance(path: Path) -> dict[int, np.ndarray]:
    """The relevance of each example in the file, by its place in the test split.

    Raises:
        TableError: the file cannot be read, or has other content.
    """
    try:
        table = np.load(path)
        return {int(index): share for index, share in zip(table["index"], table["relevance"], strict=True)}
    except (OSError, ValueError, IndexError, EOFError) as error:
        raise TableError(f"{path} cannot be read ({error}): run dvc repro evaluate") from error
