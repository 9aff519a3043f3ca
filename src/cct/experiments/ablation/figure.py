"""An ablation as a figure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cct.evaluation.figures.style import BLUE, GREEN, ORANGE, new_figure, shorten, styled
from cct.experiments.ablation.table import change_label, is_certain, percent, subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7")  # of the groups, in turn


@styled
def plot_ablation(summary: Mapping[str, Any]) -> "Figure":
    """A bar with an interval for the difference that each change makes, in groups.

    Args:
        summary: as `summarize` returns it, with one change or more.
    """
    rows = summary["changes"]
    groups = list(dict.fromkeys(row["group"] for row in rows))
    figure = new_figure(height=1.3 + 0.24 * len(rows) + 0.36 * len(groups))
    axes = figure.subplots()
    places, place = [], 0.0
    for index, group in enumerate(groups):
        place += 0.5
        axes.text(0, place, f" {group} ", transform=axes.get_yaxis_transform(), ha="right", va="center", weight="bold")
        for row in (row for row in rows if row["group"] == group):
            place += 1
            places.append(place)
            _bar(axes, place, row, COLOURS[index % len(COLOURS)])
        place += 1
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(places, [shorten(change_label(row), 32) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(place - 0.2, -0.2)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(lambda points, _: f"{points:+g}" if points else "0")
    axes.set_xlabel(
        f"difference in test accuracy, percentage points, with {100 * summary['confidence']:g} % interval; "
        "pale: it includes 0"
    )
    accuracy, (model, data) = percent(summary["base"]["test_accuracy"]), subject(summary)
    axes.set_title(f"What each change does to {accuracy} % test accuracy\n{model}, {data}")
    return figure


def _bar(axes: "Axes", place: float, row: Mapping[str, Any], colour: str) -> None:
    ends = [[row["points"] - row["points_low"]], [row["points_high"] - row["points"]]]
    axes.barh(place, row["points"], height=0.72, color=colour, alpha=1 if is_certain(row) else 0.4)
    axes.errorbar(row["points"], place, xerr=ends, color="black", linewidth=1, capsize=2.5)
