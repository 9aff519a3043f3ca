"""An ablation as a figure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cct.evaluation.figures.style import BLUE, GREEN, ORANGE, new_figure, shorten, styled
from cct.experiments.ablation.table import change_label, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7")  # of the groups, in turn


@styled
def plot_ablation(summary: Mapping[str, Any]) -> "Figure":
    """A bar for the difference that each change makes, in groups, with its interval.

    Args:
        summary: as `summarise` returns it, with one change or more.
    """
    rows, base = summary["changes"], summary["base"]
    groups = list(dict.fromkeys(row["group"] for row in rows))
    drawn = new_figure(height=1.3 + 0.24 * len(rows) + 0.36 * len(groups))
    axes = drawn.subplots()
    places, place = [], 0.0
    for group in groups:
        place += 0.5
        axes.text(0, place, f" {group} ", transform=axes.get_yaxis_transform(), ha="right", va="center", weight="bold")
        colour = COLOURS[groups.index(group) % len(COLOURS)]
        for row in (row for row in rows if row["group"] == group):
            place += 1
            places.append(place)
            ends = [[row["points"] - row["points_low"]], [row["points_high"] - row["points"]]]
            sure = row["points_low"] > 0 or row["points_high"] < 0
            axes.barh(place, row["points"], height=0.72, color=colour, alpha=1 if sure else 0.4)
            axes.errorbar(row["points"], place, xerr=ends, color="black", linewidth=1, capsize=2.5)
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
    params = summary["params"]
    axes.set_title(
        f"What each change does to {percent(base['test_accuracy'])} % test accuracy\n"
        f"{params['model']['name']}, {100 * params['preprocess']['train_fraction']:g} % of {summary['data']}, "
        f"{params['train']['epochs']} epochs"
    )
    return drawn
