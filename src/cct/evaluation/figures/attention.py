"""Images with what a model looked at."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cct.evaluation.figures.images import confidence_text
from cct.evaluation.figures.style import GREY, WIDTH, class_labels, left_to_right, new_figure, shorten, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_CLASSES, BLOCKS = 20, 2  # classes in a figure, and in a row of it
SMALLEST_SIDE = 128  # pixels: smaller images are enlarged, so that heat stays smooth on them
OPACITY = 0.65  # of the heat


class Example(NamedTuple):
    """An image, the share of each place (rows, columns) in the model's output, and the prediction."""

    image_hwc: np.ndarray
    share_rc: np.ndarray
    label: int
    predicted: int
    confidence: float


def heat_map(image_hwc: np.ndarray, share_rc: np.ndarray) -> np.ndarray:
    """The image in grey under the colours of heat: dark where the model looked least, bright where it looked most.

    Args:
        image_hwc: uint8 with 1 or 3 channels.
        share_rc: shares of the places (rows, columns). Their largest one is the brightest.

    Returns:
        uint8 (height, width, 3), enlarged by a whole number to at least `SMALLEST_SIDE`.
    """
    from matplotlib import colormaps
    from PIL import Image

    large_hwc = enlarge(image_hwc)
    height, width = large_hwc.shape[:2]
    heat = Image.fromarray((share_rc / max(share_rc.max(), 1e-12)).astype("float32"))
    heat_hw = np.asarray(heat.resize((width, height), Image.Resampling.BICUBIC)).clip(0, 1)
    colour_hwc = colormaps["inferno"](heat_hw)[..., :3]
    grey_hwc = large_hwc.mean(axis=-1, keepdims=True) / 255
    return np.rint(255 * (OPACITY * colour_hwc + (1 - OPACITY) * grey_hwc)).astype(np.uint8)


def enlarge(image_hwc: np.ndarray) -> np.ndarray:
    """The image (height, width, 3), with each pixel as a square of pixels where it has less than `SMALLEST_SIDE`."""
    factor = -(-SMALLEST_SIDE // max(image_hwc.shape[:2]))
    colour_hwc = np.broadcast_to(image_hwc, (*image_hwc.shape[:2], 3))
    return colour_hwc.repeat(factor, axis=0).repeat(factor, axis=1)


@styled
def plot_attention(examples: Sequence[Example], class_names: Sequence[str]) -> "Figure":
    """Beside each image what the model looked at: the most confident right and wrong prediction of each class.

    Args:
        examples: at most one right and one wrong prediction of each class.
        class_names: k names.
    """
    of_class = {k: {e.label == e.predicted: e for e in examples if e.label == k} for k in {e.label for e in examples}}
    shown = sorted(of_class)[:: -(-len(of_class) // MAX_CLASSES)]
    labels = [left_to_right(label) for label in class_labels(class_names, 14)]
    rows = -(-len(shown) // BLOCKS)
    height, width = examples[0].image_hwc.shape[:2]
    cell = WIDTH / (2 * BLOCKS)
    figure = new_figure(height=rows * (0.3 + min(height / width, 4) * cell / 2) + 0.6)
    some = f", {len(shown)} of {len(of_class)} classes" if len(shown) < len(of_class) else ""
    which = "of each class the most confident right and the most confident wrong prediction"
    figure.suptitle(f"What the model looked at{some}\n{which}", fontsize=11)
    grid = figure.subplots(rows, 2 * BLOCKS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for place, k in enumerate(shown):
        for axes, right in zip(grid[2 * place : 2 * place + 2], (True, False), strict=True):
            _show_example(axes, of_class[k].get(right), labels, k, right)
    return figure


@styled
def plot_explanations(
    images_nhwc: np.ndarray, rows: Sequence[tuple[str, str]], columns: Sequence[tuple[str, np.ndarray]]
) -> "Figure":
    """A row for each image: the image, and the heat of each column over it.

    Args:
        images_nhwc: uint8 with 1 or 3 channels.
        rows: the file and the prediction of each image.
        columns: titles, and the shares (n, rows, columns) of the places.
    """
    cell, height, width = 1.1, *images_nhwc.shape[1:3]
    figure = new_figure(
        height=0.4 + len(images_nhwc) * (0.1 + cell * min(height / width, 4)), width=1.7 + cell * (1 + len(columns))
    )
    grid = figure.subplots(len(images_nhwc), 1 + len(columns), squeeze=False)
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, title in zip(grid[0], ("image", *(title for title, _ in columns)), strict=True):
        axes.set_title(title, fontsize=8)
    for i, (image_hwc, (file, prediction)) in enumerate(zip(images_nhwc, rows, strict=True)):
        grid[i, 0].imshow(enlarge(image_hwc))
        label = f"{left_to_right(shorten(file, 22))}\n{left_to_right(prediction)}"
        grid[i, 0].set_ylabel(label, fontsize=8, rotation=0, ha="right", va="center")
        for axes, (_, share_nrc) in zip(grid[i, 1:], columns, strict=True):
            axes.imshow(heat_map(image_hwc, share_nrc[i]))
    return figure


def _show_example(axes: "Axes", example: Example | None, labels: Sequence[str], k: int, right: bool) -> None:
    if example is None:
        axes.text(0.5, 0.5, f"{labels[k]}:\nnone {'right' if right else 'wrong'}", ha="center", va="center",
                  fontsize=8, color=GREY, transform=axes.transAxes)  # fmt: skip
        return
    image_hwc = enlarge(example.image_hwc)
    gap_hwc = np.full((image_hwc.shape[0], max(2, image_hwc.shape[1] // 32), 3), 255, np.uint8)
    axes.imshow(np.concatenate([image_hwc, gap_hwc, heat_map(example.image_hwc, example.share_rc)], axis=1))
    name = labels[k] if right else f"{labels[k]} → {labels[example.predicted]}"
    axes.set_title(f"{name}, {confidence_text(example.confidence)}", fontsize=8, pad=3)
