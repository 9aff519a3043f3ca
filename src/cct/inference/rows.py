"""Predictions as rows for other programs: those of `cct predict` and of `cct serve` have the same fields."""

from collections.abc import Sequence
from typing import Any


def prediction_row(name: str, best: Sequence[tuple[str, float]], *, unsure: float) -> dict[str, Any]:
    """The prediction of one input.

    Args:
        name: of the input.
        best: the most probable classes with their probabilities, the first one first.
        unsure: a label of a lower probability is marked.

    Returns:
        file, label, probability, unsure, and top: a list of label and probability.
    """
    label, p = best[0]
    top = [{"label": one, "probability": round(q, 6)} for one, q in best]
    return {"file": name, "label": label, "probability": round(p, 6), "unsure": p < unsure, "top": top}
