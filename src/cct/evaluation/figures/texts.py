"""Figures that show texts."""

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cct.evaluation.figures.images import confidence_text
from cct.evaluation.figures.style import (
    ORANGE,
    WIDTH,
    class_labels,
    columns,
    errors_title,
    left_to_right,
    new_figure,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE, LINES = 95, 2  # characters and lines of a text
ROW = 0.55  # inches of a text with its title
WORDS, WORD_SIZE, WORD_LINE = "DejaVu Sans Mono", 9, 0.21  # font, points, and inches of a line with marked words
COLUMN = 0.602 * WORD_SIZE / 72  # inches of a letter of that font
TITLE_LINE = 0.19  # inches of a line of a figure's title
MARGIN, INDENT = 0.15, 2  # inches; columns of words under their title
MAX_CLASSES, MOST_LINES = 20, 8  # lines of a text


class Marked(NamedTuple):
    """A text whose words are marked.

    Attributes:
        title: what stands above it.
        words: its words with the spaces behind them, and the share of each in the model's output.
    """

    title: str
    words: Sequence[tuple[str, float]]


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
    figure = new_figure(height=0.5 + ROW * max(1, len(shown)))
    figure.suptitle(errors_title(len(shown), len(wrong_m), f"{len(labels_n):,} test texts"), fontsize=11)
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(max(1, len(shown)), 0))
    labels = [left_to_right(label) for label in class_labels(class_names, 30)]
    for row, (place, confidence) in enumerate(zip(shown, confidence_m[order_m], strict=True)):
        title = f"{labels[labels_n[place]]} → {labels[predicted_n[place]]}, {confidence_text(confidence)}"
        axes.text(0, row + 0.05, title, va="top", fontsize=9, fontweight="bold")
        axes.text(0, row + 0.38, _wrapped(texts[place]), va="top", fontsize=9, linespacing=1.1)
    return figure


def _wrapped(text: str) -> str:
    """The beginning of a text on `LINES` lines, with what no font can draw as escapes."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return "\n".join(textwrap.wrap(plain, LINE, max_lines=LINES, placeholder=" …"))


@styled
def plot_marked_texts(title: str, texts: Sequence[Marked]) -> "Figure":
    """Texts whose words are the darker the larger their share is; the largest share of each text is the darkest.

    Of a long text, only the first lines are there.

    Args:
        title: of the figure.
        texts: in their order, from the top.
    """
    width = int((WIDTH - 2 * MARGIN) / COLUMN)
    broken = [
        (text.title, list(itertools.islice(break_lines(text.words, width - INDENT), MOST_LINES))) for text in texts
    ]
    rows = sum(len(lines) + 1.4 for _, lines in broken)
    height = 0.3 + TITLE_LINE * (1 + title.count("\n")) + rows * WORD_LINE
    figure = new_figure(height=height)
    figure.set_layout_engine("none")  # words have places of their own
    figure.suptitle(title, fontsize=11, y=1 - 0.1 / height)
    axes = figure.add_axes((MARGIN / WIDTH, 0, 1 - 2 * MARGIN / WIDTH, rows * WORD_LINE / height))
    axes.set_axis_off()
    axes.set(xlim=(0, (WIDTH - 2 * MARGIN) / COLUMN), ylim=(rows, 0))
    row = 0.0
    for text, (heading, lines) in zip(texts, broken, strict=True):
        axes.text(0, row + 0.5, left_to_right(heading), va="center", fontsize=9, fontweight="bold")
        most = max((share for _, share in text.words), default=0) or 1
        for place, line in enumerate(lines, start=1):
            _draw_line(axes, line, row + place, most)
        row += len(lines) + 1.4
    return figure


def _draw_line(axes: "Axes", line: Sequence[tuple[int, str, float]], row: float, most: float) -> None:
    """Marks for each word or letter, and a text for each run of letters: a text takes more time than its mark."""
    from matplotlib.colors import to_rgb

    runs: list[tuple[int, str]] = []
    for column, word, _ in line:
        if runs and not runs[-1][1].endswith(" ") and word.strip():
            start, before = runs.pop()
            runs.append((start, before + word))
        else:
            runs.append((column, word))
    for column, run in runs:
        if run.strip():
            axes.text(
                INDENT + column, row + 0.5, left_to_right(run.rstrip()), va="center", fontsize=WORD_SIZE,
                fontfamily=WORDS,
            )  # fmt: skip
    spans = [(INDENT + column, columns(word.rstrip())) for column, word, _ in line]
    colours = [(*to_rgb(ORANGE), 0.85 * share / most) for *_, share in line]
    axes.broken_barh(spans, (row + 0.05, 0.9), facecolors=colours, linewidth=0)


def break_lines(words: Sequence[tuple[str, float]], width: int) -> Iterator[list[tuple[int, str, float]]]:
    """Lines of words with the column where each begins, and its share. A word that is too long is cut.

    Args:
        words: words with the spaces behind them, and their shares.
        width: columns of a line.
    """
    line, column = [], 0
    for word, share in words:
        plain = "".join(letter if letter.isprintable() else "·" for letter in word)
        if columns(plain.rstrip()) > width:
            plain = f"{plain[: width // 2 - 1]}… "  # a letter has at most two columns
        if line and column + columns(plain.rstrip()) > width:
            yield line
            line, column = [], 0
        line.append((column, plain, share))
        column += columns(plain)
    yield line


def marked_examples(
    examples: Sequence[tuple[int, int, float, Sequence[tuple[str, float]]]], class_names: Sequence[str]
) -> list[Marked]:
    """The most confident right and wrong text of each class, with titles as "label → predicted, 97 %".

    Args:
        examples: true class, predicted class, confidence and marked words of each.
        class_names: k names.
    """
    labels = class_labels(class_names, 30)
    classes = sorted({label for label, *_ in examples})
    shown = set(classes[:: -(-len(classes) // MAX_CLASSES)])
    order = sorted((one for one in examples if one[0] in shown), key=lambda one: (one[0], one[0] != one[1]))
    return [
        Marked(
            f"{labels[label]}{'' if label == predicted else f' → {labels[predicted]}'}, {confidence_text(confidence)}",
            words,
        )
        for label, predicted, confidence, words in order
    ]
