"""Figures that show texts."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cct.evaluation.figures.style import class_labels, left_to_right, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINE, LINES = 95, 2  # characters and lines of a text
ROW = 0.55  # inches of a text with its title


@styled
def plot_top_error_texts(
    texts: Sequence[str],
    labels_n: np.ndarray,
    predicted_n: np.ndarray,
    probabilities_nk: np.ndarray,
    class_names: Sequence[str],
    count: int,
) -> "Figure":
    """The most confident wrong predictions, the most confident first: "true → predicted, 97 %" above the text.

    Args:
        texts: the n test texts.
        labels_n: true class indices.
        predicted_n: predicted class indices.
        probabilities_nk: the probability of the predicted class is the confidence.
        class_names: k names.
        count: largest number of texts to show.
    """
    wrong_m = np.flatnonzero(labels_n != predicted_n)
    confidence_m = probabilities_nk[wrong_m, predicted_n[wrong_m]]
    order_m = np.argsort(-confidence_m, kind="stable")[:count]
    shown = wrong_m[order_m]
    share = "No" if not len(shown) else f"The {len(shown):,} most confident of" if len(shown) < len(wrong_m) else "All"
    counted = f" {len(wrong_m):,}" if len(wrong_m) else ""
    figure = new_figure(height=0.5 + ROW * max(1, len(shown)))
    figure.suptitle(f"{share}{counted} errors among {len(labels_n):,} test texts: true → predicted", fontsize=11)
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(max(1, len(shown)), 0))
    labels = [left_to_right(label) for label in class_labels(class_names, 30)]
    for row, (place, confidence) in enumerate(zip(shown, confidence_m[order_m], strict=True)):
        title = f"{labels[labels_n[place]]} → {labels[predicted_n[place]]}, {_percent(confidence)}"
        axes.text(0, row + 0.05, title, va="top", fontsize=9, fontweight="bold")
        axes.text(0, row + 0.38, _wrapped(texts[place]), va="top", fontsize=9, linespacing=1.1)
    return figure


def _wrapped(text: str) -> str:
    """The beginning of a text on `LINES` lines, with what no font can draw as escapes."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return "\n".join(textwrap.wrap(plain, LINE, max_lines=LINES, placeholder=" …"))


def _percent(confidence: float) -> str:
    return ">99 %" if confidence >= 0.995 else f"{100 * confidence:.0f} %"  # nothing is 100 % sure
