"""`reports/history.csv`: one row per epoch."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cct.tables import TableError, column_places, parse_number, read_csv
from cct.training.metrics import EPOCH_METRICS, reported_name

REQUIRED_METRICS = ("loss", "accuracy")  # metrics of every history; the other metrics may be newer than a history


def history_columns(metrics: Iterable[str] = EPOCH_METRICS) -> dict[str, type]:
    """The columns of a history with some metrics. Epochs count from 1; `best` is 1 for the best epoch.

    Losses are cross entropies in nats without label smoothing and class weights, so they are comparable with the test
    loss.
    `learning_rate` is the schedule's rate at the epoch's last step. In mixed_float16 a step whose gradients overflow is
    skipped, and delays the schedule by one step.
    """
    measured = [f"{split}_{name}" for split in ("train", "val") for name in metrics]
    return {"epoch": int} | dict.fromkeys(measured, float) | {"learning_rate": float, "best": int}


def ema_columns(metrics: Iterable[str] = EPOCH_METRICS) -> dict[str, type]:
    """The additional columns of a history with averaged weights."""
    return {f"ema_val_{name}": float for name in metrics}


def history_row(epoch: int, logs: Mapping[str, Any], *, rate: float) -> dict[str, float]:
    """A row without `best`, from Keras's logs of an epoch.

    Args:
        epoch: counted from 1.
        logs: values by `reported_name`. Validation has the prefix `val_`; averaged weights, if any, have `ema_val_`.
        rate: the learning rate of the epoch's last step.
    """
    names = [(name, reported_name(name)) for name in EPOCH_METRICS]
    train = {f"train_{name}": float(logs[reported]) for name, reported in names}
    val = {f"val_{name}": float(logs[f"val_{reported}"]) for name, reported in names}
    ema = {f"ema_val_{n}": float(logs[f"ema_val_{reported}"]) for n, reported in names if f"ema_val_{reported}" in logs}
    return {"epoch": epoch} | train | val | {"learning_rate": rate} | ema


def write_history(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write one line per epoch: `history_columns`, and `ema_columns` if the rows have them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        columns = [*history_columns(), *(name for name in ema_columns() if name in history[0])]
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)


def best_row(history: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """The row of the best epoch."""
    return next(row for row in history if row["best"])


def averaged_is_better(row: Mapping[str, float]) -> bool:
    """Whether an epoch's averaged weights are its better ones: by accuracy, and on a tie by loss."""
    if "ema_val_accuracy" not in row:
        return False
    return (row["ema_val_accuracy"], -row["ema_val_loss"]) > (row["val_accuracy"], -row["val_loss"])


def best_accuracy(row: Mapping[str, float]) -> float:
    """The validation accuracy of an epoch's better weights: the raw or the averaged ones."""
    return max(row["val_accuracy"], row.get("ema_val_accuracy", 0.0))


def read_history(path: Path) -> dict[str, np.ndarray]:
    """Read `history.csv`.

    Returns:
        `history_columns`, and `ema_columns` if the file has them, one value per epoch. `epoch` (from 1) and `best` (one
        1, else 0) are int64; the others are float64. Other columns are left out. Metrics that `EPOCH_METRICS` got after
        the file was written are left out, too.

    Raises:
        TableError: the file is absent, not CSV, without a column or a row, or a value is not a number or not possible.
    """
    header, rows = read_csv(path)
    metrics = [
        name for name in EPOCH_METRICS if name in REQUIRED_METRICS or {f"train_{name}", f"val_{name}"} & set(header)
    ]
    averaged = ema_columns(metrics)
    columns = history_columns(metrics) | (averaged if any(name in header for name in averaged) else {})
    places = column_places(path, header, columns)
    history = {
        name: np.array([parse_number(path, line, name, row[places[name]], kind) for line, row in rows])
        for name, kind in columns.items()
    }
    if sorted(history["best"]) != [0] * (len(rows) - 1) + [1]:
        raise TableError(f"{path}: column best must be 1 for exactly one epoch and 0 for the others")
    return history
