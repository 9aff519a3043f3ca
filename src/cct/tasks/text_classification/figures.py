"""The figures that show texts."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cct.evaluation.figures.registry import FigureInputs
from cct.evaluation.figures.texts import plot_top_error_texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _top_errors(given: FigureInputs) -> "Figure":
    p = given.predictions
    return plot_top_error_texts(
        given.read_texts("test"), p.labels_n, p.predicted_n, p.probabilities_nk, p.class_names, given.plot.top_errors
    )


FIGURES: dict[str, Callable[[FigureInputs], "Figure"]] = {"top_errors": _top_errors}
