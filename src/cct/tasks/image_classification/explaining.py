"""Image classification: heat maps of what the model looked at, in a figure and as JSON."""

import base64
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cct.tasks.image_classification.attention import ImageAttention
    from cct.tasks.image_classification.inference import ImageReader


def figure(
    reader: "ImageReader",
    images_nhwc: Sequence[np.ndarray],
    rows: Sequence[tuple[str, str]],
    attention: "ImageAttention",
) -> "Figure":
    """A row for each image: the image, and the heat maps of each layer and of the pooling over it.

    Args:
        reader: of the model.
        images_nhwc: uint8 with 1 or 3 channels.
        rows: file and prediction of each image.
        attention: of these images.
    """
    from cct.evaluation.figures.attention import plot_explanations

    return plot_explanations(np.stack(images_nhwc), rows, attention.titled())


def lines(reader: "ImageReader", images_nhwc: Sequence[np.ndarray], attention: "ImageAttention") -> Iterator[str]:
    """Nothing: a shell shows no images."""
    yield from [""] * len(images_nhwc)


def as_json(reader: "ImageReader", image_hwc: np.ndarray, attention: "ImageAttention") -> dict[str, Any]:
    """The input of the model as a PNG, and where it looked: maps of shares, each with its title."""
    maps = [
        {"title": title, "shares": np.round(shares[0].astype(float), 6).tolist()}
        for title, shares in attention.titled()
    ]
    return {"image": png_address(image_hwc), "maps": maps}


def png_address(pixels_hwc: np.ndarray) -> str:
    """An image of one or three channels as an address of `data:`."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels_hwc[..., 0] if pixels_hwc.shape[-1] == 1 else pixels_hwc).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
