"""Predictions as rows for other programs: those of `cct predict` and of `cct serve` have the same fields."""

from collections.abc import Iterator
from typing import Any

from cct.inference.classifier import Predictions


def prediction_rows(
    predictions: Predictions, *, top: int, unsure: float, coverage: float | None = None
) -> Iterator[dict[str, Any]]:
    """A row for each prediction: label, probability, unsure, and top, a list of label and probability.

    A prediction with a warning has it in its row, and is always unsure.

    Args:
        predictions: of n inputs.
        top: classes to list, the most probable first.
        unsure: a label of a lower probability is marked.
        coverage: adds the conformal set, as `Predictions.sets`.
    """
    # Who asks for many rows, part by part, warns of the sets once.
    sets = predictions.sets(coverage, warn=False) if coverage else None
    for place, best in enumerate(predictions.top(top)):
        (label, p), shown = best[0], [{"label": label, "probability": round(p, 6)} for label, p in best]
        warning = predictions.warnings[place]
        row = {"label": label, "probability": round(p, 6), "unsure": bool(warning) or p < unsure, "top": shown}
        yield row | ({"set": sets[place]} if sets else {}) | ({"warning": warning} if warning else {})
