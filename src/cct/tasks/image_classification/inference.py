"""Image classification: the inputs of a trained model."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, field_validator

from cct.data.images.decoding import (
    DAMAGED,
    ImageError,
    ImageOptions,
    colour_of,
    decode_image,
    fit_array,
    require_size,
    to_pixels,
)
from cct.errors import one_line
from cct.params import Section, parse
from cct.tasks.inputs import Input

if TYPE_CHECKING:
    from cct.tasks.image_classification.attention import ImageAttention


def describe_input(meta: Mapping[str, Any]) -> Input:
    """Raw images of the data's shape."""
    height, width, channels = meta["image_shape"]
    # The example is a ramp, so that no private image gets into a run.
    row = np.linspace(0, 255, width).astype(np.uint8)
    example = np.broadcast_to(row[None, None, :, None], (1, height, width, channels)).copy()
    return Input("images", np.dtype("uint8"), (height, width, channels), example)


def attention(model: Any, images_bhwc: np.ndarray) -> "ImageAttention":
    """Where a Keras model looked in each of the images."""
    from cct.tasks.image_classification.attention import image_attention

    return image_attention(model, images_bhwc)


class ImageFacts(Section):
    """What a model's file says of its images."""

    shape: list[Annotated[int, Field(ge=1, le=4096)]] = Field(min_length=3, max_length=3)
    resize: Literal["crop", "pad", "stretch"]
    background: str

    @field_validator("background")
    @classmethod
    def _is_colour(cls, text: str) -> str:
        colour_of(text)  # a ValueError is a mistake
        return text


class ImageReader:
    """Reads images as `preprocess` read those of the training.

    Attributes:
        shape: height, width and channels of the model's images.
        options: their size, channels and resizing.
    """

    def __init__(self, facts: Mapping[str, Any], where: Path) -> None:
        """Read the facts in the metadata of a model's file.

        Raises:
            ParamsError: they have mistakes.
        """
        checked = parse(ImageFacts, facts, where=where)
        self.shape = height, width, channels = tuple(checked.shape)
        self.options = ImageOptions(height, width, channels, checked.resize, colour_of(checked.background))

    def arrays(self, inputs: Sequence[Any], *, first: int = 0) -> np.ndarray:
        """The images (n, height, width, channels), uint8.

        Args:
            inputs: each a path, the bytes of an image file, an image of Pillow, or an array of uint8 (height, width) or
                (height, width, 1 or 3) with raw pixels.
            first: the place of the first one among all inputs of the user, for messages.

        Raises:
            ImageError: an input is none of these, or damaged; the message names it.
        """
        o = self.options
        pixels_nhwc = np.empty((len(inputs), o.height, o.width, o.channels), np.uint8)
        for place, image in enumerate(inputs):
            try:
                pixels_nhwc[place] = self._pixels(image)
            except ImageError as error:
                name = os.fspath(image) if isinstance(image, str | os.PathLike) else f"image {first + place}"
                raise ImageError(f"{name}: {error}") from error
        return pixels_nhwc

    def warnings(self, arrays: np.ndarray) -> list[str]:
        """None: nothing in an image says that the model cannot know it."""
        return [""] * len(arrays)

    def random(self, count: int) -> np.ndarray:
        """Images of random pixels."""
        return np.random.default_rng(0).integers(0, 256, (count, *self.shape), np.uint8)

    def _pixels(self, image: Any) -> np.ndarray:
        if isinstance(image, str | os.PathLike):
            return decode_image(Path(image), self.options).pixels_hwc
        if isinstance(image, bytes | bytearray):
            return decode_image(bytes(image), self.options).pixels_hwc
        if isinstance(image, np.ndarray):
            pixels_hwc = image[..., None] if image.ndim == 2 else image
            if pixels_hwc.dtype != np.uint8 or pixels_hwc.ndim != 3 or pixels_hwc.shape[-1] not in (1, 3):
                raise ImageError(
                    f"an array of {image.dtype} {image.shape}, where an image is uint8 (height, width, 1 or 3), of raw "
                    "pixels from 0 to 255"
                )
            require_size(*pixels_hwc.shape[:2])
            return fit_array(pixels_hwc, self.options)
        if hasattr(image, "getexif"):
            require_size(image.height, image.width)
            try:
                return to_pixels(image, self.options)
            except DAMAGED as error:
                raise ImageError(f"cannot be used: {one_line(error)}") from error
        raise ImageError(f"{type(image).__name__}: give a path, bytes, an image of Pillow, or an array of uint8")
