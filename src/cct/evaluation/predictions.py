"""`reports/predictions.csv`: the prediction for each test example."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cct.tables import TableError, column_places, parse_number, read_csv


class Predictions(NamedTuple):
    """The model's predictions for the n test examples."""

    index_n: np.ndarray  # places in the split, int64
    labels_n: np.ndarray  # true class indices, int64
    predicted_n: np.ndarray  # predicted class indices, int64
    probabilities_nk: np.ndarray  # float64
    class_names: list[str]


def write_predictions(
    path: Path, probabilities_nk: np.ndarray, labels_n: np.ndarray, class_names: Sequence[str]
) -> None:
    """Write one line per example: its index, its class, the predicted class, and the probability of each class."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["index", "true", "predicted", *(f"p_{name}" for name in class_names)])
        for index, (label, row) in enumerate(zip(labels_n, probabilities_nk, strict=True)):
            shares = [f"{p:.6f}" for p in row]
            writer.writerow([index, class_names[label], class_names[int(row.argmax())], *shares])


def read_predictions(path: Path) -> Predictions:
    """Read `predictions.csv`, whose columns are index, true, predicted and one `p_<class>` for each class.

    Raises:
        TableError: the file is absent, not CSV, without a column or a row, or a value is no number or no class.
    """
    header, rows = read_csv(path)
    places = column_places(path, header, ["index", "true", "predicted"])
    columns = [place for place, name in enumerate(header) if name.startswith("p_")]
    if not columns:
        raise TableError(f"{path} has no column p_<class>; it has: {', '.join(header)}")
    class_names = [header[place].removeprefix("p_") for place in columns]
    label_of = {name: label for label, name in enumerate(class_names)}

    def labels(column: str) -> np.ndarray:
        for line, row in rows:
            if row[places[column]] not in label_of:
                raise TableError(f"{path}, line {line}: {column} = {row[places[column]]!r} has no column p_<class>")
        return np.array([label_of[row[places[column]]] for _, row in rows])

    return Predictions(
        np.array([parse_number(path, line, "index", row[places["index"]], int) for line, row in rows]),
        labels("true"),
        labels("predicted"),
        np.array([[parse_number(path, line, header[i], row[i], float) for i in columns] for line, row in rows]),
        class_names,
    )
