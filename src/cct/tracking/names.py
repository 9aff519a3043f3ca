"""The pipeline's numbers under MLflow's names."""

from collections.abc import Mapping, Sequence
from typing import Any

from cct.training.history import best_accuracy


def epoch_metrics(row: Mapping[str, float]) -> dict[str, float]:
    """A row of the history under MLflow's names: `train_loss` becomes `train/loss`, and so on."""
    names = {
        "train/loss": "train_loss",
        "train/accuracy": "train_accuracy",
        "train/learning_rate": "learning_rate",
        "val/loss": "val_loss",
        "val/accuracy": "val_accuracy",
        "val/ema_loss": "ema_val_loss",  # where weights are averaged
        "val/ema_accuracy": "ema_val_accuracy",
    }
    return {metric: row[column] for metric, column in names.items() if column in row}


def best_metrics(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of the epoch whose weights were kept: its number, and its validation accuracy."""
    best = next(row for row in history if row["best"])
    return {"best/epoch": best["epoch"], "best/val_accuracy": best_accuracy(best)}


def final_metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """`metrics.json` under MLflow's names: `test/accuracy`, `test_class/cat`, `model/macs`."""
    values = (
        {f"test/{name}": value for name, value in summary["test"].items()}
        | {f"test_class/{name}": value for name, value in summary["per_class"].items()}
        | {f"model/{name}": summary["model"][name] for name in ("parameters", "macs")}
    )
    return {name: value for name, value in values.items() if value is not None}
