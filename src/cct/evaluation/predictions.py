"""`reports/predictions.csv` and `reports/metrics.json`."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cct.tables import TableError, column_places, parse_number, read_csv


def read_metrics(path: Path) -> dict[str, Any]:
    """Read `metrics.json`, as `evaluate` wrote it.

    Raises:
        TableError: it is absent or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TableError(f"cannot read {path} ({error}): run dvc repro evaluate") from error


def write_predictions(
    path: Path, probabilities_nk: np.ndarray, labels_n: np.ndarray, class_names: Sequence[str]
) -> None:
    """One line a image: its index, its class, the predicted class, the probability of each class."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["index", "true", "predicted", *(f"p_{name}" for name in class_names)])
        for index, (label, row) in enumerate(zip(labels_n, probabilities_nk, strict=True)):
            shares = [f"{p:.6f}" for p in row]
            writer.writerow([index, class_names[label], class_names[int(row.argmax())], *shares])


def read_predictions(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Read `predictions.csv`, whose columns are index, true, predicted and one `p_<class>` for each class.

    Returns:
        index_n (int64: the image's place in the split), labels_n and predicted_n (int64: class indices in the order of
        the columns), probabilities_nk (float64), class_names.

    Raises:
        TableError: it is absent, not CSV, without a column or a row, or has a value that is not a number or no class.
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

    return (
        np.array([parse_number(path, line, "index", row[places["index"]], int) for line, row in rows]),
        labels("true"),
        labels("predicted"),
        np.array([[parse_number(path, line, header[i], row[i], float) for i in columns] for line, row in rows]),
        class_names,
    )
