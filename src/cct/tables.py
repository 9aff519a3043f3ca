"""The CSV files in `reports/`: written by `train` and `evaluate`, read by `plot`."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cct.errors import CCTError

# Columns of history.csv. Epochs count from 1; losses are in nats; `chosen` is 1 for the epoch whose weights were kept.
HISTORY = {
    "epoch": int,
    "train_loss": float,
    "train_accuracy": float,
    "val_loss": float,
    "val_accuracy": float,
    "learning_rate": float,
    "chosen": int,
}
# Where weights are averaged too; those of the chosen epoch were kept if they are the better ones.
AVERAGED = {"ema_val_loss": float, "ema_val_accuracy": float}


class TableError(CCTError):
    """A file in `reports/` is not what the stage before wrote."""


def write_history(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """One line an epoch, with the columns of `HISTORY`, and those of `AVERAGED` where the rows have them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        columns = [*HISTORY, *(name for name in AVERAGED if name in history[0])]
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)


def kept_accuracy(row: Mapping[str, float]) -> float:
    """The validation accuracy of the weights that are kept if this epoch is: the raw or the averaged, if better."""
    return max(row["val_accuracy"], row.get("ema_val_accuracy", 0.0))


def read_metrics(path: Path) -> dict[str, Any]:
    """Read `metrics.json`, as `evaluate` wrote it.

    Raises:
        TableError: it is absent or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TableError(f"cannot read {path} ({error}): run dvc repro evaluate") from error


def read_history(path: Path) -> dict[str, np.ndarray]:
    """Read `history.csv`.

    Returns:
        The columns of `HISTORY`, and of `AVERAGED` where it has them, one value an epoch: int64 for epoch (from 1) and
        chosen (one 1, else 0), float64 for the losses (nats), the accuracies (0 to 1) and the learning rate. Other
        columns are left out.

    Raises:
        TableError: it is absent, not CSV, without a column or a row, or a value is not a number or not possible.
    """
    header, rows = _read_csv(path)
    columns = HISTORY | (AVERAGED if any(name in header for name in AVERAGED) else {})
    places = _places(path, header, columns)
    history = {
        name: np.array([_number(path, line, name, row[places[name]], kind) for line, row in rows])
        for name, kind in columns.items()
    }
    if sorted(history["chosen"]) != [0] * (len(rows) - 1) + [1]:
        raise TableError(f"{path}: column chosen must be 1 for exactly one epoch and 0 for the others")
    return history


def write_predictions(
    path: Path, probabilities_nk: np.ndarray, labels_n: np.ndarray, class_names: Sequence[str]
) -> None:
    """One line a picture: its index, its class, the predicted class, the probability of each class."""
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
    header, rows = _read_csv(path)
    places = _places(path, header, ["index", "true", "predicted"])
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
        np.array([_number(path, line, "index", row[places["index"]], int) for line, row in rows]),
        labels("true"),
        labels("predicted"),
        np.array([[_number(path, line, header[i], row[i], float) for i in columns] for line, row in rows]),
        class_names,
    )


def _read_csv(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the rows with their line numbers."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"cannot read {path}: {error}") from error
    for line, row in rows:
        if len(row) != len(header):
            raise TableError(f"{path}, line {line}: {len(row)} values for {len(header)} columns")
    if not rows:
        raise TableError(f"{path} has no rows")
    return header, rows


def _places(path: Path, header: list[str], wanted: Sequence[str] | Mapping[str, type]) -> dict[str, int]:
    missing = [name for name in wanted if name not in header]
    if missing:
        raise TableError(f"{path} has no column {', '.join(missing)}; it has: {', '.join(header)}")
    return {name: header.index(name) for name in wanted}


def _number(path: Path, line: int, column: str, text: str, kind: type) -> int | float:
    try:
        return kind(text)
    except ValueError:
        raise TableError(
            f"{path}, line {line}: {column} = {text!r}: must be {'a whole' if kind is int else 'a'} number"
        ) from None
