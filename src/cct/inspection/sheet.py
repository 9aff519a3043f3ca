"""The contact sheet: some images of each class."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cct.evaluation.figures.images import gap_of, show_sheet, tile_rows
from cct.evaluation.figures.style import (
    WIDTH,
    class_labels,
    fallback_fonts,
    left_to_right,
    new_figure,
    styled,
    text_size,
)
from cct.inspection.examine import thumbnails
from cct.inspection.problems import many
from cct.inspection.report import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_CLASSES, COLUMNS = 20, 8
PAD, TICK_PAD = 0.05, 3.5 / 72  # inches; the second is Matplotlib's, between a label and an image


def sample_classes(report: Report) -> dict[str, list[int]]:
    """Up to `COLUMNS` good items of up to `MAX_CLASSES` classes, evenly spaced in the order of the source."""
    good_n = report.examined.decoded.facts_n["error"] == b""
    members = {
        name: np.flatnonzero(good_n & (report.label_n == number)) for number, name in enumerate(report.examined.classes)
    }
    shown = [name for name, rows in members.items() if len(rows)]
    return {shown[place]: _spaced(members[shown[place]].tolist(), COLUMNS) for place in _places(len(shown))}


def _places(count: int) -> list[int]:
    return _spaced(range(count), MAX_CLASSES)


def _spaced(values: Sequence[int], count: int) -> list[int]:
    """At most `count` of the values, evenly spaced."""
    return [values[place * len(values) // count] for place in range(count)] if len(values) > count else list(values)


@styled
def plot_contact_sheet(report: Report) -> "Figure":
    """Some images of each class in a row, with the name of the class at its left."""
    samples, facts = sample_classes(report), report.facts
    if not samples:
        figure = new_figure(height=1.6)
        figure.text(0.5, 0.5, "No image can be decoded", ha="center", va="center", fontsize=12)
        return figure
    counts = {row["name"]: row["images"] for row in facts["classes"]}
    label_of = dict(zip(report.examined.classes, class_labels(report.examined.classes, 26), strict=True))
    labels = [label_of[name] for name in samples]
    rows = [f"{label}\n{counts[name]:,}" for label, name in zip(labels, samples, strict=True)]
    shown = f"{len(samples)} of " if len(samples) < len(facts["classes"]) else ""
    counted = f"{many(facts['images'], 'image')}, {shown}{many(len(facts['classes']), 'class')}"
    title = f"{left_to_right(facts['name'])}: {counted}"
    if fallback_fonts("".join(samples))[1]:
        title += "\nno font here has some names: inspect.html shows them"

    # Inches. Matplotlib's layout measures labels before an image has its shape, and long ones run off the figure.
    sheet = _sheet(report, samples)
    left, top = text_size("\n".join(rows), 9)[0] + TICK_PAD + 2 * PAD, text_size(title, 11)[1] + 3 * PAD
    width = WIDTH - left - PAD
    height = width * sheet.shape[0] / sheet.shape[1]
    figure = new_figure(height=top + height + PAD)
    figure.set_layout_engine("none")
    figure.suptitle(title, fontsize=11, y=1 - PAD / figure.get_figheight(), va="top")
    axes = show_sheet(figure, sheet)
    axes.set_position(np.divide([left, PAD, width, height], 2 * [WIDTH, figure.get_figheight()]))
    axes.set_yticks((np.arange(len(rows)) + 0.5) * sheet.shape[0] / len(rows), rows, fontsize=9)
    return figure


def _sheet(report: Report, samples: Mapping[str, Sequence[int]]) -> np.ndarray:
    """The images of each class in a row, without the gap at the right."""
    rows = [thumbnails(report.examined, chosen) for chosen in samples.values()]
    return tile_rows(rows, columns=COLUMNS)[:, : -gap_of(rows[0])]
