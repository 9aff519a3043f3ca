"""The figures that show texts."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cct.data.texts.tokens import Numbering
from cct.evaluation.figures.registry import FigureInputs
from cct.evaluation.figures.texts import marked_examples, plot_marked_texts, plot_top_error_texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _top_errors(given: FigureInputs) -> "Figure":
    p = given.predictions
    return plot_top_error_texts(
        given.read_texts("test"), p.labels_n, p.predicted_n, p.probabilities_nk, p.class_names, given.plot.top_errors
    )


def _attention(given: FigureInputs) -> "Figure":
    p, meta, texts = given.predictions, given.meta, given.read_texts("test")
    numbering = Numbering(meta["tokens"], meta["vocabulary"], length=meta["max_length"], truncation=meta["truncation"])
    examples = [
        (p.labels_n[i], p.predicted_n[i], p.probabilities_nk[i].max(), numbering.weighted(texts[i], share))
        for i, share in given.relevance.items()
    ]
    which = "of each class the most confident right and the most confident wrong prediction"
    return plot_marked_texts(f"What the model looked at\n{which}", marked_examples(examples, p.class_names))


FIGURES: dict[str, Callable[[FigureInputs], "Figure"]] = {"top_errors": _top_errors, "attention": _attention}
