"""The figures of README and docs that show accuracies."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from result_files import Result, at_most, interval_of, minutes_of, place_of

from cct.errors import CCTError
from cct.evaluation.figures.style import BLUE, GREEN, GREY, ORANGE, WIDTH, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLACE_COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7")  # of the kinds of machines, in the order of the table
USUAL = 30  # epochs
# Published accuracies on the original images, which are one to three points higher than those on the copy.
PUBLISHED_POINTS = [
    (30, 80.0, "the paper: 80 % of the original images\nin less than 30 minutes, 12 cores of an AMD 5900X")
]
PUBLISHED_LINES = {":": (77.61, "the Keras example as published, original images")}  # by the style of the line


@styled
def plot_results(results: Sequence[Result]) -> "Figure":
    """The test accuracies of one data set, with the interval of a single run or the deviation of several."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 0.9 + 0.42 * len(results)), layout="constrained")
    axes = figure.subplots()
    for row, result in enumerate(results):
        first, mean = result.runs[0], 100 * result.accuracy.mean
        if len(result.runs) > 1:
            error = [[100 * result.accuracy.sd], [100 * result.accuracy.sd]]
        elif interval := interval_of(first):
            error = [[mean - 100 * interval[0]], [100 * interval[1] - mean]]
        else:
            error = None
        colour = GREY if result.recipe is None else BLUE
        marker = "o" if len(result.runs) == 1 else "s"
        axes.errorbar(mean, row, xerr=error, fmt=marker, color=colour, capsize=3)
        axes.annotate(f"{mean:.2f} %", (mean, row), (0, 6), textcoords="offset points", ha="center", fontsize=9)
    axes.set_yticks(range(len(results)), map(_name, results))
    axes.set_ylim(-0.5, len(results) - 0.3)
    axes.set_xlabel(
        f"test accuracy, % ({results[0].data.title})\n"
        "circle: one run, 95 % interval\nsquare: several seeds, mean ± standard deviation"
    )
    axes.grid(axis="y", visible=False)
    return figure


def _name(result: Result, *, usual: int | None = None) -> str:
    """The title in letters, with the number of epochs where it is not the usual one."""
    return result.title.replace("`", "") + (f", {result.epochs} epochs" if result.epochs != usual else "")


@styled
def plot_minutes(results: Sequence[Result]) -> "Figure":
    """The test accuracies of one data set against the minutes of the training, with the published points.

    A point is hollow where the training shared its machine, or where only the time of all stages is known.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(WIDTH, 5.4), layout="constrained")
    axes = figure.subplots()
    for places, (accuracy, text) in PUBLISHED_LINES.items():
        axes.axhline(accuracy, color=GREY, linestyle=places, linewidth=1)
        axes.annotate(text, (1, accuracy), (-4, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
                      ha="right", fontsize=8, color=GREY)  # fmt: skip
    for minutes, accuracy, text in PUBLISHED_POINTS:
        axes.plot(minutes, accuracy, "<", color=GREY)
        axes.annotate(
            text, (minutes, accuracy), (-8, -3), textcoords="offset points", ha="right", fontsize=8, color=GREY
        )
    timed = [(minutes, result) for result in results if (minutes := minutes_of(result)) is not None]
    places = dict.fromkeys(place_of(result.machines[0]) for _, result in timed)
    colours = dict(zip(places, itertools.cycle(PLACE_COLOURS), strict=False))
    for minutes, result in timed:
        accuracy = 100 * result.accuracy.mean
        colour = colours[place_of(result.machines[0])]
        axes.plot(minutes, accuracy, "o", color=colour, markerfacecolor="none" if at_most(result) else colour)
    dot = {"marker": "o", "linestyle": ""}
    handles = [Line2D([], [], color=colour, label=place, **dot) for place, colour in colours.items()]
    handles.append(Line2D([], [], color=GREY, markerfacecolor="none", label="took less time than shown", **dot))
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    axes.set_xscale("log")
    axes.set_xlim(0.8, 800)
    ticks = (1, 2, 5, 10, 20, 50, 100, 200, 500)
    axes.set_xticks(ticks, [f"{tick}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(f"minutes of training ({USUAL} epochs unless named)")
    axes.set_ylabel(f"test accuracy, % ({results[0].data.title})")
    titled = [(_name(result, usual=USUAL), (minutes, 100 * result.accuracy.mean)) for minutes, result in timed]
    _label_points(axes, titled)
    return figure


# Where the title of a point may stand: its offset in points of 1/72 inch, and its alignment. The first that is free.
LABEL_PLACES = (
    ((6, 0), "left", "center"),
    ((0, 6), "center", "bottom"),
    ((0, -6), "center", "top"),
    ((-6, 0), "right", "center"),
)


def _label_points(axes: "Axes", titled: Sequence[tuple[str, tuple[float, float]]]) -> None:
    """Write the title of each point beside it, inside the axes, where it covers no other text and no point."""
    axes.figure.draw_without_rendering()  # sets the places of all that is there
    frame, points = axes.get_window_extent(), [axes.transData.transform(point) for _, point in titled]
    taken = [text.get_window_extent() for text in axes.texts] + [axes.get_legend().get_window_extent()]
    for title, point in titled:
        for offset, horizontal, vertical in LABEL_PLACES:
            style = {"ha": horizontal, "va": vertical, "fontsize": 8}
            label = axes.annotate(title, point, offset, textcoords="offset points", **style)
            extent = label.get_window_extent()
            inside = frame.x0 <= extent.x0 and extent.x1 <= frame.x1
            if inside and not any(map(extent.overlaps, taken)) and not any(extent.contains(*one) for one in points):
                break
            label.remove()
        else:
            raise CCTError(f"there is no free place for the title {title!r}: make the figure larger")
        taken.append(extent)
