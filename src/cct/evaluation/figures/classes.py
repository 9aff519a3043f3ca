"""Confusion and accuracy by class."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cct.evaluation.figures.style import BLUE, ORANGE, class_labels, columns, new_figure, percent, percent_ticks, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL_TEXT_CLASSES = 25  # with more classes the numbers in the cells are too small to read
NAMED_CLASSES, SMALL = 50, 7.5  # of more classes not all names fit beside each other; points of their letters


@styled
def plot_confusion_matrix(matrix_kk: np.ndarray, class_names: Sequence[str]) -> "Figure":
    """The predictions for each class: a row for each true class, coloured by its own shares.

    Args:
        matrix_kk: counts, rows true, columns predicted. A row without examples is grey.
        class_names: k names. Up to `CELL_TEXT_CLASSES`, every cell that is not empty has its percentage. With more
            classes, cells show only colour. Up to `NAMED_CLASSES`, every class is named. With more, it is the first of
            every two, three or more classes, as the axes then say.
    """
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    classes = len(class_names)
    examples_k1 = matrix_kk.sum(axis=1, keepdims=True)
    share_kk = np.divide(matrix_kk, examples_k1, out=np.full(matrix_kk.shape, np.nan), where=examples_k1 > 0)
    numbers = classes <= CELL_TEXT_CLASSES
    shown = range(0, classes, -(-classes // NAMED_CLASSES))
    rule = f" (of every {shown.step} classes the first is named)" if shown.step > 1 else ""
    labels = class_labels(class_names, 18)[:: shown.step]

    figure = new_figure(height=max(min(1.8 + 0.46 * classes, 6.4), 0.32 * classes) if numbers else 7.2)
    axes = figure.subplots()
    # The square root gives most of the colours to the small shares, which are the errors.
    norm = PowerNorm(0.5, vmin=0, vmax=1)
    cmap = colormaps["Blues"].with_extremes(bad="#DDDDDD")
    image = axes.imshow(share_kk, cmap=cmap, norm=norm, interpolation="nearest")
    slanted = max(map(columns, labels)) * len(labels) > 60
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    axes.set_xticks(shown, labels, **(turned if numbers else {"rotation": 90}))
    axes.set_yticks(shown, labels)
    axes.set(title="Confusion matrix, percent of each true class", xlabel=f"predicted{rule}", ylabel=f"true{rule}")
    axes.grid(False)
    axes.spines[:].set_visible(not numbers)
    if numbers:
        axes.tick_params(length=0)
        for row, column in np.argwhere(matrix_kk > 0):
            share = share_kk[row, column]
            colour = "white" if norm(share) > 0.6 else "black"
            _cell_text(axes, row, column, share, color=colour, fontsize=10 if classes <= 15 else 9)
    else:
        axes.tick_params(labelsize=SMALL)
        bar = figure.colorbar(image, ax=axes, shrink=0.8, ticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1])
        bar.ax.yaxis.set_major_formatter(percent_ticks())
    return figure


def _cell_text(axes: "Axes", row: int, column: int, share: float, **style: object) -> None:
    text = f"{100 * share:.0f}"
    axes.text(column, row, "<1" if text == "0" else text, ha="center", va="center", **style)


@styled
def plot_per_class_accuracy(per_class: Mapping[str, float | None], overall: float, low: float, high: float) -> "Figure":
    """A bar for each class, the best on top, and the overall accuracy with its confidence interval.

    Args:
        per_class: accuracy, 0 to 1, by class name. None: the class has no test example.
        overall: accuracy over all examples, 0 to 1.
        low: lower end of its interval.
        high: upper end of its interval.
    """
    known = {name: accuracy for name, accuracy in per_class.items() if accuracy is not None}
    names = [*sorted(known, key=lambda name: -known[name]), *(name for name in per_class if name not in known)]
    figure = new_figure(height=1.1 + (0.28 if len(names) <= 25 else 0.19) * len(names))
    axes = figure.subplots()
    axes.barh(range(len(known)), [known[name] for name in names[: len(known)]], height=0.7, color=BLUE)
    for place, name in enumerate(names):
        text = percent(known[name]) if name in known else "no example"
        axes.text(1.01, place, text, va="center", fontsize=9)  # in a column: the line would cross a text beside its bar
    axes.axvspan(low, high, color=ORANGE, alpha=0.4, linewidth=0, zorder=0.5)
    interval = f"all classes: {percent(overall)} (confidence interval {percent(low)} to {percent(high)})"
    line = axes.axvline(overall, color=ORANGE, linewidth=2, label=interval)
    figure.legend(handles=[line], loc="outside upper center")
    label_of = dict(zip(per_class, class_labels([*per_class], 28), strict=True))
    axes.set_yticks(range(len(names)), [label_of[name] for name in names])
    axes.tick_params(axis="y", length=0, labelsize=10 if len(names) <= 25 else 9)
    axes.set(xlabel="accuracy", xlim=(0, 1), ylim=(len(names) - 0.4, -0.6), xticks=np.linspace(0, 1, 6))
    axes.xaxis.set_major_formatter(percent_ticks())
    axes.grid(axis="y", visible=False)
    return figure
