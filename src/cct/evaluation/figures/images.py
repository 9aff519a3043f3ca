"""Figures that show images."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cct.evaluation.figures.style import WIDTH, class_labels, columns, errors_title, left_to_right, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 5  # of the images of errors


@styled
def plot_top_errors(
    images_nhwc: np.ndarray,
    labels_n: np.ndarray,
    predicted_n: np.ndarray,
    probabilities_nk: np.ndarray,
    class_names: Sequence[str],
    count: int,
) -> "Figure":
    """The most confident wrong predictions, the most confident first, each titled "true → predicted, 97 %".

    Args:
        images_nhwc: uint8 with 1 or 3 channels. From a memory map, only the shown images are read.
        labels_n: true class indices.
        predicted_n: predicted class indices.
        probabilities_nk: the probability of the predicted class is the confidence.
        class_names: k names.
        count: largest number of images to show.
    """
    wrong_m = np.flatnonzero(labels_n != predicted_n)
    confidence_m = probabilities_nk[wrong_m, predicted_n[wrong_m]]
    order_m = np.argsort(-confidence_m, kind="stable")[:count]
    among = f"{len(labels_n):,} test images"
    if not len(order_m):
        figure = new_figure(height=1.6)
        figure.text(0.5, 0.5, errors_title(0, 0, among), ha="center", va="center", fontsize=12)
        return figure
    labels = [left_to_right(label) for label in class_labels(class_names, 12)]
    titles = [
        (labels[labels_n[i]], f"→ {labels[predicted_n[i]]}, {confidence_text(confidence)}")
        for i, confidence in zip(wrong_m[order_m], confidence_m[order_m], strict=True)
    ]
    return _image_grid(images_nhwc[wrong_m[order_m]], titles, errors_title(len(titles), len(wrong_m), among))


def _image_grid(images_mhwc: np.ndarray, titles: Sequence[tuple[str, str]], title: str) -> "Figure":
    """Images in rows, each under its title. The two parts of a title share a line if all titles fit."""
    separator = " " if max(columns(first) + columns(second) for first, second in titles) < 21 else "\n"
    rows = -(-len(titles) // COLUMNS)
    cell = WIDTH / COLUMNS
    height = min(images_mhwc.shape[1] / images_mhwc.shape[2], 2) * (cell - 0.1) + (0.25 if separator == " " else 0.4)
    figure = new_figure(height=rows * height + 0.4)
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    # Grey images share one scale up to the brightest pixel, because some data sets do not reach 255.
    grey = {"cmap": "gray", "vmin": 0, "vmax": max(int(images_mhwc.max()), 1)} if images_mhwc.shape[-1] == 1 else {}
    for axes, image_hwc, parts in zip(grid, images_mhwc, titles, strict=False):
        axes.imshow(image_hwc[..., 0] if grey else image_hwc, interpolation="nearest", **grey)
        axes.set_title(separator.join(parts), fontsize=9, pad=3)
    return figure


@styled
def plot_augmentations(rows: Mapping[str, np.ndarray], enabled: Sequence[str]) -> "Figure":
    """The same images in each row, changed by the augmentation named at its left.

    Args:
        rows: uint8 images (m, h, w, c) by name; c is 1 or 3.
        enabled: names of the augmentations that training uses, for the title.
    """
    images = list(rows.values())
    (count, height, *_), gap = images[0].shape, gap_of(images[0])
    sheet = tile_rows(images, columns=count)[:-gap, :-gap]
    figure = new_figure(height=0.65 + (WIDTH - 2.1) * sheet.shape[0] / sheet.shape[1])
    on = ", ".join(enabled) or "nothing"
    figure.suptitle(f"Augmentation, each kind by itself\non in params.yaml: {on}", fontsize=11)
    axes = show_sheet(figure, sheet)
    axes.set_yticks(np.arange(len(rows)) * (height + gap) + (height - 1) / 2, rows, fontsize=9)
    return figure


def gap_of(images_mhwc: np.ndarray) -> int:
    """The pixels between two images of a sheet."""
    return max(1, images_mhwc.shape[2] // 16)


def tile_rows(rows: Sequence[np.ndarray], *, columns: int) -> np.ndarray:
    """One large image of rows of images with white gaps, because axes for each image would take seconds.

    Args:
        rows: uint8 images (m, h, w, c) of each row, at most `columns`.
        columns: the images of the longest row.

    Returns:
        A sheet (height, width, c), with a gap below and to the right of each image.
    """
    (_, height, width, channels), gap = rows[0].shape, gap_of(rows[0])
    sheet = np.full((len(rows), height + gap, columns, width + gap, channels), 255, np.uint8)
    for place, images_mhwc in enumerate(rows):
        sheet[place, :height, : len(images_mhwc), :width] = images_mhwc.swapaxes(0, 1)
    return sheet.reshape(len(rows) * (height + gap), columns * (width + gap), channels)


def show_sheet(figure: "Figure", sheet_hwc: np.ndarray) -> "Axes":
    """Axes of a figure that show a sheet of grey or colour images, and nothing else."""
    axes = figure.subplots()
    shown = sheet_hwc[..., 0] if sheet_hwc.shape[-1] == 1 else sheet_hwc
    axes.imshow(shown, interpolation="nearest", cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_anchor("E")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(False)
    return axes


def confidence_text(confidence: float) -> str:
    """A probability as text: 0.97 as 97 %."""
    return ">99 %" if confidence >= 0.995 else f"{100 * confidence:.0f} %"  # nothing is 100 % sure
