"""The CSV files in `reports/`."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cct.metrics import softmax


def write_history(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """One line an epoch."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)


def write_predictions(path: Path, logits_nk: np.ndarray, labels_n: np.ndarray, class_names: Sequence[str]) -> None:
    """One line a picture: its index, its class, the predicted class, the probability of each class."""
    probabilities_nk = softmax(logits_nk)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["index", "true", "predicted", *(f"p_{name}" for name in class_names)])
        for index, (label, row) in enumerate(zip(labels_n, probabilities_nk, strict=True)):
            shares = [f"{p:.6f}" for p in row]
            writer.writerow([index, class_names[label], class_names[int(row.argmax())], *shares])
