"""`reports/history.csv`: one row an epoch."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cct.tables import TableError, column_places, parse_number, read_csv

# Columns of history.csv. Epochs count from 1; losses are in nats; `best` is 1 for the epoch whose weights are kept.
COLUMNS = {
    "epoch": int,
    "train_loss": float,
    "train_accuracy": float,
    "val_loss": float,
    "val_accuracy": float,
    "learning_rate": float,
    "best": int,
}
# Where weights are averaged too; those of the best epoch are kept if they are the better ones.
EMA_COLUMNS = {"ema_val_loss": float, "ema_val_accuracy": float}


def write_history(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """One line an epoch, with the columns of `HISTORY`, and those of `AVERAGED` where the rows have them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        columns = [*COLUMNS, *(name for name in EMA_COLUMNS if name in history[0])]
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)


def best_accuracy(row: Mapping[str, float]) -> float:
    """The validation accuracy of the weights that are kept if this epoch is: the raw or the averaged, if better."""
    return max(row["val_accuracy"], row.get("ema_val_accuracy", 0.0))


def read_history(path: Path) -> dict[str, np.ndarray]:
    """Read `history.csv`.

    Returns:
        The columns of `HISTORY`, and of `AVERAGED` where it has them, one value an epoch: int64 for epoch (from 1) and
        best (one 1, else 0), float64 for the losses (nats), the accuracies (0 to 1) and the learning rate. Other
        columns are left out.

    Raises:
        TableError: it is absent, not CSV, without a column or a row, or a value is not a number or not possible.
    """
    header, rows = read_csv(path)
    columns = COLUMNS | (EMA_COLUMNS if any(name in header for name in EMA_COLUMNS) else {})
    places = column_places(path, header, columns)
    history = {
        name: np.array([parse_number(path, line, name, row[places[name]], kind) for line, row in rows])
        for name, kind in columns.items()
    }
    if sorted(history["best"]) != [0] * (len(rows) - 1) + [1]:
        raise TableError(f"{path}: column best must be 1 for exactly one epoch and 0 for the others")
    return history
