"""Curves over the epochs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cct.evaluation.figures.style import BLUE, GREEN, GREY, ORANGE, new_figure, percent, percent_ticks, styled
from cct.training.history import averaged_is_better
from cct.training.metrics import EPOCH_METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Mapping[str, np.ndarray]


@styled
def plot_training_curves(history: History) -> "Figure":
    """The `EPOCH_METRICS` of a history over the epochs, training and validation, with the best epoch marked.

    Args:
        history: as `read_history` returns it.
    """
    metrics = [name for name in EPOCH_METRICS if f"train_{name}" in history]
    rows = -(-len(metrics) // 2)
    figure = new_figure(height=3.6 * rows)
    grid = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes, name in zip(grid, metrics, strict=False):
        _curves(axes, history, name)
    for axes in grid[len(metrics) :]:
        axes.set_axis_off()
    return figure


@styled
def plot_learning_rate(history: History) -> "Figure":
    """The learning rate over the epochs.

    Args:
        history: as `read_history` returns it.
    """
    figure = new_figure(height=2.8)
    axes = figure.subplots()
    axes.plot(history["epoch"], history["learning_rate"], color=BLUE, **_marker(history))
    axes.set(title="Learning rate", xlabel="epoch")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:.3g}")
    _epoch_axis(axes, history)
    return figure


def _curves(axes: "Axes", history: History, name: str) -> None:
    metric = EPOCH_METRICS[name]
    epochs, train, validation = (history[column] for column in ("epoch", f"train_{name}", f"val_{name}"))
    best = int(np.flatnonzero(history["best"])[0])
    averaged, shown, colour = history.get(f"ema_val_{name}"), validation, BLUE
    if averaged is not None and averaged_is_better({column: values[best] for column, values in history.items()}):
        shown, colour = averaged, GREEN
    value = percent(shown[best]) if metric.percent else f"{shown[best]:.3f}"
    axes.axvline(epochs[best], color=GREY, linewidth=1, linestyle=":")
    axes.plot(epochs, train, color=ORANGE, label="train", **_marker(history))
    axes.plot(epochs, validation, color=BLUE, label="validation", **_marker(history))
    if averaged is not None:
        axes.plot(epochs, averaged, color=GREEN, label="validation, averaged weights", **_marker(history))
    axes.plot(
        epochs[best],
        shown[best],
        "o",
        color=colour,
        markersize=8,
        markeredgecolor="white",
        label=f"epoch {epochs[best]}, best: {value}",
        zorder=5,
    )
    axes.set(title=metric.title, xlabel="epoch")
    axes.legend(loc="best")
    if metric.percent:
        axes.yaxis.set_major_formatter(percent_ticks())
    _epoch_axis(axes, history)


def _marker(history: History) -> dict[str, str]:
    return {"marker": "o"} if len(history["epoch"]) == 1 else {}  # a line through one point is invisible


def _epoch_axis(axes: "Axes", history: History) -> None:
    from matplotlib.ticker import MaxNLocator

    first, last = history["epoch"][[0, -1]]
    margin = max(0.03 * (last - first), 0.5 if last == first else 0)
    axes.set_xlim(first - margin, last + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
