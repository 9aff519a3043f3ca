"""The names of the pipeline's metrics in MLflow. A new metric of an epoch or a test needs no edit here."""

from collections.abc import Mapping, Sequence
from typing import Any

from cct.data.store import data_set
from cct.training.history import best_accuracy, best_row

# Prefixes in MLflow by the prefixes of columns of the history.
PREFIXES = {"ema_val_": "val/ema_", "train_": "train/", "val_": "val/", "learning_": "train/learning_"}


def epoch_metrics(row: Mapping[str, float]) -> dict[str, float]:
    """A row of the history with MLflow's names: `train_loss` becomes `train/loss`, and so on."""
    named = {}
    for column, value in row.items():
        prefix = next((prefix for prefix in PREFIXES if column.startswith(prefix)), None)
        if prefix:
            named[PREFIXES[prefix] + column.removeprefix(prefix)] = value
    return named


def best_metrics(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The best epoch's number, and its validation accuracy."""
    best = best_row(history)
    return {"best/epoch": best["epoch"], "best/val_accuracy": best_accuracy(best)}


def data_tags(meta: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a run that name its data set."""
    return {f"data_{name}": value for name, value in data_set(meta).items()}


def result_metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """The numbers in metrics.json with MLflow's names: `test/accuracy`, `model/macs`."""
    return {
        f"{section}/{name}": value
        for section, values in summary.items()
        for name, value in values.items()
        if isinstance(value, int | float)
    }
