"""The figures that show images."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cct.augment.preview import enabled_augmentations, preview_images
from cct.evaluation.figures.attention import Example, plot_attention
from cct.evaluation.figures.images import plot_augmentations, plot_top_errors
from cct.evaluation.figures.registry import FigureInputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _augmentation(given: FigureInputs) -> "Figure":
    images, labels = given.read_split("train")
    return plot_augmentations(preview_images(images, labels, given.augment), enabled_augmentations(given.augment))


def _top_errors(given: FigureInputs) -> "Figure":
    images, _ = given.read_split("test")
    p = given.predictions
    return plot_top_errors(images, p.labels_n, p.predicted_n, p.probabilities_nk, p.class_names, given.plot.top_errors)


def _attention(given: FigureInputs) -> "Figure":
    images, _ = given.read_split("test")
    p = given.predictions
    examples = [
        Example(images[i], share, p.labels_n[i], p.predicted_n[i], p.probabilities_nk[i].max())
        for i, share in given.relevance.items()
    ]
    return plot_attention(examples, p.class_names)


FIGURES: dict[str, Callable[[FigureInputs], "Figure"]] = {
    "augmentation": _augmentation,
    "top_errors": _top_errors,
    "attention": _attention,
}
