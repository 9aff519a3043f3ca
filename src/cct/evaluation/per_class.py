"""`reports/per_class.csv`: the test accuracy of each class."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cct.evaluation.metrics import confusion_matrix, per_class_accuracy
from cct.evaluation.softmax import DECIMALS
from cct.tables import column_places, parse_number, read_csv

COLUMNS = ("class", "examples", "accuracy")


class PerClass(NamedTuple):
    """The test results of each class, in the order of the labels."""

    names: list[str]
    examples_k: np.ndarray  # test examples, int64
    accuracy_k: np.ndarray  # 0 to 1; NaN without a test example


def write_per_class(path: Path, labels_n: np.ndarray, predicted_n: np.ndarray, class_names: Sequence[str]) -> None:
    """Write one line per class: its name, its number of test examples, and its accuracy if there are examples."""
    classes = len(class_names)
    examples_k = confusion_matrix(labels_n, predicted_n, classes).sum(axis=1)
    accuracy_k = per_class_accuracy(labels_n, predicted_n, classes)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, examples, accuracy in zip(class_names, examples_k, accuracy_k, strict=True):
            writer.writerow([name, examples, "" if np.isnan(accuracy) else round(float(accuracy), DECIMALS)])


def read_per_class(path: Path) -> PerClass:
    """Read `per_class.csv`.

    Raises:
        TableError: the file is absent, not CSV, without a column or a row, or a value is not a number.
    """
    header, rows = read_csv(path)
    places = column_places(path, header, COLUMNS)
    accuracies = [(line, row[places["accuracy"]]) for line, row in rows]
    return PerClass(
        names=[row[places["class"]] for _, row in rows],
        examples_k=np.array([parse_number(path, line, "examples", row[places["examples"]], int) for line, row in rows]),
        accuracy_k=np.array(
            [parse_number(path, line, "accuracy", text, float) if text else np.nan for line, text in accuracies]
        ),
    )
