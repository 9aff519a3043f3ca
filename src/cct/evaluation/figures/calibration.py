"""Confidence against accuracy."""

from typing import TYPE_CHECKING

import numpy as np

from cct.evaluation.figures.style import BLUE, GREY, ORANGE, new_figure, percent, percent_ticks, styled
from cct.evaluation.metrics import CALIBRATION_BINS, confidence_bins

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def plot_reliability(
    before_nk: np.ndarray,
    after_nk: np.ndarray,
    labels_n: np.ndarray,
    *,
    errors: tuple[float, float],
    temperature: float,
) -> "Figure":
    """A reliability diagram of the test split, with the number of examples below.

    Args:
        before_nk: probabilities without calibration.
        after_nk: calibrated probabilities.
        labels_n: true class indices.
        errors: expected calibration error before and after.
        temperature: of the calibration.
    """
    figure = new_figure(height=6.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    above.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as often right as it says")
    sides = (
        (before_nk, ORANGE, f"before calibration: error {percent(errors[0])}"),
        (after_nk, BLUE, f"after, temperature {temperature:.2f}: error {percent(errors[1])}"),
    )
    edges, width = np.linspace(0, 1, CALIBRATION_BINS + 1), 1 / CALIBRATION_BINS
    for place, (probabilities_nk, colour, label) in enumerate(sides):
        confidence_n = probabilities_nk.max(axis=1)
        right_n = probabilities_nk.argmax(axis=1) == labels_n
        bin_n = confidence_bins(confidence_n)
        counts = np.bincount(bin_n, minlength=CALIBRATION_BINS)
        used = np.flatnonzero(counts)
        means = [
            np.bincount(bin_n, values, CALIBRATION_BINS)[used] / counts[used] for values in (confidence_n, right_n)
        ]
        above.plot(*means, color=colour, linewidth=1, alpha=0.6)
        # The area of a mark is the share of its examples: a bin of few examples says little.
        above.scatter(
            *means,
            s=12 + 400 * counts[used] / counts.sum(),
            color=colour,
            alpha=0.85,
            label=label,
            zorder=3,
            clip_on=False,
        )
        below.bar(edges[:-1] + width * (0.28 + 0.44 * place), counts, 0.42 * width, color=colour)
    above.set(
        title="Confidence and accuracy on the test split", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.04)
    )
    above.yaxis.set_major_formatter(percent_ticks())
    for mark in above.legend(loc="lower right").legend_handles[1:]:
        mark.set_sizes([40])
    below.set(xlabel="confidence: probability of the predicted class", ylabel="examples", yscale="symlog")
    below.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    below.xaxis.set_major_formatter(percent_ticks())
    return figure
